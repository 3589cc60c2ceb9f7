//! The legacy era over HTTP: versions, sessions, and the session's own stream.

use portcullis_testkit::Recorder;
use serde_json::json;

use crate::support::{
    ALICE, Gateway, Setup, code, conformance, echo, initialize, legacy, status, text,
};

async fn gateway(recorder: &Recorder, era: &str) -> Gateway {
    let setup = Setup::new().clients();
    setup.url("one", &recorder.url(), era).start().await
}

#[tokio::test]
async fn each_legacy_version_is_spoken() {
    for era in ["legacy", "modern"] {
        let recorder = Recorder::start().await.unwrap();
        let gateway = gateway(&recorder, era).await;
        let cases = [
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("2099-01-01", "2025-11-25"),
            ("", "2025-11-25"),
        ];
        for (asked, agreed) in cases {
            let session = gateway.of(ALICE).open_with(asked, &json!({})).await;
            assert_eq!(session.version, agreed, "{asked}");
            let answer = session.post(&legacy(1, "tools/call", &echo("hello"))).await;
            assert_eq!(text(answer).await, "hello", "{asked}");
            let answer = session.post(&legacy(2, "tools/list", &json!({}))).await;
            let message = answer.message().await.unwrap();
            assert_eq!(message["result"]["tools"][0]["name"], "echo");
            assert!(message["result"].get("resultType").is_none());
            let answer = session.post(&legacy(3, "ping", &json!({}))).await;
            assert_eq!(answer.message().await.unwrap()["result"], json!({}));
        }
    }
}

#[tokio::test]
async fn a_session_is_begun_and_named() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "legacy").await;
    let peer = gateway.of(ALICE);
    let call = legacy(1, "tools/call", &echo("x"));
    let session = peer.open().await;
    let id = session.id.as_str();
    for (headers, expected) in [
        (&[][..], 400),
        (&[("mcp-protocol-version", "2025-11-25")], 400),
        (&[("mcp-session-id", "")], 404),
        (&[("mcp-session-id", "nosuch")], 404),
        (&[("mcp-session-id", id), ("mcp-session-id", id)], 400),
        (
            &[
                ("mcp-session-id", id),
                ("mcp-protocol-version", "1900-01-01"),
            ],
            400,
        ),
        (
            &[
                ("mcp-session-id", id),
                ("mcp-protocol-version", "2026-07-28"),
            ],
            400,
        ),
        (
            &[
                ("mcp-session-id", id),
                ("mcp-protocol-version", "2025-11-25"),
                ("mcp-protocol-version", "1900-01-01"),
            ],
            400,
        ),
        (&[("mcp-session-id", id)], 200),
        (
            &[
                ("mcp-session-id", id),
                ("mcp-protocol-version", "2025-11-25"),
            ],
            200,
        ),
    ] {
        let got = status(peer.post(headers, &call).await).await;
        assert_eq!(got, expected, "{headers:?}");
    }
    for (member, value) in [
        ("protocolVersion", json!(1)),
        ("capabilities", json!([])),
        ("clientInfo", json!("me")),
    ] {
        let mut hello = initialize("2025-11-25", &json!({}));
        hello["params"][member] = value;
        let answer = peer.post(&[], &hello).await;
        assert_eq!(answer.header("mcp-session-id"), None, "{member}");
        assert_eq!(code(answer).await, -32602, "{member}");
        hello["params"].as_object_mut().unwrap().remove(member);
        assert_eq!(code(peer.post(&[], &hello).await).await, -32602, "{member}");
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 2);
}

#[tokio::test]
async fn a_session_ends_once() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "legacy").await;
    let session = gateway.of(ALICE).open().await;
    let mut stream = session.get(None).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(session.delete().await.status, 204);
    while stream.event().await.unwrap().is_some() {}
    assert_eq!(session.delete().await.status, 404);
    assert_eq!(session.get(None).await.status, 404);
    let call = legacy(1, "tools/call", &echo("x"));
    assert_eq!(session.post(&call).await.status, 404);
}

#[tokio::test]
async fn the_sessions_stream_carries_what_belongs_to_no_request() {
    let server = conformance("legacy").await;
    let setup = Setup::new().clients().url("one", server.url(), "legacy");
    let gateway = setup.start().await;
    let session = gateway.of(ALICE).open().await;
    let mut stream = session.get(None).await;
    let prime = stream.event().await.unwrap().unwrap();
    assert_eq!(prime.data, "");
    assert!(prime.retry_ms.is_some());
    let call = json!({ "name": "test_trigger_tool_change", "arguments": {} });
    let answer = session.post(&legacy(1, "tools/call", &call)).await;
    assert_eq!(status(answer).await, 200);
    let event = loop {
        let event = stream.event().await.unwrap().unwrap();
        if event.data.contains("notifications/tools/list_changed") {
            break event;
        }
    };
    // From where it broke, not from the start.
    let mut resumed = session.get(event.id.as_deref()).await;
    let call = json!({ "name": "test_trigger_prompt_change", "arguments": {} });
    let answer = session.post(&legacy(2, "tools/call", &call)).await;
    assert_eq!(status(answer).await, 200);
    let next = resumed.event().await.unwrap().unwrap();
    assert!(
        next.data.contains("notifications/prompts/list_changed"),
        "{next:?}"
    );
    // The reader that was replaced has got nothing of it.
    while let Some(event) = stream.event().await.unwrap() {
        assert!(!event.data.contains("prompts"), "{event:?}");
    }
    for (last, expected) in [
        ("9-1", 404),
        ("nonsense", 400),
        ("", 400),
        ("0", 400),
        ("-1", 400),
    ] {
        assert_eq!(session.get(Some(last)).await.status, expected, "{last:?}");
    }
}
