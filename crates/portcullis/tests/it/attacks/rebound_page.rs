//! A web page reaches a local server through the browser of the person at this machine: by a name
//! that was rebound to the loopback, or as it is, from its own origin.

use serde_json::json;

use crate::support::{ALICE, Naive, Peer, Setup, legacy};

#[tokio::test]
async fn a_page_calls_no_tool() {
    let server = Naive::start("honest").await;
    let bare = Peer::bare(&server.url);
    let attempts = [("host", "evil.example"), ("origin", "http://evil.example")];
    let message = legacy(
        1,
        "tools/call",
        &json!({ "name": "add_note", "arguments": { "text": "from a page" } }),
    );
    for header in attempts {
        let answer = bare
            .post(&[header], &message)
            .await
            .message()
            .await
            .unwrap();
        assert_ne!(answer["result"]["isError"], true, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
    }
    let journal = server.journal();
    assert_eq!(journal.matches("from a page").count(), attempts.len());

    // With and without clients: a page may have the person's token as well.
    let setup = Setup::new().url("one", &server.url, "legacy");
    let open = setup.start().await;
    let setup = Setup::new().clients().url("one", &server.url, "legacy");
    let closed = setup.start().await;
    for peer in [open.peer("/servers/one/mcp"), closed.of(ALICE)] {
        for header in attempts {
            assert_eq!(peer.post(&[header], &message).await.status, 403);
            assert_eq!(peer.echo(&[header]).await.status, 403);
        }
    }
    assert_eq!(server.journal(), journal);
}
