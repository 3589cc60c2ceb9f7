//! Sessions of legacy clients belong to one principal and one endpoint; to all others they do not
//! exist.

use std::collections::HashSet;

use http::Method;
use portcullis_testkit::{Recorder, raw::Answer};
use serde_json::{Value, json};

use crate::support::{ALICE, BOB, Gateway, Scripted, Session, Setup, initialize, legacy};

/// The status and body of an answer, but for the id that each refusal has of its own.
async fn whole(answer: Answer) -> (u16, Value) {
    let status = answer.status.as_u16();
    let bytes = answer.bytes().await.unwrap();
    let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if let Some(id) = body.pointer_mut("/error/data/requestId") {
        id.take();
    }
    assert!(body.is_object() || bytes.is_empty());
    (status, body)
}

/// What somebody sees of a session by each verb.
async fn seen(session: &Session) -> Vec<(u16, Value)> {
    let ping = legacy(1, "ping", &json!({}));
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let mut seen = Vec::new();
    for message in [&ping, &note, &response] {
        seen.push(whole(session.post(message).await).await);
    }
    for last in [None, Some("0-0"), Some("1-0"), Some("1-1")] {
        seen.push(whole(session.get(last).await).await);
    }
    seen.push(whole(session.delete().await).await);
    seen
}

#[tokio::test]
async fn anothers_session_is_as_unknown_as_one_that_never_was() {
    let mut server = Scripted::start().await;
    let setup = Setup::new().clients().url("one", &server.url(), "legacy");
    let gateway = setup.url("two", &server.url(), "legacy").start().await;
    let session = gateway.of(ALICE).open().await;
    let mut own = session.get(None).await;
    let call = legacy(7, "tools/call", &json!({ "name": "work", "arguments": {} }));
    let calling = session.post(&call);
    let (stream, held) = tokio::join!(calling, async {
        let held = server.call().await;
        held.log("first").await;
        held
    });
    let mut stream = stream;
    stream.event().await.unwrap().unwrap();

    let bob = gateway.of(BOB);
    let mut unknown = session.stolen_by(&bob);
    unknown.id = "A".repeat(unknown.id.len());
    let expected = seen(&unknown).await;
    assert!(
        expected.iter().all(|(status, _)| *status == 404),
        "{expected:?}"
    );
    assert_eq!(seen(&session.stolen_by(&bob)).await, expected);
    let elsewhere = gateway.peer("/servers/two/mcp").with(ALICE);
    assert_eq!(seen(&session.stolen_by(&elsewhere)).await, expected);
    let elsewhere = gateway.peer("/mcp").with(ALICE);
    assert_eq!(seen(&session.stolen_by(&elsewhere)).await, expected);

    // Nothing that the others did has reached the session, its call or its streams.
    assert!(held.is_awaited());
    held.answer("done").await;
    let message = stream.message().await.unwrap();
    assert_eq!(message["result"]["content"][0]["text"], "done");
    assert_eq!(session.delete().await.status, 204);
    let mut events = Vec::new();
    while let Some(event) = own.event().await.unwrap() {
        events.push(event.data);
    }
    assert!(events.iter().all(String::is_empty), "{events:?}");
}

#[tokio::test]
async fn an_answer_of_another_principal_answers_nothing() {
    let server = crate::support::conformance("legacy").await;
    let setup = Setup::new().clients().url("one", server.url(), "legacy");
    let gateway = setup.start().await;
    let declared = json!({ "elicitation": {} });
    let session = gateway.of(ALICE).open_with("2025-11-25", &declared).await;
    let call = legacy(
        3,
        "tools/call",
        &json!({ "name": "test_elicitation", "arguments": { "message": "Who?" } }),
    );
    let mut stream = session.post(&call).await;
    let asked: Value = loop {
        let event = stream.event().await.unwrap().unwrap();
        let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    let answer = |action: &str| json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "action": action } });
    let thief = session.stolen_by(&gateway.of(BOB));
    assert_eq!(thief.post(&answer("accept")).await.status, 404);
    // From a session of his own, Bob answers a question that nobody asked him.
    let own = gateway.of(BOB).open_with("2025-11-25", &declared).await;
    assert_eq!(own.post(&answer("accept")).await.status, 202);
    assert_eq!(session.post(&answer("decline")).await.status, 202);
    let message = stream.message().await.unwrap().to_string();
    assert!(message.contains("decline"), "{message}");
}

#[tokio::test]
async fn ids_are_long_and_unlike_and_in_no_log() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients();
    let gateway = setup.url("one", &recorder.url(), "legacy").start().await;
    let peer = gateway.of(ALICE);
    let mut ids = HashSet::new();
    for _ in 0..64 {
        let answer = peer.post(&[], &initialize("2025-11-25", &json!({}))).await;
        let id = answer.header("mcp-session-id").unwrap().to_owned();
        // 192 bits in base64url, all of them visible ASCII.
        assert_eq!(id.len(), 32, "{id}");
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert!(ids.insert(id));
    }
    for position in 0..32 {
        let different: HashSet<u8> = ids.iter().map(|id| id.as_bytes()[position]).collect();
        assert!(
            different.len() > 16,
            "the character at {position} hardly varies"
        );
    }
    let last = ids.iter().next().unwrap().clone();
    let headers = [("mcp-session-id", last.as_str())];
    let call = legacy(1, "tools/call", &crate::support::echo("hello"));
    assert_eq!(peer.post(&headers, &call).await.status, 200);
    assert_eq!(peer.send(Method::DELETE, &headers, "").await.status, 204);
    assert_eq!(peer.send(Method::DELETE, &headers, "").await.status, 404);
    assert_eq!(peer.post(&headers, &call).await.status, 404);
    let output = gateway.harness.output();
    assert!(output.contains("listening"));
    let files = String::from_utf8_lossy(&gateway.files()).into_owned();
    for id in &ids {
        assert!(!output.contains(id.as_str()), "a session id was logged");
        assert!(!files.contains(id.as_str()), "a session id was stored");
    }
    drop::<Gateway>(gateway);
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new()
        .clients()
        .limits("session_idle_timeout = \"3s\"");
    let gateway = setup.url("one", &recorder.url(), "legacy").start().await;
    let session = gateway.of(ALICE).open().await;
    // A stream that is open does not keep it alive for ever; that it ends is the sign.
    let mut stream = session.get(None).await;
    while stream.event().await.unwrap().is_some() {}
    assert_eq!(session.delete().await.status, 404);
}
