//! What a server sends: the events of one exchange, and what belongs to none.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::{Id, Outcome, Request, RpcError, code};

use super::error::UpstreamError;
use super::wire::Wire;

/// One thing that the server sent about a request of ours.
#[derive(Debug)]
pub enum Event {
    /// The params of a `notifications/progress`, without its `progressToken`.
    Progress(Bytes),
    /// Any other notification.
    Notification {
        /// Its method.
        method: Box<str>,
        /// Its params, a JSON object.
        params: Option<Bytes>,
    },
    /// A request of a legacy server, to be answered by [`super::Exchange::answer`].
    Ask(Ask),
    /// The last event: the answer, or why there is none.
    Done(Result<Answer, UpstreamError>),
}

/// A request that a legacy server sent to the client.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The server's id for it.
    pub id: Id,
    /// Its method.
    pub method: Box<str>,
    /// Its params, a JSON object.
    pub params: Option<Bytes>,
}

impl From<&Request> for Ask {
    fn from(request: &Request) -> Self {
        Self {
            id: request.id.clone(),
            method: request.method.clone(),
            params: request.params_bytes(),
        }
    }
}

/// The server's answer to a request of ours.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The raw result, or the error.
    pub outcome: Outcome,
    /// The HTTP status it came with; 200 where there is no HTTP.
    pub http_status: u16,
}

/// What a server sends outside of any request of ours.
#[derive(Debug)]
pub enum Unsolicited {
    /// A notification.
    Notification {
        /// Its method.
        method: Box<str>,
        /// Its params, a JSON object.
        params: Option<Bytes>,
    },
    /// A request of a legacy server, and the means to answer it.
    Ask(Ask, Reply),
    /// The connection is closed; nothing follows.
    Closed,
}

/// The means to answer one unsolicited request; dropped unused, it answers with an internal error.
pub struct Reply(Option<(Wire, Id)>);

impl Reply {
    pub(super) const fn new(wire: Wire, id: Id) -> Self {
        Self(Some((wire, id)))
    }

    /// Sends the answer.
    pub async fn send(mut self, outcome: Outcome) -> Result<(), UpstreamError> {
        match self.0.take() {
            Some((wire, id)) => wire.send(encode_response(&id, &outcome)).await,
            None => Ok(()),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some((wire, id)) = self.0.take() {
            wire.send_detached(encode_response(&id, &Outcome::Error(unanswered())));
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// The error a server gets for a request that nobody can answer.
pub(super) fn unanswered() -> RpcError {
    RpcError::new(
        code::INTERNAL_ERROR,
        "the client cannot answer this request now",
    )
}

pub(super) fn encode_response(id: &Id, outcome: &Outcome) -> Bytes {
    match outcome {
        Outcome::Result(result) => portcullis_mcp::encode_result(id, result).into(),
        Outcome::Error(error) => portcullis_mcp::encode_error(Some(id), error).into(),
    }
}

/// Whether an upstream is in use, and if it failed, when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is connected; a request will connect.
    Idle,
    /// At least one connection is open.
    Up,
    /// The last start failed, or the last connection broke.
    Down {
        /// Why, in words that are safe for a client.
        reason: String,
        /// Since when.
        since: std::time::Instant,
        /// Time until the next start is allowed; zero when it is allowed now.
        retry_after: Duration,
    },
}
