//! A message so large that whoever reads it whole runs out of memory.

use portcullis_testkit::raw;
use serde_json::json;

use crate::support::{ALICE, MEDIA, Naive, Peer, Setup, echo, legacy};

#[tokio::test]
async fn a_message_beyond_the_bound_is_not_read() {
    let server = Naive::start("honest").await;
    let large = "x".repeat(6 << 20);
    let bare = Peer::bare(&server.url);
    assert_eq!(
        bare.post(&[], &legacy(1, "tools/call", &echo(&large)))
            .await
            .status,
        200
    );
    let journal = server.journal().len();
    assert!(journal > 6 << 20, "the server took all of it");

    let setup = Setup::new().clients().url("one", &server.url, "legacy");
    let gateway = setup.start().await;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    let message = raw::modern(1, "tools/call", echo(&large)).to_string();
    // The gateway may answer and close before everything is sent.
    let client = gateway.of(ALICE).client;
    let authorization = format!("Bearer {ALICE}");
    let own = MEDIA
        .into_iter()
        .chain([("authorization", authorization.as_str())]);
    let all: Vec<_> = headers.into_iter().chain(own).collect();
    if let Ok(answer) = client.send(http::Method::POST, &all, message).await {
        assert_eq!(answer.status, 413);
    }
    assert!(server.journal().len() < journal + (1 << 20));
    let answer = gateway
        .of(ALICE)
        .request(2, "server/discover", json!({}))
        .await;
    assert_eq!(answer.status, 200);
}
