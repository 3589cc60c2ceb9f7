//! Email addresses.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::domain::{Domain, DomainRule};
use super::{Mistake, Passed};
use crate::violation::Reason;

/// One email address and nothing else: no display name, comment, list, quoted local part or
/// address literal (RFC 5321 section 4.1.2 without those).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmailRule {
    /// The argument must be given.
    pub required: bool,
    /// Which domains: `host`, `*.domain`, `registrable:domain`. Without any, all but those of local
    /// networks.
    pub domains: Vec<String>,
}

/// A dot-atom (RFC 5322 section 3.2.3) that neither begins like an option nor has the `%` and `!`
/// of source routes.
static LOCAL_PART: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let atom = "[A-Za-z0-9#$&'*+/=?^_`{|}~-]+";
    Regex::new(&format!("^{atom}(?:\\.{atom})*$")).ok()
});

#[derive(Debug)]
pub(crate) struct Email {
    domain: Domain,
}

impl Email {
    pub(crate) fn compile(rule: &EmailRule) -> Result<Self, Mistake> {
        let rule = DomainRule {
            domains: rule.domains.clone(),
            ..DomainRule::default()
        };
        Ok(Self {
            domain: Domain::compile(&rule)?,
        })
    }

    pub(crate) fn check(&self, text: &str) -> Result<Passed, Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        if text.len() > 254 {
            return Err(Reason::TooLarge);
        }
        if !text.is_ascii() {
            return Err(Reason::LookAlike);
        }
        let (local, domain) = text.split_once('@').ok_or(Reason::Malformed)?;
        if local.starts_with('-') {
            return Err(Reason::OptionLike);
        }
        // An encoded word (RFC 2047), which some readers decode into another address.
        if local.contains("=?") {
            return Err(Reason::Encoded);
        }
        let is_local_part = LOCAL_PART
            .as_ref()
            .is_some_and(|regex| regex.is_match(local));
        if local.len() > 64 || !is_local_part || domain.ends_with('.') {
            return Err(Reason::Malformed);
        }
        let domain = self.domain.name(domain)?;
        Ok(Passed::text(text, format!("{local}@{domain}")))
    }
}
