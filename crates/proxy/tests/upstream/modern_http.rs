//! Streamable HTTP of the modern era.

use portcullis_mcp::Era;
use portcullis_proxy::upstream::{Connection, Event, State, Upstream, UpstreamError};
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::peer::{Peer, Reply, Seen, event};
use crate::support::{
    BYTES_MAX, ask, at, call, connect, error_code, result, run, soon, start, try_connect, upstream,
};

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;

/// A modern server that answers everything but `server/discover` by `answer`.
async fn modern(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Peer {
    Peer::start(move |seen| match seen.method().as_str() {
        "server/discover" => Reply::json(200, seen.result(DISCOVERED)),
        _ => answer(seen),
    })
    .await
}

fn to(peer: &Peer) -> Arc<Upstream> {
    upstream(|server| server.url = Some(peer.url.clone()))
}

async fn connected(peer: &Peer) -> Arc<Connection> {
    connect(&to(peer)).await.0
}

#[tokio::test]
async fn headers_and_meta_are_made_from_the_request() {
    let mut peer = modern(|seen| Reply::json(200, seen.result("{}"))).await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server
            .headers
            .insert("Authorization".into(), "Bearer t".into());
    });
    let (connection, _inbox) = connect(&upstream).await;
    assert_eq!(connection.hello().era, Era::Modern);
    let mut call = call("tools/call");
    call.params = Some(r#"{"name":"grüße","arguments":{"a":1e0}}"#.into());
    call.name_header = Some("grüße".into());
    call.param_headers = vec![
        ("Region".into(), " eu".into()),
        ("Plain".into(), "x".into()),
    ];
    result(ask(&connection, call).await);
    let seen = peer.seen_method("tools/call").await;
    let expected = [
        ("accept", Some("application/json, text/event-stream")),
        ("content-type", Some("application/json")),
        ("authorization", Some("Bearer t")),
        ("mcp-protocol-version", Some("2026-07-28")),
        ("mcp-method", Some("tools/call")),
        ("mcp-name", Some("=?base64?Z3LDvMOfZQ==?=")),
        ("mcp-param-region", Some("=?base64?IGV1?=")),
        ("mcp-param-plain", Some("x")),
        ("mcp-session-id", None),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), value, "{name}");
    }
    let meta = at(&seen.body, &["params", "_meta"]);
    let key = "io.modelcontextprotocol/clientCapabilities";
    assert_eq!(at(meta.as_bytes(), &[key]), r#"{"roots":{}}"#);
    assert_eq!(at(&seen.body, &["params", "arguments"]), r#"{"a":1e0}"#);
}

#[tokio::test]
async fn a_plain_answer_is_ready_at_once() {
    let peer = modern(|seen| Reply::json(200, seen.result(r#"{"a": 1}"#))).await;
    let connection = connected(&peer).await;
    let mut exchange = start(&connection, call("tools/list")).await;
    assert_eq!(result(exchange.try_ready().unwrap()), r#"{"a": 1}"#);
    assert!(exchange.try_ready().is_none());
}

#[tokio::test]
async fn errors_keep_their_status() {
    let peer = modern(|seen| match seen.method().as_str() {
        "a" => Reply::json(404, seen.error(-32601, "")),
        "b" => Reply::json(400, seen.error(-32020, r#","data":{"x":1}"#)),
        "c" => Reply::empty(503),
        "d" => Reply::empty(401).with("www-authenticate", "Bearer scope=x"),
        _ => Reply::empty(302).with("location", "http://127.0.0.1:1/"),
    })
    .await;
    let connection = connected(&peer).await;
    for (method, status, code) in [("a", 404, -32601), ("b", 400, -32020)] {
        let answer = ask(&connection, call(method)).await;
        assert_eq!(answer.as_ref().unwrap().http_status, status);
        assert_eq!(error_code(answer), code);
    }
    let answer = ask(&connection, call("c")).await;
    assert!(
        matches!(answer, Err(UpstreamError::Status(503))),
        "{answer:?}"
    );
    let answer = ask(&connection, call("d")).await;
    assert!(
        matches!(&answer, Err(UpstreamError::Unauthorized { challenge: Some(c) }) if c == "Bearer scope=x"),
        "{answer:?}"
    );
    let answer = ask(&connection, call("e")).await;
    assert!(
        matches!(answer, Err(UpstreamError::Status(302))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_stream_brings_progress_and_the_answer_but_no_requests() {
    let peer = modern(|seen| {
        let id = seen.id();
        let progress = |token: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#)
        };
        Reply::events(&[
            ": comment\n\n".to_owned(),
            event(None, &progress(&id)),
            event(None, &progress("99")),
            event(None, r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#),
            format!("event: other\n{}", event(None, "nonsense")),
            event(None, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#),
            event(None, r#"{"jsonrpc":"2.0","id":77,"result":{}}"#),
            event(None, &seen.result(r#"{"done":true}"#)),
        ])
    })
    .await;
    let connection = connected(&peer).await;
    let mut call = call("tools/call");
    call.progress = true;
    let (events, answer) = run(start(&connection, call).await).await;
    assert_eq!(result(answer), r#"{"done":true}"#);
    let [Event::Progress(progress), Event::Notification { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(&progress[..], br#"{"progress":1}"#);
}

#[tokio::test]
async fn dropping_an_exchange_closes_its_stream() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let peer = modern(move |_| {
        let (events, reply) = Reply::stream();
        let (gone, reply) = reply.watched();
        sender.send((events, gone)).unwrap();
        reply
    })
    .await;
    let connection = connected(&peer).await;
    let exchange = start(&connection, call("tools/call")).await;
    let (_events, gone) = streams.recv().await.unwrap();
    drop(exchange);
    soon(gone.cancelled()).await;
}

#[tokio::test]
async fn what_is_not_mcp_is_an_error() {
    let peer = modern(|seen| match seen.method().as_str() {
        "html" => Reply::json(200, "<html>").with("content-type", "text/html"),
        "truncated" => Reply::json(200, r#"{"jsonrpc":"2.0","#),
        "other" => Reply::json(200, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#),
        "double" => Reply::json(200, seen.result(r#"{"a":1,"a":2}"#)),
        "deep" => Reply::json(
            200,
            seen.result(&format!("{}{}", "[".repeat(80), "]".repeat(80))),
        ),
        "batch" => Reply::json(200, format!("[{}]", seen.result("{}"))),
        "nothing" => Reply::empty(202),
        "stream" => Reply::events(&[event(None, "oops")]),
        _ => Reply::events(&[event(None, &seen.result(r#"{"a":1,"a":2}"#))]),
    })
    .await;
    let connection = connected(&peer).await;
    for method in [
        "html",
        "truncated",
        "other",
        "double",
        "deep",
        "batch",
        "nothing",
        "stream",
        "twice",
    ] {
        let answer = ask(&connection, call(method)).await;
        assert!(
            matches!(answer, Err(UpstreamError::Garbage(_))),
            "{method}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_too_large_or_cut_off_is_an_error() {
    let peer = modern(|seen| {
        let large = seen.result(&format!(r#"{{"text":"{}"}}"#, "x".repeat(BYTES_MAX)));
        match seen.method().as_str() {
            "whole" => Reply::json(200, large),
            "stream" => Reply::events(&[event(None, &large)]),
            _ => Reply::events(&[event(Some("1"), "")]),
        }
    })
    .await;
    let connection = connected(&peer).await;
    for method in ["whole", "stream"] {
        let answer = ask(&connection, call(method)).await;
        assert!(
            matches!(answer, Err(UpstreamError::TooLarge)),
            "{method}: {answer:?}"
        );
    }
    // There is no resuming in this era.
    let answer = ask(&connection, call("cut")).await;
    assert!(matches!(answer, Err(UpstreamError::Lost)), "{answer:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_before_and_within_a_stream() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let peer = modern(move |seen| {
        if seen.method() == "never" {
            return Reply::never();
        }
        let (events, reply) = Reply::stream();
        let (gone, reply) = reply.watched();
        sender.send((events, gone)).unwrap();
        reply
    })
    .await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server.timeout = "200ms".parse().unwrap();
    });
    let (connection, _inbox) = connect(&upstream).await;
    let answer = ask(&connection, call("never")).await;
    assert!(matches!(answer, Err(UpstreamError::Timeout)), "{answer:?}");
    let answer = ask(&connection, call("stream")).await;
    assert!(matches!(answer, Err(UpstreamError::Timeout)), "{answer:?}");
    let (_events, gone) = streams.recv().await.unwrap();
    soon(gone.cancelled()).await;
}

#[tokio::test]
async fn a_subscription_has_no_time_limit_and_takes_no_place() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let peer = modern(move |seen| match seen.method().as_str() {
        "subscriptions/listen" => {
            let (events, reply) = Reply::stream();
            sender.send(events).unwrap();
            reply
        }
        _ => Reply::never(),
    })
    .await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server.timeout = "100ms".parse().unwrap();
        server.concurrency_max = 1;
    });
    let (connection, _inbox) = connect(&upstream).await;
    let mut listen = call("subscriptions/listen");
    listen.long_lived = true;
    let mut listening = start(&connection, listen).await;
    let answer = ask(&connection, call("never")).await;
    assert!(matches!(answer, Err(UpstreamError::Timeout)), "{answer:?}");
    let events = streams.recv().await.unwrap();
    let message = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    events.send(event(None, message)).unwrap();
    assert!(matches!(
        soon(listening.next()).await,
        Event::Notification { .. }
    ));
}

#[tokio::test]
async fn connections_are_used_again() {
    let peer = modern(|seen| Reply::events(&[event(None, &seen.result("{}"))])).await;
    let connection = connected(&peer).await;
    for _ in 0..50 {
        assert_eq!(result(ask(&connection, call("tools/list")).await), "{}");
    }
    assert!(peer.connections() < 10, "{}", peer.connections());
}

#[tokio::test]
async fn a_server_that_is_gone_is_down_at_once_and_comes_back() {
    let peer = modern(|seen| Reply::json(200, seen.result("{}"))).await;
    let upstream = to(&peer);
    let (connection, _inbox) = connect(&upstream).await;
    drop(peer);
    let refused = soon(async {
        loop {
            match ask(&connection, call("tools/list")).await {
                Err(UpstreamError::Broken(_)) => {}
                other => return other,
            }
        }
    })
    .await;
    assert!(
        matches!(refused, Err(UpstreamError::Connect(_))),
        "{refused:?}"
    );
    let State::Down { retry_after, .. } = upstream.state() else {
        panic!("down")
    };
    assert!(retry_after <= std::time::Duration::from_millis(150));
    let refused = ask(&connection, call("tools/list")).await;
    assert!(
        matches!(
            refused,
            Err(UpstreamError::Down { .. } | UpstreamError::Connect(_))
        ),
        "{refused:?}"
    );
    let refused = try_connect(&upstream).await;
    assert!(matches!(
        refused,
        Err(UpstreamError::Down { .. } | UpstreamError::Connect(_))
    ));
}

#[tokio::test]
async fn the_inbox_is_told_when_a_connection_is_closed() {
    let peer = modern(|seen| Reply::json(200, seen.result("{}"))).await;
    let (connection, mut inbox) = connect(&to(&peer)).await;
    soon(connection.close()).await;
    assert!(connection.is_closed());
    let last = soon(inbox.recv()).await;
    assert!(matches!(
        last,
        Some(portcullis_proxy::upstream::Unsolicited::Closed)
    ));
    let refused = ask(&connection, call("tools/list")).await;
    assert!(matches!(refused, Err(UpstreamError::Closed)));
}
