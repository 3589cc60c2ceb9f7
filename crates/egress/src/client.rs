//! The HTTP clients.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::TlsConnector;

use crate::address::{is_metadata, is_public};
use crate::connect::Connector;
use crate::door::{Allowance, Door, Recorder};
use crate::error::EgressError;
use crate::host::Destination;
use crate::reach::Reach;
use crate::resolve::Resolver;
use crate::tls::{TlsFileError, client_tls};

/// How connections are made and kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For resolving a name, connecting, and the TLS handshake together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many unused connections to one host are kept.
    pub pool_idle_per_host_max: usize,
    /// PEM files of root certificates that are trusted beside Mozilla's.
    pub roots_pem: Vec<PathBuf>,
    /// Whether plain `http` may go further than this host.
    pub allow_plain_http: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_mins(1),
            pool_idle_per_host_max: 32,
            roots_pem: Vec::new(),
            allow_plain_http: false,
        }
    }
}

/// All outbound connections. A clone shares them.
#[derive(Debug, Clone)]
pub struct Egress {
    configured: Client,
    public: Client,
    resolver: Resolver,
}

/// An HTTP client with its own pool of connections. A clone shares it.
///
/// HTTP/1.1, and HTTP/2 where the server offers it in TLS. Follows no redirects, keeps no cookies,
/// and reads no proxy settings.
#[derive(Debug, Clone)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
}

impl Egress {
    /// Fails if a file of root certificates cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, TlsFileError> {
        Self::with_resolver(settings, &Resolver::System)
    }

    /// [`Egress::new`], with names resolved by `resolver`.
    pub fn with_resolver(settings: &Settings, resolver: &Resolver) -> Result<Self, TlsFileError> {
        let tls = TlsConnector::from(client_tls(&settings.roots_pem)?);
        let client = |reach| {
            let connector = Connector {
                reach,
                resolver: resolver.clone(),
                tls: tls.clone(),
                allow_plain_http: settings.allow_plain_http,
                timeout: settings.connect_timeout,
            };
            let http = legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(settings.pool_idle_timeout)
                .pool_max_idle_per_host(settings.pool_idle_per_host_max)
                .build(connector);
            Client { http }
        };
        // A pool each: a connection that one may use is not found by the other.
        Ok(Self {
            configured: client(Reach::Configured),
            public: client(Reach::Public),
            resolver: resolver.clone(),
        })
    }

    /// Whether everyone may be sent to `host`, a name or an address: all its addresses are public, or `allowed` and no cloud's
    /// metadata service. A name without an address is nowhere.
    pub async fn may_reach(&self, host: &str, allowed: impl Fn(IpAddr) -> bool) -> bool {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        let addresses = match literal {
            Ok(address) => vec![address],
            Err(_a_name) => match self.resolver.resolve(host).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    tracing::debug!(%host, %error, "a host was not resolved");
                    return false;
                }
            },
        };
        addresses
            .into_iter()
            .all(|it| is_public(it) || (allowed(it) && !is_metadata(it)))
    }

    /// A way out for the confined server `server`, by the same resolver; see [`Door::new`].
    pub fn door(
        &self,
        server: &str,
        allowance: Allowance,
        now_ms: fn() -> u64,
        record: Recorder,
    ) -> Door {
        Door::new(server, allowance, self.resolver.clone(), now_ms, record)
    }

    /// The client for addresses of this origin.
    pub fn client(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Configured => &self.configured,
            Reach::Public => &self.public,
        }
    }
}

impl Client {
    /// Sends `request`, whose address is absolute, and returns the head of the response; its body
    /// is still to be read, and neither is limited in time or size here.
    ///
    /// Dropping the future gives the request up.
    pub async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, EgressError> {
        let host = Destination::parse(request.uri())?.host;
        self.http.request(request).await.map_err(|error| {
            // The connector's own word, if it was the connector.
            error
                .source()
                .and_then(|source| source.downcast_ref::<EgressError>())
                .cloned()
                .unwrap_or_else(|| EgressError::Exchange {
                    host: host.to_string(),
                    source: Arc::new(error),
                })
        })
    }
}
