//! Settings of login.

use std::collections::BTreeMap;

use portcullis_store::SessionSpan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provider;

/// Settings of login and of browser sessions.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// After how many minutes without a request a session ends.
    pub session_idle_minutes: u32,
    /// After how many hours a session ends in any case.
    pub session_hours: u32,
    /// How many sessions an account has at most; a new one ends the oldest.
    pub sessions_max: u32,
    /// OpenID providers through which people may log in, by a name of your choice.
    pub providers: BTreeMap<String, provider::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_idle_minutes: 12 * 60,
            session_hours: 7 * 24,
            sessions_max: 20,
            providers: BTreeMap::new(),
        }
    }
}

impl Config {
    /// How long a session lasts; `None` if something is zero.
    pub(crate) fn span(&self) -> Option<SessionSpan> {
        let least = self
            .session_idle_minutes
            .min(self.session_hours)
            .min(self.sessions_max);
        (least > 0).then(|| SessionSpan {
            idle_ms: u64::from(self.session_idle_minutes) * 60_000,
            total_ms: u64::from(self.session_hours) * 3_600_000,
        })
    }
}
