use portcullis_testkit::{Harness, Launch, raw::Client};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::BOUND;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conformance-server");

async fn server(eras: &str) -> (Harness, Client) {
    let harness = Launch::new(PROGRAM)
        .args(["--eras", eras])
        .start("listening", BOUND)
        .await;
    let harness = harness.unwrap();
    let client = Client::new(harness.url(), BOUND).unwrap();
    (harness, client)
}

fn initialize(capabilities: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": { "name": "testkit", "version": "0.1.0" },
    }})
}

/// Opens a legacy session, and returns its id.
async fn session(client: &Client, capabilities: &Value) -> String {
    let answer = client.post(&[], &initialize(capabilities)).await.unwrap();
    let id = answer.header("mcp-session-id").unwrap().to_owned();
    let message = answer.message().await.unwrap();
    assert!(
        message["result"]["capabilities"]
            .get("extensions")
            .is_none()
    );
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = client
        .post(&[("mcp-session-id", &id)], &initialized)
        .await
        .unwrap();
    assert_eq!(answer.status, 202);
    id
}

#[tokio::test]
async fn one_era_refuses_the_other() {
    let (_server, client) = server("modern").await;
    let answer = client.post(&[], &initialize(&json!({}))).await.unwrap();
    assert_eq!(answer.status, 400);
    let message = answer.message().await.unwrap();
    assert_eq!(message["error"]["code"], -32022);
    assert_eq!(message["error"]["data"]["supported"], json!(["2026-07-28"]));
    assert_eq!(
        client
            .send(http::Method::GET, &[], "")
            .await
            .unwrap()
            .status,
        405
    );

    let (_server, client) = server("legacy").await;
    let answer = client
        .request(&[], 1, "server/discover", json!({}))
        .await
        .unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.message().await.unwrap()["error"]["code"], -32000);
    session(&client, &json!({})).await;
}

#[tokio::test]
async fn a_legacy_round_asks_for_all_at_once() {
    let (_server, client) = server("legacy").await;
    let all = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
    let id = session(&client, &all).await;
    let headers = [
        ("mcp-session-id", id.as_str()),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let call = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {
        "name": "test_input_required_result_multiple_inputs", "arguments": {},
    }});
    let mut answer = client.post(&headers, &call).await.unwrap();
    let mut asked = Vec::new();
    while asked.len() < 3 {
        let event = answer.event().await.unwrap().unwrap();
        let Ok(request) = serde_json::from_str::<Value>(&event.data) else {
            continue;
        };
        asked.push(request);
    }
    for request in &asked {
        let result = match request["method"].as_str().unwrap() {
            "elicitation/create" => json!({ "action": "accept", "content": { "name": "Al" } }),
            "roots/list" => json!({ "roots": [{ "uri": "file:///r" }] }),
            _ => json!({ "role": "assistant", "model": "m",
                         "content": { "type": "text", "text": "hi" } }),
        };
        let response = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
        assert_eq!(client.post(&headers, &response).await.unwrap().status, 202);
    }
    let message = answer.message().await.unwrap();
    assert_eq!(
        message["result"]["content"][0]["text"],
        "hi (Al, file:///r)"
    );
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_was() {
    let (_server, client) = server("both").await;
    let id = session(&client, &json!({})).await;
    let call = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {
        "name": "test_reconnection", "arguments": {},
    }});
    let mut cut = client
        .post(&[("mcp-session-id", &id)], &call)
        .await
        .unwrap();
    let priming = cut.event().await.unwrap().unwrap();
    assert_eq!((priming.data.as_str(), priming.retry_ms), ("", Some(300)));
    assert_eq!(cut.event().await.unwrap(), None);

    // The SDK's own client comes back after `retry`, when the work is long done.
    let last = priming.id.unwrap();
    let other = json!({ "jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": {
        "name": "slow_compute", "arguments": { "seconds": 0.5 },
    }});
    let slow = client
        .post(&[("mcp-session-id", &id)], &other)
        .await
        .unwrap();
    assert_eq!(slow.message().await.unwrap()["id"], 6);
    let headers = [
        ("mcp-session-id", id.as_str()),
        ("last-event-id", &last),
        ("accept", "text/event-stream"),
    ];
    let resumed = client.send(http::Method::GET, &headers, "").await.unwrap();
    assert_eq!(resumed.message().await.unwrap()["id"], 5);
}

#[tokio::test]
async fn a_state_is_good_for_its_tool_alone() {
    let (_server, client) = server("modern").await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
    });
    let name = "test_input_required_result_request_state";
    let params = json!({ "name": name, "arguments": {}, "_meta": meta });
    let answer = client
        .request(&[], 1, "tools/call", params.clone())
        .await
        .unwrap();
    let state = answer.message().await.unwrap()["result"]["requestState"].clone();
    let confirm = json!({ "confirm": { "action": "accept", "content": { "ok": true } } });

    let mut retry = params;
    retry["requestState"] = state;
    retry["inputResponses"] = confirm;
    let answer = client
        .request(&[], 2, "tools/call", retry.clone())
        .await
        .unwrap();
    let message = answer.message().await.unwrap();
    assert!(
        message["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("state-ok")
    );

    retry["name"] = json!("test_input_required_result_tampered_state");
    let answer = client.request(&[], 3, "tools/call", retry).await.unwrap();
    assert_eq!(answer.message().await.unwrap()["error"]["code"], -32602);
}

#[tokio::test]
async fn stdio_serves_both_eras() {
    let program = portcullis_testkit::fixture("conformance-server").unwrap();
    let discover = portcullis_testkit::raw::modern(1, "server/discover", json!({}));
    for (eras, first) in [
        ("both", discover.clone()),
        ("legacy", initialize(&json!({}))),
    ] {
        let launch = Launch::new(&program).args(["--stdio", "--eras", eras]);
        // A server on stdio says nothing before it is spoken to.
        let mut server = launch.start_silent().unwrap();
        let mut stdin = server.take_stdin().unwrap();
        for message in [&first, &discover] {
            stdin
                .write_all(format!("{message}\n").as_bytes())
                .await
                .unwrap();
        }
        let told = if eras == "both" {
            "supportedVersions"
        } else {
            "Method not found"
        };
        server.line_with(told, BOUND).await.unwrap();
        drop(stdin);
        assert!(server.wait(BOUND).await.unwrap().success());
    }
}
