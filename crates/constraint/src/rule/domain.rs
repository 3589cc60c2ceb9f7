//! Domain names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

use super::{Mistake, Passed};
use crate::constraints::HostToResolve;
use crate::host::{HostPattern, is_local, mixes_scripts, plain_name};
use crate::violation::Reason;

/// A domain name, without scheme, port or path. Addresses are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DomainRule {
    /// The argument must be given.
    pub required: bool,
    /// Which names: `host`, `*.domain`, `registrable:domain`. Without any, all but those of local
    /// networks.
    pub domains: Vec<String>,
    /// Names in other characters than ASCII are permitted, unless a label mixes scripts.
    pub international: bool,
}

#[derive(Debug)]
pub(crate) struct Domain {
    patterns: Vec<HostPattern>,
    international: bool,
}

impl Domain {
    pub(crate) fn compile(rule: &DomainRule) -> Result<Self, Mistake> {
        Ok(Self {
            patterns: HostPattern::parse_all(&rule.domains)?,
            international: rule.international,
        })
    }

    pub(crate) fn check(&self, text: &str) -> Result<Passed, Reason> {
        let name = self.name(text)?;
        let host = HostToResolve {
            pointer: String::new(),
            host: Host::Domain(name.clone()),
            port: None,
            networks: Vec::new(),
        };
        Ok(Passed {
            hosts: vec![host],
            ..Passed::text(text, name)
        })
    }

    /// The name in ASCII, lower case and without a final dot.
    pub(crate) fn name(&self, text: &str) -> Result<String, Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        if text.len() > 1024 {
            return Err(Reason::TooLarge);
        }
        if text.contains('%') {
            return Err(Reason::Encoded);
        }
        if !self.international && (!text.is_ascii() || has_punycode(text)) {
            return Err(Reason::LookAlike);
        }
        let Ok(Host::Domain(parsed)) = Host::parse(text) else {
            return Err(Reason::Malformed);
        };
        let name = plain_name(&parsed).ok_or(Reason::Malformed)?;
        if mixes_scripts(&name) {
            return Err(Reason::LookAlike);
        }
        let host = Host::Domain(name);
        let listed = self.patterns.iter().any(|pattern| pattern.matches(&host));
        let Host::Domain(name) = host else {
            return Err(Reason::Malformed);
        };
        let permitted = if self.patterns.is_empty() {
            !is_local(&name)
        } else {
            listed
        };
        if permitted {
            Ok(name)
        } else {
            Err(Reason::Host)
        }
    }
}

/// Whether a label is one of an international name (RFC 5890 section 2.3.2.1).
pub(crate) fn has_punycode(text: &str) -> bool {
    text.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|head| head.eq_ignore_ascii_case("xn--"))
    })
}
