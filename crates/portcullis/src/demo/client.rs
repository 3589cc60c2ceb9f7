//! The two scripted clients: lines to a bare server, HTTP to the gateway. They send any bytes they
//! are given, which a library's client would not.

mod http;
mod stdio;

pub(super) use http::{Endpoint, Era, Post, Reply, modern_meta};
pub(super) use stdio::{Heard, Logs, Stdio};

use serde_json::{Value, json};

/// The tool result of an answer as one text.
pub(super) fn result_text(answer: &Value) -> String {
    let blocks = answer.pointer("/result/content").and_then(Value::as_array);
    let texts = blocks
        .into_iter()
        .flatten()
        .filter_map(|block| block.get("text")?.as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// What the scripted clients declare to be able to do.
pub(super) fn capabilities() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// Who the scripted clients say they are.
pub(super) fn client_info() -> Value {
    json!({"name": "portcullis-demo", "version": env!("CARGO_PKG_VERSION")})
}
