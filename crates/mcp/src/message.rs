//! The messages of JSON-RPC 2.0, and how they are written. [`decode`](crate::decode()) reads them.
//!
//! What a message carries stays raw JSON: `params`, `result` and `error.data`.

use std::fmt;

use bytes::Bytes;

use crate::decode::folds;
use crate::object::{self, each_member, inner};
use crate::text;

/// A request id. `1` and `"1"` are different ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer, written as one.
    Number(i64),
    /// A string, decoded.
    String(Box<str>),
}

impl Id {
    /// Reads an id from raw JSON: a string, or an integer in the form in which it is written again
    /// (`1.0`, `1e3`, `-0`, `null`, booleans and integers beyond 64 bits are none).
    pub fn parse(raw: &[u8]) -> Option<Self> {
        if let Some(text) = object::string(raw) {
            return Some(Self::String(text.into_owned().into_boxed_str()));
        }
        let number = object::integer(raw)?;
        (raw.trim_ascii() != b"-0").then_some(Self::Number(number))
    }

    /// Appends the id as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::String(text) => text::write_quoted(text, out),
        }
    }
}

impl fmt::Display for Id {
    /// The id as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// One decoded message.
#[derive(Clone, Debug)]
pub enum Message {
    /// Expects a response.
    Request(Request),
    /// Expects none.
    Notification(Notification),
    /// Answers a request.
    Response(Response),
}

/// A request, with the bytes it was decoded from.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id, unique among the sender's open requests.
    pub id: Id,
    /// The method, decoded; never empty.
    pub method: Box<str>,
    pub(crate) params: Option<Bytes>,
    pub(crate) bytes: Bytes,
}

/// A notification, with the bytes it was decoded from.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The method, decoded; never empty.
    pub method: Box<str>,
    pub(crate) params: Option<Bytes>,
    pub(crate) bytes: Bytes,
}

macro_rules! accessors {
    ($($message:ident)*) => {$(
        impl $message {
            /// The raw params, always an object.
            pub fn params(&self) -> Option<&[u8]> {
                self.params.as_deref()
            }

            /// The raw params as a slice that shares the message's memory.
            pub fn params_bytes(&self) -> Option<Bytes> {
                self.params.clone()
            }

            /// The whole message as it was received.
            pub fn bytes(&self) -> &Bytes {
                &self.bytes
            }
        }
    )*};
}
accessors!(Request Notification);

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The id of the request; absent only for an error about a message whose id could not be read.
    pub id: Option<Id>,
    /// What came of the request.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The raw result.
    Result(Bytes),
    /// The error.
    Error(RpcError),
}

/// The `error` member of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// The code, see [`code`](crate::code).
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// Raw JSON with more.
    pub data: Option<Bytes>,
    /// Other members, kept as they came: decoded name, raw value.
    pub rest: Vec<(String, Bytes)>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
            rest: Vec::new(),
        }
    }

    /// The same error with `data`, which must be valid JSON.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Reads the value of an `error` member. A member that differs from `code`, `message` or `data`
    /// only in case is refused.
    pub fn parse(raw: &Bytes) -> Option<Self> {
        let mut code = None;
        let mut message = None;
        let mut data = None;
        let mut rest = Vec::new();
        let mut is_valid = true;
        each_member(raw, |name, value| {
            match text::unescape(inner(name)).as_deref() {
                Some("code") => code = object::integer(value),
                Some("message") => message = object::string(value),
                Some("data") => data = Some(raw.slice_ref(value)),
                Some(other) if !["code", "message", "data"].iter().any(|m| folds(other, m)) => {
                    rest.push((other.to_owned(), raw.slice_ref(value)));
                }
                _ => is_valid = false,
            }
        })?;
        is_valid.then_some(Self {
            code: code?,
            message: message?.into_owned(),
            data,
            rest,
        })
    }

    /// Appends the error object as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(b",\"message\":");
        text::write_quoted(&self.message, out);
        if let Some(data) = &self.data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data);
        }
        for (name, value) in &self.rest {
            out.push(b',');
            text::write_quoted(name, out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}

/// Writes a request; `params` must be a valid JSON object.
pub fn encode_request(id: &Id, method: &str, params: Option<&[u8]>) -> Vec<u8> {
    let mut out = open(params);
    out.extend_from_slice(b",\"id\":");
    id.write(&mut out);
    write_call(method, params, &mut out);
    out
}

/// Writes a notification; `params` must be a valid JSON object.
pub fn encode_notification(method: &str, params: Option<&[u8]>) -> Vec<u8> {
    let mut out = open(params);
    write_call(method, params, &mut out);
    out
}

/// Writes a successful response; `result` must be valid JSON.
pub fn encode_result(id: &Id, result: &[u8]) -> Vec<u8> {
    let mut out = open(Some(result));
    out.extend_from_slice(b",\"id\":");
    id.write(&mut out);
    out.extend_from_slice(b",\"result\":");
    out.extend_from_slice(result);
    out.push(b'}');
    out
}

/// Writes an error response; without an id it says `"id":null` (JSON-RPC 2.0 §5).
pub fn encode_error(id: Option<&Id>, error: &RpcError) -> Vec<u8> {
    let mut out = open(error.data.as_deref());
    out.extend_from_slice(b",\"id\":");
    match id {
        Some(id) => id.write(&mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"error\":");
    error.write(&mut out);
    out.push(b'}');
    out
}

fn open(payload: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.map_or(0, <[u8]>::len).saturating_add(128));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    out
}

fn write_call(method: &str, params: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"method\":");
    text::write_quoted(method, out);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
