//! One connection over Streamable HTTP: nothing but headers in the modern era, a session in the
//! legacy era, with the stream of what the server sends unasked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use portcullis_mcp::{
    Era, Message, Outcome, ServerName, SseEvent, Version, encode_value, header, method,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::Call;
use super::duplex::{announce_closed, deliver};
use super::error::{Garbage, UpstreamError};
use super::event::{Ask, Reply, Unsolicited, encode_response};
use super::event_stream::EventStream;
use super::health::Registration;
use super::http::Endpoint;
use super::wire::{Wire, detach};

/// How long a message that nobody waits for may take.
const SEND_WAIT: Duration = Duration::from_secs(10);
/// How long the server may take to end a session.
const DELETE_WAIT: Duration = Duration::from_secs(5);
/// The pause before a stream is opened again, when the server names none.
const RETRY: Duration = Duration::from_secs(1);
/// The shortest such pause, whatever the server says.
const RETRY_MIN: Duration = Duration::from_millis(10);
/// The longest such pause, whatever the server says.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest session id.
const SESSION_ID_MAX: usize = 1024;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static(header::MCP_SESSION_ID);
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(header::MCP_PROTOCOL_VERSION);
const METHOD: HeaderName = HeaderName::from_static(header::MCP_METHOD);
const NAME: HeaderName = HeaderName::from_static(header::MCP_NAME);

/// What all requests of one connection have in common.
pub(super) struct Session {
    pub(super) name: ServerName,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) version: Version,
    /// Version and session id, as the version has them.
    common: HeaderMap,
    next_id: AtomicI64,
    inbox: mpsc::Sender<Unsolicited>,
    streams: AtomicBool,
    registration: Mutex<Option<Registration>>,
    /// The session is of no use any more.
    pub(super) over: CancellationToken,
}

impl Session {
    /// A connection in the version that was agreed on; `session_id` if the server gave one.
    pub(super) fn new(
        name: ServerName,
        endpoint: Arc<Endpoint>,
        version: Version,
        session_id: Option<HeaderValue>,
        inbox: mpsc::Sender<Unsolicited>,
    ) -> Arc<Self> {
        let mut common = HeaderMap::new();
        if version >= Version::V2025_06_18 {
            common.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        }
        if let Some(id) = session_id {
            common.insert(SESSION_ID, id);
        }
        Self::with(name, endpoint, version, common, inbox)
    }

    /// The connection over which `initialize` is sent, when nothing is agreed on yet.
    pub(super) fn before_handshake(
        name: ServerName,
        endpoint: Arc<Endpoint>,
        inbox: mpsc::Sender<Unsolicited>,
    ) -> Arc<Self> {
        Self::with(
            name,
            endpoint,
            Version::LATEST_LEGACY,
            HeaderMap::new(),
            inbox,
        )
    }

    fn with(
        name: ServerName,
        endpoint: Arc<Endpoint>,
        version: Version,
        common: HeaderMap,
        inbox: mpsc::Sender<Unsolicited>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            endpoint,
            version,
            common,
            next_id: AtomicI64::new(1),
            inbox,
            streams: AtomicBool::new(false),
            registration: Mutex::new(None),
            over: CancellationToken::new(),
        })
    }

    pub(super) fn is_modern(&self) -> bool {
        self.version.era() == Era::Modern
    }

    pub(super) fn has_id(&self) -> bool {
        self.common.contains_key(SESSION_ID)
    }

    pub(super) fn fresh_id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn register(&self, registration: Registration) {
        *self.registration.lock() = Some(registration);
    }

    /// The fields of a POST of `method`; in the modern era they mirror the body.
    pub(super) fn headers(
        &self,
        method: &str,
        call: Option<&Call>,
    ) -> Result<HeaderMap, UpstreamError> {
        let mut headers = self.common.clone();
        if !self.is_modern() {
            return Ok(headers);
        }
        headers.insert(METHOD, value(method, method)?);
        let Some(call) = call else { return Ok(headers) };
        if let Some(name) = &call.name_header {
            headers.insert(NAME, value("Mcp-Name", &encode_value(name))?);
        }
        for (name, text) in &call.param_headers {
            let field = HeaderName::try_from(format!("{}{name}", header::MCP_PARAM_PREFIX));
            let field = field
                .ok()
                .ok_or_else(|| UpstreamError::Header(name.to_string()))?;
            headers.insert(field, value(name, &encode_value(text))?);
        }
        Ok(headers)
    }

    /// POSTs a message that has no answer.
    pub(super) async fn send(&self, message: Bytes) -> Result<(), UpstreamError> {
        self.post_one_way("", message).await
    }

    /// POSTs a notification.
    pub(super) async fn notify(&self, method: &str, message: Bytes) -> Result<(), UpstreamError> {
        self.post_one_way(method, message).await
    }

    async fn post_one_way(&self, method: &str, message: Bytes) -> Result<(), UpstreamError> {
        let headers = if method.is_empty() {
            self.common.clone()
        } else {
            self.headers(method, None)?
        };
        let posting = tokio::time::timeout(SEND_WAIT, self.endpoint.post(&headers, message));
        let response = posting.await.map_err(|_elapsed| UpstreamError::Timeout)??;
        match response.status().as_u16() {
            404 if self.has_id() => Err(self.lost()),
            401 => Err(UpstreamError::Unauthorized { challenge: None }),
            200..=299 => Ok(()),
            status => Err(UpstreamError::Status(status)),
        }
    }

    /// POSTs without waiting; a failure is only logged.
    pub(super) fn send_detached(self: &Arc<Self>, message: Bytes) {
        let session = self.clone();
        detach(async move {
            if let Err(error) = session.send(message).await {
                tracing::debug!(server = %session.name, %error, "a message could not be sent");
            }
        });
    }

    /// Answers the `ping` of a server.
    pub(super) fn pong(self: &Arc<Self>, id: &portcullis_mcp::Id) {
        self.send_detached(encode_response(
            id,
            &Outcome::Result(Bytes::from_static(b"{}")),
        ));
    }

    /// The server no longer knows the session.
    pub(super) fn lost(&self) -> UpstreamError {
        self.finish();
        UpstreamError::SessionEnded
    }

    /// Marks the session as over, without a word to the server.
    fn finish(&self) {
        if self.over.is_cancelled() {
            return;
        }
        self.over.cancel();
        let registration = self.registration.lock().take();
        if let Some(registration) = registration {
            registration.end(None);
            announce_closed(&self.inbox);
        }
    }

    /// Ends the session here and at the server.
    pub(super) async fn close(&self) {
        let was_over = self.over.is_cancelled();
        self.finish();
        if was_over || !self.has_id() {
            return;
        }
        // 405 means that the server ends sessions by itself; any failure means the same to us.
        let deleting = self.endpoint.delete(&self.common);
        match tokio::time::timeout(DELETE_WAIT, deleting).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(server = %self.name, %error, "a session was not ended");
            }
            Err(_elapsed) => {
                tracing::debug!(server = %self.name, "a session was not ended in time");
            }
        }
    }

    /// GETs a stream, from behind the event `after` if there is one.
    pub(super) async fn get(
        &self,
        after: Option<&HeaderValue>,
    ) -> Result<EventStream, UpstreamError> {
        let mut headers = self.common.clone();
        if let Some(after) = after {
            headers.insert(LAST_EVENT_ID, after.clone());
        }
        match self.endpoint.get(&headers).await {
            Err(UpstreamError::Status(404)) if self.has_id() => Err(self.lost()),
            other => other,
        }
    }

    /// Starts, once, to take in what the server sends unasked.
    pub(super) fn open_stream(self: &Arc<Self>) {
        if self.is_modern()
            || self.over.is_cancelled()
            || self.streams.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let session = self.clone();
        detach(async move {
            let over = session.over.clone();
            tokio::select! {
                () = over.cancelled() => {}
                () = session.follow() => {}
            }
        });
    }

    /// Follows the stream of unasked messages until the server refuses it.
    async fn follow(self: &Arc<Self>) {
        let mut place = Place::default();
        loop {
            let opened = Instant::now();
            match self.get(place.last_event_id.as_ref()).await {
                Ok(mut stream) => {
                    while let Ok(event) = stream.next().await {
                        place.note(&event);
                        self.take(event);
                    }
                    if opened.elapsed() >= RETRY_MAX {
                        place.failures = 0;
                    }
                }
                Err(UpstreamError::Status(status)) if !(status == 429 || status >= 500) => {
                    tracing::debug!(server = %self.name, status, "the server offers no stream");
                    return;
                }
                Err(
                    UpstreamError::SessionEnded
                    | UpstreamError::Unauthorized { .. }
                    | UpstreamError::Garbage(_),
                ) => return,
                Err(error) => {
                    tracing::debug!(server = %self.name, %error, "the server's stream broke");
                }
            }
            tokio::time::sleep(place.pause()).await;
        }
    }

    /// Takes in one event of the stream of unasked messages.
    fn take(self: &Arc<Self>, event: SseEvent) {
        if event.data.is_empty() {
            return;
        }
        match portcullis_mcp::decode(event.data, &self.endpoint.limits) {
            Ok(Message::Request(request)) if &*request.method == method::PING => {
                self.pong(&request.id);
            }
            Ok(Message::Request(request)) => {
                let ask = Ask::from(&request);
                let reply = Reply::new(Wire::Http(self.clone()), ask.id.clone());
                deliver(&self.inbox, &self.name, Unsolicited::Ask(ask, reply));
            }
            Ok(Message::Notification(notification)) => {
                let params = notification.params_bytes();
                let method = notification.method;
                deliver(
                    &self.inbox,
                    &self.name,
                    Unsolicited::Notification { method, params },
                );
            }
            Ok(Message::Response(_)) => {
                tracing::debug!(server = %self.name, "an answer to no request was dropped");
            }
            Err(error) => {
                tracing::warn!(server = %self.name, %error, "a message of the server was dropped");
            }
        }
    }
}

/// Where a stream is to be resumed, and how soon.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) last_event_id: Option<HeaderValue>,
    retry: Option<Duration>,
    /// Attempts in a row that brought nothing.
    pub(super) failures: u32,
}

impl Place {
    /// Takes note of an event's fields.
    pub(super) fn note(&mut self, event: &SseEvent) {
        self.failures = 0;
        if let Some(id) = &event.id {
            // An id that cannot be sent back, or is empty, leaves nowhere to resume.
            let id = (!id.is_empty()).then(|| HeaderValue::from_str(id).ok());
            self.last_event_id = id.flatten();
        }
        if let Some(ms) = event.retry_ms {
            self.retry = Some(Duration::from_millis(ms).clamp(RETRY_MIN, RETRY_MAX));
        }
    }

    /// The pause before the next attempt, always the one that the server asked for.
    pub(super) fn pause_evenly(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.retry.unwrap_or(RETRY)
    }

    /// The pause before the next attempt, which grows with attempts that bring nothing.
    pub(super) fn pause(&mut self) -> Duration {
        let base = self.retry.unwrap_or(RETRY);
        let pause = base
            .saturating_mul(1 << self.failures.min(8))
            .min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

/// Reads the session id that came with the answer to `initialize`.
pub(super) fn session_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, Garbage> {
    let Some(id) = headers.get(SESSION_ID) else {
        return Ok(None);
    };
    let visible = id.as_bytes().iter().all(u8::is_ascii_graphic);
    if !visible || id.is_empty() || id.len() > SESSION_ID_MAX {
        return Err(Garbage::SessionId);
    }
    let mut id = id.clone();
    id.set_sensitive(true);
    Ok(Some(id))
}

fn value(name: &str, text: &str) -> Result<HeaderValue, UpstreamError> {
    HeaderValue::from_str(text)
        .ok()
        .ok_or_else(|| UpstreamError::Header(name.to_owned()))
}

#[cfg(test)]
mod tests;
