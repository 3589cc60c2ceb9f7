//! One request over Streamable HTTP: a POST, the stream it may be answered with, and the resuming of
//! that stream in the legacy era.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use portcullis_mcp::{Id, Message, Outcome, Response, SseEvent, code, method};

use super::connection::Call;
use super::envelope;
use super::error::{Garbage, UpstreamError};
use super::event::{Answer, Ask, Event, encode_response, unanswered};
use super::event_stream::{Ended, EventStream};
use super::http::Posted;
use super::http_session::{Place, Session, session_id};
use super::wire::{Wire, cancelled};

/// Attempts in a row to resume a stream.
const RESUMES_MAX: u32 = 5;

/// A request in progress. Dropped before its answer, it cancels: in the legacy era by a message, in
/// the modern era by closing the stream.
pub(super) struct HttpExchange {
    session: Arc<Session>,
    id: i64,
    /// Whether the server must be told when nobody waits any more.
    cancels: bool,
    source: Source,
    place: Place,
    /// The session id that came with the answer to `initialize`.
    pub(super) session_id: Result<Option<HeaderValue>, Garbage>,
}

enum Source {
    /// The answer came whole.
    Ready(Result<Answer, UpstreamError>),
    Stream(EventStream),
    /// The stream broke; it is being opened again.
    Resuming(Pin<Box<dyn Future<Output = Result<EventStream, UpstreamError>> + Send>>),
    Over,
}

impl HttpExchange {
    /// POSTs the request and waits for its answer, or for the stream that will hold it.
    pub(super) async fn start(
        session: &Arc<Session>,
        id: i64,
        headers: HeaderMap,
        message: Bytes,
        is_handshake: bool,
    ) -> Result<Self, UpstreamError> {
        if session.over.is_cancelled() {
            return Err(UpstreamError::Closed);
        }
        // Made first, so that it cancels if the caller gives up during the POST.
        let mut this = Self {
            session: session.clone(),
            id,
            cancels: !session.is_modern() && !is_handshake,
            source: Source::Over,
            place: Place::default(),
            session_id: Ok(None),
        };
        match this.post(headers, message).await {
            Ok(()) => Ok(this),
            Err(error) => {
                // What was refused or never arrived is not in progress.
                this.cancels &= matches!(
                    error,
                    UpstreamError::Garbage(_)
                        | UpstreamError::TooLarge
                        | UpstreamError::Broken(_)
                        | UpstreamError::Lost
                );
                Err(error)
            }
        }
    }

    async fn post(&mut self, headers: HeaderMap, message: Bytes) -> Result<(), UpstreamError> {
        let session = &self.session;
        let response = session.endpoint.post(&headers, message).await?;
        self.session_id = session_id(response.headers());
        let knew_session = session.has_id();
        self.source = match session.endpoint.read(response).await {
            Ok(Posted::Stream(stream)) => Source::Stream(stream),
            Ok(Posted::Whole(reply, 404)) if knew_session && !self.is_ours(&reply) => {
                return Err(session.lost());
            }
            Ok(Posted::Whole(reply, status)) => Source::Ready(self.answer(reply, status)),
            Ok(Posted::Accepted) => return Err(Garbage::Unexpected("nothing").into()),
            Err(UpstreamError::Status(404)) if knew_session => return Err(session.lost()),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn is_ours(&self, reply: &Response) -> bool {
        reply.id == Some(Id::Number(self.id))
    }

    /// `reply` is the answer if it has our id, or is an error that has none.
    fn answer(&self, reply: Response, http_status: u16) -> Result<Answer, UpstreamError> {
        let is_anonymous = reply.id.is_none() && matches!(reply.outcome, Outcome::Error(_));
        if self.is_ours(&reply) || is_anonymous {
            Ok(Answer {
                outcome: reply.outcome,
                http_status,
            })
        } else {
            Err(Garbage::Unexpected("an answer with another id").into())
        }
    }

    /// The next event. Cancel-safe; after the last one it says that the exchange is closed.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            match &mut self.source {
                Source::Over => return Event::Done(Err(UpstreamError::Closed)),
                Source::Ready(_) => {
                    if let Some(result) = self.try_done() {
                        return Event::Done(result);
                    }
                }
                Source::Stream(stream) => match stream.next().await {
                    Ok(event) => {
                        self.place.note(&event);
                        if let Some(event) = self.take(event) {
                            return event;
                        }
                    }
                    Err(Ended::TooLarge) => return self.done(Err(UpstreamError::TooLarge)),
                    Err(Ended::Gone) => {
                        if let Some(event) = self.resume() {
                            return event;
                        }
                    }
                },
                Source::Resuming(opening) => match opening.await {
                    Ok(stream) => self.source = Source::Stream(stream),
                    Err(UpstreamError::SessionEnded) => {
                        return self.done(Err(UpstreamError::SessionEnded));
                    }
                    Err(UpstreamError::Status(400..=499)) => {
                        return self.done(Err(UpstreamError::Lost));
                    }
                    Err(error) => {
                        tracing::debug!(server = %self.session.name, %error, "a stream could not be resumed");
                        if let Some(event) = self.resume() {
                            return event;
                        }
                    }
                },
            }
        }
    }

    /// Whether the answer came whole and says that the version is not supported.
    pub(super) fn refuses_version(&self) -> bool {
        match &self.source {
            Source::Ready(Ok(Answer {
                outcome: Outcome::Error(error),
                ..
            })) => error.code == code::UNSUPPORTED_PROTOCOL_VERSION,
            _ => false,
        }
    }

    /// The answer, if it came whole.
    pub(super) fn try_done(&mut self) -> Option<Result<Answer, UpstreamError>> {
        if !matches!(self.source, Source::Ready(_)) {
            return None;
        }
        match std::mem::replace(&mut self.source, Source::Over) {
            Source::Ready(result) => {
                self.cancels &= result.is_err();
                Some(result)
            }
            Source::Stream(_) | Source::Resuming(_) | Source::Over => None,
        }
    }

    /// Prepares to go on where the stream ended, if the server gave a place to do so.
    fn resume(&mut self) -> Option<Event> {
        let after = self.place.last_event_id.clone();
        let (Some(after), false) = (after, self.session.is_modern()) else {
            return Some(self.done(Err(UpstreamError::Lost)));
        };
        if self.place.failures >= RESUMES_MAX {
            return Some(self.done(Err(UpstreamError::Lost)));
        }
        let pause = self.place.pause_evenly();
        let session = self.session.clone();
        self.source = Source::Resuming(Box::pin(async move {
            tokio::time::sleep(pause).await;
            session.get(Some(&after)).await
        }));
        None
    }

    fn done(&mut self, result: Result<Answer, UpstreamError>) -> Event {
        if matches!(result, Ok(_) | Err(UpstreamError::SessionEnded)) {
            self.cancels = false;
        }
        if let Source::Stream(stream) = std::mem::replace(&mut self.source, Source::Over)
            && result.is_ok()
        {
            stream.finish();
        }
        Event::Done(result)
    }

    /// What one event of the stream means to the owner of the exchange, if anything.
    fn take(&mut self, event: SseEvent) -> Option<Event> {
        if event.data.is_empty() || event.event.as_deref().is_some_and(|name| name != "message") {
            return None;
        }
        let session = &self.session;
        let message = match portcullis_mcp::decode(event.data, &session.endpoint.limits) {
            Ok(message) => message,
            Err(error) => return Some(self.done(Err(error.into()))),
        };
        match message {
            Message::Response(reply) => match self.answer(reply, 200) {
                Ok(answer) => Some(self.done(Ok(answer))),
                Err(error) => {
                    tracing::debug!(server = %session.name, %error, "an answer was dropped");
                    None
                }
            },
            Message::Notification(notification) => {
                let params = notification.params_bytes();
                if &*notification.method != method::NOTIFICATIONS_PROGRESS {
                    return Some(Event::Notification {
                        method: notification.method,
                        params,
                    });
                }
                match envelope::take_progress(&params?)? {
                    (token, rest) if token == self.id => Some(Event::Progress(rest)),
                    _ => None,
                }
            }
            Message::Request(request) if session.is_modern() => {
                tracing::warn!(
                    server = %session.name,
                    method = &*request.method,
                    "a request of the server was dropped: modern servers may not send any"
                );
                None
            }
            Message::Request(request) if &*request.method == method::PING => {
                session.pong(&request.id);
                None
            }
            Message::Request(request) => Some(Event::Ask(Ask::from(&request))),
        }
    }

    pub(super) fn wire(&self) -> Wire {
        Wire::Http(self.session.clone())
    }

    /// The answer alone: requests of the server meanwhile are refused, all else is left out.
    pub(super) async fn finish(&mut self) -> Result<Answer, UpstreamError> {
        loop {
            match self.next().await {
                Event::Done(result) => return result,
                Event::Ask(ask) => {
                    let refusal = encode_response(&ask.id, &Outcome::Error(unanswered()));
                    self.session.send_detached(refusal);
                }
                Event::Progress(_) | Event::Notification { .. } => {}
            }
        }
    }
}

impl Drop for HttpExchange {
    fn drop(&mut self) {
        if self.cancels && !self.session.over.is_cancelled() {
            self.session.send_detached(cancelled(self.id));
        }
    }
}

/// The headers and the body of a request, made from each other.
pub(super) fn encode(
    session: &Session,
    id: i64,
    call: &Call,
    params: Option<&[u8]>,
) -> Result<(HeaderMap, Bytes), UpstreamError> {
    let headers = session.headers(&call.method, Some(call))?;
    let message = portcullis_mcp::encode_request(&Id::Number(id), &call.method, params);
    Ok((headers, message.into()))
}
