//! Which hosts are listed, and which names belong to no public network.

use psl::{List, Psl};
use url::Host;

use crate::rule::Mistake;

/// A host pattern: `host`, `*.domain` (below it, at any depth) or `registrable:domain` (it and all
/// below it).
#[derive(Debug)]
pub(crate) enum HostPattern {
    Exact(Host<String>),
    Below(String),
    Registrable(String),
}

/// Top-level names that no public registry gives out, or that lead into local networks
/// (RFC 6761, RFC 6762, RFC 7686, RFC 8375, ICANN's reservation of `.internal`).
const LOCAL: &[&str] = &[
    "alt",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
];

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = || Mistake::Host(text.to_owned());
        if let Some(domain) = text.strip_prefix("registrable:") {
            let name = name(domain).ok_or_else(mistake)?;
            return match psl::domain_str(&name) {
                Some(registrable) if registrable == name => Ok(Self::Registrable(name)),
                _ => Err(mistake()),
            };
        }
        if let Some(domain) = text.strip_prefix("*.") {
            let name = name(domain).ok_or_else(mistake)?;
            return if is_public_suffix(&name) {
                Err(mistake())
            } else {
                Ok(Self::Below(name))
            };
        }
        match Host::parse(text) {
            Ok(Host::Domain(_)) => name(text)
                .map(Host::Domain)
                .map(Self::Exact)
                .ok_or_else(mistake),
            Ok(address) => Ok(Self::Exact(address)),
            Err(_unusable) => Err(mistake()),
        }
    }

    pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Self>, Mistake> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// Whether `host`, in ASCII, lower case and without a final dot, is meant.
    pub(crate) fn matches(&self, host: &Host<String>) -> bool {
        match (self, host) {
            (Self::Exact(listed), host) => listed == host,
            (Self::Below(domain), Host::Domain(name)) => is_below(name, domain),
            (Self::Registrable(domain), Host::Domain(name)) => {
                name == domain || is_below(name, domain)
            }
            (Self::Below(_) | Self::Registrable(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let head = name
        .strip_suffix(domain)
        .and_then(|head| head.strip_suffix('.'));
    head.is_some_and(|head| !head.is_empty())
}

/// A domain name in ASCII, lower case and without a final dot; `None` when it is none, or one of
/// wildcards.
fn name(text: &str) -> Option<String> {
    match Host::parse(text).ok()? {
        Host::Domain(name) => plain_name(&name),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// `name`, as a host parser gave it, without a final dot; `None` unless its labels are those of host
/// names (RFC 1123 section 2.1), underscores besides, since they are in use.
pub(crate) fn plain_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_owned())
}

/// Whether anybody can register names directly below this one. An operator's own networks may be
/// listed as a whole.
fn is_public_suffix(name: &str) -> bool {
    if LOCAL.contains(&name) {
        return false;
    }
    List.suffix(name.as_bytes())
        .is_some_and(|suffix| suffix.as_bytes() == name.as_bytes())
}

/// Whether a name can only mean something on a local network: one without a dot, or below a name
/// reserved for such use.
pub(crate) fn is_local(name: &str) -> bool {
    let Some((_, last)) = name.rsplit_once('.') else {
        return true;
    };
    LOCAL.contains(&last) || name == "home.arpa" || name.ends_with(".home.arpa")
}

/// Whether an international name mixes scripts within a label, so that it may imitate another. A
/// label that cannot be decoded counts as one that does.
pub(crate) fn mixes_scripts(name: &str) -> bool {
    if !name.contains("xn--") {
        return false;
    }
    let (unicode, decoded) = idna::domain_to_unicode(name);
    decoded.is_err() || !unicode.split('.').all(crate::characters::is_single_script)
}
