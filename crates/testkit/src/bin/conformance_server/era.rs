//! Which eras of the protocol the server speaks, and how it refuses the other one.
//!
//! "Modern" is revision 2026-07-28; "legacy" is any revision with an `initialize` handshake. The
//! SDK underneath speaks both, so a server of one era is made by refusing the other at the door.

use clap::ValueEnum;
use rmcp::model::ProtocolVersion;
use serde_json::{Value, json};

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const LEGACY: [ProtocolVersion; 4] = [
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2024_11_05,
];

/// The eras served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// Both, told apart by each message.
    Both,
    /// Only revisions with a handshake.
    Legacy,
    /// Only revision 2026-07-28.
    Modern,
}

/// An answer given instead of serving a message.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// HTTP status; stdio ignores it.
    pub(crate) status: u16,
    /// The JSON-RPC error response.
    pub(crate) body: Value,
}

/// What a transport tells of a message beside its text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Envelope<'a> {
    /// The message came by HTTP.
    pub(crate) http: bool,
    /// The request named a session.
    pub(crate) in_session: bool,
    /// The `MCP-Protocol-Version` header.
    pub(crate) version: Option<&'a str>,
}

impl Era {
    /// The revisions served, the preferred one first.
    pub(crate) fn versions(self) -> Vec<ProtocolVersion> {
        let modern = [ProtocolVersion::V_2026_07_28];
        match self {
            Era::Both => modern.into_iter().chain(LEGACY).collect(),
            Era::Legacy => LEGACY.to_vec(),
            Era::Modern => modern.to_vec(),
        }
    }

    /// The refusal that a server of this era gives to `message`, if it does not serve it.
    pub(crate) fn refuse(self, message: &Value, envelope: Envelope<'_>) -> Option<Refusal> {
        match self {
            Era::Both => None,
            Era::Legacy => refuse_modern(message, envelope),
            Era::Modern => self.refuse_handshake(message),
        }
    }

    /// 2026-07-28 §versioning: an error to `initialize` names the supported revisions.
    fn refuse_handshake(self, message: &Value) -> Option<Refusal> {
        if method(message) != Some("initialize") || declared_version(message).is_some() {
            return None;
        }
        let requested = message.pointer("/params/protocolVersion");
        let supported: Vec<String> = self.versions().iter().map(ToString::to_string).collect();
        let data = json!({ "supported": supported, "requested": requested });
        Some(Refusal {
            status: 400,
            body: error(
                message.get("id"),
                -32022,
                "unsupported protocol version",
                Some(data),
            ),
        })
    }
}

/// What the legacy TypeScript SDK answers to a message of the modern era.
fn refuse_modern(message: &Value, envelope: Envelope<'_>) -> Option<Refusal> {
    let method = method(message)?;
    if method == "initialize" {
        return None;
    }
    let unknown = matches!(method, "server/discover" | "subscriptions/listen");
    let declared = envelope.version.or_else(|| declared_version(message));
    if !unknown && !declared.is_some_and(is_modern) {
        return None;
    }
    if !envelope.http || (envelope.in_session && !envelope.version.is_some_and(is_modern)) {
        let body = error(message.get("id"), -32601, "Method not found", None);
        return Some(Refusal { status: 200, body });
    }
    let text = if envelope.in_session {
        "Bad Request: Unsupported protocol version"
    } else {
        "Bad Request: Server not initialized"
    };
    Some(Refusal {
        status: 400,
        body: error(None, -32000, text, None),
    })
}

fn method(message: &Value) -> Option<&str> {
    message.get("method").and_then(Value::as_str)
}

fn declared_version(message: &Value) -> Option<&str> {
    message
        .get("params")?
        .get("_meta")?
        .get(META_VERSION)?
        .as_str()
}

/// Revisions are dates, so they compare as text.
fn is_modern(version: &str) -> bool {
    version >= ProtocolVersion::V_2026_07_28.as_str()
}

fn error(id: Option<&Value>, code: i64, message: &str, data: Option<Value>) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if let (Some(data), Some(fields)) = (data, error.as_object_mut()) {
        fields.insert("data".to_owned(), data);
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}
