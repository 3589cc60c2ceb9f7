//! A message that one parser reads as one call and another parser as another: the check sees the
//! harmless one, the server runs the other.

use serde_json::json;

use crate::support::{ALICE, Naive, Peer, Setup, legacy, text};

/// Calls that a lenient server takes for one of `add_note`, and some checks for a harmless one.
const CALLS: [&str; 5] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_notes","name":"add_note","arguments":{"text":"smuggled"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_notes","Name":"add_note","arguments":{"text":"smuggled"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call","params":{"name":"add_note","arguments":{"text":"smuggled"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"fine","text":"smuggled"}}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"smuggled"}}}]"#,
];

#[tokio::test]
async fn what_is_read_in_two_ways_is_read_by_nobody() {
    let server = Naive::start("honest").await;
    let bare = Peer::bare(&server.url);
    let list = legacy(
        9,
        "tools/call",
        &json!({ "name": "list_notes", "arguments": {} }),
    );
    let notes = async || {
        text(bare.post(&[], &list).await)
            .await
            .matches("smuggled")
            .count()
    };
    for (number, call) in CALLS.iter().enumerate() {
        assert_eq!(bare.post_bytes(&[], *call).await.status, 200);
        assert_eq!(notes().await, number + 1, "{call} added a note");
    }

    let setup = Setup::new().clients().url("one", &server.url, "legacy");
    let gateway = setup.start().await;
    let session = gateway.of(ALICE).open().await;
    let headers = [("mcp-session-id", session.id.as_str())];
    for call in CALLS {
        let answer = session.peer.post_bytes(&headers, call).await;
        assert_eq!(answer.status, 400, "{call}");
    }
    assert_eq!(notes().await, CALLS.len(), "no note was added");
    assert!(text(session.post(&list).await).await.contains("smuggled"));
}
