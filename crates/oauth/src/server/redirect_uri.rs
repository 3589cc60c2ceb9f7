//! Redirect URIs: which a client may register, and whether one that is asked for is registered.
//!
//! They are compared byte for byte (RFC 9700 §2.1), save for the port of a loopback address (RFC 8252 §7.3).

use url::{Host, Url};

/// The longest redirect URI, in bytes.
pub(crate) const BYTES_MAX: usize = 2048;

/// A redirect URI that may be registered: its text as it was given, and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectUri {
    text: Box<str>,
    url: Url,
}

/// A text that may not be a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedirectUri {
    /// Not a URI, or with characters that do not belong in one.
    #[error("it is not an absolute URI in plain ASCII")]
    Malformed,
    /// Too long.
    #[error("it is longer than 2048 characters")]
    TooLong,
    /// RFC 6749 §3.1.2.
    #[error("it has a fragment")]
    Fragment,
    /// A user name shows another host than the one it leads to.
    #[error("it has a user name")]
    UserInfo,
    /// No pattern is meant as one.
    #[error("it has a `*`")]
    Wildcard,
    /// A host is missing.
    #[error("it has no host")]
    Host,
    /// Anyone on the way could read the code.
    #[error("http is for loopback addresses only; use https")]
    PlainHttp,
    /// RFC 8252 §7.1: a scheme of one's own is a domain name in reverse.
    #[error("its scheme is neither https nor a domain name in reverse, such as `com.example.app`")]
    Scheme,
}

impl RedirectUri {
    /// Reads what a client registers or asks for.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        if text.len() > BYTES_MAX {
            return Err(InvalidRedirectUri::TooLong);
        }
        // Browsers take `\` for `/`, and other parsers do not: no such text names one place only.
        let odd = |byte: u8| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte);
        if text.bytes().any(odd) {
            return Err(InvalidRedirectUri::Malformed);
        }
        let url = Url::parse(text).map_err(|_malformed| InvalidRedirectUri::Malformed)?;
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        if text.contains('*') {
            return Err(InvalidRedirectUri::Wildcard);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidRedirectUri::UserInfo);
        }
        match url.scheme() {
            "https" | "http" => {
                // `https:host` and `https:///host` reach a host in browsers, and nothing elsewhere.
                let authority = text.split_once("://").map_or("", |(_, rest)| {
                    rest.split(['/', '?']).next().unwrap_or_default()
                });
                if authority.is_empty() || authority.contains('@') || url.host().is_none() {
                    return Err(InvalidRedirectUri::Host);
                }
                if url.scheme() == "http" && !is_loopback(&url) {
                    return Err(InvalidRedirectUri::PlainHttp);
                }
            }
            scheme if scheme.contains('.') => {
                if text.contains('@') {
                    return Err(InvalidRedirectUri::UserInfo);
                }
            }
            _ => return Err(InvalidRedirectUri::Scheme),
        }
        Ok(Self {
            text: text.into(),
            url,
        })
    }

    /// The text as it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it leads to this machine's own programs: any of them may listen there, so it proves nothing of who does.
    pub(crate) fn is_local(&self) -> bool {
        self.url.scheme() != "https" || is_loopback(&self.url)
    }

    /// What to show of it, and what a remembered consent is for: scheme and host, and the port unless it is any.
    pub(crate) fn place(&self) -> String {
        let scheme = self.url.scheme();
        match (self.url.host_str(), self.url.port()) {
            (Some(host), _) if is_loopback(&self.url) => format!("{scheme}://{host}"),
            (Some(host), Some(port)) => format!("{scheme}://{host}:{port}"),
            (Some(host), None) => format!("{scheme}://{host}"),
            (None, _) => format!("{scheme}:"),
        }
    }

    /// Whether `self`, which was registered, allows `asked`.
    pub(crate) fn allows(&self, asked: &Self) -> bool {
        if self.text == asked.text {
            return true;
        }
        if !is_loopback(&self.url) || self.url.scheme() != "http" {
            return false;
        }
        // RFC 8252 §7.3: any port of the same loopback address.
        match (without_port(&self.text), without_port(&asked.text)) {
            (Some(registered), Some(asked)) => registered == asked,
            _ => false,
        }
    }

    /// Where the browser goes with `parameters` added to the query, which stays byte for byte otherwise.
    pub(crate) fn with(&self, parameters: &[(&str, &str)]) -> String {
        let mut text = self.text.to_string();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&query.finish());
        text
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// `http://host`, and what follows the port.
fn without_port(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some((host, path))
}

#[cfg(test)]
mod tests;
