//! What authenticates a client to the gateway goes no further, and is written down nowhere.

use portcullis_testkit::Recorder;
use serde_json::json;

use crate::support::{ALICE, BOB, Setup, echo, legacy, text};

/// A credential that a client holds for somebody else, and sends along.
const OTHER: &str = "stray-canary-f00dfeed";

#[tokio::test]
async fn no_server_sees_a_clients_credential() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().url("one", &recorder.url(), "modern");
    let own = format!(
        "url = \"{}\"\nera = \"legacy\"\nheaders = {{ Authorization = \"Bearer own\" }}",
        recorder.url()
    );
    let gateway = setup.server("two", &own).start().await;
    let stray = [
        ("cookie", "session=stray-canary-f00dfeed"),
        ("proxy-authorization", "Basic stray-canary-f00dfeed"),
        ("x-api-key", OTHER),
        ("x-forwarded-for", OTHER),
        ("forwarded", "for=stray-canary-f00dfeed"),
        ("mcp-param-token", OTHER),
        ("traceparent", OTHER),
    ];
    assert_eq!(text(gateway.of(ALICE).echo(&stray).await).await, "hello");
    let two = gateway.peer("/servers/two/mcp").with(BOB);
    assert_eq!(text(two.echo(&stray).await).await, "hello");
    let session = two.open().await;
    let answer = session.post(&legacy(1, "tools/call", &echo("x"))).await;
    assert_eq!(text(answer).await, "x");
    let all = gateway.peer("/mcp").with(ALICE);
    let answer = all.request_with(&stray, 1, "tools/list", json!({})).await;
    assert!(answer.message().await.unwrap()["result"].is_object());

    let seen = recorder.seen();
    assert!(seen.len() > 6, "{}", seen.len());
    let mut with_own = 0;
    for request in seen {
        for (name, value) in &request.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(
                !value.contains("canary"),
                "{name}: {value} reached a server"
            );
        }
        assert!(!String::from_utf8_lossy(&request.body).contains("canary"));
        assert_eq!(request.header("cookie").len(), 0);
        match request.header("authorization").as_slice() {
            [] => {}
            [only] => {
                assert_eq!(only, "Bearer own");
                with_own += 1;
            }
            several => panic!("{several:?}"),
        }
    }
    assert!(
        with_own >= 3,
        "the server's own credential was sent {with_own} times"
    );
}

#[tokio::test]
async fn a_token_is_in_no_answer_no_log_and_no_file() {
    let recorder = Recorder::start().await.unwrap();
    let setup = Setup::new().clients().url("one", &recorder.url(), "modern");
    let gateway = setup.start().await;
    let mut answers = Vec::new();
    let peer = gateway.of(ALICE);
    // In every way that an answer can be made: served, denied, refused at each step.
    answers.push(peer.echo(&[]).await);
    answers.push(
        peer.request(2, "tools/call", json!({ "name": "echo", "arguments": {} }))
            .await,
    );
    answers.push(
        peer.request(
            3,
            "tools/call",
            json!({ "name": "nosuch", "arguments": {} }),
        )
        .await,
    );
    answers.push(peer.request(4, "no/such", json!({})).await);
    answers.push(peer.echo(&[("origin", "http://evil.example")]).await);
    answers.push(peer.echo(&[("mcp-name", "work")]).await);
    answers.push(peer.post_bytes(&[], "{").await);
    answers.push(peer.send(http::Method::GET, &[], "").await);
    answers.push(
        gateway
            .peer("/servers/nosuch/mcp")
            .with(ALICE)
            .echo(&[])
            .await,
    );
    answers.push(gateway.of(&format!("{ALICE}-wrong")).echo(&[]).await);
    let session = peer.open().await;
    answers.push(session.post(&legacy(1, "tools/list", &json!({}))).await);
    for answer in answers {
        let head = format!("{:?}", answer.headers);
        let body = answer.bytes().await.unwrap();
        assert!(!head.contains("canary"), "{head}");
        assert!(!String::from_utf8_lossy(&body).contains("canary"));
    }
    let mut gateway = gateway;
    gateway
        .reload(|text| text + "# changed\n[servers.more]\nurl = \"http://127.0.0.1:1/\"\n")
        .await;
    let output = gateway.harness.output();
    assert!(output.contains("denied"), "{output}");
    assert!(!output.contains("canary"), "a token was logged");
    let files = gateway.files();
    assert!(files.len() > 4096, "the record is among the files");
    assert!(
        !String::from_utf8_lossy(&files).contains("canary"),
        "a token was stored"
    );
}
