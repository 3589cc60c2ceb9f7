//! Keys of `_meta` that the protocol defines.

/// Prefix of the keys that belong to the specification.
pub const PREFIX: &str = "io.modelcontextprotocol/";
/// In every modern request: the revision it is written in.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// In every modern request: what the client can do, for this request alone.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// In modern requests: what the client calls itself. Never a reason to allow anything.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// In modern requests: the least level of log messages wanted; absent means none.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// In modern results: what the server calls itself.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// In everything sent on a listen stream: the id of the listen request.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// In 2025-11-25 messages that belong to a task.
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// In 2025-11-25 results: what a model may be told while a task runs.
pub const MODEL_IMMEDIATE_RESPONSE: &str = "io.modelcontextprotocol/model-immediate-response";
/// In requests: the token that progress notifications repeat.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context.
pub const TRACESTATE: &str = "tracestate";
/// W3C Baggage.
pub const BAGGAGE: &str = "baggage";

/// Whether `key` has a prefix that is reserved to the specification: one whose second label is
/// `modelcontextprotocol` or `mcp`.
pub fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return false;
    };
    matches!(
        prefix.split('.').nth(1),
        Some("modelcontextprotocol" | "mcp")
    )
}

#[cfg(test)]
mod tests;
