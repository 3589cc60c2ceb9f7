//! A thousand policies over a hundred tools, replaced while clients call: no call is lost, each is decided by the old set or by
//! the new one, and from the moment that the new one is said to count nothing passes that it closes.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, Modern, eventually};
use crate::scripted::{Call, Script};

const TOOLS: usize = 100;
const POLICIES_PER_TOOL: usize = 10;
const CLIENTS: usize = 6;
const RELOADS: usize = 4;

/// A thousand policies, of which one closes `tool`.
fn policies(tool: usize) -> String {
    let mut text = String::new();
    for of in 0..TOOLS {
        for number in 0..POLICIES_PER_TOOL - 1 {
            let condition = format!(
                "context.arguments has text && context.arguments.text == \"never {number}\""
            );
            writeln!(
                text,
                "@id(\"deny-{of}-{number}\") forbid (principal, action == Action::\"one/tool{of}\", resource) when {{ {condition} }};"
            )
            .unwrap();
        }
        writeln!(
            text,
            "@id(\"allow-{of}\") permit (principal, action == Action::\"one/tool{of}\", resource);"
        )
        .unwrap();
    }
    writeln!(
        text,
        "@id(\"rest\") permit (principal, action == Action::\"list\", resource);\n\
         @id(\"closed\") forbid (principal, action == Action::\"one/tool{tool}\", resource);"
    )
    .unwrap();
    text
}

/// Whether a call passed; anything but a result or the denial by a policy fails the test.
fn passed(answer: &Value) -> bool {
    if answer["result"]["content"][0]["text"] == "done" {
        return true;
    }
    let code = &answer["result"]["_meta"]["portcullis/denial"]["code"];
    assert_eq!(code, "forbidden", "{answer}");
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_replaced_under_traffic() {
    let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    let tools: Vec<Value> = (0..TOOLS)
        .map(|tool| json!({ "name": format!("tool{tool}"), "inputSchema": schema }))
        .collect();
    let server = Script::of(true)
        .result("tools/list", json!({ "tools": tools }))
        .on("tools/call", |call: Call| async move {
            call.result(json!({ "content": [{ "type": "text", "text": "done" }] }));
        })
        .start()
        .await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.cedar");
    fs::write(&file, policies(0)).unwrap();
    let config = format!("[policy]\nfiles = [\"{}\"]\n", file.display());
    let gateway = Gateway::start_in(place, &(config + &server.entry("one", false, ""))).await;
    let client = Modern::at(&gateway.one("one"));
    assert!(!passed(&client.call("tool0", json!({ "text": "a" })).await));

    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..CLIENTS {
        let (client, over) = (Modern::at(&gateway.one("one")), Arc::clone(&over));
        callers.spawn(async move {
            // Of the tools beyond those that the sets close, every call passes all the time.
            let mut made = 0;
            while !over.load(Ordering::Relaxed) {
                let tool = format!("tool{}", RELOADS + 1 + (made + caller) % 50);
                assert!(passed(&client.call(&tool, json!({ "text": "a" })).await));
                made += 1;
            }
            made
        });
    }
    for closed in 1..=RELOADS {
        fs::write(&file, policies(closed)).unwrap();
        let reloaded = || gateway.output().matches(" reloaded ").count() >= closed;
        eventually("the new policies", reloaded).await;
        for tool in 0..=RELOADS {
            let answer = client
                .call(&format!("tool{tool}"), json!({ "text": "a" }))
                .await;
            assert_eq!(passed(&answer), tool != closed, "{closed} {tool}: {answer}");
        }
    }
    over.store(true, Ordering::Relaxed);
    let made: usize = callers.join_all().await.into_iter().sum();
    assert!(made > CLIENTS * RELOADS, "{made} calls");
    let completed = gateway
        .rows_when(|rows| rows.iter().all(|row| row.completed_ms.is_some()))
        .await;
    let reached = server.seen("tools/call").len();
    let let_through = completed
        .iter()
        .filter(|row| row.method == "tools/call" && row.outcome != "denied");
    assert_eq!(let_through.count(), reached);
}
