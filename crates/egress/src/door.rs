//! The guarded way out of a confined server: all the network there is for it.
//!
//! The server lives where nothing answers but the sockets of its [`Listeners`], which are its alone: so
//! whatever comes in there is from it, and from nobody else, and no credential has to say so. A client
//! in it that knows of proxies is served as RFC 9110 §9.3.6 (`CONNECT`) and RFC 9112 §3.2.2 (absolute
//! form) have it. For one that does not, every allowed name has an address that leads back here, where
//! the name is recovered from it.
//!
//! Each connection is judged by the [`Allowance`] in force when it is asked for, by host, port, protocol
//! and the calls in flight; then what is spoken has to name the same host. It goes out through the same
//! checks as the gateway's own: resolved once, every answer checked, the checked address dialled. The
//! server's own redirects, retries and second thoughts are connections like any other.
//!
//! In between, nothing is decrypted, and no certificate made. What TLS carries is not seen, nor is the
//! name within an encrypted `ClientHello`: the outer one has to be allowed. What a name below an allowed
//! wildcard says is told to the name servers of that domain when it is connected to. Upgrades of plain
//! requests are not passed on. Making the sockets is `sandbox`'s.

mod allowance;
mod attempt;
mod capture;
mod connection;
mod exchange;
mod hello;
mod in_flight;
mod meter;
mod names;
mod proxy;
mod reason;
mod route;
mod rule;
mod serve;
mod tunnel;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

pub use self::allowance::{Allowance, Caps};
pub use self::connection::{Connection, Kind, Recorder, Verdict};
pub use self::in_flight::{Call, InFlight};
pub use self::reason::Reason;
pub use self::rule::{Protocol, Rule, RuleError};

use self::meter::Meter;
use self::names::Names;
use crate::resolve::Resolver;

/// The sockets of one confined server, bound where only it can reach them. Ports count as the server
/// dials them.
#[derive(Debug)]
pub struct Listeners {
    /// For clients that know of the proxy.
    pub proxy: TcpListener,
    /// For plain HTTP to any address, at port 80. Other ports are for clients that know of the proxy.
    pub http: TcpListener,
    /// For TLS to any address, at port 443.
    pub https: TcpListener,
    /// For names, at port 53.
    pub names_udp: UdpSocket,
    /// For names, at port 53.
    pub names_tcp: TcpListener,
}

/// The way out of one confined server. A clone is the same door.
#[derive(Debug, Clone)]
pub struct Door {
    shared: Arc<Shared>,
}

/// What all connections of a door share.
pub(crate) struct Shared {
    server: String,
    allowance: watch::Sender<Arc<Allowance>>,
    in_flight: InFlight,
    resolver: Resolver,
    now_ms: fn() -> u64,
    record: Recorder,
    meter: Arc<Meter>,
    /// How many connections there are.
    open: AtomicUsize,
    names: Names,
}

impl Door {
    /// A door for `server`, which lets out what `allowance` says and tells `record` of each connection
    /// when it is over. `now_ms` says the time in milliseconds since 1970-01-01 UTC.
    pub fn new(
        server: impl Into<String>,
        allowance: Allowance,
        resolver: Resolver,
        now_ms: fn() -> u64,
        record: Recorder,
    ) -> Self {
        let shared = Shared {
            server: server.into(),
            allowance: watch::Sender::new(Arc::new(allowance)),
            in_flight: InFlight::default(),
            resolver,
            now_ms,
            record,
            meter: Arc::default(),
            open: AtomicUsize::new(0),
            names: Names::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Where the calls of the server are told.
    pub fn in_flight(&self) -> InFlight {
        self.shared.in_flight.clone()
    }

    /// The allowance in force.
    pub fn allowance(&self) -> Arc<Allowance> {
        Arc::clone(&self.shared.allowance.borrow())
    }

    /// Puts `allowance` in force, for connections that are yet to come and for those there are: what it
    /// does not allow is cut. The caps in bytes of a connection are those it began with.
    pub fn replace(&self, allowance: Allowance) {
        self.shared.allowance.send_replace(Arc::new(allowance));
    }

    /// Serves the server until `until` is done, and then cuts all its connections, as dropping the
    /// future does. Fails if a socket cannot be used.
    pub async fn serve(
        &self,
        listeners: Listeners,
        until: impl Future<Output = ()>,
    ) -> io::Result<()> {
        serve::serve(&self.shared, listeners, until).await
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
