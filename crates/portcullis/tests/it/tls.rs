//! TLS, over which both versions of HTTP are spoken.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_testkit::{Recorder, raw};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ALICE, BOUND, Gateway, Identity, Setup, declaring, echo};

async fn gateway(directory: &TempDir, recorder: &Recorder) -> (Gateway, Identity) {
    let identity = Identity::new(directory.path());
    let listen = format!("address = \"127.0.0.1:0\"\n{}", identity.lines);
    let setup = Setup::new().listen(&listen).clients();
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    assert!(gateway.harness.url().starts_with("https://"));
    (gateway, identity)
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// The head of a call of `echo`; `authority` is the target's, for HTTP/2.
fn call(authority: Option<&str>) -> http::request::Builder {
    let path = "/servers/one/mcp";
    let target = authority.map_or_else(|| path.to_owned(), |host| format!("https://{host}{path}"));
    Request::post(target)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo")
}

fn body(text: &str) -> Full<Bytes> {
    Full::from(raw::modern(1, "tools/call", echo(text)).to_string())
}

async fn message(response: Response<Incoming>) -> Value {
    let bytes = response.collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn http_1_is_spoken() {
    let directory = TempDir::new().unwrap();
    let recorder = Recorder::start().await.unwrap();
    let (gateway, identity) = gateway(&directory, &recorder).await;
    let stream = identity.connect(gateway.address(), "http/1.1").await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (host, token, expected) in [
        (gateway.address().to_string(), Some(ALICE), 200),
        (gateway.address().to_string(), None, 401),
        ("evil.example".to_owned(), Some(ALICE), 403),
    ] {
        let request = call(None).header(header::HOST, host);
        let request = token.iter().fold(request, |request, token| {
            request.header(header::AUTHORIZATION, format!("Bearer {token}"))
        });
        sender.ready().await.unwrap();
        let response = sender
            .send_request(request.body(body("x")).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), expected);
        response.collect().await.unwrap();
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 1);
}

#[tokio::test]
async fn http_2_is_spoken_with_the_same_checks() {
    let directory = TempDir::new().unwrap();
    let recorder = Recorder::start().await.unwrap();
    let (gateway, identity) = gateway(&directory, &recorder).await;
    let stream = identity.connect(gateway.address(), "h2").await;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let own = gateway.address().to_string();
    let bearer = format!("Bearer {ALICE}");
    let cases: [(&str, Headers<'_>, u16); 6] = [
        (&own, &[("authorization", &bearer)], 200),
        (&own, &[], 401),
        ("evil.example", &[("authorization", &bearer)], 403),
        (
            "evil.example",
            &[("authorization", &bearer), ("host", &own)],
            403,
        ),
        (
            &own,
            &[("authorization", &bearer), ("host", "evil.example")],
            403,
        ),
        (
            &own,
            &[
                ("authorization", &bearer),
                ("origin", "http://evil.example"),
            ],
            403,
        ),
    ];
    for (authority, headers, expected) in cases {
        let request = headers
            .iter()
            .fold(call(Some(authority)), |request, (name, value)| {
                request.header(*name, *value)
            });
        let mut sender = sender.clone();
        let response = sender
            .send_request(request.body(body("x")).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), expected, "{authority} {headers:?}");
        response.collect().await.unwrap();
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 1);

    // Many on one connection, each with an answer of its own.
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let text = format!("number {number}");
        let request = call(Some(&own)).header("authorization", &bearer);
        let request = request.body(body(&text)).unwrap();
        let mut sender = sender.clone();
        calls.spawn(async move {
            let message = message(sender.send_request(request).await.unwrap()).await;
            assert_eq!(message["result"]["content"][0]["text"], text);
        });
    }
    let all = async {
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
    };
    tokio::time::timeout(BOUND, all)
        .await
        .expect("fifty answers in time");
}

#[tokio::test]
async fn over_http_2_a_reset_stream_cancels_its_request_alone() {
    let directory = TempDir::new().unwrap();
    let mut server = crate::support::Scripted::start().await;
    let identity = Identity::new(directory.path());
    let listen = format!("address = \"127.0.0.1:0\"\n{}", identity.lines);
    let setup = Setup::new().listen(&listen).clients();
    let gateway = setup.url("one", &server.url(), "modern").start().await;
    let stream = identity.connect(gateway.address(), "h2").await;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = handshake.unwrap();
    tokio::spawn(connection);
    let own = gateway.address().to_string();
    let start = |id: u64| {
        let params = json!({ "name": "work", "arguments": {}, "_meta": declaring(&json!({})) });
        let body = raw::modern(id, "tools/call", params).to_string();
        let request = Request::post(format!("https://{own}/servers/one/mcp"))
            .header(header::AUTHORIZATION, format!("Bearer {ALICE}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "work")
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let mut sender = sender.clone();
        tokio::spawn(async move { sender.send_request(request).await })
    };
    let first = start(1);
    let first_call = server.call().await;
    let second = start(2);
    let second_call = server.call().await;
    first.abort();
    first_call.abandoned().await;
    assert!(second_call.is_awaited());
    second_call.answer("second").await;
    let response = second.await.unwrap().unwrap();
    assert_eq!(
        message(response).await["result"]["content"][0]["text"],
        "second"
    );
}

#[tokio::test]
async fn without_tls_nothing_is_said() {
    let directory = TempDir::new().unwrap();
    let recorder = Recorder::start().await.unwrap();
    let (gateway, _) = gateway(&directory, &recorder).await;
    let request = format!("GET /mcp HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address());
    let answer = raw::exchange(gateway.address(), request.as_bytes(), BOUND)
        .await
        .unwrap();
    assert!(!answer.starts_with(b"HTTP/"));
}
