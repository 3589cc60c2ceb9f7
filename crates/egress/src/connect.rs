//! Makes connections to addresses that were checked.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::error::EgressError;
use crate::host::{Destination, Host};
use crate::reach::{Check, Reach};
use crate::resolve::Resolver;
use crate::stream::Stream;

/// How long one address has before the next is tried beside it (RFC 8305, 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 8;

/// Makes every connection of a client.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) reach: Reach,
    pub(crate) resolver: Resolver,
    pub(crate) tls: TlsConnector,
    pub(crate) allow_plain_http: bool,
    /// For resolving, dialling and the handshake together.
    pub(crate) timeout: Duration,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Stream, EgressError> {
        let destination = Destination::parse(uri)?;
        tokio::time::timeout(self.timeout, self.connect_to(&destination))
            .await
            .map_err(|_elapsed| EgressError::Timeout {
                host: destination.host.to_string(),
                limit: self.timeout,
            })?
    }

    async fn connect_to(&self, destination: &Destination) -> Result<Stream, EgressError> {
        let check = Check {
            reach: self.reach,
            literal: matches!(destination.host, Host::Address(_)),
            loopback_only: !destination.encrypted && !self.allow_plain_http,
        };
        let located = Located::find(&self.resolver, &destination.host, check).await?;
        let tcp = located.dial(destination.port).await?;
        if !destination.encrypted {
            return Ok(Stream::plain(tcp));
        }
        let name = match &destination.host {
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_invalid| EgressError::Host(name.clone()))?,
            Host::Address(address) => ServerName::from(*address),
        };
        let tls = self
            .tls
            .connect(name, tcp)
            .await
            .map_err(|error| EgressError::Tls {
                host: destination.host.to_string(),
                source: Arc::new(error),
            })?;
        Ok(Stream::tls(tls))
    }
}

/// A host whose addresses were all checked.
#[derive(Debug)]
pub(crate) struct Located {
    host: Host,
    addresses: Vec<IpAddr>,
    check: Check,
}

impl Located {
    /// Resolves once, and checks every answer. One bad answer spoils them all: an honest name has none.
    pub(crate) async fn find(
        resolver: &Resolver,
        host: &Host,
        check: Check,
    ) -> Result<Self, EgressError> {
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                resolver
                    .resolve(name)
                    .await
                    .map_err(|error| EgressError::Resolve {
                        host: name.clone(),
                        source: Arc::new(error),
                    })?
            }
        };
        let located = Self {
            host: host.clone(),
            addresses,
            check,
        };
        let mut all = located.addresses.iter();
        all.try_for_each(|address| located.permit(*address))?;
        Ok(located)
    }

    /// A connection to one of the addresses.
    pub(crate) async fn dial(&self, port: u16) -> Result<TcpStream, EgressError> {
        let unreachable = |error| EgressError::Connect {
            host: self.host.to_string(),
            port,
            source: Arc::new(error),
        };
        let dialled = dial(in_turn(&self.addresses), port).await;
        let tcp = dialled.map_err(unreachable)?;
        // What was dialled is what was checked; this costs nothing and says so.
        let peer = tcp.peer_addr().map_err(unreachable)?;
        self.permit(peer.ip())?;
        Ok(tcp)
    }

    fn permit(&self, address: IpAddr) -> Result<(), EgressError> {
        self.check.check(address).map_err(|refusal| {
            // The operator, unlike the caller, is told what the name resolved to.
            tracing::warn!(host = %self.host, %address, %refusal, "an outbound connection was refused");
            EgressError::Refused {
                host: self.host.to_string(),
                refusal,
            }
        })
    }
}

/// The addresses in the resolver's order, but with the families taking turns.
fn in_turn(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut ours, mut others): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    ours.dedup();
    others.dedup();
    let mut others = others.into_iter();
    let mut turns = Vec::new();
    for address in ours {
        turns.push(address);
        turns.extend(others.next());
    }
    turns.extend(others);
    turns.truncate(ADDRESSES_MAX);
    turns
}

/// The first connection that one of the addresses accepts. Each gets a head start on the next.
async fn dial(addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = addresses.next();
        let more = next.is_some();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(SocketAddr::new(address, port)));
        }
        let outcome = if more {
            match tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.join_next()).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match outcome {
            Some(Ok(Ok(tcp))) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Some(Ok(Err(error))) => last_error = error,
            Some(Err(error)) => last_error = io::Error::other(error),
            None => return Err(last_error),
        }
    }
}

#[cfg(test)]
mod tests;
