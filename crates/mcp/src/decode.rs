//! Bytes to a message: one strict scan, during which the envelope is gathered.
//!
//! Decoding is strict about the envelope and indifferent to what it carries. Batches do not exist
//! (MCP since 2025-06-18).

use bytes::Bytes;

use crate::code;
use crate::message::{Id, Message, Notification, Outcome, Request, Response, RpcError};
use crate::object;
use crate::scan::{Fault, Limits, Visit, scan_with};

/// Why bytes are not a message. The `Display` text is for the operator; [`DecodeError::reply_message`]
/// is for the peer. Neither holds any of the input.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DecodeError {
    /// The code to answer with: [`code::PARSE_ERROR`] or [`code::INVALID_REQUEST`].
    pub code: i64,
    /// What is wrong.
    pub fault: DecodeFault,
    /// The message's id, when it could be read.
    pub id: Option<Id>,
}

impl DecodeError {
    /// One short sentence that is safe to send to the peer.
    pub fn reply_message(&self) -> &'static str {
        match self.fault {
            DecodeFault::Json(_) => "Parse error",
            DecodeFault::Batch => "Invalid request: batches are not supported",
            DecodeFault::ParamsCase => "Invalid request: a params member is spelt in another case",
            DecodeFault::NotObject
            | DecodeFault::Version
            | DecodeFault::Member
            | DecodeFault::MemberCase
            | DecodeFault::Shape
            | DecodeFault::Id
            | DecodeFault::Method
            | DecodeFault::Params
            | DecodeFault::Error => "Invalid request",
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The strict scan refused the bytes.
    #[error("{0}")]
    Json(Fault),
    /// An array.
    #[error("a batch; send one message at a time")]
    Batch,
    /// Neither an object nor an array.
    #[error("not a JSON object")]
    NotObject,
    /// `jsonrpc` is not `"2.0"`.
    #[error("`jsonrpc` is not \"2.0\"")]
    Version,
    /// A member that JSON-RPC does not have.
    #[error("an unknown member in the envelope")]
    Member,
    /// A member of JSON-RPC in another case, which some parsers would read as that member.
    #[error("an envelope member in another case")]
    MemberCase,
    /// Members that do not belong together, or none that make a message.
    #[error("neither a request, a notification nor a response")]
    Shape,
    /// The id is not a string or an integer of 64 bits.
    #[error("an invalid id")]
    Id,
    /// The method is not a string, or empty.
    #[error("an invalid method")]
    Method,
    /// The params are not an object.
    #[error("params that are not an object")]
    Params,
    /// A params member that the gateway decides on is spelt in another case.
    #[error("a params member in another case")]
    ParamsCase,
    /// The error lacks an integer `code` or a string `message`.
    #[error("an invalid error object")]
    Error,
}

/// Decodes one message (JSON-RPC 2.0 §4 and §5, as MCP narrows them).
///
/// Refused with -32700: everything [`scan`](crate::scan::scan) refuses. Refused with -32600: arrays and scalars, any
/// `jsonrpc` but `"2.0"`, members outside the envelope or in another case, a method together with a
/// result or an error, an id that is not a string or an integer of 64 bits, an empty method, params
/// that are not an object, and top-level params members that equal one the gateway knows but for
/// their case.
pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Message, DecodeError> {
    let mut envelope = Envelope {
        json: &bytes,
        ..Envelope::default()
    };
    if let Err(fault) = scan_with(&bytes, limits, &mut envelope) {
        return Err(DecodeError {
            code: code::PARSE_ERROR,
            fault: DecodeFault::Json(fault),
            id: None,
        });
    }
    let id = envelope.id.and_then(Id::parse);
    let refuse = |fault| DecodeError {
        code: code::INVALID_REQUEST,
        fault,
        id: id.clone(),
    };
    match bytes.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(refuse(DecodeFault::Batch)),
        _ => return Err(refuse(DecodeFault::NotObject)),
    }
    if let Some(fault) = envelope.fault {
        return Err(refuse(fault));
    }
    if envelope.jsonrpc.and_then(object::string).as_deref() != Some("2.0") {
        return Err(refuse(DecodeFault::Version));
    }
    match (envelope.method, envelope.result, envelope.error) {
        (Some(method), None, None) => {
            if envelope.id.is_some() && id.is_none() {
                return Err(refuse(DecodeFault::Id));
            }
            let method = object::string(method).filter(|method| !method.is_empty());
            let Some(method) = method.map(|method| method.into_owned().into_boxed_str()) else {
                return Err(refuse(DecodeFault::Method));
            };
            if envelope
                .params
                .is_some_and(|params| !object::is_object(params))
            {
                return Err(refuse(DecodeFault::Params));
            }
            if envelope.has_cased_param {
                return Err(refuse(DecodeFault::ParamsCase));
            }
            let params = envelope.params.map(|params| bytes.slice_ref(params));
            Ok(match id {
                Some(id) => Message::Request(Request {
                    id,
                    method,
                    params,
                    bytes,
                }),
                None => Message::Notification(Notification {
                    method,
                    params,
                    bytes,
                }),
            })
        }
        (None, Some(result), None) if envelope.params.is_none() => match id {
            Some(id) => Ok(Message::Response(Response {
                id: Some(id),
                outcome: Outcome::Result(bytes.slice_ref(result)),
            })),
            None => Err(refuse(DecodeFault::Id)),
        },
        (None, None, Some(error)) if envelope.params.is_none() => {
            if id.is_none() && envelope.id.is_some_and(|raw| !object::is_null(raw)) {
                return Err(refuse(DecodeFault::Id));
            }
            match RpcError::parse(&bytes.slice_ref(error)) {
                Some(error) => Ok(Message::Response(Response {
                    id,
                    outcome: Outcome::Error(error),
                })),
                None => Err(refuse(DecodeFault::Error)),
            }
        }
        _ => Err(refuse(DecodeFault::Shape)),
    }
}

/// Members of `params` on which something is decided, here or at a server. Parsers that ignore case
/// (Go's, for one) would take `Name` for `name`, so such spellings are refused.
const PARAMS_MEMBERS: [&str; 14] = [
    "name",
    "uri",
    "arguments",
    "_meta",
    "cursor",
    "ref",
    "argument",
    "inputResponses",
    "requestState",
    "taskId",
    "level",
    "protocolVersion",
    "capabilities",
    "clientInfo",
];

const ENVELOPE_MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The raw members of an envelope, gathered while it is scanned.
#[derive(Default)]
struct Envelope<'a> {
    json: &'a [u8],
    jsonrpc: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    params: Option<&'a [u8]>,
    result: Option<&'a [u8]>,
    error: Option<&'a [u8]>,
    /// An unknown member, or one in another case.
    fault: Option<DecodeFault>,
    has_cased_param: bool,
    open: Member,
    start: usize,
}

/// The member whose value is being scanned.
#[derive(Clone, Copy, Default, PartialEq)]
enum Member {
    JsonRpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    #[default]
    Other,
}

impl Visit for Envelope<'_> {
    fn name(&mut self, depth: usize, name: &[u8], start: usize) {
        if depth == 2 {
            if self.open == Member::Params {
                self.has_cased_param |= is_cased(name, &PARAMS_MEMBERS);
            }
            return;
        }
        self.start = start;
        self.open = match name {
            b"jsonrpc" => Member::JsonRpc,
            b"id" => Member::Id,
            b"method" => Member::Method,
            b"params" => Member::Params,
            b"result" => Member::Result,
            b"error" => Member::Error,
            _ => {
                self.fault
                    .get_or_insert(if is_cased(name, &ENVELOPE_MEMBERS) {
                        DecodeFault::MemberCase
                    } else {
                        DecodeFault::Member
                    });
                Member::Other
            }
        };
    }

    fn value_end(&mut self, end: usize) {
        let value = self.json.get(self.start..end).map(<[u8]>::trim_ascii);
        match self.open {
            Member::JsonRpc => self.jsonrpc = value,
            Member::Id => self.id = value,
            Member::Method => self.method = value,
            Member::Params => self.params = value,
            Member::Result => self.result = value,
            Member::Error => self.error = value,
            Member::Other => {}
        }
    }
}

/// Whether `name` is one of `members` but for its case.
fn is_cased(name: &[u8], members: &[&str]) -> bool {
    let is_exact = members.iter().any(|member| member.as_bytes() == name);
    !is_exact
        && std::str::from_utf8(name)
            .is_ok_and(|name| members.iter().any(|member| folds(name, member)))
}

/// Whether `name` equals the ASCII word `member` when case is ignored, as any parser may ignore it:
/// U+017F and U+212A fold to `s` and `k` (Unicode `CaseFolding.txt`), U+0130 and U+0131 have `i` and
/// `I` as their other case (`UnicodeData.txt`).
pub(crate) fn folds(name: &str, member: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(member);
    }
    let fold = |c: char| match c {
        '\u{130}' | '\u{131}' => 'i',
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(member.chars().map(fold))
}

#[cfg(test)]
mod tests;
