//! The answers of a small honest MCP server, as JSON written by hand.
//!
//! It knows two tools, `echo` and `work`, in both eras: a request whose `_meta` names a revision
//! is answered as revision 2026-07-28 wants it, any other as 2025-11-25.

use serde_json::{Value, json};

/// The modern revision.
pub const MODERN: &str = "2026-07-28";
/// The newest revision with a handshake.
pub const LEGACY: &str = "2025-11-25";

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// Whether the request declares a revision in its `_meta`.
#[must_use]
pub fn is_modern(message: &Value) -> bool {
    let meta = message.get("params").and_then(|params| params.get("_meta"));
    meta.and_then(|meta| meta.get(META_VERSION)).is_some()
}

/// The method of a request or notification.
#[must_use]
pub fn method(message: &Value) -> &str {
    message
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The response to `message`; none when it is a notification or a response itself.
#[must_use]
pub fn answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    message.get("method")?;
    let modern = is_modern(message);
    let result = match method(message) {
        "initialize" if !modern => json!({
            "protocolVersion": negotiated(message),
            "capabilities": { "tools": {} },
            "serverInfo": identity(),
        }),
        "ping" if !modern => json!({}),
        "server/discover" if modern => cacheable(json!({
            "supportedVersions": [MODERN, LEGACY],
            "capabilities": { "tools": {} },
        })),
        "tools/list" if modern => cacheable(json!({ "tools": tools() })),
        "tools/list" => json!({ "tools": tools() }),
        "tools/call" => match call(message) {
            Ok(result) => result,
            Err(text) => return Some(error(id, -32602, text)),
        },
        _ => return Some(error(id, -32601, "Method not found")),
    };
    Some(response(id, result, modern))
}

/// A response with `result`, stamped as the era wants it.
#[must_use]
pub fn response(id: &Value, mut result: Value, modern: bool) -> Value {
    if let (true, Some(fields)) = (modern, result.as_object_mut()) {
        fields.insert("resultType".to_owned(), Value::from("complete"));
        fields.insert("_meta".to_owned(), json!({ META_SERVER: identity() }));
    }
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// An error response.
#[must_use]
pub fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// The two tool definitions.
#[must_use]
pub fn tools() -> Value {
    let text = json!({ "text": { "type": "string" } });
    let sum = json!({ "sum": { "type": "integer" } });
    json!([
        {
            "name": "echo",
            "description": "Answers with its text.",
            "inputSchema": { "type": "object", "properties": text, "required": ["text"] },
        },
        {
            "name": "work",
            "description": "Adds one and two.",
            "inputSchema": { "type": "object" },
            "outputSchema": { "type": "object", "properties": sum, "required": ["sum"] },
        },
    ])
}

/// A tool result of one text.
#[must_use]
pub fn text_result(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

/// The result of `work`, with `sum` as it is given.
#[must_use]
pub fn sum_result(sum: &Value) -> Value {
    let content = json!({ "sum": sum });
    json!({
        "content": [{ "type": "text", "text": content.to_string() }],
        "structuredContent": content,
        "isError": false,
    })
}

/// The name of the tool that is called.
#[must_use]
pub fn tool(message: &Value) -> &str {
    message
        .pointer("/params/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn call(message: &Value) -> Result<Value, &'static str> {
    match tool(message) {
        "echo" => {
            let text = message
                .pointer("/params/arguments/text")
                .and_then(Value::as_str);
            text.map(text_result).ok_or("`text` has to be a string")
        }
        "work" => Ok(sum_result(&Value::from(3))),
        _ => Err("no such tool"),
    }
}

/// The revision that a handshake settles on: the client's, if it is an old one that exists.
fn negotiated(message: &Value) -> &str {
    let asked = message
        .pointer("/params/protocolVersion")
        .and_then(Value::as_str);
    let known = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];
    asked
        .filter(|asked| known.contains(asked))
        .unwrap_or(LEGACY)
}

fn cacheable(mut result: Value) -> Value {
    if let Some(fields) = result.as_object_mut() {
        fields.insert("ttlMs".to_owned(), Value::from(0));
        fields.insert("cacheScope".to_owned(), Value::from("private"));
    }
    result
}

fn identity() -> Value {
    json!({ "name": "testkit", "version": "0.1.0" })
}
