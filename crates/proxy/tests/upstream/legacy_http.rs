//! Streamable HTTP of the legacy era: sessions, resuming, requests of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use portcullis_mcp::{Outcome, Version};
use portcullis_proxy::config::EraSetting;
use portcullis_proxy::upstream::{Event, Unsolicited, Upstream, UpstreamError};
use tokio::sync::mpsc;

use crate::peer::{Peer, Reply, Seen, event};
use crate::support::{ask, at, call, connect, notified, result, run, soon, start, upstream};

/// A legacy server in `version` with the session `s-1`; `answer` does the rest.
pub(crate) async fn legacy(
    version: &'static str,
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> Peer {
    Peer::start(move |seen| match (&seen.verb, seen.method().as_str()) {
        (&Method::POST, "server/discover") => Reply::json(
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Server not initialized"}}"#,
        ),
        (&Method::POST, "initialize") => Reply::events(&[event(
            Some("0"),
            &seen.result(&format!(r#"{{"protocolVersion":"{version}","capabilities":{{}}}}"#)),
        )])
        .with("mcp-session-id", "s-1"),
        (&Method::DELETE, _) => Reply::empty(200),
        (&Method::POST, method) if method.starts_with("notifications/") => Reply::empty(202),
        _ => answer(seen),
    })
    .await
}

fn to(peer: &Peer) -> Arc<Upstream> {
    upstream(|server| {
        server.url = Some(peer.url.clone());
        server.era = EraSetting::Legacy;
    })
}

#[tokio::test]
async fn every_request_after_the_handshake_names_session_and_version() {
    for (version, header) in [
        (Version::V2025_03_26, None),
        (Version::V2025_06_18, Some("2025-06-18")),
        (Version::V2025_11_25, Some("2025-11-25")),
    ] {
        let mut peer = legacy(version.as_str(), |seen| Reply::json(200, seen.result("{}"))).await;
        let (connection, _inbox) = connect(&to(&peer)).await;
        assert_eq!(connection.hello().version, version);
        let seen = peer.seen_method("initialize").await;
        assert_eq!(seen.header("mcp-session-id"), None);
        assert_eq!(seen.header("mcp-protocol-version"), None);
        assert_eq!(
            at(&seen.body, &["params", "protocolVersion"]),
            r#""2025-11-25""#
        );
        result(ask(&connection, call("tools/list")).await);
        connection
            .notify("notifications/roots/list_changed", None)
            .await
            .unwrap();
        drop(connection);
        for wanted in [
            "notifications/initialized",
            "tools/list",
            "notifications/roots/list_changed",
            "",
        ] {
            let seen = peer.seen_method(wanted).await;
            assert_eq!(seen.header("mcp-session-id"), Some("s-1"), "{wanted}");
            assert_eq!(seen.header("mcp-protocol-version"), header, "{wanted}");
            assert_eq!(seen.header("mcp-method"), None, "{wanted}");
            assert_eq!(seen.verb == Method::DELETE, wanted.is_empty());
        }
    }
}

#[tokio::test]
async fn a_lost_session_closes_the_connection() {
    let peer = legacy("2025-11-25", |_| Reply::empty(404)).await;
    let (connection, mut inbox) = connect(&to(&peer)).await;
    let answer = ask(&connection, call("tools/list")).await;
    assert!(
        matches!(answer, Err(UpstreamError::SessionEnded)),
        "{answer:?}"
    );
    assert!(connection.is_closed());
    assert!(matches!(
        soon(inbox.recv()).await,
        Some(Unsolicited::Closed)
    ));
}

#[tokio::test]
async fn an_unknown_method_is_not_a_lost_session() {
    let peer = legacy("2025-11-25", |seen| {
        Reply::json(404, seen.error(-32601, ""))
    })
    .await;
    let (connection, _inbox) = connect(&to(&peer)).await;
    ask(&connection, call("tools/list")).await.unwrap();
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn dropping_an_exchange_sends_a_cancellation_even_before_it_began() {
    let mut peer = legacy("2025-11-25", |seen| {
        if seen.method() == "never" {
            return Reply::never();
        }
        let (events, reply) = Reply::stream();
        // Kept open for ever.
        std::mem::forget(events);
        reply
    })
    .await;
    let (connection, _inbox) = connect(&to(&peer)).await;
    for method in ["never", "stream"] {
        let mut starting = Box::pin(connection.exchange(call(method)));
        let id = tokio::select! {
            seen = peer.seen_method(method) => seen.id(),
            started = &mut starting => {
                let seen = peer.seen_method(method).await;
                drop(started);
                seen.id()
            }
        };
        drop(starting);
        let seen = peer.seen_method("notifications/cancelled").await;
        assert_eq!(at(&seen.body, &["params", "requestId"]), id, "{method}");
        assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
    }
}

#[tokio::test]
async fn a_broken_stream_is_resumed_where_it_broke() {
    let gets = Arc::new(AtomicUsize::new(0));
    let mut peer = legacy("2025-11-25", {
        let gets = gets.clone();
        let id = parking_lot::Mutex::new(String::new());
        move |seen| {
            if seen.verb == Method::POST {
                *id.lock() = seen.id();
                return Reply::events(&[format!("retry: 20\n{}", event(Some("e-1"), ""))]);
            }
            match gets.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::empty(503),
                1 => Reply::events(&[event(
                    Some("e-2"),
                    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
                )]),
                _ => Reply::events(&[event(
                    Some("e-3"),
                    &format!(
                        r#"{{"jsonrpc":"2.0","id":{},"result":{{"late":1}}}}"#,
                        id.lock()
                    ),
                )]),
            }
        }
    })
    .await;
    let (connection, _inbox) = connect(&to(&peer)).await;
    let (events, answer) = run(start(&connection, call("tools/call")).await).await;
    assert_eq!(result(answer), r#"{"late":1}"#);
    assert!(matches!(&events[..], [Event::Notification { .. }]));
    for expected in ["e-1", "e-1", "e-2"] {
        let seen = peer.seen(|seen| seen.verb == Method::GET).await;
        assert_eq!(seen.header("last-event-id"), Some(expected));
        assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
        assert_eq!(seen.header("accept"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn resuming_ends_after_a_few_attempts_or_when_it_is_refused() {
    for (status, attempts) in [(503, 5), (405, 1)] {
        let mut peer = legacy("2025-11-25", move |seen| {
            if seen.verb == Method::POST {
                Reply::events(&[format!("retry: 10\n{}", event(Some("e-1"), ""))])
            } else {
                Reply::empty(status)
            }
        })
        .await;
        let (connection, _inbox) = connect(&to(&peer)).await;
        let answer = ask(&connection, call("tools/call")).await;
        assert!(matches!(answer, Err(UpstreamError::Lost)), "{answer:?}");
        let mut gets = 0;
        let is_over = |seen: &Seen| seen.method() == "notifications/cancelled";
        while !is_over(
            &peer
                .seen(|seen| is_over(seen) || seen.verb == Method::GET)
                .await,
        ) {
            gets += 1;
        }
        assert_eq!(gets, attempts);
    }
}

#[tokio::test]
async fn a_server_asks_within_a_call() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let mut peer = legacy("2025-11-25", move |seen| {
        if seen.method().is_empty() {
            return Reply::empty(202);
        }
        let (events, reply) = Reply::stream();
        sender.send((events, seen.result(r#"{"ok":1}"#))).unwrap();
        reply
    })
    .await;
    let (connection, _inbox) = connect(&to(&peer)).await;
    let mut exchange = start(&connection, call("tools/call")).await;
    let (events, answer) = soon(streams.recv()).await.unwrap();
    events
        .send(event(None, r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#))
        .unwrap();
    events
        .send(event(
            None,
            r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#,
        ))
        .unwrap();
    let Event::Ask(question) = soon(exchange.next()).await else {
        panic!("a question")
    };
    let pong = peer
        .seen(|seen| seen.method().is_empty() && seen.verb == Method::POST)
        .await;
    assert_eq!(&pong.body[..], br#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
    let roots = Outcome::Result(Bytes::from_static(b"{\"roots\":[]}"));
    soon(exchange.answer(&question, &roots)).await.unwrap();
    let seen = peer
        .seen(|seen| seen.method().is_empty() && seen.verb == Method::POST)
        .await;
    assert_eq!(
        &seen.body[..],
        br#"{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}"#
    );
    assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
    events.send(event(None, &answer)).unwrap();
    assert_eq!(result(run(exchange).await.1), r#"{"ok":1}"#);
}

#[tokio::test]
async fn the_stream_of_unasked_messages_feeds_the_inbox_and_comes_back() {
    let (sender, mut streams) = mpsc::unbounded_channel();
    let mut peer = legacy("2025-11-25", move |seen| {
        if seen.verb != Method::GET {
            return Reply::empty(202);
        }
        let (events, reply) = Reply::stream();
        sender.send(events).unwrap();
        reply
    })
    .await;
    let (connection, mut inbox) = connect(&to(&peer)).await;
    connection.open_stream();
    connection.open_stream();
    let events = soon(streams.recv()).await.unwrap();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    events
        .send(format!("retry: 10\n{}", event(Some("g-1"), changed)))
        .unwrap();
    notified(&mut inbox, "notifications/tools/list_changed").await;
    events.send(event(Some("g-2"), "garbage")).unwrap();
    events
        .send(event(None, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
        .unwrap();
    let seen = peer
        .seen(|seen| seen.method().is_empty() && seen.verb == Method::POST)
        .await;
    assert_eq!(&seen.body[..], br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    drop(events);

    let events = soon(streams.recv()).await.unwrap();
    let seen = peer.seen(|seen| seen.verb == Method::GET).await;
    assert_eq!(seen.header("last-event-id"), Some("g-2"));
    for id in [2, 3] {
        let ask = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#);
        events.send(event(None, &ask)).unwrap();
    }
    let Some(Unsolicited::Ask(_, reply)) = soon(inbox.recv()).await else {
        panic!("a request")
    };
    let Some(Unsolicited::Ask(_, unused)) = soon(inbox.recv()).await else {
        panic!("a request")
    };
    reply
        .send(Outcome::Result(Bytes::from_static(b"{}")))
        .await
        .unwrap();
    let seen = peer
        .seen(|seen| seen.method().is_empty() && seen.verb == Method::POST)
        .await;
    assert_eq!(&seen.body[..], br#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
    drop(unused);
    let seen = peer
        .seen(|seen| seen.method().is_empty() && seen.verb == Method::POST)
        .await;
    assert_eq!(at(&seen.body, &["error", "code"]), "-32603");
    assert!(streams.try_recv().is_err(), "one stream at a time");
    soon(connection.close()).await;
    peer.seen(|seen| seen.verb == Method::DELETE).await;
}
