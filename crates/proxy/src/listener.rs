//! Accepts connections over HTTP/1.1 and HTTP/2, with or without TLS; caps their number, the size of their heads and the time
//! they take, and lets requests in progress end when the gateway stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use portcullis_egress::ClientCertificates;

use crate::authenticate::sha256;
use crate::config::Listen;
use crate::endpoint;
use crate::janitor;
use crate::peer::Peer;
use crate::runtime::Runtime;

/// Streams that one HTTP/2 connection may have open at a time.
const HTTP2_STREAMS_MAX: u32 = 256;
/// How long connections get to close by themselves once everything is answered.
const CLOSING: Duration = Duration::from_secs(1);
/// How long servers get to end.
const ENDING: Duration = Duration::from_secs(6);

/// An address that was taken, where nothing is accepted yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptorDebug>,
}

/// A listening gateway.
#[derive(Debug)]
pub struct Gateway {
    bound: Bound,
    runtime: Arc<ArcSwap<Runtime>>,
}

struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

/// The gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not this machine's.
    #[error(
        "cannot listen on `{address}`; set another `listen.address` or end the program that uses it"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("the TLS identity of the listener cannot be used")]
    Tls(#[source] portcullis_egress::TlsFileError),
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in progress when the gateway was asked to stop.
    pub in_progress: usize,
    /// Those of them that got no more time and were answered with an error.
    pub cut_off: usize,
}

impl Bound {
    /// Takes the address.
    pub async fn take(listen: &Listen) -> Result<Self, BindError> {
        let address = listen.address;
        let tls = match &listen.tls {
            Some(files) => {
                let of_clients = if files.client_certificates {
                    ClientCertificates::Taken
                } else {
                    ClientCertificates::NotAskedFor
                };
                let config =
                    portcullis_egress::server_tls(&files.certificate, &files.key, of_clients)
                        .map_err(BindError::Tls)?;
                Some(TlsAcceptorDebug(TlsAcceptor::from(config)))
            }
            None => None,
        };
        let failed = |source| BindError::Address { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            tls,
        })
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether clients connect by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl Gateway {
    /// A gateway that serves with `runtime` at an address that was taken.
    pub fn new(bound: Bound, runtime: Arc<Runtime>) -> Self {
        Self {
            bound,
            runtime: Arc::new(ArcSwap::new(runtime)),
        }
    }

    /// Where a new runtime can be put for all requests that begin from then on.
    pub fn runtime(&self) -> Arc<ArcSwap<Runtime>> {
        Arc::clone(&self.runtime)
    }

    /// Serves until `shutdown` is done; then lets requests in progress end, within `limits.shutdown_timeout`.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Drained {
        let janitor = tokio::spawn(janitor::tidy(Arc::downgrade(&self.runtime)));
        let (stop, stopped) = watch::channel(false);
        let connections_max = self.runtime.load().limits.connections_max;
        let permits = Arc::new(Semaphore::new(connections_max));
        tokio::pin!(shutdown);
        loop {
            let permit = tokio::select! {
                biased;
                () = &mut shutdown => break,
                permit = Arc::clone(&permits).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = self.bound.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let connection = Connection {
                        address,
                        runtime: Arc::clone(&self.runtime),
                        stopped: stopped.clone(),
                    };
                    let tls = self.bound.tls.as_ref().map(|tls| tls.0.clone());
                    tokio::spawn(async move {
                        connection.serve(stream, tls).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of descriptors, or a connection that broke already: nothing to do but go on.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        janitor.abort();
        // Who comes now is refused by the system, rather than kept waiting and cut off.
        drop(self.bound);
        drop(stopped);
        drain(&self.runtime.load_full(), &stop).await
    }
}

/// Lets what is in progress end, cuts off what does not, and closes all servers.
async fn drain(runtime: &Runtime, stop: &watch::Sender<bool>) -> Drained {
    let shared = &runtime.shared;
    let in_progress = shared.requests.count();
    // Each connection holds a receiver: it answers what it has, and closes.
    stop.send_replace(true);
    shared.ending.cancel();
    let patience = runtime.limits.shutdown_timeout.get();
    let mut cut_off = 0;
    if tokio::time::timeout(patience, shared.requests.idle())
        .await
        .is_err()
    {
        cut_off = shared.requests.count();
        tracing::warn!(cut_off, "requests were cut off by the shutdown");
        shared.stopping.cancel();
        // They are answered at once now; this only bounds what cannot be.
        drop(tokio::time::timeout(CLOSING, shared.requests.idle()).await);
    }
    if tokio::time::timeout(ENDING, runtime.close()).await.is_err() {
        tracing::warn!("some servers did not end in time");
    }
    drop(tokio::time::timeout(CLOSING, stop.closed()).await);
    Drained {
        in_progress,
        cut_off,
    }
}

struct Connection {
    address: SocketAddr,
    runtime: Arc<ArcSwap<Runtime>>,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection could not be set up");
            return;
        }
        let local = match stream.local_addr() {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%error, "a connection was gone before it was served");
                return;
            }
        };
        let peer = |certificate| Peer::new(self.address, local, certificate);
        let Some(tls) = tls else {
            let peer = peer(None);
            return self.http(TokioIo::new(stream), peer).await;
        };
        let patience = self.runtime.load().limits.head_timeout.get();
        match tokio::time::timeout(patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates();
                let certificate = shown.and_then(<[_]>::first).map(|leaf| sha256(leaf));
                let peer = peer(certificate);
                self.http(TokioIo::new(stream), peer).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn http<S>(mut self, stream: TokioIo<S>, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (head_bytes, head_timeout, idle_timeout) = {
            let runtime = self.runtime.load();
            let limits = &runtime.limits;
            (
                limits.head_bytes_max.get(),
                limits.head_timeout.get(),
                limits.idle_timeout.get(),
            )
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Between requests as well, it bounds how long a client may stay silent.
            .header_read_timeout(head_timeout.max(idle_timeout))
            .max_buf_size(head_bytes.max(8192))
            .max_headers(100);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(idle_timeout)
            .keep_alive_timeout(head_timeout)
            .max_pending_accept_reset_streams(64);
        let runtime = Arc::clone(&self.runtime);
        let begun = CancellationToken::new();
        let first = begun.clone();
        let service = service_fn(move |request| {
            first.cancel();
            endpoint::respond(runtime.load_full(), peer.clone(), request)
        });
        let connection = builder.serve_connection(stream, service);
        tokio::pin!(connection);
        // Which version of HTTP it is shows only in the first bytes, for which nothing else waits.
        let silent = async {
            if tokio::time::timeout(head_timeout, begun.cancelled())
                .await
                .is_ok()
            {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async { drop(self.stopped.wait_for(|stopped| *stopped).await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = silent => {
                tracing::debug!("a connection brought no request in time");
                return;
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, "a connection broke");
        }
    }
}
