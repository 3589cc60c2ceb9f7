//! What can go wrong between the gateway and a server.

use std::sync::Arc;
use std::time::Duration;

use portcullis_egress::EgressError;
use portcullis_mcp::{DecodeError, DecodeFault, FaultKind, RpcError, ServerName};
use portcullis_oauth::client::{CredentialError, GiveUp};
use portcullis_sandbox::SpawnError;
use url::Url;

use super::preparation::NotReady;

/// A request that a server did not answer, or a server that could not be reached.
///
/// `Display` is safe for a client: it holds no text that the server wrote. The causes, for the
/// operator, hang on [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The last start failed and the next one is not due yet; nothing was tried.
    #[error("the server is down: {reason}; the next try is due in {} ms", retry_after.as_millis())]
    Down {
        /// Time until the next start is allowed.
        retry_after: Duration,
        /// Why it is down, in words that are safe for a client.
        reason: String,
    },
    /// The server stayed silent for longer than `timeout`, or took longer than `timeout_max`.
    #[error("the server did not answer in time")]
    Timeout,
    /// The connection (child process or event stream) ended; connect anew.
    #[error("the connection to the server closed")]
    Closed,
    /// The connection ended during the handshake, in words that are safe for a client.
    #[error("the server ended before it was ready: {0}")]
    Exited(String),
    /// A legacy HTTP server no longer knows our session (404); connect anew.
    #[error("the server ended the session")]
    SessionEnded,
    /// The answer's stream broke and could not be resumed; whether the server acted is unknown.
    #[error("the server's answer was lost when its stream broke")]
    Lost,
    /// The server sent something that is not MCP.
    #[error("the server's answer is not valid MCP")]
    Garbage(#[source] Garbage),
    /// A message of the server is larger than `response_bytes_max`.
    #[error("the server's answer is larger than `limits.response_bytes_max`")]
    TooLarge,
    /// `concurrency_max` requests are in progress already, and none ended within `timeout`.
    #[error("too many requests are in progress at this server")]
    Busy,
    /// The server answered with this HTTP status and no JSON-RPC message.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// The server wants other credentials (401).
    #[error("the server refused the gateway's credentials")]
    Unauthorized {
        /// The `WWW-Authenticate` field, for the operator.
        challenge: Option<String>,
    },
    /// A person has to connect to the server first, in a browser.
    #[error("it needs a connection of yours first; open {url}")]
    ConnectFirst {
        /// The gateway's own page where that is done.
        url: Url,
    },
    /// The principal is no account that could log in to a browser: an administrator has to connect it.
    #[error("it needs a connection first; have `portcullis connect {server} --for {holder}` run")]
    ConnectByCommand {
        /// The server.
        server: ServerName,
        /// Whose connection it would be.
        holder: Box<str>,
    },
    /// The gateway has no credential that the server would accept.
    #[error("the gateway has no credential that the server accepts")]
    Credential(#[source] NoCredential),
    /// The server refused the handshake with a JSON-RPC error.
    #[error("the server refused the handshake (code {})", error.code)]
    Refused {
        /// What it said; not safe for a client.
        error: RpcError,
        /// The HTTP status it came with; 200 where there is no HTTP.
        http_status: u16,
    },
    /// No connection could be made: the request was not sent.
    #[error("the server cannot be reached")]
    Connect(#[source] EgressError),
    /// The connection broke before there was an answer; whether the server acted is unknown.
    #[error("the exchange with the server broke off")]
    Broken(#[source] EgressError),
    /// What has to be done before the local server can be started takes longer than `timeout`.
    #[error("what the server needs is being installed; try again in a while")]
    Preparing,
    /// What has to be done before the local server can be started failed, or was refused.
    #[error(transparent)]
    NotReady(NotReady),
    /// The local server could not be started.
    #[error("the local server cannot be started{}", wanting(.0))]
    Spawn(#[source] SpawnError),
    /// A name or value cannot be carried as an HTTP header field.
    #[error("`{0}` cannot be sent as an HTTP header field")]
    Header(String),
}

/// Why there is no credential for a server; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NoCredential {
    /// It could not be obtained.
    #[error("it could not be obtained")]
    Unobtainable(#[source] Arc<CredentialError>),
    /// The server does not accept it.
    #[error("the server does not accept it")]
    Refused(#[source] GiveUp),
}

/// Why a message of a server was not accepted; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Garbage {
    /// It is not a JSON-RPC 2.0 message that we accept.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// It is a well-formed message of the wrong kind or with another request's id.
    #[error("expected the answer to our request, got {0}")]
    Unexpected(&'static str),
    /// The body's media type is neither JSON nor an event stream.
    #[error("expected `application/json` or `text/event-stream`, got `{0}`")]
    MediaType(String),
    /// The result of the handshake lacks a member, or has it in the wrong type.
    #[error("the result of `{method}` lacks a valid `{member}`")]
    Handshake {
        /// `initialize` or `server/discover`.
        method: &'static str,
        /// The member's name.
        member: &'static str,
    },
    /// The server speaks no version that we speak.
    #[error("no protocol version in common; the server offers `{0}`")]
    Version(String),
    /// An event stream of HTTP+SSE names no usable address for requests.
    #[error("the event stream's `endpoint` {0}")]
    Endpoint(&'static str),
    /// The session id is empty, too long, or not visible ASCII.
    #[error("the session id is not visible ASCII of 1 to 1024 characters")]
    SessionId,
    /// So many messages in a row were garbage that the connection was given up.
    #[error("{0} messages in a row were not MCP")]
    Repeated(u32),
}

/// Which part of its confinement a server is not started without. The cause may name paths: it is for the operator.
fn wanting(error: &SpawnError) -> String {
    match error {
        SpawnError::Confinement { part, .. } => {
            format!(" for want of: {part}; the gateway's log says why, and what to do")
        }
        _ => String::new(),
    }
}

impl UpstreamError {
    /// Whether it concerns one principal's credential, and says nothing of the server.
    pub(crate) const fn is_of_credential(&self) -> bool {
        matches!(
            self,
            Self::ConnectFirst { .. }
                | Self::ConnectByCommand { .. }
                | Self::Credential(_)
                | Self::Unauthorized { .. }
                | Self::Status(403)
        )
    }
}

impl From<Garbage> for UpstreamError {
    fn from(garbage: Garbage) -> Self {
        Self::Garbage(garbage)
    }
}

impl From<DecodeError> for UpstreamError {
    fn from(error: DecodeError) -> Self {
        match error.fault {
            DecodeFault::Json(fault) if fault.kind == FaultKind::Size => Self::TooLarge,
            _ => Self::Garbage(Garbage::Message(error)),
        }
    }
}
