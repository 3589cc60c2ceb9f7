//! Plain requests in absolute form.

use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_egress::{Kind, Reason, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::door_support::{Guarded, private, rules};
use crate::support::{Names, Server};

fn names() -> portcullis_egress::Resolver {
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    Names::new(&[("api.test", here), ("other.test", here)]).resolver()
}

/// Answers every request with nothing, and keeps what arrived on each connection.
async fn listening() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let arrived: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            tokio::spawn(async move {
                let mut all = Vec::new();
                let mut buffer = [0; 4096];
                let index = {
                    let mut keep = keep.lock();
                    keep.push(String::new());
                    keep.len() - 1
                };
                while let Ok(count @ 1..) = tcp.read(&mut buffer).await {
                    all.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&all).into_owned();
                    keep.lock()[index].clone_from(&text);
                    let whole = match text.split_once("\r\n\r\n") {
                        Some((head, body)) if head.contains("chunked") => {
                            body.ends_with("0\r\n\r\n")
                        }
                        Some((head, body)) => {
                            let length = head.lines().find_map(|line| {
                                line.to_ascii_lowercase()
                                    .strip_prefix("content-length: ")
                                    .map(|it| it.parse::<usize>().unwrap())
                            });
                            body.len() >= length.unwrap_or(0)
                        }
                        None => false,
                    };
                    if whole {
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: 5\r\n\
                                      Connection: X-Secret\r\nX-Secret: 1\r\nX-Kept: 1\r\n\r\nok";
                        tcp.write_all(answer.as_bytes()).await.ok();
                    }
                }
            });
        }
    });
    (port, arrived)
}

#[tokio::test]
async fn a_request_is_passed_on_without_what_is_about_the_connection() {
    let (port, arrived) = listening().await;
    let mut guarded = Guarded::start(private(&[&format!("http://api.test:{port}")]), names());
    let request = format!(
        "POST http://API.test:{port}/a?b=c HTTP/1.1\r\nHost: api.test:{port}\r\nX-Kept: yes\r\n\
         Proxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n\
         Connection: keep-alive, X-Dropped\r\nX-Dropped: no\r\nUpgrade: websocket\r\n\
         Content-Length: 4\r\n\r\nbody"
    );
    let text = guarded.ask(&request).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nok"), "{text}");
    let lower = text.to_lowercase();
    assert!(lower.contains("connection: close") && lower.contains("x-kept: 1"));
    assert!(!lower.contains("x-secret") && !lower.contains("keep-alive"));
    let arrived = arrived.lock().join("|").to_lowercase();
    assert!(arrived.starts_with("post /a?b=c http/1.1\r\n"), "{arrived}");
    assert!(arrived.ends_with("\r\n\r\nbody"), "{arrived}");
    assert!(arrived.contains(&format!("host: api.test:{port}\r\n")));
    assert!(arrived.contains("x-kept: yes"));
    for gone in ["proxy-", "te:", "connection", "x-dropped", "upgrade"] {
        assert!(!arrived.contains(gone), "{gone}: {arrived}");
    }
    let record = guarded.record().await;
    assert_eq!((record.verdict, record.reason), (Verdict::Allowed, None));
    assert_eq!(record.kind, Kind::Request);
    assert_eq!(record.method.as_deref(), Some("POST"));
    assert_eq!(record.host.as_deref(), Some("api.test"));
    assert!(record.bytes_out > 40 && record.bytes_in > 40, "{record:?}");
}

/// Says `request`, which does not reach anybody, and why.
#[track_caller]
fn check(request: &str, expected: &[Reason]) -> impl Future<Output = ()> {
    let (request, expected) = (request.to_owned(), expected.to_vec());
    async move {
        let server = Server::start(None).await;
        let port = server.address.port();
        let texts = [
            format!("http://api.test:{port}"),
            format!("other.test:{port}"),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut rules = private(&texts);
        rules[0] = rules[0].clone().methods(["GET", "POST"]).unwrap();
        let mut guarded = Guarded::start(rules, names());
        let request = request.replace("PORT", &port.to_string());
        let text = guarded.ask(&request).await;
        assert!(!text.contains(" 200 "), "{request}: {text}");
        let reason = guarded.denied().await;
        assert!(expected.contains(&reason), "{request}: {reason:?} {text}");
        assert_eq!(server.connections(), 0, "{request}");
    }
}

#[tokio::test]
async fn a_request_says_one_host() {
    let head = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let api = "http://api.test:PORT/";
    let differs = [Reason::HostHeader];
    check(&head(api, "other.test:PORT"), &differs).await;
    check(&head(api, "api.test"), &differs).await;
    check(&head(api, "api.test:1"), &differs).await;
    check(&head("http://api.test/", "api.test:PORT"), &differs).await;
    let not_canonical = [Reason::NotCanonical];
    check(&head(api, "api.test.:PORT"), &not_canonical).await;
    check(&head(api, "a@api.test:PORT"), &not_canonical).await;
    check(
        &head("http://api.test@evil.test/", "evil.test"),
        &not_canonical,
    )
    .await;
    check(
        &head("http://api.test:PORT@127.0.0.1:PORT/", "127.0.0.1:PORT"),
        &not_canonical,
    )
    .await;
    let malformed = [Reason::Malformed];
    check(&format!("GET {api} HTTP/1.1\r\n\r\n"), &malformed).await;
    check(&format!("GET {api} HTTP/1.0\r\n\r\n"), &malformed).await;
    let twice = "Host: api.test:PORT\r\nHost: other.test:PORT\r\n";
    check(&format!("GET {api} HTTP/1.1\r\n{twice}\r\n"), &malformed).await;
    check(&head("/", "api.test:PORT"), &malformed).await;
    check(&head("http://api.test:PORT /", "api.test:PORT"), &malformed).await;
    check("hello\r\n\r\n", &malformed).await;
    check("\x16\x03\x01\x02\x00\x01", &malformed).await;
}

#[tokio::test]
async fn a_request_is_for_a_rule_of_its_protocol_and_method() {
    let head = |method: &str, target: &str, host: &str| {
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
    let host = "api.test:PORT";
    check(
        &head("DELETE", "http://api.test:PORT/", host),
        &[Reason::Method],
    )
    .await;
    check(
        &head("get", "http://api.test:PORT/", host),
        &[Reason::Method],
    )
    .await;
    check(
        &head("GET", "http://api.test/", "api.test"),
        &[Reason::Port],
    )
    .await;
    check(
        &head("GET", "http://evil.test/", "evil.test"),
        &[Reason::Host],
    )
    .await;
    // A rule for TLS is none for what everybody can read.
    let other = "other.test:PORT";
    check(
        &head("GET", "http://other.test:PORT/", other),
        &[Reason::Protocol],
    )
    .await;
    for scheme in ["https", "ftp", "gopher", "ws"] {
        let target = format!("{scheme}://api.test:PORT/");
        check(&head("GET", &target, host), &[Reason::Protocol]).await;
    }
}

#[tokio::test]
async fn a_second_request_on_a_connection_reaches_nobody() {
    let (port, arrived) = listening().await;
    let texts = [format!("http://api.test:{port}")];
    let mut guarded = Guarded::start(private(&[&texts[0]]), names());
    let one = format!("GET http://api.test:{port}/1 HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    for second in ["other.test", "127.0.0.1", "api.test"] {
        let two = format!("GET http://{second}:{port}/2 HTTP/1.1\r\nHost: {second}:{port}\r\n\r\n");
        let text = guarded.ask(&format!("{one}{two}")).await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    }
    let arrived = arrived.lock();
    assert_eq!(arrived.len(), 3);
    assert!(
        arrived
            .iter()
            .all(|it| it.starts_with("GET /1 ") && !it.contains("/2"))
    );
}

#[tokio::test]
async fn a_request_in_a_request_stays_a_body() {
    let (port, arrived) = listening().await;
    let mut guarded = Guarded::start(private(&[&format!("http://api.test:{port}")]), names());
    let head = format!("POST http://api.test:{port}/1 HTTP/1.1\r\nHost: api.test:{port}\r\n");
    let hidden = format!("GET http://other.test:{port}/2 HTTP/1.1\r\nHost: other.test\r\n\r\n");
    // Each has two readings; whichever was taken, the host gets one request, framed anew.
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 500\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 60\r\n",
        "Content-Length: 5, 60\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
    ] {
        let before = arrived.lock().len();
        let text = guarded
            .ask(&format!("{head}{framing}\r\n0\r\n\r\n{hidden}"))
            .await;
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{framing}: {text}");
        let record = guarded.record().await;
        assert_ne!(record.host.as_deref(), Some("other.test"), "{framing}");
        let arrived = arrived.lock();
        assert!(arrived.len() <= before + 1, "{framing}");
        if let Some(text) = arrived.get(before) {
            let text = text.to_lowercase();
            let chunked = text.contains("transfer-encoding: chunked");
            assert_ne!(
                chunked,
                text.contains("content-length"),
                "{framing}: {text}"
            );
            assert!(!text.contains("get /2"), "{framing}: {text}");
        }
    }
}

#[tokio::test]
async fn a_host_cannot_turn_a_request_into_a_tunnel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(tcp.read(&mut buffer).await.unwrap() > 0);
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        tcp.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(tcp.read(&mut buffer).await.unwrap_or(0), 0);
    });
    let guarded = Guarded::start(private(&[&format!("http://api.test:{port}")]), names());
    let request = format!(
        "GET http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\nConnection: upgrade\r\n\
         Upgrade: x\r\n\r\n"
    );
    let text = guarded.ask(&request).await;
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
}

#[tokio::test]
async fn an_address_in_plain_is_reached_where_the_operator_wrote_it() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let mut guarded = Guarded::start(rules(&[&format!("http://127.0.0.0/8:{port}")]), names());
    let place = format!("127.0.0.1:{port}");
    let text = guarded
        .ask(&format!(
            "GET http://{place}/x HTTP/1.1\r\nHost: {place}\r\n\r\n"
        ))
        .await;
    assert!(text.ends_with("HTTP/1.1 /x"), "{text}");
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
}
