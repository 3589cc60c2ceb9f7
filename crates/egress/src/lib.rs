//! The one way out of the process: resolves, checks and dials addresses.
//!
//! A name is resolved once, every answer is checked against the [`Reach`] of the client that asks,
//! and the address that was checked is the address that is dialled. So a name that answers
//! differently the second time, a literal in disguise, or a redirect (none is followed) cannot
//! lead a request to where it may not go. Nothing else in the gateway opens an outbound socket.
//!
//! For servers that the gateway confines, a [`Door`] is all the network there is: it takes what they send
//! and lets out, by the same checks, what the operator's [`Allowance`] says.
//!
//! Proxies from the environment, cookies and compression are deliberately absent. Timeouts of
//! responses are the caller's: only it knows what it waits for.

mod address;
mod client;
mod connect;
mod door;
mod error;
mod host;
mod possession;
mod reach;
mod resolve;
mod stream;
mod tls;

pub use address::is_public;
pub use client::{Client, Egress, Settings};
pub use door::{
    Allowance, Call, Caps, Connection, Door, InFlight, Kind, Listeners, Protocol, Reason, Recorder,
    Rule, RuleError, Verdict,
};
pub use error::{EgressError, Refusal};
pub use reach::Reach;
pub use resolve::{Addresses, NameServers, NameServersError, Resolver};
pub use tls::{ClientCertificates, TlsFileError, server_tls};
