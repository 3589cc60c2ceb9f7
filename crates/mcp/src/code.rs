//! JSON-RPC and MCP error codes.
//!
//! `-32019..=-32000` belongs to no one: a code from there means nothing by itself. `-32099..=-32020`
//! belongs to the MCP specification; codes of our own stay outside `-32768..=-32000`.

/// The bytes are not JSON (JSON-RPC 2.0 §5.1).
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a request (JSON-RPC 2.0 §5.1).
pub const INVALID_REQUEST: i64 = -32600;
/// No such method (JSON-RPC 2.0 §5.1); over modern HTTP with status 404.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Invalid params, an unknown tool, prompt or resource, or required `_meta` that is missing.
pub const INVALID_PARAMS: i64 = -32602;
/// The receiver failed (JSON-RPC 2.0 §5.1).
pub const INTERNAL_ERROR: i64 = -32603;
/// A mirrored header is missing, malformed or differs from the body (2026-07-28); status 400.
pub const HEADER_MISMATCH: i64 = -32020;
/// The request lacks a client capability that is needed; `data.requiredCapabilities`; status 400.
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// `data.supported` and `data.requested`; status 400.
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
/// No such resource, up to 2025-11-25; later ones say [`INVALID_PARAMS`].
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// A URL has to be visited first, 2025-11-25 only; `data.elicitations`.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
