//! `Host` and `Origin`: a web page reaches nothing, whatever credential it has got hold of.

use http::Method;
use portcullis_testkit::{Recorder, raw};
use serde_json::json;

use crate::support::{self, ALICE, BOUND, Gateway, Setup, echo};

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().clients();
    setup.url("one", &recorder.url(), "modern").start().await
}

/// Sends a request of `method` that is right but for `headers`; the status.
async fn status(gateway: &Gateway, method: &Method, headers: &[(&str, &str)]) -> u16 {
    let peer = gateway.of(ALICE);
    if *method == Method::POST {
        return support::status(peer.echo(headers).await).await;
    }
    let session = peer.open().await;
    let mut all = vec![
        ("mcp-session-id", session.id.as_str()),
        ("accept", "text/event-stream"),
    ];
    all.extend_from_slice(headers);
    peer.send(method.clone(), &all, "").await.status.as_u16()
}

#[tokio::test]
async fn a_foreign_origin_is_refused_on_every_verb() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let foreign = [
        "http://evil.example",
        "https://127.0.0.1.evil.example",
        "http://localhost.evil.example:80",
        "null",
        "",
        "file://",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1/path",
        "http://localhost http://evil.example",
    ];
    for method in [Method::POST, Method::GET, Method::DELETE] {
        for origin in foreign {
            let status = status(&gateway, &method, &[("origin", origin)]).await;
            assert_eq!(status, 403, "{method} {origin:?}");
        }
        let twice = [
            ("origin", "http://localhost"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(status(&gateway, &method, &twice).await, 403, "{method}");
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
    for origin in [
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]:8080",
    ] {
        for (method, expected) in [
            (Method::POST, 200),
            (Method::GET, 200),
            (Method::DELETE, 204),
        ] {
            let status = status(&gateway, &method, &[("origin", origin)]).await;
            assert_eq!(status, expected, "{method} {origin}");
        }
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_every_verb() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let port = gateway.address().port();
    let foreign = [
        "evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("user@localhost:{port}"),
        format!("localhost:{}", port ^ 1),
        "localhost".to_owned(),
        "127.0.0.1:80".to_owned(),
        format!("10.0.0.1:{port}"),
        String::new(),
    ];
    for method in [Method::POST, Method::GET, Method::DELETE] {
        for host in &foreign {
            let status = status(&gateway, &method, &[("host", host)]).await;
            assert!(matches!(status, 400 | 403), "{method} {host:?}: {status}");
        }
    }
    for host in [
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
    ] {
        assert_eq!(
            status(&gateway, &Method::POST, &[("host", &host)]).await,
            200,
            "{host}"
        );
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 3);
}

#[tokio::test]
async fn a_missing_doubled_or_contradicted_host_is_refused() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let address = gateway.address();
    let body = raw::modern(1, "tools/call", echo("hello")).to_string();
    let send = |target: &str, hosts: &str| {
        let head = format!(
            "POST {target} HTTP/1.1\r\n{hosts}Authorization: Bearer {ALICE}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        async move {
            raw::exchange(address, head.as_bytes(), BOUND)
                .await
                .unwrap()
        }
    };
    let path = "/servers/one/mcp";
    let own = format!("Host: {address}\r\n");
    let cases = [
        (path.to_owned(), String::new()),
        (path.to_owned(), format!("{own}Host: evil.example\r\n")),
        (path.to_owned(), format!("{own}{own}")),
        (format!("http://evil.example{path}"), own.clone()),
        (
            format!("http://{address}{path}"),
            "Host: evil.example\r\n".to_owned(),
        ),
    ];
    for (target, hosts) in &cases {
        let answer = send(target, hosts).await;
        let answer = String::from_utf8_lossy(&answer);
        let refused = ["HTTP/1.1 400", "HTTP/1.1 403"];
        assert!(
            refused.iter().any(|status| answer.starts_with(status)),
            "{target} {hosts:?}: {answer}"
        );
    }
    assert_eq!(recorder.seen_of("tools/call").len(), 0);
    let answer = send(path, &own).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn configured_names_are_accepted_and_no_others() {
    let recorder = Recorder::start().await.unwrap();
    let listen = "address = \"127.0.0.1:0\"\nhosts = [\"gate.example\"]\norigins = [\"https://app.example\"]";
    let setup = Setup::new().clients().listen(listen);
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    let cases = [
        ("gate.example", "https://app.example", 200),
        ("gate.example:8443", "https://app.example", 200),
        ("sub.gate.example", "https://app.example", 403),
        ("gate.example", "http://app.example", 403),
        ("gate.example", "https://app.example:8443", 403),
        ("gate.example", "https://sub.app.example", 403),
    ];
    for (host, origin, expected) in cases {
        let headers = [("host", host), ("origin", origin)];
        let answer = gateway.of(ALICE).echo(&headers).await;
        assert_eq!(answer.status, expected, "{host} {origin}");
    }
}

#[tokio::test]
async fn the_door_is_checked_before_the_credential() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let stranger = gateway.peer("/servers/one/mcp");
    let answer = stranger.echo(&[("origin", "http://evil.example")]).await;
    assert_eq!(answer.status, 403);
    let message = answer.message().await.unwrap();
    assert_eq!(message.get("id").unwrap_or(&json!(null)), &json!(null));
}
