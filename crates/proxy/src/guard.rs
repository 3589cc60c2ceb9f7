//! Which `Host` and `Origin` a request may carry: the defence of a listener on this machine against web pages that
//! reach it through a browser (DNS rebinding). Checked on every verb (MCP transports, "Security
//! Warning"; RFC 9110 §7.2; RFC 6454).

use std::collections::HashSet;
use std::net::SocketAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};
use url::{Host, Url};

use crate::config::Listen;

/// The `Host` and `Origin` values that a listener accepts.
#[derive(Debug)]
pub(crate) struct Guard {
    tls: bool,
    hosts: HashSet<String>,
    origins: HashSet<String>,
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    Host,
    Origin,
}

/// A configured `Host` or `Origin` that is not one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidGuard {
    /// Not a host.
    #[error("`{0}` in `listen.hosts` is not a host; write `host` or `host:port`")]
    Host(String),
    /// Not an origin.
    #[error(
        "`{0}` in `listen.origins` is not an origin; write `https://host` or `https://host:port`"
    )]
    Origin(String),
    /// Not a base.
    #[error(
        "`{0}` in `listen.public_url` is not a base; write `https://host` or `https://host:port`"
    )]
    PublicUrl(String),
}

impl Guard {
    pub(crate) fn build(listen: &Listen) -> Result<Self, InvalidGuard> {
        let tls = listen.tls.is_some();
        let mut hosts = HashSet::new();
        for text in &listen.hosts {
            let invalid = || InvalidGuard::Host(text.clone());
            let url = Url::parse(&format!("http://{text}/")).ok().filter(|url| {
                url.path() == "/" && url.username().is_empty() && url.query().is_none()
            });
            let host = url.as_ref().and_then(Url::host_str).ok_or_else(invalid)?;
            hosts.insert(host.to_owned());
        }
        let mut origins = HashSet::new();
        for text in &listen.origins {
            let origin = Url::parse(text)
                .ok()
                .filter(|url| url.path() == "/" && url.query().is_none())
                .map(|url| url.origin())
                .filter(url::Origin::is_tuple)
                .ok_or_else(|| InvalidGuard::Origin(text.clone()))?;
            origins.insert(origin.ascii_serialization());
        }
        if let Some(text) = &listen.public_url {
            let url = Url::parse(text)
                .ok()
                .filter(|url| url.path() == "/" && url.has_host());
            let url = url.ok_or_else(|| InvalidGuard::PublicUrl(text.clone()))?;
            hosts.extend(url.host_str().map(str::to_owned));
            origins.insert(url.origin().ascii_serialization());
        }
        let mut guard = Self {
            tls,
            hosts,
            origins,
        };
        if !listen.address.ip().is_unspecified() {
            guard.accept_host(listen.address);
        }
        Ok(guard)
    }

    fn accept_host(&mut self, address: SocketAddr) {
        let host = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        self.hosts.insert(host);
    }

    /// Checks the `Host` (or HTTP/2 authority) and `Origin` of a request to a listener on `port`.
    pub(crate) fn check(&self, port: u16, uri: &Uri, headers: &HeaderMap) -> Result<(), Stray> {
        self.check_host(port, uri, headers)?;
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|o| self.is_own_origin(o)) => Ok(()),
            _ => Err(Stray::Origin),
        }
    }

    /// Whether the `Host` alone is right.
    pub(crate) fn is_own(&self, port: u16, uri: &Uri, headers: &HeaderMap) -> bool {
        self.check_host(port, uri, headers).is_ok()
    }

    fn check_host(&self, port: u16, uri: &Uri, headers: &HeaderMap) -> Result<(), Stray> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host.to_str().map_err(|_not_text| Stray::Host)?),
            (None, None) => None,
            _ => return Err(Stray::Host),
        };
        // HTTP/2 and absolute targets name a host of their own, which goes before the field (RFC 9112 §3.2.2,
        // RFC 9113 §8.3.1): both have to be right.
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let mut named = host.into_iter().chain(authority).peekable();
        if named.peek().is_none() || !named.all(|name| self.is_own_host(port, name)) {
            return Err(Stray::Host);
        }
        Ok(())
    }

    fn is_own_host(&self, listener_port: u16, authority: &str) -> bool {
        // The usual forms, without the cost of a parser.
        if let Some((host, port)) = authority.rsplit_once(':')
            && (host == "127.0.0.1" || host == "localhost")
        {
            return port.parse() == Ok(listener_port);
        }
        let Ok(url) = Url::parse(&format!("http://{authority}/")) else {
            return false;
        };
        if !url.username().is_empty() || url.password().is_some() || url.path() != "/" {
            return false;
        }
        let default = if self.tls { 443 } else { 80 };
        let port_given = url.port().is_some() || authority.ends_with(":80");
        let port = if port_given {
            url.port_or_known_default().unwrap_or(default)
        } else {
            default
        };
        let own_port = port == listener_port;
        match url.host() {
            Some(Host::Ipv4(ip)) if ip.is_loopback() => own_port,
            Some(Host::Ipv6(ip)) if ip.is_loopback() => own_port,
            Some(Host::Domain("localhost")) => own_port,
            // A configured name may stand behind a forwarder on another port.
            Some(_) => url.host_str().is_some_and(|host| self.hosts.contains(host)),
            None => false,
        }
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        let Ok(url) = Url::parse(origin) else {
            return false;
        };
        // An origin has nothing behind its port: what differs from its own serialization is not one.
        let parsed = url.origin();
        if !parsed.is_tuple() || !parsed.ascii_serialization().eq_ignore_ascii_case(origin) {
            return false;
        }
        match url.host() {
            Some(Host::Ipv4(ip)) if ip.is_loopback() => true,
            Some(Host::Ipv6(ip)) if ip.is_loopback() => true,
            Some(Host::Domain("localhost")) => true,
            Some(_) => self.origins.contains(&parsed.ascii_serialization()),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
