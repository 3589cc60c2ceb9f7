//! Each request is authenticated by itself, by the credential that it carries and by nothing else.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use portcullis_testkit::{Recorder, raw};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{ALICE, BOB, Gateway, Setup, echo};

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().clients();
    setup.url("one", &recorder.url(), "modern").start().await
}

/// One connection that is kept.
pub(crate) async fn connect(gateway: &Gateway) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Calls `echo` over it; the status, and the challenge if there is one.
pub(crate) async fn call(
    gateway: &Gateway,
    sender: &mut SendRequest<Full<Bytes>>,
    authorization: &[&str],
) -> (StatusCode, Option<String>) {
    let mut request = Request::post("/servers/one/mcp")
        .header(header::HOST, gateway.address().to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo");
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let body = raw::modern(1, "tools/call", echo("hello")).to_string();
    sender.ready().await.unwrap();
    let response = sender.send_request(request.body(Full::from(body)).unwrap());
    let response = response.await.unwrap();
    let challenge = response.headers().get(header::WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    response.collect().await.unwrap();
    (status, challenge)
}

#[tokio::test]
async fn a_connection_vouches_for_nobody() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let alice = format!("Bearer {ALICE}");
    let lower = format!("bearer {ALICE}");
    let mut sender = connect(&gateway).await;
    let good = (StatusCode::OK, None);
    let missing = (StatusCode::UNAUTHORIZED, Some("Bearer".to_owned()));
    let wrong = "Bearer error=\"invalid_token\"".to_owned();
    let invalid = (StatusCode::UNAUTHORIZED, Some(wrong.clone()));
    let malformed = (StatusCode::BAD_REQUEST, Some(wrong));
    let other = format!("{ALICE}x");
    let cases = [
        (vec![&*alice], &good),
        (vec![], &missing),
        (vec![&*lower], &good),
        (vec!["Bearer "], &malformed),
        (vec![ALICE], &malformed),
        (vec!["Basic YWxpY2U6eA=="], &invalid),
        (vec![&*alice, &*alice], &malformed),
        (vec![&*alice, "Bearer x"], &malformed),
        (vec!["Bearer x"], &invalid),
        (vec![&*alice], &good),
    ];
    for (authorization, expected) in &cases {
        let got = call(&gateway, &mut sender, authorization).await;
        assert_eq!(got, **expected, "{authorization:?}");
    }
    let longer = format!("Bearer {other}");
    assert_eq!(call(&gateway, &mut sender, &[&longer]).await, invalid);
    let shorter = format!("Bearer {}", ALICE.strip_suffix('f').unwrap());
    assert_eq!(call(&gateway, &mut sender, &[&shorter]).await, invalid);
    assert_eq!(recorder.seen_of("tools/call").len(), 3);
}

#[tokio::test]
async fn a_token_that_was_taken_away_ends_at_the_next_request() {
    let recorder = Recorder::start().await.unwrap();
    let mut gateway = gateway(&recorder).await;
    let bob = format!("Bearer {BOB}");
    let alice = format!("Bearer {ALICE}");
    let mut sender = connect(&gateway).await;
    assert_eq!(call(&gateway, &mut sender, &[&bob]).await.0, 200);
    let session = gateway.of(BOB).open().await;
    gateway
        .reload(|text| text.replace("[clients.bob]\ntoken = \"${BOB}\"\n", ""))
        .await;
    assert_eq!(call(&gateway, &mut sender, &[&bob]).await.0, 401);
    assert_eq!(call(&gateway, &mut sender, &[&alice]).await.0, 200);
    // A session outlives no credential.
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(session.post(&ping).await.status, 401);
    assert_eq!(session.get(None).await.status, 401);
    assert_eq!(session.delete().await.status, 401);
}

#[tokio::test]
async fn a_token_elsewhere_is_no_token() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let path = format!("/servers/one/mcp?access_token={ALICE}");
    assert_eq!(gateway.peer(&path).echo(&[]).await.status, 400);
    let stranger = gateway.peer("/servers/one/mcp");
    let cookie = format!("access_token={ALICE}");
    for header in [
        ("cookie", &*cookie),
        ("x-api-key", ALICE),
        ("proxy-authorization", &format!("Bearer {ALICE}")),
    ] {
        assert_eq!(stranger.echo(&[header]).await.status, 401);
    }
    assert_eq!(recorder.seen().len(), 0);
}
