//! HTTP+SSE of 2024-11-05.

use std::sync::Arc;

use http::Method;
use parking_lot::Mutex;
use portcullis_mcp::Version;
use portcullis_proxy::config::HttpTransport;
use portcullis_proxy::upstream::{Garbage, State, Unsolicited, UpstreamError};
use tokio::sync::mpsc;

use crate::peer::{Peer, Reply, Seen, event};
use crate::support::{
    ask, at, call, connect, notified, result, soon, start, try_connect, upstream,
};

type Stream = Arc<Mutex<Option<mpsc::UnboundedSender<String>>>>;

/// A server whose event stream names `address`; POSTs elsewhere get 405.
pub(crate) async fn sse(address: &'static str) -> (Peer, Stream) {
    let stream = Stream::default();
    let answering = stream.clone();
    let peer = Peer::start(move |seen| {
        if seen.verb == Method::GET {
            let (events, reply) = Reply::stream();
            events
                .send(format!("event: endpoint\ndata: {address}\n\n"))
                .unwrap();
            *answering.lock() = Some(events);
            return reply;
        }
        if seen.path != "/messages?session=1" {
            return Reply::empty(405);
        }
        if let (Some(answer), Some(events)) = (answer(seen), &*answering.lock()) {
            events
                .send(format!("event: message\n{}", event(None, &answer)))
                .ok();
        }
        Reply::empty(202)
    })
    .await;
    (peer, stream)
}

fn answer(seen: &Seen) -> Option<String> {
    match seen.method().as_str() {
        "initialize" => {
            Some(seen.result(r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{}}}"#))
        }
        "echo" => Some(seen.result(&at(&seen.body, &["params"]))),
        "notifications/cancelled" => Some(format!(
            r#"{{"jsonrpc":"2.0","method":"test/cancelled","params":{}}}"#,
            at(&seen.body, &["params"])
        )),
        _ => None,
    }
}

#[tokio::test]
async fn an_old_server_is_found_and_used() {
    let (mut peer, stream) = sse("/messages?session=1").await;
    let upstream = upstream(|server| server.url = Some(peer.url.clone()));
    let (connection, mut inbox) = connect(&upstream).await;
    assert_eq!(connection.hello().version, Version::V2024_11_05);
    let calls = (0..50).map(|n| {
        let mut call = call("echo");
        call.params = Some(format!(r#"{{"n":{n}}}"#).into());
        let connection = &connection;
        async move {
            assert_eq!(
                result(ask(connection, call).await),
                format!(r#"{{"n":{n}}}"#)
            );
        }
    });
    futures_util::future::join_all(calls).await;
    drop(start(&connection, call("never")).await);
    notified(&mut inbox, "test/cancelled").await;
    let methods = peer.so_far();
    let expected = [
        "server/discover",
        "initialize",
        "GET",
        "initialize",
        "notifications/initialized",
    ];
    assert_eq!(methods.get(..5), Some(&expected.map(str::to_owned)[..]));

    let lost = start(&connection, call("never")).await;
    drop(stream.lock().take());
    assert!(matches!(
        crate::support::run(lost).await.1,
        Err(UpstreamError::Closed)
    ));
    assert!(matches!(
        soon(inbox.recv()).await,
        Some(Unsolicited::Closed)
    ));
    assert!(matches!(upstream.state(), State::Down { .. }));
}

#[tokio::test]
async fn an_address_of_another_origin_is_refused() {
    for address in [
        "http://localhost:1/messages",
        "//other.example/messages",
        "https://127.0.0.1/",
    ] {
        let (mut peer, _stream) = sse(address).await;
        let upstream = upstream(|server| {
            server.url = Some(peer.url.clone());
            server.transport = HttpTransport::Sse;
        });
        let error = try_connect(&upstream).await.unwrap_err();
        assert!(
            matches!(error, UpstreamError::Garbage(Garbage::Endpoint(_))),
            "{error:?}"
        );
        assert_eq!(peer.so_far(), ["GET"]);
    }
}

#[tokio::test]
async fn a_refused_post_ends_its_call() {
    let (peer, _stream) = sse("/elsewhere").await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server.transport = HttpTransport::Sse;
    });
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Status(405)), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_names_no_address_is_given_up() {
    let peer = Peer::start(|_| {
        let (events, reply) = Reply::stream();
        std::mem::forget(events);
        reply
    })
    .await;
    let upstream = upstream(|server| {
        server.url = Some(peer.url.clone());
        server.transport = HttpTransport::Sse;
        server.probe_timeout = "100ms".parse().unwrap();
    });
    let error = try_connect(&upstream).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Timeout), "{error:?}");
}
