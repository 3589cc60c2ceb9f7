//! Another program on this machine, or another person, calls a server's tools without a credential.

use serde_json::json;

use crate::support::{Naive, Peer, Setup, legacy};

#[tokio::test]
async fn nobody_enters_without_a_credential() {
    let server = Naive::start("honest").await;
    let message = legacy(
        1,
        "tools/call",
        &json!({ "name": "add_note", "arguments": { "text": "from a stranger" } }),
    );
    let bare = Peer::bare(&server.url);
    let answer = bare.post(&[], &message).await.message().await.unwrap();
    assert!(answer["result"].is_object(), "{answer}");
    let journal = server.journal();
    assert!(journal.contains("from a stranger"));

    let setup = Setup::new().clients().url("one", &server.url, "legacy");
    let gateway = setup.start().await;
    for path in ["/servers/one/mcp", "/mcp"] {
        let stranger = gateway.peer(path);
        assert_eq!(stranger.post(&[], &message).await.status, 401);
        assert_eq!(stranger.echo(&[]).await.status, 401);
    }
    assert_eq!(server.journal(), journal);
}
