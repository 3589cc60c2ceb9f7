//! Turns refusals and errors into what a client gets: a stable code, one sentence, and the id of the request.
//! The chain of causes goes to the operator's log.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis_mcp::{
    DecodeError, Era, Id, Object, Outcome, RpcError, ServerName, code, encode_error, encode_result,
    method, quote,
};
use portcullis_pipeline::{Denial, RequestId, Timestamp};

use crate::bridge::gateway_info;
use crate::caller::Caller;
use crate::upstream::UpstreamError;

/// Codes of our own, outside of the range that JSON-RPC and MCP reserve.
mod own {
    pub(super) const DENIED: i64 = -31_000;
    pub(super) const UNREACHABLE: i64 = -31_001;
    pub(super) const TIMEOUT: i64 = -31_002;
    pub(super) const INVALID_ANSWER: i64 = -31_003;
    pub(super) const OVERLOADED: i64 = -31_004;
    pub(super) const CONNECT: i64 = -31_005;
}

/// What goes back to the client, if anything does.
#[derive(Debug)]
pub(crate) enum Reply {
    Message {
        bytes: Bytes,
        status: StatusCode,
        /// What a client that lacks a scope is asked for: a value of `WWW-Authenticate`.
        challenge: Option<HeaderValue>,
    },
    /// The request was cancelled: no answer is due.
    Nothing,
}

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The pipeline denied it.
    Denied(Denial),
    /// The server could not be reached, or did not answer as the protocol says.
    Upstream {
        server: ServerName,
        error: UpstreamError,
    },
    /// The server answered with an error.
    Server { error: RpcError, status: u16 },
    /// The request is not one that can be served.
    Protocol { error: RpcError, status: StatusCode },
    /// The gateway is at one of its bounds.
    Overloaded(&'static str),
}

impl Refusal {
    fn protocol(code: i64, message: impl Into<String>, status: StatusCode) -> Self {
        Self::Protocol {
            error: RpcError::new(code, message),
            status,
        }
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::protocol(code::INVALID_PARAMS, message, StatusCode::OK)
    }

    /// Parameters without which a modern request cannot even be read.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::protocol(code::INVALID_PARAMS, message, StatusCode::BAD_REQUEST)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::protocol(code::INVALID_REQUEST, message, StatusCode::BAD_REQUEST)
    }

    pub(crate) fn method_not_found(method: &str) -> Self {
        // A method is echoed only when it looks like one.
        let known = method.len() <= 64
            && method
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/_.-".contains(&b));
        let message = if known {
            format!("method not found: {method}")
        } else {
            "method not found".into()
        };
        Self::protocol(code::METHOD_NOT_FOUND, message, StatusCode::NOT_FOUND)
    }

    pub(crate) fn header_mismatch(message: impl Into<String>) -> Self {
        Self::protocol(code::HEADER_MISMATCH, message, StatusCode::BAD_REQUEST)
    }

    pub(crate) fn unsupported_version(requested: &str, supported: &[&str]) -> Self {
        let mut listed = b"[".to_vec();
        for (at, version) in supported.iter().enumerate() {
            if at > 0 {
                listed.push(b',');
            }
            listed.extend_from_slice(&quote(version));
        }
        listed.push(b']');
        let mut data = Object::new();
        data.set("supported", listed);
        data.set("requested", quote(requested.get(..64).unwrap_or(requested)));
        let mut error = RpcError::new(
            code::UNSUPPORTED_PROTOCOL_VERSION,
            "unsupported protocol version",
        );
        error.data = Some(data.to_vec().into());
        Self::Protocol {
            error,
            status: StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn missing_capability(capability: &str) -> Self {
        let mut required = Object::new();
        required.set(capability, b"{}".as_slice());
        let mut data = Object::new();
        data.set("requiredCapabilities", required.to_vec());
        let message = format!("the request needs the client capability `{capability}`");
        let mut error = RpcError::new(code::MISSING_CLIENT_CAPABILITY, message);
        error.data = Some(data.to_vec().into());
        Self::Protocol {
            error,
            status: StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::protocol(code::INTERNAL_ERROR, message, StatusCode::OK)
    }

    pub(crate) fn upstream(server: &ServerName, error: UpstreamError) -> Self {
        Self::Upstream {
            server: server.clone(),
            error,
        }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// Renders the answer to a request.
pub(crate) fn render(
    caller: &Caller,
    id: &Id,
    method_name: &str,
    result: Result<Bytes, Refusal>,
) -> Reply {
    let refusal = match result {
        Ok(result) => {
            let bytes = encode_result(id, &result).into();
            return Reply::Message {
                bytes,
                status: StatusCode::OK,
                challenge: None,
            };
        }
        Err(refusal) => refusal,
    };
    log(caller.request_id, method_name, &refusal);
    let challenge = challenge(caller, &refusal);
    let (outcome, status) = answer(caller, method_name, refusal);
    let bytes = match &outcome {
        Outcome::Result(result) => encode_result(id, result),
        Outcome::Error(error) => encode_error(Some(id), error),
    };
    // Before 2026-07-28 every JSON-RPC error travels as an ordinary answer.
    let status = match caller.era() {
        _ if challenge.is_some() => StatusCode::FORBIDDEN,
        Era::Legacy => StatusCode::OK,
        Era::Modern => status,
    };
    Reply::Message {
        bytes: bytes.into(),
        status,
        challenge,
    }
}

/// Asks for the scopes that a request lacked, all at once (RFC 6750 §3.1; MCP authorization, "Scope Challenge Handling").
fn challenge(caller: &Caller, refusal: &Refusal) -> Option<HeaderValue> {
    match refusal {
        Refusal::Denied(Denial::InsufficientScope {
            needed: Some(needed),
        }) => {
            let (peer, identity) = caller.credential.as_deref()?;
            let access = caller.runtime.authenticator.access()?;
            let now = caller.runtime.clock.now();
            access.step_up(peer, identity, &caller.route, needed, now.0)
        }
        _ => None,
    }
}

fn answer(caller: &Caller, method_name: &str, refusal: Refusal) -> (Outcome, StatusCode) {
    let request_id = caller.request_id;
    match refusal {
        Refusal::Protocol { error, status } => (Outcome::Error(error), status),
        Refusal::Server { error, status } => {
            let status = status_of(error.code, status);
            (Outcome::Error(error), status)
        }
        Refusal::Overloaded(what) => {
            let sentence = format!("the gateway is busy: {what}; try again later");
            let error = own_error(own::OVERLOADED, "overloaded", sentence, request_id);
            (Outcome::Error(error), StatusCode::SERVICE_UNAVAILABLE)
        }
        Refusal::Upstream { server, error } => {
            let (number, code) = upstream_code(&error);
            let sentence = format!("server `{server}`: {error}");
            (
                Outcome::Error(own_error(number, code, sentence, request_id)),
                StatusCode::OK,
            )
        }
        Refusal::Denied(denial) => denied(caller, method_name, &denial),
    }
}

/// The HTTP status that a server's error travels with (MCP 2026-07-28, transports): some codes have
/// one of their own, which a server on a pipe cannot say.
fn status_of(number: i64, status: u16) -> StatusCode {
    match number {
        code::HEADER_MISMATCH
        | code::MISSING_CLIENT_CAPABILITY
        | code::UNSUPPORTED_PROTOCOL_VERSION => StatusCode::BAD_REQUEST,
        code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
    }
}

fn upstream_code(error: &UpstreamError) -> (i64, &'static str) {
    match error {
        UpstreamError::Timeout => (own::TIMEOUT, "upstream-timeout"),
        UpstreamError::Garbage(_) | UpstreamError::TooLarge => {
            (own::INVALID_ANSWER, "upstream-invalid-answer")
        }
        UpstreamError::Busy | UpstreamError::Preparing => (own::OVERLOADED, "upstream-busy"),
        UpstreamError::ConnectFirst { .. } | UpstreamError::ConnectByCommand { .. } => {
            (own::CONNECT, "connect-required")
        }
        UpstreamError::Credential(_) => (own::UNREACHABLE, "upstream-credential"),
        UpstreamError::Lost | UpstreamError::Broken(_) => {
            (own::UNREACHABLE, "upstream-answer-lost")
        }
        UpstreamError::Down { .. }
        | UpstreamError::Closed
        | UpstreamError::Exited(_)
        | UpstreamError::SessionEnded
        | UpstreamError::Status(_)
        | UpstreamError::Unauthorized { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::Connect(_)
        | UpstreamError::NotReady(_)
        | UpstreamError::Spawn(_)
        | UpstreamError::Header(_) => (own::UNREACHABLE, "upstream-unreachable"),
    }
}

/// How a denial is told.
enum Told {
    /// As a tool result that says what is wrong, so that the model can mend it (MCP 2025-11-25, tools, "Error Handling").
    ToolError,
    /// As an error with this code and status.
    Error(i64, StatusCode),
}

fn told(denial: &Denial) -> Told {
    match denial {
        Denial::InvalidArguments(_)
        | Denial::UnusableTool(_)
        | Denial::UndecidedArguments
        | Denial::Constraint(_)
        | Denial::UndecidedConstraint
        | Denial::AddressRefused { .. }
        | Denial::NotPermitted
        | Denial::Forbidden
        | Denial::UndecidedPolicy
        | Denial::ApprovalRequired(_)
        | Denial::ApprovalDenied
        | Denial::ApprovalsExhausted => Told::ToolError,
        Denial::InsufficientScope { .. } => Told::Error(own::DENIED, StatusCode::FORBIDDEN),
        Denial::MethodNotAllowed => Told::Error(code::METHOD_NOT_FOUND, StatusCode::NOT_FOUND),
        Denial::UnknownTool | Denial::MalformedParams { .. } | Denial::TooLarge { .. } => {
            Told::Error(code::INVALID_PARAMS, StatusCode::OK)
        }
        Denial::PathMoved
        | Denial::ResultTooLarge { .. }
        | Denial::MalformedResult { .. }
        | Denial::InvalidResult(_)
        | Denial::UnusableOutput(_)
        | Denial::UndecidedResult
        | Denial::MalformedAsk { .. }
        | Denial::AskTooLarge { .. }
        | Denial::SecretElicitation { .. }
        | Denial::UnsafeElicitationUrl { .. }
        | Denial::MalformedAnswer { .. }
        | Denial::UndecidedRecord(_) => Told::Error(own::DENIED, StatusCode::OK),
    }
}

/// An HTTP request that is turned away at the door, before there is a caller to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door<'a> {
    /// `Host` or `Origin` is not one of ours.
    Stray,
    /// No credential, or one that does not hold.
    Unauthenticated,
    /// A token in the address.
    TokenInQuery,
    MediaType,
    Accept,
    TooLarge,
    Undecodable(&'a DecodeError),
    NoSession,
    SessionVersion,
    UnknownSession,
    /// A response where none can be expected.
    Response,
    Streams,
    Overloaded,
}

impl Door<'_> {
    /// HTTP status, JSON-RPC code, stable code, sentence.
    fn told(&self) -> (StatusCode, i64, &'static str, &'static str) {
        let bad = |code, sentence| {
            (
                StatusCode::BAD_REQUEST,
                code::INVALID_REQUEST,
                code,
                sentence,
            )
        };
        match self {
            Self::Stray => (
                StatusCode::FORBIDDEN,
                code::INVALID_REQUEST,
                "stray-origin",
                "the request's `Host` or `Origin` is not allowed here; add it to `listen`",
            ),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                own::DENIED,
                "unauthenticated",
                "a valid bearer token is needed; send it in `Authorization`",
            ),
            Self::TokenInQuery => bad(
                "token-in-query",
                "a token in the address is seen by logs; send it in `Authorization`",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                code::INVALID_REQUEST,
                "media-type",
                "the body has to be `application/json`",
            ),
            Self::Accept => (
                StatusCode::NOT_ACCEPTABLE,
                code::INVALID_REQUEST,
                "accept",
                "`Accept` has to list `application/json` and `text/event-stream`",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                code::INVALID_REQUEST,
                "too-large",
                "the message is larger than `limits.request_bytes_max`",
            ),
            Self::Undecodable(fault) => {
                let status = StatusCode::BAD_REQUEST;
                (
                    status,
                    fault.code,
                    "malformed-message",
                    fault.reply_message(),
                )
            }
            Self::NoSession => bad(
                "no-session",
                "`MCP-Session-Id` is missing; send `initialize` first",
            ),
            Self::SessionVersion => bad(
                "session-version",
                "`MCP-Protocol-Version` names no version that this session can be in",
            ),
            Self::UnknownSession => (
                StatusCode::NOT_FOUND,
                code::INVALID_REQUEST,
                "unknown-session",
                "unknown session; send `initialize` again",
            ),
            Self::Response => bad(
                "unexpected-response",
                "a client sends no responses in this protocol version",
            ),
            Self::Streams => (
                StatusCode::TOO_MANY_REQUESTS,
                own::OVERLOADED,
                "too-many-streams",
                "too many event streams are open; close one and try again",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                own::OVERLOADED,
                "overloaded",
                "too many requests are in progress; try again later",
            ),
        }
    }
}

/// Renders the answer to a request that is turned away.
pub(crate) fn turn_away(now: Timestamp, door: Door<'_>) -> (Bytes, StatusCode) {
    let request_id = crate::caller::request_id(now);
    let (status, number, code, sentence) = door.told();
    let id = if let Door::Undecodable(fault) = door {
        tracing::info!(%request_id, %fault, "a message was refused");
        fault.id.as_ref()
    } else {
        tracing::info!(%request_id, code, "a request was turned away");
        None
    };
    let error = own_error(number, code, sentence, request_id);
    (encode_error(id, &error).into(), status)
}

/// A denial, told in the form that the client's model can learn from where the protocol has one.
fn denied(caller: &Caller, method_name: &str, denial: &Denial) -> (Outcome, StatusCode) {
    let request_id = caller.request_id;
    match told(denial) {
        Told::ToolError if method_name == method::TOOLS_CALL => (
            Outcome::Result(tool_error(caller.era(), denial, request_id)),
            StatusCode::OK,
        ),
        Told::ToolError => {
            let (code, sentence) = (denial.code(), denial.sentence());
            let error = own_error(own::DENIED, code, sentence, request_id);
            (Outcome::Error(error), StatusCode::OK)
        }
        Told::Error(number, status) => {
            let error = own_error(number, denial.code(), denial.sentence(), request_id);
            (Outcome::Error(error), status)
        }
    }
}

/// A tool result that says why the call was denied (MCP, tools, "Error Handling": a failure that the model can mend).
fn tool_error(era: Era, denial: &Denial, request_id: RequestId) -> Bytes {
    let mut block = Object::new();
    block.set("type", b"\"text\"".as_slice());
    block.set("text", quote(&denial.sentence()));
    let mut content = b"[".to_vec();
    block.write(&mut content);
    content.push(b']');
    let mut meta = Object::new();
    meta.set("portcullis/denial", own_data(denial.code(), request_id));
    let mut result = Object::new();
    if era == Era::Modern {
        result.set("resultType", b"\"complete\"".as_slice());
        meta.set(portcullis_mcp::meta::SERVER_INFO, gateway_info());
    }
    result.set("content", content);
    result.set("isError", b"true".as_slice());
    result.set("_meta", meta.to_vec());
    result.to_vec().into()
}

fn own_data(code: &str, request_id: RequestId) -> Vec<u8> {
    let mut data = Object::new();
    data.set("code", quote(code));
    data.set("requestId", quote(&request_id.to_string()));
    data.to_vec()
}

fn own_error(
    number: i64,
    code: &str,
    sentence: impl Into<String>,
    request_id: RequestId,
) -> RpcError {
    RpcError::new(number, sentence).with_data(own_data(code, request_id))
}

/// An error for the server whose request to the client was refused.
pub(crate) fn refuse_ask(denial: &Denial, request_id: RequestId) -> RpcError {
    own_error(own::DENIED, denial.code(), denial.sentence(), request_id)
}

/// The operator's side of a refusal: what happened, with the chain of causes.
fn log(request_id: RequestId, method_name: &str, refusal: &Refusal) {
    match refusal {
        Refusal::Denied(denial) => {
            let causes = causes(denial);
            tracing::info!(%request_id, method = method_name, code = denial.code(), %causes, "denied");
        }
        Refusal::Upstream { server, error } => {
            let causes = causes(error);
            tracing::warn!(%request_id, method = method_name, %server, %causes, "a server did not answer");
        }
        Refusal::Overloaded(what) => {
            tracing::warn!(%request_id, method = method_name, what, "refused at a bound");
        }
        Refusal::Protocol { error, .. } => {
            tracing::debug!(%request_id, method = method_name, code = error.code, "refused");
        }
        Refusal::Server { .. } => {}
    }
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
