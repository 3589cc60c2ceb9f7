//! The endpoint's answers to requests that are no calls: paths, verbs, media types, notifications.

use http::Method;
use portcullis_testkit::{Recorder, raw};
use serde_json::json;

use crate::support::{ALICE, BOB, Gateway, MEDIA, Scripted, Setup, code, echo, legacy};

const MODERN: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "echo"),
];

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().clients();
    setup.url("one", &recorder.url(), "modern").start().await
}

#[tokio::test]
async fn only_who_may_enter_learns_which_servers_there_are() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    for (path, stranger, friend) in [
        ("/mcp", 401, 405),
        ("/servers/one/mcp", 401, 405),
        ("/servers/nosuch/mcp", 401, 404),
        ("/servers/local/mcp", 401, 404),
        ("/", 404, 404),
        ("/mcp/", 404, 404),
        ("//mcp", 404, 404),
        ("/servers/one", 404, 404),
        ("/servers/ONE/mcp", 404, 404),
        ("/servers/../mcp", 404, 404),
        ("/servers/%6fne/mcp", 404, 404),
        ("/servers//mcp", 404, 404),
        ("/.well-known/oauth-protected-resource", 404, 404),
    ] {
        let peer = gateway.peer(path);
        let got = peer.send(Method::GET, &[], "").await.status;
        assert_eq!(got, stranger, "{path} of a stranger");
        let got = peer.with(ALICE).send(Method::GET, &[], "").await.status;
        assert_eq!(got, friend, "{path} of a friend");
    }
}

#[tokio::test]
async fn verbs_other_than_three_are_not_allowed() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    let strange = Method::from_bytes(b"PURGE").unwrap();
    for method in [
        Method::PUT,
        Method::PATCH,
        Method::OPTIONS,
        Method::HEAD,
        Method::TRACE,
        strange,
    ] {
        let answer = peer.send(method.clone(), &[], "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST, GET, DELETE"));
    }
    // The modern era has one verb alone.
    for method in [Method::GET, Method::DELETE] {
        let modern = [
            ("mcp-protocol-version", "2026-07-28"),
            ("accept", "text/event-stream"),
        ];
        assert_eq!(peer.send(method, &modern, "").await.status, 405);
    }
}

#[tokio::test]
async fn media_types_are_looked_at() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    let body = raw::modern(1, "tools/call", echo("x")).to_string();
    let both = "application/json, text/event-stream";
    let cases: [(Option<&str>, Option<&str>, u16); 14] = [
        (Some("application/json"), Some(both), 200),
        (Some("Application/JSON; charset=utf-8"), Some(both), 200),
        (Some("application/json"), Some("*/*"), 200),
        (
            Some("application/json"),
            Some("text/event-stream;q=0.5,application/*"),
            200,
        ),
        (Some("application/json"), None, 200),
        (Some("application/json"), Some("application/json"), 406),
        (Some("application/json"), Some("text/event-stream"), 406),
        (Some("application/json"), Some("text/html"), 406),
        (Some("application/json"), Some(""), 406),
        (None, Some(both), 415),
        (Some("text/plain"), Some(both), 415),
        (Some("application/x-www-form-urlencoded"), Some(both), 415),
        (Some("application/jsonp"), Some(both), 415),
        (
            Some("multipart/form-data; boundary=application/json"),
            Some(both),
            415,
        ),
    ];
    for (kind, accept, expected) in cases {
        let mut headers = MODERN.to_vec();
        headers.extend(kind.map(|kind| ("content-type", kind)));
        headers.extend(accept.map(|accept| ("accept", accept)));
        let answer = peer.send(Method::POST, &headers, body.clone()).await;
        assert_eq!(answer.status, expected, "{kind:?} {accept:?}");
    }
    let session = peer.open().await;
    let headers = [
        ("mcp-session-id", session.id.as_str()),
        ("accept", "application/json"),
    ];
    assert_eq!(peer.send(Method::GET, &headers, "").await.status, 406);
}

#[tokio::test]
async fn a_notification_is_taken_and_not_answered() {
    let server = Scripted::start().await;
    let setup = Setup::new().clients().url("one", &server.url(), "legacy");
    let gateway = setup.start().await;
    let peer = gateway.of(ALICE);
    let session = peer.open().await;
    for method in [
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/roots/list_changed",
        "notifications/progress",
        "notifications/unknown",
        "tools/call",
    ] {
        let note = json!({ "jsonrpc": "2.0", "method": method, "params": {} });
        let answer = session.post(&note).await;
        assert_eq!(answer.status, 202, "{method}");
        assert_eq!(answer.bytes().await.unwrap(), b"", "{method}");
        let mut note = note;
        note["params"]["_meta"] = crate::support::declaring(&json!({}));
        for headers in [
            &MODERN[..1],
            &[
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", method),
            ],
        ] {
            let answer = peer.post(headers, &note).await;
            assert_eq!(answer.status, 202, "{method}");
            assert_eq!(answer.bytes().await.unwrap(), b"", "{method}");
        }
    }
    let mut server = server;
    assert!(server.called().is_none(), "a call without an id");
    // A response is no message of a modern client.
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let answer = peer.post(&MODERN[..1], &response).await;
    assert_eq!(answer.status, 400);
    assert_eq!(code(answer).await, -32600);
}

#[tokio::test]
async fn a_batch_is_refused_whole() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(ALICE);
    let session = peer.open_with("2025-03-26", &json!({})).await;
    let one = legacy(1, "tools/call", &echo("x"));
    let modern = raw::modern(1, "tools/call", echo("x"));
    for batch in [json!([one]), json!([one, one]), json!([])] {
        let answer = session.post(&batch).await;
        assert_eq!(answer.status, 400);
        assert_eq!(code(answer).await, -32600);
    }
    let answer = peer.post(&MODERN, &json!([modern, modern])).await;
    assert_eq!(answer.status, 400);
    assert_eq!(code(answer).await, -32600);
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
}

#[tokio::test]
async fn a_removed_or_unknown_method_is_not_found() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let peer = gateway.of(BOB);
    for method in [
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "initialize",
        "tools/destroy",
        "TOOLS/LIST",
    ] {
        let answer = peer.request(9, method, json!({})).await;
        assert_eq!(answer.status, 404, "{method}");
        let message = answer.message().await.unwrap();
        assert_eq!(message["id"], 9);
        assert_eq!(message["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn a_modern_client_gets_and_needs_no_session() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let stray = [("mcp-session-id", "AAAA"), ("last-event-id", "1-1")];
    let answer = gateway.of(ALICE).echo(&stray).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("mcp-session-id"), None);
    let all: Vec<_> = MEDIA.iter().chain(&MODERN).copied().collect();
    let body = raw::modern(1, "server/discover", json!({})).to_string();
    let answer = gateway.of(ALICE).send(Method::POST, &all, body).await;
    assert_eq!(code(answer).await, -32020);
}
