//! Clients known by the URL of their metadata document.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server of whole answers by path, which counts what it is asked.
pub(super) struct Peer {
    pub(super) base: String,
    answers: Arc<Mutex<HashMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(HashMap::<String, String>::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (theirs, log) = (Arc::clone(&answers), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (theirs, log) = (Arc::clone(&theirs), Arc::clone(&log));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    let answer = theirs.lock().get(&path).cloned();
                    log.lock().push(path);
                    let answer = answer.unwrap_or_else(|| answer_of("404 Not Found", "", ""));
                    stream.write_all(answer.as_bytes()).await.ok();
                });
            }
        });
        Self {
            base,
            answers,
            asked,
        }
    }

    pub(super) fn serve(&self, path: &str, answer: String) {
        self.answers.lock().insert(path.to_owned(), answer);
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

fn answer_of(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn json_answer(body: &Value) -> String {
    answer_of(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

async fn loopback_harness() -> Harness {
    harness_with(Config {
        dangerously_fetch_from_loopback: true,
        ..config()
    })
    .await
}

fn document(id: &str) -> Value {
    json!({
        "client_id": id,
        "client_name": "Notes",
        "redirect_uris": [LOCAL],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

#[tokio::test]
async fn a_client_is_known_by_its_document() {
    let (harness, peer) = (loopback_harness().await, Peer::start().await);
    let id = format!("{}/client.json", peer.base);
    peer.serve("/client.json", json_answer(&document(&id)));
    let page = harness
        .get(&authorization(&[("client_id", &id)]), Some(session("ada")))
        .await;
    let shown = text(&page);
    assert!(
        shown.contains("Published by") && shown.contains("<code>127.0.0.1</code>"),
        "{shown}"
    );
    let code = harness.code(&[("client_id", &id)]).await;
    let tokens = harness.redeem(&code, &[("client_id", &id)]).await;
    assert_eq!(tokens.status(), StatusCode::OK, "{}", text(&tokens));
    assert!(body(&tokens)["refresh_token"].is_string());
    // All of it with one fetch.
    assert_eq!(peer.asked(), 1);
    // A document without word on its age is kept for an hour.
    let again = |now_ms: u64| {
        let target = authorization(&[("client_id", &id)]);
        let request = Request::get(target).body(Bytes::new()).unwrap();
        harness.server.respond_to(request, None, PEER, now_ms)
    };
    again(NOW + 59 * 60_000).await;
    assert_eq!(peer.asked(), 1);
    again(NOW + 60 * 60_000).await;
    assert_eq!(peer.asked(), 2);
}

#[tokio::test]
async fn a_document_that_is_not_the_client_s_own_is_refused() {
    let (harness, peer) = (loopback_harness().await, Peer::start().await);
    let id = |path: &str| format!("{}{path}", peer.base);
    let typed = "Content-Type: application/json\r\n";
    let with = |path: &str, name: &str, value: Value| {
        let mut document = document(&id(path));
        document[name] = value;
        json_answer(&document)
    };
    let cases = [
        ("/other", json_answer(&document(&id("/another")))),
        ("/slash", json_answer(&document(&id("/slash/")))),
        ("/absent", answer_of("404 Not Found", typed, "{}")),
        (
            "/moved",
            answer_of("302 Found", "Location: /client.json\r\n", ""),
        ),
        (
            "/html",
            answer_of(
                "200 OK",
                "Content-Type: text/html\r\n",
                &document(&id("/html")).to_string(),
            ),
        ),
        ("/malformed", answer_of("200 OK", typed, "{")),
        ("/array", json_answer(&json!([]))),
        (
            "/large",
            with("/large", "client_name", json!("x".repeat(17_000))),
        ),
        ("/secret", with("/secret", "client_secret", json!("s"))),
        (
            "/secret-method",
            with(
                "/secret-method",
                "token_endpoint_auth_method",
                json!("client_secret_post"),
            ),
        ),
        (
            "/no-redirect",
            with("/no-redirect", "redirect_uris", json!([])),
        ),
        (
            "/bad-redirect",
            with("/bad-redirect", "redirect_uris", json!(["javascript:x"])),
        ),
        (
            "/no-key",
            with(
                "/no-key",
                "token_endpoint_auth_method",
                json!("private_key_jwt"),
            ),
        ),
    ];
    for (n, (path, answer)) in cases.into_iter().enumerate() {
        peer.serve(path, answer);
        // A peer of its own each, or the rate would be what refuses.
        let from = Some(IpAddr::V4(std::net::Ipv4Addr::new(
            198,
            51,
            100,
            u8::try_from(n).unwrap(),
        )));
        let target = authorization(&[("client_id", &id(path))]);
        let request = Request::get(target).body(Bytes::new()).unwrap();
        let response = harness
            .server
            .respond_to(request, Some(session("ada")), from, NOW)
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        // What was found there is nobody's business.
        assert!(!text(&response).contains("404"), "{path}");
    }
}

#[tokio::test]
async fn a_url_that_could_mislead_is_not_fetched() {
    let (harness, peer) = (loopback_harness().await, Peer::start().await);
    let port = peer.base.rsplit_once(':').unwrap().1;
    for id in [
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/a/../client.json"),
        format!("http://127.0.0.1:{port}/client.json#x"),
        format!("http://user@127.0.0.1:{port}/client.json"),
        format!("http://127.1:{port}/client.json"),
        format!("HTTP://127.0.0.1:{port}/client.json"),
        "http://example.com/client.json".to_owned(),
        "https://Example.com/client.json".to_owned(),
        "https://example.com:443/client.json".to_owned(),
        "ftp://example.com/client.json".to_owned(),
        "file:///etc/passwd".to_owned(),
        // Not on the public internet.
        "https://127.0.0.1/client.json".to_owned(),
        "https://169.254.169.254/latest".to_owned(),
        "https://[::1]/client.json".to_owned(),
        "https://10.0.0.1/client.json".to_owned(),
    ] {
        let response = harness
            .get(&authorization(&[("client_id", &id)]), None)
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{id}");
    }
    assert_eq!(peer.asked(), 0);
}

#[tokio::test]
async fn a_failure_is_kept_for_a_minute_and_peers_cannot_make_us_fetch_without_end() {
    let (harness, peer) = (loopback_harness().await, Peer::start().await);
    let id = format!("{}/absent", peer.base);
    for _ in 0..5 {
        harness
            .get(&authorization(&[("client_id", &id)]), None)
            .await;
    }
    assert_eq!(peer.asked(), 1);
    for n in 0..20 {
        let id = format!("{}/absent-{n}", peer.base);
        let response = harness
            .get(&authorization(&[("client_id", &id)]), None)
            .await;
        assert!(response.status().is_client_error());
    }
    assert_eq!(peer.asked(), 10);
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let (harness, peer) = (loopback_harness().await, Peer::start().await);
    let id = format!("{}/client.json", peer.base);
    peer.serve("/client.json", json_answer(&document(&id)));
    let target = authorization(&[("client_id", &id)]);
    let ask = || harness.get(&target, Some(session("ada")));
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    assert!([a, b, c, d].iter().all(|it| it.status() == StatusCode::OK));
    assert_eq!(peer.asked(), 1);
}

#[tokio::test]
async fn only_hosts_of_the_operator_s_list_are_believed() {
    let peer = Peer::start().await;
    let harness = harness_with(Config {
        dangerously_fetch_from_loopback: true,
        metadata_document_hosts: Some(vec!["apps.example".to_owned()]),
        ..config()
    })
    .await;
    let id = format!("{}/client.json", peer.base);
    peer.serve("/client.json", json_answer(&document(&id)));
    let response = harness
        .get(&authorization(&[("client_id", &id)]), None)
        .await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(peer.asked(), 0);
}

#[tokio::test]
async fn documents_of_this_machine_are_not_fetched_unless_that_is_asked_for() {
    let (harness, peer) = (harness().await, Peer::start().await);
    let id = format!("{}/client.json", peer.base);
    peer.serve("/client.json", json_answer(&document(&id)));
    let response = harness
        .get(&authorization(&[("client_id", &id)]), None)
        .await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(peer.asked(), 0);
}
