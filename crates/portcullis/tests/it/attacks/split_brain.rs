//! A head that names a harmless call over a body that holds another: whoever decides by the head
//! lets through what the server then reads in the body.

use portcullis_testkit::{Recorder, raw};
use serde_json::json;

use crate::support::{ALICE, Peer, Setup, code};

#[tokio::test]
async fn a_head_hides_no_body() {
    let recorder = Recorder::start().await.unwrap();
    let body = raw::modern(1, "tools/call", json!({ "name": "work", "arguments": {} }));
    let heads = [
        [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
            ("mcp-name", "work"),
        ],
        [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "echo"),
        ],
        [
            ("mcp-protocol-version", "2025-11-25"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "work"),
        ],
    ];
    let bare = Peer::bare(&recorder.url());
    for head in &heads {
        let message = bare.post(head, &body).await.message().await.unwrap();
        assert_eq!(
            message["result"]["structuredContent"]["sum"], 3,
            "the hidden call ran"
        );
    }
    assert_eq!(recorder.seen_of("tools/call").len(), heads.len());

    let setup = Setup::new().clients().url("one", &recorder.url(), "modern");
    let gateway = setup.start().await;
    for head in &heads {
        assert_eq!(
            code(gateway.of(ALICE).post(head, &body).await).await,
            -32020
        );
    }
    assert_eq!(recorder.seen_of("tools/call").len(), heads.len());
}
