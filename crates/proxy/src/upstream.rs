//! Our connections to one server, whatever its transport and era.
//!
//! Everything a server sends is decoded strictly and within bounds before anybody sees it. This
//! side sends what it is given, with the parts that belong to the transport and the era: ids,
//! progress tokens, `_meta` of modern requests, header fields, the handshake. It translates nothing
//! between the eras, and decides nothing.

mod connection;
mod credential;
mod detect;
mod duplex;
mod envelope;
mod error;
mod event;
mod event_stream;
mod exchange;
mod health;
mod http;
mod http_exchange;
mod http_session;
mod lines;
mod local;
mod mailbox;
mod preparation;
mod profile;
mod salvage;
mod spec;
mod sse_2024;
mod stdio;
mod wire;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

pub use self::connection::{Call, Connection};
pub use self::credential::Credential;
pub use self::error::{Garbage, NoCredential, UpstreamError};
pub use self::event::{Answer, Ask, Event, Reply, State, Unsolicited};
pub use self::exchange::Exchange;
pub use self::local::Local;
pub use self::preparation::{NotReady, Preparation, Start};
pub use self::profile::{Hello, Profile};
pub use self::spec::{Grants, InvalidServer, Spec, Transport};

use self::detect::{Attempt, Known};
use self::health::Health;
use self::http::Endpoint;

/// Connections that are made at a time; more wait.
const STARTS_MAX: usize = 16;

/// One configured server. Nothing is started before [`Upstream::connect`].
pub struct Upstream {
    spec: Spec,
    local: Local,
    endpoint: Option<Arc<Endpoint>>,
    health: Arc<Health>,
    known: Mutex<Option<Known>>,
    permits: Arc<Semaphore>,
    starts: Semaphore,
}

impl Upstream {
    /// The server that `spec` describes.
    pub fn new(spec: Spec, local: Local) -> Arc<Self> {
        let endpoint = match &spec.transport {
            Transport::Http { url, headers, .. } => {
                let egress = local.egress.clone();
                let made = Endpoint::new(egress, url.clone(), headers.clone(), spec.limits());
                made.ok().map(Arc::new)
            }
            Transport::Stdio(..) => None,
        };
        Arc::new(Self {
            local,
            endpoint,
            health: Arc::default(),
            known: Mutex::new(None),
            permits: Arc::new(Semaphore::new(
                spec.concurrency_max.min(Semaphore::MAX_PERMITS),
            )),
            starts: Semaphore::new(STARTS_MAX),
            spec,
        })
    }

    /// What is known of the server.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Makes a connection that shows `credential` with each request, finding out the era first if need be. `inbox` gets what
    /// the server sends outside of any request; what it has no room for is dropped.
    ///
    /// While the server is down, fails at once with [`UpstreamError::Down`] until the next start is
    /// due. A refusal of the client's own making (credentials, handshake) of an HTTP server does
    /// not count as being down.
    pub async fn connect(
        self: &Arc<Self>,
        profile: Arc<Profile>,
        credential: Option<Credential>,
        inbox: mpsc::Sender<Unsolicited>,
    ) -> Result<Arc<Connection>, UpstreamError> {
        self.health.admit(Instant::now())?;
        let waiting = tokio::time::timeout(self.spec.timeout, self.starts.acquire());
        let Ok(Ok(_start)) = waiting.await else {
            return Err(UpstreamError::Busy);
        };
        self.health.admit(Instant::now())?;
        let known = self.known.lock().clone();
        let endpoint = match (&self.endpoint, credential) {
            (Some(endpoint), Some(credential)) => Some(Arc::new(endpoint.showing(credential))),
            (endpoint, _) => endpoint.clone(),
        };
        let attempt = Attempt {
            upstream: self,
            endpoint,
            profile: &profile,
            inbox: &inbox,
            known,
        };
        match attempt.open().await {
            Ok(opened) => {
                *self.known.lock() = Some(opened.known);
                if self.endpoint.is_some() {
                    self.health.reached();
                }
                Ok(Arc::new(Connection::new(
                    self.clone(),
                    opened.hello,
                    opened.channel,
                )))
            }
            // What one principal lacks says nothing of the server.
            Err(error) if self.endpoint.is_some() && error.is_of_credential() => Err(error),
            Err(error) => {
                self.forget();
                if self.is_down(&error) {
                    self.health.failed(&error.to_string(), Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Whether the server is in use, and if it failed, when it is tried again.
    pub fn state(&self) -> State {
        self.health.state(Instant::now())
    }

    /// Forgets what was found out about the server: the next connection finds out anew.
    fn forget(&self) {
        *self.known.lock() = None;
    }

    /// Whether a failed start says that the next one would fail as well. Each start of a local
    /// server costs a process, so there any failure counts.
    fn is_down(&self, error: &UpstreamError) -> bool {
        match error {
            UpstreamError::Busy | UpstreamError::Preparing | UpstreamError::Down { .. } => false,
            UpstreamError::Refused { .. }
            | UpstreamError::Unauthorized { .. }
            | UpstreamError::ConnectFirst { .. }
            | UpstreamError::ConnectByCommand { .. }
            | UpstreamError::Credential(_)
            | UpstreamError::Status(..=499) => self.endpoint.is_none(),
            _ => true,
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
