//! All that a confined server may reach.

use http::Method;

use super::in_flight::Calls;
use super::reason::Reason;
use super::rule::{self, Protocol, Rule, RuleError};
use crate::host::Host;
use crate::reach::Check;

/// How much a server may move. What would exceed it ends the connection that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes from the server to the outside, on one connection.
    pub bytes_out_per_connection_max: u64,
    /// Bytes from the outside to the server, on one connection.
    pub bytes_in_per_connection_max: u64,
    /// Bytes from the server to the outside, on all connections, in each minute.
    pub bytes_out_per_minute_max: u64,
    /// Bytes from the outside to the server, on all connections, in each minute.
    pub bytes_in_per_minute_max: u64,
    /// Connections at once, those included that have not yet asked for anything.
    pub connections_max: usize,
    /// Connections that begin in each minute. Of those that are too many, the first is recorded.
    pub connections_per_minute_max: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            bytes_out_per_connection_max: 64 << 20,
            bytes_in_per_connection_max: 1 << 30,
            bytes_out_per_minute_max: 64 << 20,
            bytes_in_per_minute_max: 1 << 30,
            connections_max: 64,
            connections_per_minute_max: 1200,
        }
    }
}

/// What a confined server may reach, and how much it may move. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    rules: Vec<Rule>,
    caps: Caps,
}

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) kind: WishKind,
}

/// How the server asked, and so what is known of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WishKind {
    /// For a tunnel, which the rule's protocol says how to look at.
    Tunnel,
    /// For a tunnel that starts with TLS.
    Tls,
    /// For one plain request.
    Request(Method),
}

impl Wish {
    /// The rule that would allow it.
    pub(crate) fn line(&self) -> String {
        let protocol = match self.kind {
            WishKind::Request(_) => Protocol::Http,
            WishKind::Tunnel | WishKind::Tls => Protocol::Tls,
        };
        rule::line(&self.host.in_authority(), self.port, protocol)
    }
}

/// The rule that allows a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permit {
    pub(crate) protocol: Protocol,
    pub(crate) check: Check,
    /// The tool for whose call it is allowed, or of the only call in flight.
    pub(crate) tool: Option<String>,
}

impl Allowance {
    /// These rules, of which the first that allows a connection also says how it is checked.
    pub fn new(rules: Vec<Rule>, caps: Caps) -> Self {
        Self { rules, caps }
    }

    /// Rules by their texts, with the default caps.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        let rules = texts
            .into_iter()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self::new(rules, Caps::default()))
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The caps.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Whether any rule is about this name, at whatever port and whenever.
    pub(crate) fn names(&self, name: &Host) -> bool {
        self.rules.iter().any(|rule| rule.covers(name))
    }

    /// The first rule that allows `wish`, or what is missing, by what came closest.
    pub(crate) fn decide(&self, wish: &Wish, calls: &Calls) -> Result<Permit, Reason> {
        let mut closest = Reason::Host;
        for rule in self.rules.iter().filter(|rule| rule.covers(&wish.host)) {
            match permit(rule, wish, calls) {
                Ok(permit) => return Ok(permit),
                Err(reason) => closest = closest.max(reason),
            }
        }
        Err(closest)
    }
}

fn permit(rule: &Rule, wish: &Wish, calls: &Calls) -> Result<Permit, Reason> {
    if rule.port() != wish.port {
        return Err(Reason::Port);
    }
    let method = match (&wish.kind, rule.protocol()) {
        (WishKind::Tunnel, _) | (WishKind::Tls, Protocol::Tls | Protocol::Tcp) => None,
        (WishKind::Request(method), Protocol::Http) => Some(method),
        (WishKind::Tls, Protocol::Http) | (WishKind::Request(_), Protocol::Tls | Protocol::Tcp) => {
            return Err(Reason::Protocol);
        }
    };
    // A tunnel for plain HTTP is checked again by its request.
    if method.is_some() && !rule.takes(method) {
        return Err(Reason::Method);
    }
    let tool = match rule.required_tools() {
        None => calls.only(),
        Some(tools) => Some(calls.first_of(tools).ok_or(Reason::NoCall)?),
    };
    Ok(Permit {
        protocol: rule.protocol(),
        check: rule.check(),
        tool,
    })
}
