//! Why a connection was denied, failed or was cut.

use std::fmt;

use crate::error::Refusal;

/// Why a connection was not made, or ended before its time. The order is how close a wish came to being
/// allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// What came is no request, or one that two readers would understand differently.
    Malformed,
    /// What names the host is neither a canonical name nor a canonical address.
    NotCanonical,
    /// No rule is about the host.
    Host,
    /// No rule about the host is about the port.
    Port,
    /// The rule is for another protocol than was spoken.
    Protocol,
    /// The rule does not allow the method.
    Method,
    /// None of the rule's tools is being called.
    NoCall,
    /// What starts a tunnel is no TLS, and the rule is for TLS.
    NotTls,
    /// TLS names no host, or an address.
    NoServerName,
    /// TLS names another host than the one asked for.
    ServerName,
    /// `Host` names another host than the request's target, or than the one that was connected to.
    HostHeader,
    /// The name has no address, or one that the rule does not extend to.
    Address(Refusal),
    /// The name has no address.
    Unresolved,
    /// No address of the host accepted the connection in time.
    Unreachable,
    /// The exchange with the host broke off.
    Broken,
    /// Nothing was asked for in time, or nothing moved for long.
    Idle,
    /// There are too many connections.
    Crowded,
    /// The connection moved too much.
    ConnectionBytes,
    /// All connections together moved too much in the last minute.
    MinuteBytes,
    /// The rule is gone.
    Withdrawn,
    /// The calls that it was allowed for are over.
    CallEnded,
    /// The door closed, or the server left.
    Closed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no request that has one reading",
            Self::NotCanonical => "its host is no name or address in its usual notation",
            Self::Host => "no rule is about this host",
            Self::Port => "no rule about this host is about this port",
            Self::Protocol => "the rule about this host and port is for another protocol",
            Self::Method => "the rule does not allow this method",
            Self::NoCall => "no tool is being called that the rule is for",
            Self::NotTls => "the rule is for TLS, and this is none",
            Self::NoServerName => "TLS names no host",
            Self::ServerName => "TLS names another host",
            Self::HostHeader => "`Host` names another host",
            Self::Address(refusal) => return refusal.fmt(f),
            Self::Unresolved => "the name has no address",
            Self::Unreachable => "the host does not accept connections",
            Self::Broken => "the exchange broke off",
            Self::Idle => "nothing moved for too long",
            Self::Crowded => "there are too many connections",
            Self::ConnectionBytes => "the connection moved too much",
            Self::MinuteBytes => "too much was moved in a minute",
            Self::Withdrawn => "the rule is gone",
            Self::CallEnded => "the calls that it was allowed for are over",
            Self::Closed => "the server or the gateway closed it",
        })
    }
}
