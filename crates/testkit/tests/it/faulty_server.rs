use std::time::Duration;

use portcullis_testkit::{Harness, Launch, raw::Client};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::BOUND;

const PROGRAM: &str = env!("CARGO_BIN_EXE_faulty-server");

async fn http(arguments: &[&str]) -> (Harness, Client) {
    let launch = Launch::new(PROGRAM)
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments);
    let harness = launch.start("listening", BOUND).await.unwrap();
    let client = Client::new(harness.url(), BOUND).unwrap();
    (harness, client)
}

fn echo() -> Value {
    json!({ "name": "echo", "arguments": { "text": "hi" } })
}

fn work() -> Value {
    json!({ "name": "work", "arguments": {} })
}

/// Sends `messages` on standard input, and returns every line of standard output and the status.
async fn stdio(arguments: &[&str], messages: &[Value]) -> (Vec<String>, Option<i32>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "this test starts its own fixture"
    )]
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .kill_on_drop(true)
        .stderr(std::process::Stdio::null());
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for message in messages {
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
    drop(stdin);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut out = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        out.push(line);
    }
    (out, child.wait().await.unwrap().code())
}

fn legacy(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn honest_speaks_both_eras() {
    let (_server, client) = http(&[]).await;
    let modern = client
        .request(&[], 1, "server/discover", json!({}))
        .await
        .unwrap();
    let modern = modern.message().await.unwrap();
    assert_eq!(modern["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(modern["result"]["cacheScope"], "private");

    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {} });
    let hello = client
        .post(&[], &legacy(1, "initialize", &hello))
        .await
        .unwrap();
    let hello = hello.message().await.unwrap();
    assert_eq!(hello["result"]["protocolVersion"], "2025-06-18");
    assert!(hello["result"].get("resultType").is_none());

    let unknown = client.request(&[], 3, "ping", json!({})).await.unwrap();
    assert_eq!(unknown.status, 404);
    let list = client
        .request(&[], 4, "tools/list", json!({}))
        .await
        .unwrap();
    assert_eq!(
        list.message().await.unwrap()["result"]["tools"][1]["name"],
        "work"
    );
}

#[tokio::test]
async fn hang_answers_all_but_calls() {
    let (server, _) = http(&["--mode", "hang"]).await;
    let client = Client::new(server.url(), Duration::from_millis(500)).unwrap();
    client
        .request(&[], 1, "tools/list", json!({}))
        .await
        .unwrap();
    assert!(client.request(&[], 2, "tools/call", echo()).await.is_err());
}

#[tokio::test]
async fn one_tool_can_hang_alone() {
    let (lines, code) = stdio(
        &["--mode", "hang", "--only-work"],
        &[
            legacy(1, "tools/call", &work()),
            legacy(2, "tools/call", &echo()),
        ],
    )
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"id\":2"));
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn garbage_comes_before_the_answer() {
    let (lines, _) = stdio(&["--mode", "garbage"], &[legacy(9, "tools/call", &echo())]).await;
    assert_eq!(lines.len(), 5);
    assert!(serde_json::from_str::<Value>(&lines[0]).is_err());
    assert!(serde_json::from_str::<Value>(&lines[1]).is_err());
    let answer: Value = serde_json::from_str(&lines[4]).unwrap();
    assert_eq!(answer["id"], 9);
}

#[tokio::test]
async fn crash_comes_after_the_calls_it_was_told() {
    let (mut server, client) = http(&["--mode", "crash-after", "--after", "2"]).await;
    for id in 0..2 {
        client.request(&[], id, "tools/call", echo()).await.unwrap();
    }
    assert!(client.request(&[], 3, "tools/call", echo()).await.is_err());
    assert_eq!(server.wait(BOUND).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn flood_does_not_keep_the_answer() {
    let (lines, _) = stdio(
        &["--mode", "flood-stderr", "--bytes", "300000"],
        &[legacy(1, "tools/call", &echo())],
    )
    .await;
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn results_can_be_large_doubled_or_wrong() {
    let (_server, client) = http(&["--mode", "oversize", "--bytes", "100000"]).await;
    let answer = client.request(&[], 1, "tools/call", echo()).await.unwrap();
    assert!(answer.bytes().await.unwrap().len() > 100_000);

    let (_server, client) = http(&["--mode", "duplicate-keys"]).await;
    let answer = client.request(&[], 1, "tools/call", echo()).await.unwrap();
    let text = String::from_utf8(answer.bytes().await.unwrap()).unwrap();
    assert_eq!(text.matches("\"content\"").count(), 2, "{text}");
    let last: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(last["result"]["content"][0]["text"], "last");

    let (_server, client) = http(&["--mode", "bad-output-schema"]).await;
    let answer = client.request(&[], 1, "tools/call", work()).await.unwrap();
    let answer = answer.message().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["sum"], "three");
}

#[tokio::test]
async fn slow_is_late() {
    let (server, client) = http(&["--mode", "slow", "--delay-ms", "300"]).await;
    let hasty = Client::new(server.url(), Duration::from_millis(50)).unwrap();
    assert!(hasty.request(&[], 1, "tools/call", echo()).await.is_err());
    client.request(&[], 2, "tools/call", echo()).await.unwrap();
}
