//! Somebody sends the state that another's request was given, and goes on in that one's place.

use serde_json::{Value, json};

use crate::support::{ALICE, BOB, Peer, Setup, conformance, declaring};

const TOOL: &str = "test_input_required_result_request_state";

/// Begins as `victim`, and goes on as `thief`.
async fn replayed(victim: &Peer, thief: &Peer) -> Value {
    let meta = declaring(&json!({ "elicitation": {} }));
    let first = json!({ "name": TOOL, "arguments": {}, "_meta": meta });
    let answer = victim.request(1, "tools/call", first.clone()).await;
    let asked = answer.message().await.unwrap();
    let mut second = first;
    second["requestState"] = asked["result"]["requestState"].clone();
    assert!(second["requestState"].is_string(), "{asked}");
    second["inputResponses"] =
        json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    let answer = thief.request(2, "tools/call", second).await;
    answer.message().await.unwrap()
}

#[tokio::test]
async fn a_state_takes_nobody_elses_place() {
    let server = conformance("modern").await;
    let bare = |token| Peer::bare(server.url()).with(token);
    let message = replayed(&bare(ALICE), &bare(BOB)).await;
    assert!(message.to_string().contains("state-ok"), "{message}");

    let setup = Setup::new().clients().url("one", server.url(), "modern");
    let gateway = setup.start().await;
    let message = replayed(&gateway.of(ALICE), &gateway.of(BOB)).await;
    assert_eq!(message["error"]["code"], -32602, "{message}");
    let message = replayed(&gateway.of(ALICE), &gateway.of(ALICE)).await;
    assert!(message.to_string().contains("state-ok"), "{message}");
}
