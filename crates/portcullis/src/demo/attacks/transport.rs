//! Requests that should not get as far as being read: from nobody, from a web page, or with headers
//! that tell another story than the body. The bare side is the sample server's HTTP face.

use serde_json::json;

use super::{Attack, Bare, Boundary, Era, Gateway, Server, Side, Stage, Who};
use super::{barrier, handed, refused};
use crate::demo::client::{Endpoint, Post, modern_meta};

/// How a request is spoilt, and who sends it to the gateway.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    who: Who,
    spoil: fn(Post) -> Post,
    padding: usize,
}

const CASES: [Case; 7] = [
    Case {
        name: "a call without a credential",
        who: Who::Nobody,
        spoil: |post| post,
        padding: 0,
    },
    Case {
        name: "a web page whose name was rebound (`Host`)",
        who: Who::Alice,
        spoil: |post| post.set("host", "attacker.example"),
        padding: 0,
    },
    Case {
        name: "a web page of another origin (`Origin`)",
        who: Who::Alice,
        spoil: |post| post.set("origin", "https://attacker.example"),
        padding: 0,
    },
    Case {
        name: "a header that names another method",
        who: Who::Alice,
        spoil: |post| post.set("mcp-method", "tools/list"),
        padding: 0,
    },
    Case {
        name: "a header that names another tool",
        who: Who::Alice,
        spoil: |post| post.set("mcp-name", "list_notes"),
        padding: 0,
    },
    Case {
        name: "two headers that name two tools",
        who: Who::Alice,
        spoil: |post| {
            post.set("mcp-name", "list_notes")
                .add("mcp-name", "add_note")
        },
        padding: 0,
    },
    Case {
        name: "a request of 6 MiB",
        who: Who::Alice,
        spoil: |post| post,
        padding: 6 << 20,
    },
];

pub(super) fn all() -> Vec<Attack> {
    let attack = |case: Case| {
        Attack::new(
            case.name,
            Boundary::Client,
            move |stage| Box::pin(bare(stage, case)),
            move |stage| Box::pin(gateway(stage, case)),
        )
    };
    CASES.map(attack).into()
}

fn post(case: Case, mark: &str) -> anyhow::Result<Post> {
    let meta: serde_json::Value = serde_json::from_str(&modern_meta())?;
    let text = format!("{mark} {}", "x".repeat(case.padding));
    let params = json!({"name": "add_note", "arguments": {"text": text}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    Ok((case.spoil)(Post::modern(
        body.to_string(),
        "tools/call",
        "add_note",
    )))
}

async fn bare(stage: &Stage, case: Case) -> anyhow::Result<Bare> {
    let mark = stage.mark();
    let face: Endpoint = stage.face();
    let reply = face.send(post(case, &mark)?).await?;
    let done = stage.noted(Side::Bare, &mark);
    Ok(Bare::seen(
        done,
        format!("executed (HTTP {}): kept the note", reply.status),
    ))
}

async fn gateway(stage: &Stage, case: Case) -> anyhow::Result<Gateway> {
    let mark = stage.mark();
    let endpoint = stage.endpoint(case.who, Server::Honest)?;
    let reply = endpoint.send(post(case, &mark)?).await?;
    barrier(stage, Who::Alice, Era::Modern).await?;
    let effect = handed(stage, &mark) > 0 || stage.noted(Side::Gateway, &mark);
    Ok(refused(stage, &reply, effect))
}
