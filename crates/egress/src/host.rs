//! The host of an address, parsed once: what is checked, resolved, and named to TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::uri::Scheme;

use crate::error::EgressError;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) encrypted: bool,
}

/// A name, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// Lower case, letters, digits, hyphens, underscores and dots.
    Name(String),
    Address(IpAddr),
}

impl Destination {
    pub(crate) fn parse(uri: &Uri) -> Result<Self, EgressError> {
        let encrypted = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(EgressError::Address),
        };
        let authority = uri.authority().ok_or(EgressError::Address)?;
        if authority.as_str().contains('@') {
            return Err(EgressError::Address);
        }
        let port = match (authority.port(), authority.port_u16()) {
            (_, Some(0)) | (Some(_), None) => return Err(EgressError::Address),
            (_, Some(port)) => port,
            (None, None) if encrypted => 443,
            (None, None) => 80,
        };
        let host = Host::parse(authority.host())
            .ok_or_else(|| EgressError::Host(authority.host().to_owned()))?;
        Ok(Self {
            host,
            port,
            encrypted,
        })
    }
}

impl Host {
    /// `None` for what different resolvers read differently: short, octal, hexadecimal and decimal
    /// IPv4 addresses, zones, trailing dots, and characters that the DNS does not use for hosts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        // WHATWG URL, "ends in a number checker": such a host is an IPv4 address or nothing.
        let number = |label: &str| {
            label.bytes().all(|byte| byte.is_ascii_digit())
                || label.starts_with("0x")
                || label.starts_with("0X")
        };
        let is_name = text.len() <= 253
            && text.split('.').all(label)
            && !text.rsplit('.').next().is_some_and(number);
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// [`Host::parse`] for what strangers compare with a rule: letters, digits and hyphens only, valid
    /// A-labels (RFC 5890 §2.3.2.1), and no IPv4 address in the clothes of IPv6. So the value that a
    /// rule is compared with is the value that is resolved and that TLS names.
    pub(crate) fn canonical(text: &str) -> Option<Self> {
        let host = Self::parse(text)?;
        let one_spelling = match &host {
            Self::Name(name) => {
                let encoded = name.split('.').any(|label| label.starts_with("xn--"));
                let stays = || idna::domain_to_ascii_strict(name).is_ok_and(|it| it == *name);
                !name.contains('_') && (!encoded || stays())
            }
            Self::Address(IpAddr::V6(address)) => address.to_ipv4_mapped().is_none(),
            Self::Address(IpAddr::V4(_)) => true,
        };
        one_spelling.then_some(host)
    }

    /// The host that somebody may have meant who wrote `text`.
    pub(crate) fn suggest(text: &str) -> Option<String> {
        let text = text.trim().trim_end_matches('.');
        if let Some(Self::Address(address)) = Self::parse(text) {
            return Some(address.to_canonical().to_string());
        }
        let ascii = idna::domain_to_ascii(text).ok()?;
        Self::canonical(&ascii).map(|host| host.to_string())
    }

    /// As it stands in an authority (RFC 3986 §3.2.2): an IPv6 address in brackets.
    pub(crate) fn in_authority(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(_)) | Self::Name(_) => self.to_string(),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
