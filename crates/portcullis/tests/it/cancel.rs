//! A client that goes away has cancelled its request in the modern era, and has not in the legacy
//! one, where it comes back for the answer.

use portcullis_testkit::raw;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{ALICE, Call, Gateway, Scripted, Setup, legacy};

async fn gateway(server: &Scripted, era: &str) -> Gateway {
    let setup = Setup::new().clients().url("one", &server.url(), era);
    setup.start().await
}

fn work() -> Value {
    json!({ "name": "work", "arguments": {} })
}

/// Waits until the server has been told that nobody wants the answer to `call`.
pub(crate) async fn cancelled(server: &mut Scripted, call: &Call, era: &str) {
    if era == "modern" {
        call.abandoned().await;
    } else {
        let told = server.message("notifications/cancelled").await;
        assert_eq!(told["params"]["requestId"], call.message["id"]);
    }
}

#[tokio::test]
async fn a_modern_client_cancels_by_closing_the_stream() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let gateway = gateway(&server, era).await;
        let peer = gateway.of(ALICE);
        // The gateway asks for log messages only where the client does.
        let mut params = work();
        params["_meta"] = crate::support::declaring(&json!({}));
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
        let (mut answer, call) = tokio::join!(peer.request(1, "tools/call", params), async {
            let call = server.call().await;
            call.log("begun").await;
            call
        });
        let event = answer.event().await.unwrap().unwrap();
        assert!(event.data.contains("begun"), "{event:?}");
        drop(answer);
        cancelled(&mut server, &call, era).await;
    }
}

#[tokio::test]
async fn a_modern_client_cancels_before_there_is_a_stream() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let gateway = gateway(&server, era).await;
        let address = gateway.address();
        let body = raw::modern(1, "tools/call", work()).to_string();
        let request = format!(
            "POST /servers/one/mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ALICE}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: work\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let call = server.call().await;
        drop(stream);
        cancelled(&mut server, &call, era).await;
    }
}

#[tokio::test]
async fn a_legacy_client_comes_back_for_its_answer() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let gateway = gateway(&server, era).await;
        let session = gateway.of(ALICE).open().await;
        let level = json!({ "level": "debug" });
        let set = session.post(&legacy(1, "logging/setLevel", &level)).await;
        assert_eq!(set.status, 200);
        let request = legacy(2, "tools/call", &work());
        let (mut stream, call) = tokio::join!(session.post(&request), async {
            let call = server.call().await;
            call.log("begun").await;
            call
        });
        let mut last = None;
        loop {
            let event = stream.event().await.unwrap().unwrap();
            last = event.id.clone().or(last);
            if event.data.contains("begun") {
                break;
            }
        }
        let last = last.expect("an event with an id");
        drop(stream);
        // The gateway serves on, so it had its time to notice.
        let ping = session.post(&legacy(3, "ping", &json!({}))).await;
        assert_eq!(ping.status, 200);
        assert!(call.is_awaited());

        // What comes while nobody reads is kept, in order, and comes once.
        call.log("meanwhile").await;
        let mut resumed = session.get(Some(&last)).await;
        assert_eq!(resumed.status, 200);
        let event = resumed.event().await.unwrap().unwrap();
        assert!(event.data.contains("meanwhile"), "{event:?}");
        let last = event.id.unwrap();
        drop(resumed);
        call.answer("done").await;
        let resumed = session.get(Some(&last)).await;
        let message = resumed.message().await.unwrap();
        assert_eq!(message["id"], 2);
        assert_eq!(message["result"]["content"][0]["text"], "done");
    }
}

#[tokio::test]
async fn a_legacy_client_cancels_by_saying_so() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let gateway = gateway(&server, era).await;
        let session = gateway.of(ALICE).open().await;
        let request = legacy(2, "tools/call", &work());
        let (answer, call) = tokio::join!(session.post(&request), async {
            let call = server.call().await;
            let params = json!({ "requestId": 2, "reason": "enough" });
            let note =
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
            assert_eq!(session.post(&note).await.status, 202);
            call
        });
        cancelled(&mut server, &call, era).await;
        // No answer comes any more.
        let rest = answer.bytes().await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("\"result\""));
        // The id is free again.
        let (answer, ()) = tokio::join!(session.post(&request), async {
            server.call().await.answer("second").await;
        });
        assert_eq!(crate::support::text(answer).await, "second");
    }
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls() {
    for era in ["modern", "legacy"] {
        let mut server = Scripted::start().await;
        let gateway = gateway(&server, era).await;
        let session = gateway.of(ALICE).open().await;
        let mut standing = session.get(None).await;
        let request = legacy(2, "tools/call", &work());
        let (answer, call) = tokio::join!(session.post(&request), async {
            let call = server.call().await;
            assert_eq!(session.delete().await.status, 204);
            call
        });
        drop(answer.bytes().await);
        while standing.event().await.unwrap().is_some() {}
        cancelled(&mut server, &call, era).await;
        assert_eq!(session.delete().await.status, 404);
    }
}

#[tokio::test]
async fn an_id_in_use_is_not_used_twice() {
    let mut server = Scripted::start().await;
    let gateway = gateway(&server, "legacy").await;
    let session = gateway.of(ALICE).open().await;
    let request = legacy(2, "tools/call", &work());
    let (first, ()) = tokio::join!(session.post(&request), async {
        let call = server.call().await;
        let again = session.post(&request).await;
        assert_eq!(crate::support::code(again).await, -32600);
        // A text is another id than the number, and another session has ids of its own.
        let mut other = request.clone();
        other["id"] = json!("2");
        let (second, ()) = tokio::join!(session.post(&other), async {
            server.call().await.answer("second").await;
        });
        let second = second.message().await.unwrap();
        assert_eq!(second["id"], "2");
        let stranger = gateway.of(ALICE).open().await;
        let (third, ()) = tokio::join!(stranger.post(&request), async {
            server.call().await.answer("third").await;
        });
        assert_eq!(crate::support::text(third).await, "third");
        call.answer("first").await;
    });
    assert_eq!(crate::support::text(first).await, "first");
    assert!(server.called().is_none());
}
