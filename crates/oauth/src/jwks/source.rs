//! Fetches and keeps the keys of one issuer.
//!
//! Kept for as long as the issuer says, within bounds. A token that names an unknown key is reason to look again, now and then.
//! One fetch runs at a time, and ends even if whoever began it goes away. While the issuer is down, the last keys are used for
//! an hour beyond their time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use portcullis_egress::{Egress, Reach};
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::Url;

use super::KeySet;
use super::discovery::{DiscoveryError, discover};
use super::fetch::{self, FetchError};

const KEPT: Duration = Duration::from_mins(10);
const KEPT_MIN: Duration = Duration::from_mins(1);
const KEPT_MAX: Duration = Duration::from_hours(24);
const STALE_MAX_MS: u64 = 60 * 60 * 1000;
/// Between two fetches while there are keys.
const AGAIN_MS: u64 = 30_000;
/// Between two fetches while there are none.
const AGAIN_WITHOUT_MS: u64 = 5_000;

/// Where the keys of an issuer are.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    /// At an address that the operator wrote.
    Written(Url),
    /// Where the metadata of this issuer says.
    Discovered(Box<str>),
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct KeySource {
    location: Location,
    egress: Egress,
    state: RwLock<State>,
    /// Held by the one that fetches.
    gate: Arc<Mutex<()>>,
}

/// There are no keys, or only ones that are too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys are not available")]
pub(crate) struct KeysUnavailable;

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fresh_until_ms: u64,
    attempted_ms: Option<u64>,
    failing: bool,
}

/// What to do about a token.
enum Plan {
    /// These will do.
    Use(Arc<KeySet>),
    /// These will do while newer ones are fetched.
    UseAndFetch(Arc<KeySet>),
    /// Newer ones are needed first.
    Fetch,
    /// Newer ones are needed, and cannot be had now.
    Unavailable,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("the issuer's keys could not be fetched")]
    Fetch(#[from] FetchError),
    #[error("the issuer's keys are no JSON Web Key Set")]
    Format(#[source] serde_json::Error),
}

impl KeySource {
    pub(crate) fn new(location: Location, egress: Egress) -> Self {
        Self {
            location,
            egress,
            state: RwLock::default(),
            gate: Arc::default(),
        }
    }

    /// The keys, which may lack the one named `kid`: then it is not the issuer's.
    pub(crate) async fn keys(
        self: &Arc<Self>,
        kid: Option<&str>,
        now_ms: u64,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        match self.plan(kid, now_ms) {
            Plan::Use(keys) => return Ok(keys),
            Plan::Unavailable => return Err(KeysUnavailable),
            Plan::UseAndFetch(keys) => {
                if let Ok(gate) = Arc::clone(&self.gate).try_lock_owned() {
                    // Nobody waits for it.
                    drop(self.spawn(gate, now_ms));
                }
                return Ok(keys);
            }
            Plan::Fetch => {}
        }
        let gate = Arc::clone(&self.gate).lock_owned().await;
        // Whoever was here before may have fetched.
        match self.plan(kid, now_ms) {
            Plan::Use(keys) | Plan::UseAndFetch(keys) => return Ok(keys),
            Plan::Unavailable => return Err(KeysUnavailable),
            Plan::Fetch => {}
        }
        // A task of its own: a client that goes away does not take the fetch with it.
        if self.spawn(gate, now_ms).await.is_err() {
            return Err(KeysUnavailable);
        }
        self.state.read().usable(now_ms).ok_or(KeysUnavailable)
    }

    fn plan(&self, kid: Option<&str>, now_ms: u64) -> Plan {
        let state = self.state.read();
        let usable = state.usable(now_ms);
        let again = if usable.is_some() {
            AGAIN_MS
        } else {
            AGAIN_WITHOUT_MS
        };
        let may_fetch = state
            .attempted_ms
            .is_none_or(|attempted| attempted.abs_diff(now_ms) >= again);
        let Some(keys) = usable else {
            return if may_fetch {
                Plan::Fetch
            } else {
                Plan::Unavailable
            };
        };
        let fresh = now_ms < state.fresh_until_ms;
        let known = keys.has(kid);
        match (known && fresh, may_fetch) {
            (true, _) | (_, false) => Plan::Use(keys),
            (false, true) if known && state.failing => Plan::UseAndFetch(keys),
            (false, true) => Plan::Fetch,
        }
    }

    fn spawn(
        self: &Arc<Self>,
        gate: OwnedMutexGuard<()>,
        now_ms: u64,
    ) -> tokio::task::JoinHandle<()> {
        let source = Arc::clone(self);
        tokio::spawn(async move {
            source.refresh(now_ms).await;
            drop(gate);
        })
    }

    async fn refresh(&self, now_ms: u64) {
        let fetched = self.fetch().await;
        let mut state = self.state.write();
        state.attempted_ms = Some(now_ms);
        state.failing = fetched.is_err();
        match fetched {
            Ok((keys, kept)) => {
                state.keys = Some(Arc::new(keys));
                let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
                state.fresh_until_ms = now_ms.saturating_add(kept);
            }
            Err(error) => {
                drop(state);
                tracing::warn!(
                    location = ?self.location,
                    error = &error as &dyn std::error::Error,
                    "the keys of an issuer could not be fetched"
                );
            }
        }
    }

    async fn fetch(&self) -> Result<(KeySet, Duration), RefreshError> {
        let (address, reach) = match &self.location {
            Location::Written(address) => (address.clone(), Reach::Configured),
            Location::Discovered(issuer) => {
                let found = discover(&self.egress, issuer).await?;
                (found.address, found.reach)
            }
        };
        let answer = fetch::get(self.egress.client(reach), address.as_str()).await?;
        let keys = KeySet::from_json(&answer.body).map_err(RefreshError::Format)?;
        // An empty set is an answer too: the issuer has withdrawn its keys.
        let kept = answer.age_max.unwrap_or(KEPT).clamp(KEPT_MIN, KEPT_MAX);
        Ok((keys, kept))
    }
}

impl State {
    fn usable(&self, now_ms: u64) -> Option<Arc<KeySet>> {
        let until_ms = self.fresh_until_ms.saturating_add(STALE_MAX_MS);
        self.keys.clone().filter(|_| now_ms < until_ms)
    }
}
