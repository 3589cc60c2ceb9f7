//! One rule of what a confined server may reach, as the operator writes it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Method;
use ipnet::IpNet;

use crate::address::{is_metadata, is_public, is_special_net};
use crate::host::Host;
use crate::reach::{Check, Reach};

/// The methods that a rule may name.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// How a rule's host is spoken to, and so what can be checked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TLS, whose Server Name Indication (RFC 6066 §3) has to be the host. What is within is not seen.
    Tls,
    /// Plain HTTP/1.1, whose every request is checked.
    Http,
    /// Anything. Only the host and the port are checked.
    Tcp,
}

/// What one rule allows. Parsed from `[SCHEME://]HOST[:PORT]`:
///
/// - `SCHEME` is `https` (the default; any TLS), `http` (plain HTTP) or `tcp` (anything, unseen).
/// - `HOST` is a name (`api.github.com`), the names below one (`*.example.com`, which is not
///   `example.com` itself), all names and addresses of the public internet (`*`), an address (`192.0.2.1`, `[2001:db8::1]`) or a network (`10.0.0.0/8`).
/// - `PORT` is 443 for `https` and 80 for `http` unless written; `tcp` needs one.
///
/// A name leads to the public internet only, unless the rule is [`private`](Self::private), and never
/// to a link-local address or a cloud's metadata service. An address or a network allows literals and
/// never names; a network that lies within no special range, such as `0.0.0.0/0`, means its public part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    target: Target,
    port: u16,
    protocol: Protocol,
    private: bool,
    methods: Option<Vec<Method>>,
    tools: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    /// The names below this one.
    Below(String),
    Net(IpNet),
    /// The public internet.
    Public,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Not a scheme that a rule can have.
    #[error("`{scheme}` is not a scheme of rules; write {}", or(.nearest.as_deref(), "`https`, `http` or `tcp`"))]
    Scheme {
        /// As it was written.
        scheme: String,
        /// The scheme that it looks like.
        nearest: Option<String>,
    },
    /// Not a host.
    #[error("`{host}` is not a host name or address; write {}", or(.nearest.as_deref(), "it in lower case, without a dot at its end"))]
    Host {
        /// As it was written.
        host: String,
        /// The host that it looks like.
        nearest: Option<String>,
    },
    /// A wildcard that is not the whole first label, or stands alone.
    #[error(
        "`{0}` has a wildcard in the wrong place; write `*.` before a name, as in `*.example.com`"
    )]
    Wildcard(String),
    /// A wildcard for names that strangers can register.
    #[error("anyone can register a name that `{0}` covers; name the hosts")]
    PublicSuffix(String),
    /// Not a network.
    #[error("`{net}` is not a network; write {}", or(.nearest.as_deref(), "one like `10.0.0.0/8`"))]
    Net {
        /// As it was written.
        net: String,
        /// The network that it looks like.
        nearest: Option<String>,
    },
    /// Not a port.
    #[error("`{0}` is not a port; write one from 1 to 65535")]
    Port(String),
    /// The scheme has no usual port.
    #[error("`{0}` has no port; write one, as in `{0}:5432`")]
    PortMissing(String),
    /// More than a host and a port.
    #[error("`{0}` is more than a host and a port; remove the user, path or query")]
    Excess(String),
    /// Not a method of HTTP.
    #[error("`{method}` is not a method; write {}", or(.nearest.as_deref(), "one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"))]
    Method {
        /// As it was written.
        method: String,
        /// The method that it looks like.
        nearest: Option<String>,
    },
    /// Methods where none can be seen.
    #[error("the methods of `{0}` cannot be seen; write `http://`, or remove them")]
    MethodsUnseen(String),
    /// A set without an element.
    #[error("`{rule}` names no {what}, and so allows nothing; name one, or remove the list")]
    Empty {
        /// The rule.
        rule: String,
        /// What there is none of.
        what: &'static str,
    },
}

fn or(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.to_owned(), |nearest| format!("`{nearest}`"))
}

impl Rule {
    /// The name may also lead to addresses that are not public: those of private networks and of this
    /// machine. Changes nothing for `*`, an address or a network, which mean what they say.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Only requests with these methods. Fails for a rule whose requests cannot be seen.
    pub fn methods<'a>(
        mut self,
        methods: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RuleError> {
        if self.protocol != Protocol::Http {
            return Err(RuleError::MethodsUnseen(self.to_string()));
        }
        let methods = methods
            .into_iter()
            .map(parse_method)
            .collect::<Result<Vec<_>, _>>()?;
        self.require(!methods.is_empty(), "method")?;
        self.methods = Some(methods);
        Ok(self)
    }

    /// Only while a call of one of these tools is in flight.
    pub fn tools<'a>(
        mut self,
        tools: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RuleError> {
        let tools: Vec<String> = tools.into_iter().map(str::to_owned).collect();
        self.require(!tools.is_empty(), "tool")?;
        self.tools = Some(tools);
        Ok(self)
    }

    fn require(&self, holds: bool, what: &'static str) -> Result<(), RuleError> {
        let rule = || self.to_string();
        holds
            .then_some(())
            .ok_or_else(|| RuleError::Empty { rule: rule(), what })
    }

    /// How the host is spoken to.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is about this host, at whatever port.
    pub(crate) fn covers(&self, host: &Host) -> bool {
        match (&self.target, host) {
            (Target::Name(ours), Host::Name(name)) => ours == name,
            (Target::Below(above), Host::Name(name)) => name
                .strip_suffix(above.as_str())
                .is_some_and(|labels| labels.ends_with('.')),
            (Target::Net(net), Host::Address(address)) => {
                net.contains(address) && speaks_of(net, *address)
            }
            (Target::Public, Host::Name(_)) => true,
            (Target::Public, Host::Address(address)) => is_public(*address),
            (Target::Name(_) | Target::Below(_), Host::Address(_))
            | (Target::Net(_), Host::Name(_)) => false,
        }
    }

    /// Whether requests with this method are allowed; `None` where none is seen.
    pub(crate) fn takes(&self, method: Option<&Method>) -> bool {
        match (&self.methods, method) {
            (None, _) => true,
            (Some(methods), Some(method)) => methods.contains(method),
            (Some(_), None) => false,
        }
    }

    /// The tools of whose calls one has to be in flight.
    pub(crate) fn required_tools(&self) -> Option<&[String]> {
        self.tools.as_deref()
    }

    /// What has to hold of the addresses of a host that it covers.
    pub(crate) fn check(&self) -> Check {
        let literal = matches!(self.target, Target::Net(_));
        let is_private = self.private && self.target != Target::Public;
        let reach = if literal || is_private {
            Reach::Configured
        } else {
            Reach::Public
        };
        Check {
            reach,
            literal,
            // Plain HTTP is only spoken where the operator wrote so.
            loopback_only: false,
        }
    }
}

/// Whether whoever wrote `net` meant this address of it: a public one, or one of a special range that
/// holds all of the network.
fn speaks_of(net: &IpNet, address: IpAddr) -> bool {
    if is_metadata(address) {
        return is_metadata(net.network()) && is_metadata(net.broadcast()) && is_special_net(net);
    }
    is_public(address) || is_special_net(net)
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (protocol, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (parse_scheme(scheme)?, rest),
            None => (Protocol::Tls, text),
        };
        if rest.contains(['@', '?', '#', '\\']) {
            return Err(RuleError::Excess(text.to_owned()));
        }
        let (host, port) = split_port(rest)?;
        let target = Target::parse(host)?;
        let port = match (port, protocol) {
            (Some(port), _) => parse_port(port)?,
            (None, Protocol::Tls) => 443,
            (None, Protocol::Http) => 80,
            (None, Protocol::Tcp) => return Err(RuleError::PortMissing(text.to_owned())),
        };
        Ok(Self {
            target,
            port,
            protocol,
            private: false,
            methods: None,
            tools: None,
        })
    }
}

fn parse_scheme(scheme: &str) -> Result<Protocol, RuleError> {
    match scheme {
        "https" => Ok(Protocol::Tls),
        "http" => Ok(Protocol::Http),
        "tcp" => Ok(Protocol::Tcp),
        _ => Err(RuleError::Scheme {
            scheme: scheme.to_owned(),
            nearest: nearest(scheme, ["https", "http", "tcp"]),
        }),
    }
}

fn parse_method(text: &str) -> Result<Method, RuleError> {
    let known = METHODS.iter().find(|method| method.as_str() == text);
    known.cloned().ok_or_else(|| RuleError::Method {
        method: text.to_owned(),
        nearest: nearest(
            &text.to_ascii_uppercase(),
            METHODS.iter().map(Method::as_str),
        ),
    })
}

fn nearest<'a>(text: &str, of: impl IntoIterator<Item = &'a str>) -> Option<String> {
    of.into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// The host with its prefix length, and the port if one is written.
fn split_port(text: &str) -> Result<(&str, Option<&str>), RuleError> {
    if text.starts_with('[') {
        return match text.rsplit_once(':') {
            Some((host, port)) if host.contains(']') => Ok((host, Some(port))),
            _ => Ok((text, None)),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err(RuleError::Host {
            host: text.to_owned(),
            nearest: Some(format!("[{text}]")),
        }),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, RuleError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port != 0 && digits && !text.starts_with('0') => Ok(port),
        Ok(_) | Err(_) => Err(RuleError::Port(text.to_owned())),
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, RuleError> {
        if let Some(above) = text.strip_prefix("*.") {
            return Self::below(text, above);
        }
        if text == "*" {
            return Ok(Self::Public);
        }
        if text.contains('*') {
            return Err(RuleError::Wildcard(text.to_owned()));
        }
        if let Some((address, prefix)) = text.split_once('/') {
            return parse_net(text, address, prefix).map(Self::Net);
        }
        Ok(match parse_host(text)? {
            Host::Name(name) => Self::Name(name),
            Host::Address(address) => Self::Net(address.into()),
        })
    }

    fn below(text: &str, above: &str) -> Result<Self, RuleError> {
        if above.contains('*') {
            return Err(RuleError::Wildcard(text.to_owned()));
        }
        match parse_host(above)? {
            Host::Name(name) if psl::suffix_str(&name) == Some(name.as_str()) => {
                Err(RuleError::PublicSuffix(text.to_owned()))
            }
            Host::Name(name) => Ok(Self::Below(name)),
            Host::Address(_) => Err(RuleError::Wildcard(text.to_owned())),
        }
    }
}

fn parse_host(text: &str) -> Result<Host, RuleError> {
    let host = Host::canonical(text);
    // One spelling, so that a rule reads as what it means.
    host.filter(|host| host.to_string() == text.trim_matches(['[', ']']))
        .ok_or_else(|| RuleError::Host {
            host: text.to_owned(),
            nearest: Host::suggest(text),
        })
}

fn parse_net(text: &str, address: &str, prefix: &str) -> Result<IpNet, RuleError> {
    let not = |nearest: Option<IpNet>| RuleError::Net {
        net: text.to_owned(),
        nearest: nearest.map(|net| shown(&net)),
    };
    let Some(Host::Address(address)) = Host::canonical(address) else {
        return Err(match Host::canonical(address) {
            Some(_name) => RuleError::Excess(text.to_owned()),
            None => not(None),
        });
    };
    let prefix = prefix.parse().map_err(|_not_a_number| not(None))?;
    let net = IpNet::new(address, prefix).map_err(|_too_long| not(None))?;
    // The bits of an IPv4 address within an IPv6 one would be compared with nothing.
    if let IpNet::V6(v6) = net
        && v6.network().to_ipv4_mapped().is_some()
    {
        return Err(not(None));
    }
    if net == net.trunc() {
        Ok(net)
    } else {
        Err(not(Some(net.trunc())))
    }
}

fn shown(net: &IpNet) -> String {
    let (address, whole) = match net {
        IpNet::V4(net) => (net.addr().to_string(), 32),
        IpNet::V6(net) => (format!("[{}]", net.addr()), 128),
    };
    if net.prefix_len() == whole {
        address
    } else {
        format!("{address}/{}", net.prefix_len())
    }
}

/// The text that it is parsed from; methods, tools and whether it is private are not shown.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match &self.target {
            Target::Name(name) => name.clone(),
            Target::Below(name) => format!("*.{name}"),
            Target::Net(net) => shown(net),
            Target::Public => "*".to_owned(),
        };
        f.write_str(&line(&host, self.port, self.protocol))
    }
}

/// The text of a rule for this host, which is in brackets if it is an IPv6 address.
pub(crate) fn line(host: &str, port: u16, protocol: Protocol) -> String {
    match (protocol, port) {
        (Protocol::Tls, 443) => host.to_owned(),
        (Protocol::Tls, port) => format!("{host}:{port}"),
        (Protocol::Http, 80) => format!("http://{host}"),
        (Protocol::Http, port) => format!("http://{host}:{port}"),
        (Protocol::Tcp, port) => format!("tcp://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests;
