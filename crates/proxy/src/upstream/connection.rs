//! One connection to a server: its greeting, and the way to ask it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_mcp::{Era, Id, Version, member, method, string};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Upstream;
use super::duplex::{Duplex, Kind};
use super::envelope::Envelope;
use super::error::UpstreamError;
use super::exchange::{Exchange, Inner, Timers};
use super::health::Registration;
use super::http_exchange::{self, HttpExchange};
use super::http_session::Session;
use super::profile::{Hello, Profile};
use super::wire::detach;

/// A request for a server.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: Box<str>,
    /// Its params, a JSON object. What belongs to the era is put into and taken out of `_meta`;
    /// every other byte is sent as it is.
    pub params: Option<Bytes>,
    /// Who asks: goes into `_meta` of modern requests.
    pub profile: Arc<Profile>,
    /// Whether progress is wanted.
    pub progress: bool,
    /// The value that `Mcp-Name` mirrors, not encoded; modern HTTP only.
    pub name_header: Option<Box<str>>,
    /// Name (as annotated) and value, not encoded, of each `Mcp-Param-*`; modern HTTP only.
    pub param_headers: Vec<(Box<str>, Box<str>)>,
    /// Whether it lasts until somebody ends it (`subscriptions/listen`): there is no time limit,
    /// and it does not count against `concurrency_max`.
    pub long_lived: bool,
}

/// A connection to one server. Dropping the last handle closes it, and ends what is in progress on
/// it: a child process is terminated, a legacy session ended.
pub struct Connection {
    upstream: Arc<Upstream>,
    hello: Hello,
    channel: Channel,
}

pub(super) enum Channel {
    Http(SessionOwner),
    Duplex(DuplexOwner),
}

/// Ends the session when dropped.
pub(super) struct SessionOwner(pub(super) Arc<Session>);

impl Drop for SessionOwner {
    fn drop(&mut self) {
        let session = self.0.clone();
        if !session.over.is_cancelled() {
            detach(async move { session.close().await });
        }
    }
}

/// Stops the channel, and by that the child behind it, when dropped.
pub(super) struct DuplexOwner(pub(super) Arc<Duplex>);

impl Drop for DuplexOwner {
    fn drop(&mut self) {
        self.0.stop.cancel();
    }
}

impl Connection {
    pub(super) fn new(upstream: Arc<Upstream>, hello: Hello, channel: Channel) -> Self {
        let registration = Registration::new(&upstream.health);
        match &channel {
            Channel::Http(session) => session.0.register(registration),
            Channel::Duplex(duplex) => duplex.0.register(registration),
        }
        Self {
            upstream,
            hello,
            channel,
        }
    }

    /// What the server declared of itself.
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Whether the connection is of no use any more.
    pub fn is_closed(&self) -> bool {
        match &self.channel {
            Channel::Http(session) => session.0.over.is_cancelled(),
            Channel::Duplex(duplex) => duplex.0.stop.is_cancelled() || duplex.0.over.is_cancelled(),
        }
    }

    /// Waits until the connection is of no use any more.
    pub async fn closed(&self) {
        match &self.channel {
            Channel::Http(session) => session.0.over.cancelled().await,
            Channel::Duplex(duplex) => duplex.0.over.cancelled().await,
        }
    }

    /// Sends a request. Returns when it is on its way, or, over HTTP, when the answer begins: a
    /// plain JSON answer is then whole, see [`Exchange::try_ready`]. The connection must be kept
    /// for as long as the exchange.
    pub async fn exchange(&self, call: Call) -> Result<Exchange, UpstreamError> {
        let permit = self.permit(&call).await?;
        let spec = self.upstream.spec();
        let timers = (!call.long_lived)
            .then(|| Timers::start(spec.timeout, spec.timeout_max, Instant::now()));
        let starting = self.start(&call);
        let inner = match &timers {
            None => starting.await,
            Some(timers) => match tokio::time::timeout_at(timers.expiry(), starting).await {
                Ok(inner) => inner,
                Err(_elapsed) => Err(UpstreamError::Timeout),
            },
        }?;
        Ok(Exchange::new(inner, timers, permit))
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Option<&[u8]>) -> Result<(), UpstreamError> {
        let message = portcullis_mcp::encode_notification(method, params).into();
        match &self.channel {
            Channel::Http(session) => session.0.notify(method, message).await,
            Channel::Duplex(duplex) => duplex.0.send(message).await,
        }
    }

    /// Over legacy HTTP, starts to take in what the server sends unasked, and goes on until the
    /// connection closes or the server says that it sends nothing. Everywhere else, and when
    /// called again, does nothing.
    pub fn open_stream(&self) {
        match &self.channel {
            Channel::Http(session) => session.0.open_stream(),
            Channel::Duplex(_) => {}
        }
    }

    /// Closes the connection and waits until the server is told or, if it is a child, gone.
    pub async fn close(&self) {
        match &self.channel {
            Channel::Http(session) => session.0.close().await,
            Channel::Duplex(duplex) => {
                duplex.0.stop.cancel();
                duplex.0.ended.cancelled().await;
            }
        }
    }

    /// Waits for the right to have one more request in progress, at most `timeout`.
    async fn permit(&self, call: &Call) -> Result<Option<OwnedSemaphorePermit>, UpstreamError> {
        if call.long_lived {
            return Ok(None);
        }
        let permits = &self.upstream.permits;
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Ok(Some(permit));
        }
        let waiting = permits.clone().acquire_owned();
        match tokio::time::timeout(self.upstream.spec().timeout, waiting).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Busy),
        }
    }

    async fn start(&self, call: &Call) -> Result<Inner, UpstreamError> {
        match &self.channel {
            Channel::Http(session) => self.start_http(&session.0, call).await,
            Channel::Duplex(duplex) => self.start_duplex(&duplex.0, call).await,
        }
    }

    async fn start_http(
        &self,
        session: &Arc<Session>,
        call: &Call,
    ) -> Result<Inner, UpstreamError> {
        let health = &self.upstream.health;
        health.admit(Instant::now())?;
        let id = session.fresh_id();
        let params = envelope(call, session.version, id).apply(call.params.as_ref());
        let (headers, message) = http_exchange::encode(session, id, call, params.as_deref())?;
        let started = HttpExchange::start(session, id, headers, message, false).await;
        match &started {
            Err(error @ UpstreamError::Connect(_)) => {
                health.failed(&error.to_string(), Instant::now());
            }
            // The request may not have been sent at all.
            Err(
                UpstreamError::ConnectFirst { .. }
                | UpstreamError::ConnectByCommand { .. }
                | UpstreamError::Credential(_),
            ) => {}
            Ok(_) | Err(_) => health.reached(),
        }
        let exchange = started?;
        // A modern server that now wants another version has changed: find out anew.
        if session.is_modern() && exchange.refuses_version() {
            self.upstream.forget();
        }
        Ok(Inner::Http(Box::new(exchange)))
    }

    async fn start_duplex(
        &self,
        duplex: &Arc<Duplex>,
        call: &Call,
    ) -> Result<Inner, UpstreamError> {
        let kind = match (self.hello.era, call.long_lived) {
            (Era::Modern, true) => Kind::Listen,
            (Era::Modern, false) | (Era::Legacy, _) => Kind::Call,
        };
        let mut flight = duplex.start(kind)?;
        if &*call.method == method::TOOLS_CALL
            && let Some(tool) = call.params.as_deref().and_then(|it| member(it, "name"))
            && let Some(tool) = string(tool)
        {
            flight.calls(&tool);
        }
        let params = envelope(call, self.hello.version, flight.id).apply(call.params.as_ref());
        let id = Id::Number(flight.id);
        let message = portcullis_mcp::encode_request(&id, &call.method, params.as_deref());
        duplex.send_request(&flight, message.into()).await?;
        Ok(Inner::Duplex(flight))
    }
}

/// The id of a request is also its progress token: both are ours, and unique on the connection.
fn envelope(call: &Call, version: Version, id: i64) -> Envelope<'_> {
    Envelope {
        version,
        profile: &call.profile,
        progress: call.progress.then_some(id),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Connection({}, {})",
            self.upstream.spec().name,
            self.hello.version
        )
    }
}
