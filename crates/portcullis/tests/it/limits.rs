//! Every bound that a client meets: nothing that it does takes more than its share.

use std::time::Duration;

use http::Method;
use portcullis_testkit::{Recorder, raw};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::authentication::{call, connect};
use crate::cancel::cancelled;
use crate::support::{
    ALICE, BOB, BOUND, Gateway, MEDIA, Scripted, Setup, echo, initialize, legacy, status, text,
};

async fn gateway(recorder: &Recorder, limits: &str) -> Gateway {
    let setup = Setup::new().clients().limits(limits);
    setup.url("one", &recorder.url(), "modern").start().await
}

/// A right request's head, up to the length of its body.
fn head(gateway: &Gateway) -> String {
    format!(
        "POST /servers/one/mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ALICE}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n",
        gateway.address()
    )
}

fn body(length: usize) -> String {
    let body = raw::modern(1, "tools/call", echo("")).to_string();
    let fill = "x".repeat(length - body.len());
    raw::modern(1, "tools/call", echo(&fill)).to_string()
}

fn bearer() -> String {
    format!("Bearer {ALICE}")
}

/// Sends `bytes`, and returns what came until the gateway closed.
async fn until_closed(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(BOUND, stream.read_to_end(&mut answer)).await;
    // A reset is a close, too.
    drop(closed.expect("the gateway closes in time"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_has_a_size() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "request_bytes_max = \"2KiB\"").await;
    let peer = gateway.of(ALICE);
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    assert_eq!(
        status(peer.post_bytes(&headers, body(2048)).await).await,
        200
    );
    assert_eq!(peer.post_bytes(&headers, body(2049)).await.status, 413);
    // What is announced too large is not waited for.
    let announced = format!(
        "{}Content-Length: 99999999\r\nConnection: close\r\n\r\n",
        head(&gateway)
    );
    let answer = until_closed(&gateway, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // What is not announced is counted.
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    let chunked = format!(
        "{}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        head(&gateway)
    );
    let answer = until_closed(&gateway, (chunked + &chunk.repeat(3)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(recorder.seen_of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_head_has_a_size() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "head_bytes_max = \"8KiB\"").await;
    let long = format!("{}X-Long: {}\r\n", head(&gateway), "x".repeat(64 << 10));
    let many = format!("{}{}", head(&gateway), "X-Many: x\r\n".repeat(200));
    for head in [long, many] {
        let request = format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = until_closed(&gateway, request.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    assert_eq!(gateway.of(ALICE).echo(&[]).await.status, 200);
}

#[tokio::test]
async fn a_head_has_a_time() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "head_timeout = \"200ms\"").await;
    let half = head(&gateway);
    for bytes in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\n",
        &half,
    ] {
        let answer = until_closed(&gateway, bytes.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{bytes:?}: {answer}");
    }
    assert_eq!(gateway.of(ALICE).echo(&[]).await.status, 200);
}

#[tokio::test]
async fn a_kept_connection_has_a_time() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(
        &recorder,
        "head_timeout = \"200ms\"\nidle_timeout = \"200ms\"",
    )
    .await;
    let body = body(1000);
    let request = format!(
        "{}Content-Length: {}\r\n\r\n{body}",
        head(&gateway),
        body.len()
    );
    for rest in ["", "POST /servers/one/mcp HTTP/1.1\r\nHost: "] {
        let answer = until_closed(&gateway, format!("{request}{rest}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1);
    }
}

#[tokio::test]
async fn a_body_has_a_time() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "body_timeout = \"200ms\"").await;
    for rest in [
        "Content-Length: 100\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ] {
        let request = format!("{}Connection: close\r\n{rest}", head(&gateway));
        let answer = until_closed(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{rest:?}: {answer}");
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
}

#[tokio::test]
async fn connections_have_a_number() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "connections_max = 1").await;
    let mut first = connect(&gateway).await;
    assert_eq!(call(&gateway, &mut first, &[&bearer()]).await.0, 200);
    let peer = gateway.of(ALICE);
    let second = peer.echo(&[]);
    tokio::pin!(second);
    let on_the_first = async {
        for _ in 0..20 {
            assert_eq!(call(&gateway, &mut first, &[&bearer()]).await.0, 200);
        }
    };
    tokio::select! {
        biased;
        answer = &mut second => panic!("{answer:?} over one connection too many"),
        () = on_the_first => {}
    }
    drop(first);
    assert_eq!(text(second.await).await, "hello");
}

#[tokio::test]
async fn requests_have_a_number() {
    let mut server = Scripted::start().await;
    let setup = Setup::new().clients().limits("requests_max = 1");
    let gateway = setup.url("one", &server.url(), "modern").start().await;
    let work = json!({ "name": "work", "arguments": {} });
    let (alice, bob) = (gateway.of(ALICE), gateway.of(BOB));
    let (first, ()) = tokio::join!(alice.request(1, "tools/call", work.clone()), async {
        let call = server.call().await;
        let second = bob.request(2, "tools/call", work.clone()).await;
        assert_eq!(second.status, 503);
        assert!(second.header("retry-after").is_some());
        call.answer("first").await;
    });
    assert_eq!(text(first).await, "first");
    let (third, ()) = tokio::join!(bob.request(3, "tools/call", work.clone()), async {
        server.call().await.answer("third").await;
    });
    assert_eq!(text(third).await, "third");
}

#[tokio::test]
async fn sessions_have_a_number_for_each_principal() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().limits("sessions_max = 2");
    let gateway = setup.url("one", &recorder.url(), "legacy").start().await;
    let alice = gateway.of(ALICE);
    let (first, second) = (alice.open().await, alice.open().await);
    let hello = initialize("2025-11-25", &json!({}));
    let answer = alice.post(&[], &hello).await;
    assert_eq!(answer.header("mcp-session-id"), None);
    let message = answer.message().await.unwrap();
    assert_eq!(message["error"]["data"]["code"], "overloaded", "{message}");
    let elsewhere = gateway.peer("/mcp").with(ALICE);
    assert_eq!(
        elsewhere.post(&[], &hello).await.header("mcp-session-id"),
        None
    );
    let bob = gateway.of(BOB).open().await;
    assert_eq!(first.delete().await.status, 204);
    let third = alice.open().await;
    for session in [second, bob, third] {
        let answer = session.post(&legacy(1, "tools/call", &echo("x"))).await;
        assert_eq!(text(answer).await, "x");
    }
}

#[tokio::test]
async fn streams_have_a_number_for_each_principal() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().limits("streams_max = 1");
    let gateway = setup.url("one", &recorder.url(), "legacy").start().await;
    let (one, two) = (
        gateway.of(ALICE).open().await,
        gateway.of(ALICE).open().await,
    );
    let first = one.get(None).await;
    assert_eq!(first.status, 200);
    assert_eq!(two.get(None).await.status, 429);
    let bob = gateway.of(BOB).open().await;
    assert_eq!(bob.get(None).await.status, 200);
    drop(first);
    // The gateway notices when the connection goes, which is soon.
    let freed = timeout(BOUND, async { while two.get(None).await.status != 200 {} });
    freed.await.expect("the place of the closed stream");
}

#[tokio::test]
async fn an_answer_that_becomes_a_stream_counts_as_one() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let setup = Setup::new().clients().limits("streams_max = 1");
        let gateway = setup.url("one", &server.url(), era).start().await;
        let session = gateway.of(ALICE).open().await;
        let standing = session.get(None).await;
        assert_eq!(standing.status, 200);
        let work = json!({ "name": "work", "arguments": {} });
        let request = legacy(2, "tools/call", &work);
        // The answer does not come soon, so it would have to become a stream.
        let turned_away = async {
            loop {
                assert_eq!(session.post(&request).await.status, 429);
                // On a slow machine that was before the server was called.
                if let Some(call) = server.called() {
                    return call;
                }
            }
        };
        let call = timeout(BOUND, turned_away).await.expect("a call in time");
        // Nobody can get the answer now, so the server is not kept at it.
        cancelled(&mut server, &call, era).await;
        drop(standing);
    }
}

#[tokio::test]
async fn over_a_pipe_a_line_has_a_size() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().url("one", &recorder.url(), "modern");
    let setup = setup.limits("request_bytes_max = \"2KiB\"");
    let mut harness = setup
        .launch("stdio", &["--server", "one"])
        .start_silent()
        .unwrap();
    let mut stdin = harness.take_stdin().unwrap();
    for length in [2049, 100_000, 2048] {
        let line = body(length) + "\n";
        stdin.write_all(line.as_bytes()).await.unwrap();
    }
    let answer = harness.line_with("\"result\"", BOUND).await.unwrap();
    assert!(answer.contains("xxx"));
    let output = harness.output();
    let refused: Vec<Value> = output
        .lines()
        .filter(|line| line.starts_with("{\"jsonrpc\"") && line.contains("\"error\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(refused.len(), 2);
    for message in refused {
        assert_eq!(message["error"]["code"], -32600);
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 1);
    drop(stdin);
    harness.wait(BOUND).await.unwrap();
}

#[tokio::test]
async fn parked_calls_have_a_number_for_each_principal() {
    let server = crate::support::conformance("legacy").await;
    let setup = Setup::new()
        .clients()
        .limits("parked_max = 1\nparked_timeout = \"1h\"");
    let gateway = setup.url("one", server.url(), "legacy").start().await;
    let meta = crate::support::declaring(&json!({ "elicitation": {} }));
    let name = "test_input_required_result_elicitation";
    let call = json!({ "name": name, "arguments": {}, "_meta": meta });
    let (alice, bob) = (gateway.of(ALICE), gateway.of(BOB));
    let first = alice
        .request(1, "tools/call", call.clone())
        .await
        .message()
        .await
        .unwrap();
    assert!(first["result"]["requestState"].is_string(), "{first}");
    let second = alice
        .request(2, "tools/call", call.clone())
        .await
        .message()
        .await
        .unwrap();
    assert_eq!(second["error"]["data"]["code"], "overloaded", "{second}");
    let other = bob
        .request(3, "tools/call", call)
        .await
        .message()
        .await
        .unwrap();
    assert!(other["result"]["requestState"].is_string(), "{other}");
}

#[tokio::test]
async fn an_upgrade_or_a_tunnel_is_not_offered() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder, "").await;
    let headers: Vec<_> = MEDIA
        .iter()
        .copied()
        .chain([("connection", "upgrade"), ("upgrade", "websocket")])
        .collect();
    let answer = gateway.of(ALICE).send(Method::GET, &headers, "").await;
    assert_eq!(answer.status, 405);
    let connect = format!(
        "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n",
        gateway.address()
    );
    let answer = raw::exchange(
        gateway.address(),
        connect.as_bytes(),
        Duration::from_secs(30),
    )
    .await
    .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
}
