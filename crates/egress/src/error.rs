//! Why a request did not go out, or was not answered.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a request got no response. The messages name nothing that the caller did not write itself:
/// what a name resolved to is in the operator's log only.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// Not an absolute `http` or `https` address, or one with a user name in it.
    #[error("the address is not an absolute http or https URL without a user name; correct it")]
    Address,
    /// The host is neither a name as the DNS has them nor an address in its usual notation.
    #[error("`{0}` is not a host name or IP address in its usual notation; correct it")]
    Host(String),
    /// The host is, or resolves to, an address that this client may not reach.
    #[error("`{host}` may not be reached: {refusal}")]
    Refused {
        /// The host as it was written.
        host: String,
        /// The rule that forbids it.
        refusal: Refusal,
    },
    /// The name has no address.
    #[error("`{host}` could not be resolved; check the name and this machine's resolver")]
    Resolve {
        /// The host as it was written.
        host: String,
        /// What the resolver said.
        #[source]
        source: Arc<io::Error>,
    },
    /// No address of the host accepted the connection.
    #[error("no connection to `{host}` at port {port}; check that the server runs")]
    Connect {
        /// The host as it was written.
        host: String,
        /// The port.
        port: u16,
        /// What the kernel said of the last address tried.
        #[source]
        source: Arc<io::Error>,
    },
    /// The host did not prove to be who it should be, or speaks no TLS of version 1.2 or later.
    #[error("no TLS with `{host}`; check its certificate, and the root certificates configured")]
    Tls {
        /// The host as it was written.
        host: String,
        /// What is wrong.
        #[source]
        source: Arc<io::Error>,
    },
    /// Resolving, connecting and the TLS handshake took longer than they may together.
    #[error("no connection to `{host}` in {limit:?}; check that the server is reachable")]
    Timeout {
        /// The host as it was written.
        host: String,
        /// The time there was.
        limit: Duration,
    },
    /// The connection broke, or what came back is not HTTP.
    #[error("the exchange with `{host}` broke off; the request may or may not have arrived")]
    Exchange {
        /// The host as it was written.
        host: String,
        /// What happened.
        #[source]
        source: Arc<hyper_util::client::legacy::Error>,
    },
}

/// The rule that forbids an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// Only addresses of the public internet are allowed.
    NotPublic,
    /// Names for link-local addresses and metadata services are not allowed.
    LinkLocal,
    /// Unencrypted requests are allowed to this host only.
    Unencrypted,
}

impl EgressError {
    /// Whether the request has certainly not been sent, and another attempt might succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Timeout { .. } => true,
            Self::Address
            | Self::Host(_)
            | Self::Refused { .. }
            | Self::Tls { .. }
            | Self::Exchange { .. } => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPublic => "it is not on the public internet, and nobody configured it",
            Self::LinkLocal => {
                "it is a name for a link-local address; if that is meant, configure the address"
            }
            Self::Unencrypted => {
                "plain http is for this machine only; use https, or allow plain http"
            }
        })
    }
}
