//! A server of files, one of mail, and questions about them.

use std::sync::Arc;

use portcullis_mcp::ServerName;
use portcullis_policy::{
    ActionRef, Compiled, Decision, DenyReason, Hints, History, Mistake, Policies, PolicyFile,
    Query, ServerShape, ToolShape, Who,
};
use serde_json::{Value, json};

pub(crate) const NOW_MS: u64 = 1_790_000_000_000;

pub(crate) fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

pub(crate) fn tool(name: &str, schema: &Value, annotations: Hints) -> ToolShape {
    ToolShape {
        name: name.into(),
        input_schema: Arc::from(schema.to_string().into_bytes()),
        annotations,
        classes: Vec::new(),
        labels: Vec::new(),
    }
}

pub(crate) const READS: Hints = Hints {
    read_only: Some(true),
    destructive: None,
    idempotent: None,
    open_world: None,
};

pub(crate) const DESTROYS: Hints = Hints {
    read_only: None,
    destructive: Some(true),
    idempotent: None,
    open_world: None,
};

pub(crate) fn files() -> ServerShape {
    let path =
        json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let write = json!({"type": "object", "required": ["path"], "properties": {
        "path": {"type": "string"},
        "mode": {"type": "string", "enum": ["append", "replace"]},
        "size": {"type": "integer"},
        "ratio": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    }});
    ServerShape {
        name: name("files"),
        tools: vec![
            tool("read_file", &path, READS),
            tool("write_file", &write, Hints::default()),
            tool("delete_file", &path, DESTROYS),
        ],
        prompts: Some(vec!["summary".into()]),
    }
}

pub(crate) fn mail() -> ServerShape {
    let send = json!({"type": "object", "properties": {"to": {"type": "string"}}});
    ServerShape {
        name: name("mail"),
        tools: vec![tool("send", &send, Hints::default())],
        prompts: None,
    }
}

pub(crate) fn file(text: &str) -> PolicyFile {
    PolicyFile {
        name: "own.cedar".into(),
        text: text.into(),
    }
}

pub(crate) fn compiled(text: &str) -> Result<Compiled, Vec<Mistake>> {
    let groups = ["admins".into(), "staff".into()];
    Policies::compile(&[file(text)], &[files(), mail()], &[], Some(&groups))
}

#[track_caller]
pub(crate) fn policies(text: &str) -> Policies {
    match compiled(text) {
        Ok(compiled) => compiled.policies,
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

pub(crate) const ALICE: Who<'static> = Who {
    name: "alice",
    kind: "account",
    client: "desk",
    groups: &["staff"],
    scopes: &["files:read"],
};

pub(crate) fn query<'a>(
    server: &'a ServerName,
    action: ActionRef<'a>,
    arguments: Option<&'a Value>,
) -> Query<'a> {
    Query {
        who: ALICE,
        server,
        action,
        arguments,
        labels: &["secret"],
        history: History {
            calls: 7,
            calls_of_tool: 2,
            denials: 1,
        },
        now_ms: NOW_MS,
        approved: false,
    }
}

/// A decision in a line: its kind, then the policies.
pub(crate) fn line(decision: &Decision) -> String {
    let kind = match decision {
        Decision::Allow(_) => "allow".to_owned(),
        Decision::Ask { reasons, .. } => format!("ask {reasons:?}"),
        Decision::Deny { reason, .. } => match reason {
            DenyReason::NoPermit => "deny: no permit".to_owned(),
            DenyReason::Forbidden => "deny: forbidden".to_owned(),
            DenyReason::Undecided => "deny: undecided".to_owned(),
        },
    };
    let ids = decision.determined().ids().join(" ");
    if ids.is_empty() {
        kind
    } else {
        format!("{kind} by {ids}")
    }
}

/// What a policy text decides on a call of a tool of `files`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` read better without borrows"
)]
#[track_caller]
pub(crate) fn check_call(text: &str, tool: &str, arguments: Value, expected: &str) {
    let server = name("files");
    let query = query(&server, ActionRef::CallTool(tool), Some(&arguments));
    let decision = policies(text).decide(&query);
    assert_eq!(line(&decision), expected, "{text}\n{arguments}");
}
