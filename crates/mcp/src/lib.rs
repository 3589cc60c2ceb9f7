//! Protocol messages, names and codecs of the Model Context Protocol.
//!
//! Everything here is a pure function of bytes: no socket, no clock, no policy. Bytes enter through
//! [`decode`](decode()), which makes one strict pass over them ([`scan`](scan::scan)) and then reads the
//! JSON-RPC envelope without copying; what was accepted may be forwarded as it is, because every
//! JSON parser reads it the same way. What a check changed is written anew through [`Object`].
//!
//! Left to others: which method is allowed, which revision is negotiated, how bytes travel.

pub mod code;
pub mod decode;
pub mod header;
pub mod message;
pub mod meta;
pub mod method;
pub mod name;
pub mod object;
pub mod scan;
pub mod sse;
mod text;
pub mod version;

pub use decode::{DecodeError, DecodeFault, decode};
pub use header::{
    HeaderKind, InvalidAnnotation, ParamHeader, decode_value, encode_value, param_agrees,
    param_headers, param_value,
};
pub use message::{
    Id, Message, Notification, Outcome, Request, Response, RpcError, encode_error,
    encode_notification, encode_request, encode_result,
};
pub use name::{
    InvalidServerName, ServerName, federated_name, federated_uri, split_federated,
    split_federated_uri,
};
pub use object::{
    Object, boolean, elements, integer, is_null, is_object, member, number, quote, single_line,
    string,
};
pub use scan::{Fault, FaultKind, Limits, scan};
pub use sse::{SseDecoder, SseEvent, SseOverflow, encode_event};
pub use version::{Era, Version};
