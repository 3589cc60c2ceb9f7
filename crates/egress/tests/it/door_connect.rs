//! Tunnels that are asked for by `CONNECT`.

use portcullis_egress::{Kind, Reason, Refusal, Verdict};
use tokio::io::AsyncWriteExt;

use crate::door_support::{Authority, Echo, Guarded, NOW_MS, echoes, private, read_all, rules};
use crate::support::{Names, Server};

fn names() -> portcullis_egress::Resolver {
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    Names::new(&[
        ("api.test", here),
        ("other.test", here),
        ("sub.api.test", here),
    ])
    .resolver()
}

#[tokio::test]
async fn a_tunnel_carries_tls_to_the_host_that_was_asked_for() {
    let authority = Authority::new(&["api.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let mut guarded = Guarded::start(private(&[&format!("api.test:{port}")]), names());
    // The case of a name does not matter to anybody.
    for asked in ["api.test", "API.test"] {
        let tcp = guarded.connect(&format!("{asked}:{port}")).await.unwrap();
        let text = authority.get(tcp, "api.test").await.unwrap();
        assert!(text.ends_with("HTTP/1.1 /path"), "{text}");
        let record = guarded.record().await;
        assert_eq!((record.verdict, record.reason), (Verdict::Allowed, None));
        assert_eq!((record.kind, record.started_ms), (Kind::Connect, NOW_MS));
        assert_eq!(record.server, "files");
        assert_eq!(record.host.as_deref(), Some("api.test"));
        assert_eq!(record.port, Some(port));
        assert!(
            record.bytes_out > 200 && record.bytes_in > 200,
            "{record:?}"
        );
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_client_of_http_1_0_that_sends_no_host_gets_its_tunnel() {
    let authority = Authority::new(&["api.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let guarded = Guarded::start(private(&[&format!("api.test:{port}")]), names());
    let mut tcp = tokio::net::TcpStream::connect(guarded.proxy).await.unwrap();
    let request = format!("CONNECT api.test:{port} HTTP/1.0\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    read_head(&mut tcp).await;
    let text = authority.get(tcp, "api.test").await.unwrap();
    assert!(text.ends_with("/path"), "{text}");
}

#[tokio::test]
async fn what_no_rule_allows_is_told_with_the_rule_that_would() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let mut guarded = Guarded::start(Vec::new(), names());
    let text = guarded.connect("other.test:443").await.unwrap_err();
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert!(
        text.ends_with(
            "portcullis: `other.test` at port 443 may not be reached: no rule is about this host; \
             if it should be, the operator adds the rule `other.test`\n"
        ),
        "{text}"
    );
    assert_eq!(guarded.denied().await, Reason::Host);
    let text = guarded.connect(&format!("[::1]:{port}")).await.unwrap_err();
    assert!(text.contains(&format!("the rule `[::1]:{port}`")), "{text}");
    assert_eq!(guarded.denied().await, Reason::Host);
    assert_eq!(server.connections(), 0);
}

/// Asks for a tunnel that is denied at once, and counts nobody.
async fn check(rules: &[&str], authority: &str, expected: Reason) {
    let server = Server::start(None).await;
    let port = server.address.port().to_string();
    let written: Vec<String> = rules.iter().map(|it| it.replace("PORT", &port)).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let mut guarded = Guarded::start(private(&written), names());
    let authority = authority.replace("PORT", &port);
    let denial = guarded.connect(&authority).await.unwrap_err();
    assert!(denial.starts_with("HTTP/1.1 4"), "{authority}: {denial}");
    assert_eq!(guarded.denied().await, expected, "{authority} {rules:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_rule_is_about_its_host_and_its_port() {
    check(&["api.test"], "api.test:PORT", Reason::Port).await;
    check(&["api.test:PORT"], "api.test:443", Reason::Port).await;
    check(&["api.test:PORT"], "other.test:PORT", Reason::Host).await;
    check(&["*.api.test:PORT"], "api.test:PORT", Reason::Host).await;
    check(&["*.api.test:PORT"], "xapi.test:PORT", Reason::Host).await;
    check(&["tcp://10.0.0.0/8:PORT"], "127.0.0.1:PORT", Reason::Host).await;
    // A rule for an address is for nobody who calls it by a name, nor the other way round.
    check(&["tcp://127.0.0.1:PORT"], "api.test:PORT", Reason::Host).await;
    check(&["api.test:PORT"], "127.0.0.1:PORT", Reason::Host).await;
    // Everything is everything on the internet.
    check(&["tcp://0.0.0.0/0:PORT"], "127.0.0.1:PORT", Reason::Host).await;
    check(&["tcp://[::]/0:PORT"], "[::1]:PORT", Reason::Host).await;
}

#[tokio::test]
async fn a_host_has_one_spelling() {
    let rules = ["tcp://api.test:PORT", "tcp://127.0.0.1:PORT"];
    // What is not even in the notation of addresses is refused before it is looked at.
    for authority in [
        "evil%00.api.test:PORT",
        "evil.test%00api.test:PORT",
        "api%2etest:PORT",
    ] {
        check(&rules, authority, Reason::Malformed).await;
    }
    for authority in [
        "api.test.:PORT",
        "127.1:PORT",
        "2130706433:PORT",
        "0x7f.0.0.1:PORT",
        "0177.0.0.1:PORT",
        "[::ffff:127.0.0.1]:PORT",
        "[::ffff:7f00:1]:PORT",
        "api_.test:PORT",
        "user@api.test:PORT",
        "api.test:PORT@api.test:PORT",
        "api.test:0",
        "xn--a.test:PORT",
    ] {
        check(&rules, authority, Reason::NotCanonical).await;
    }
}

#[tokio::test]
async fn a_name_leads_to_private_addresses_only_where_the_rule_says_so() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let names = Names::new(&[
        ("api.test", &[&["127.0.0.1"]]),
        ("mixed.test", &[&["1.1.1.1", "127.0.0.1"]]),
        ("metadata.test", &[&["169.254.169.254"]]),
    ]);
    let texts = ["api.test", "mixed.test", "metadata.test"].map(|it| format!("tcp://{it}:{port}"));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut guarded = Guarded::start(rules(&texts), names.resolver());
    for name in ["api.test", "mixed.test", "metadata.test"] {
        let text = guarded
            .connect(&format!("{name}:{port}"))
            .await
            .unwrap_err();
        assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
        assert!(!text.contains("127.0.0.1") && !text.contains("169.254"));
        assert_eq!(guarded.denied().await, Reason::Address(Refusal::NotPublic));
    }
    // Nor to a metadata service even then.
    let mut guarded = Guarded::start(private(&texts), names.resolver());
    let denied = guarded.connect(&format!("metadata.test:{port}")).await;
    assert!(denied.is_err());
    assert_eq!(guarded.denied().await, Reason::Address(Refusal::LinkLocal));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn tls_has_to_name_the_host_that_was_asked_for() {
    let authority = Authority::new(&["api.test", "other.test", "sub.api.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let texts = ["api.test", "other.test", "*.api.test"].map(|it| format!("{it}:{port}"));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut guarded = Guarded::start(private(&texts), names());
    let api = format!("api.test:{port}");
    // Allowed hosts all of them, but not the one that was asked for.
    for name in ["other.test", "sub.api.test", "evil.test"] {
        let tcp = guarded.connect(&api).await.unwrap();
        assert!(authority.hello(tcp, name).await.is_err());
        assert_eq!(guarded.denied().await, Reason::ServerName);
    }
    let tcp = guarded.connect(&api).await.unwrap();
    assert!(authority.nameless_hello(tcp, "api.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::NoServerName);
    for bytes in [
        "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n".as_bytes(),
        "SSH-2.0-OpenSSH_9.2\r\n".as_bytes(),
        &[0; 64],
        // The head of a record that is never complete.
        &[22, 3, 1, 0xff],
    ] {
        let mut tcp = guarded.connect(&api).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        assert_eq!(read_all(&mut tcp).await, b"");
        assert_eq!(guarded.denied().await, Reason::NotTls);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_is_named_to_tls_by_no_name() {
    let authority = Authority::new(&["127.0.0.1", "api.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let mut guarded = Guarded::start(rules(&[&format!("127.0.0.0/8:{port}")]), names());
    let place = format!("127.0.0.1:{port}");
    let tcp = guarded.connect(&place).await.unwrap();
    let text = authority.get(tcp, "127.0.0.1").await.unwrap();
    assert!(text.ends_with("/path"), "{text}");
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    let tcp = guarded.connect(&place).await.unwrap();
    assert!(authority.hello(tcp, "api.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::ServerName);
}

#[tokio::test]
async fn anything_goes_where_the_operator_wrote_tcp() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let texts = [
        format!("tcp://api.test:{port}"),
        format!("tcp://127.0.0.0/8:{port}"),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut guarded = Guarded::start(private(&texts), names());
    for host in ["api.test", "127.0.0.1"] {
        let mut tcp = guarded.connect(&format!("{host}:{port}")).await.unwrap();
        assert!(echoes(&mut tcp, "\0hello\r\n").await);
        drop(tcp);
        let record = guarded.record().await;
        assert_eq!(record.verdict, Verdict::Allowed);
        assert_eq!((record.bytes_out, record.bytes_in), (8, 8));
    }
}

#[tokio::test]
async fn what_a_client_says_before_it_is_answered_is_not_lost() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let guarded = Guarded::start(private(&[&format!("tcp://api.test:{port}")]), names());
    let mut tcp = tokio::net::TcpStream::connect(guarded.proxy).await.unwrap();
    let request = format!("CONNECT api.test:{port} HTTP/1.1\r\nHost: api.test\r\n\r\nhello");
    tcp.write_all(request.as_bytes()).await.unwrap();
    read_head(&mut tcp).await;
    let mut back = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut tcp, &mut back)
        .await
        .unwrap();
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn a_client_may_tunnel_what_is_plain_and_is_checked_all_the_same() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let rule = private(&[&format!("http://api.test:{port}")]).remove(0);
    let mut guarded = Guarded::start(vec![rule.methods(["GET"]).unwrap()], names());
    for (method, host, expected) in [
        ("GET", "api.test", "200 OK"),
        ("POST", "api.test", "403 Forbidden"),
        ("GET", "other.test", "400 Bad Request"),
    ] {
        let mut tcp = guarded.connect(&format!("api.test:{port}")).await.unwrap();
        let request = format!("{method} /path HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let text = String::from_utf8(read_all(&mut tcp).await).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {expected}")), "{text}");
    }
    assert_eq!(server.requests(), 1);
    assert_eq!(guarded.record().await.method.as_deref(), Some("GET"));
    assert_eq!(guarded.denied().await, Reason::Method);
    assert_eq!(guarded.denied().await, Reason::HostHeader);
}

#[tokio::test]
async fn the_target_of_a_tunnel_decides_and_not_what_else_is_said() {
    let authority = Authority::new(&["api.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let mut guarded = Guarded::start(private(&[&format!("api.test:{port}")]), names());
    for host in ["api.test", "other.test", "127.0.0.1:3128", "a@b"] {
        let ask =
            |target: &str| format!("CONNECT {target}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        for target in ["other.test", "127.0.0.1"] {
            let text = guarded.ask(&ask(target)).await;
            assert!(text.starts_with("HTTP/1.1 403 "), "{host}: {text}");
            assert_eq!(guarded.denied().await, Reason::Host);
        }
        // Node names the proxy there.
        let mut tcp = tokio::net::TcpStream::connect(guarded.proxy).await.unwrap();
        tcp.write_all(ask("api.test").as_bytes()).await.unwrap();
        read_head(&mut tcp).await;
        let text = authority.get(tcp, "api.test").await.unwrap();
        assert!(text.ends_with("/path"), "{host}: {text}");
        assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    }
    assert_eq!(server.requests(), 4);
}

/// The head of an answer that grants a tunnel.
async fn read_head(tcp: &mut tokio::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::io::AsyncReadExt::read_u8(tcp).await.unwrap());
    }
    assert!(String::from_utf8(head).unwrap().contains(" 200 "));
}

#[tokio::test]
async fn where_a_redirect_leads_is_judged_anew() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let rule = [format!("http://api.test:{port}")];
    let mut guarded = Guarded::start(private(&[&rule[0]]), names());
    let get = |host: &str, path: &str| {
        format!("GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
    };
    let text = guarded.ask(&get("api.test", "/redirect")).await;
    assert!(text.starts_with("HTTP/1.1 302 "), "{text}");
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    // The client follows, to wherever it was sent.
    for host in ["127.0.0.1", "other.test", "localhost", "169.254.169.254"] {
        let text = guarded.ask(&get(host, "/")).await;
        assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
        assert_eq!(guarded.denied().await, Reason::Host);
        assert!(guarded.connect(&format!("{host}:{port}")).await.is_err());
        assert_eq!(guarded.denied().await, Reason::Host);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_does_not_answer_is_a_failure_and_no_denial() {
    let mut guarded = Guarded::start(private(&["tcp://gone.test:1", "tcp://api.test:1"]), names());
    let text = guarded.connect("gone.test:1").await.unwrap_err();
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
    let record = guarded.record().await;
    assert_eq!(record.verdict, Verdict::Failed);
    assert_eq!(record.reason, Some(Reason::Unresolved));
    let mut tcp = guarded.connect("api.test:1").await.unwrap();
    assert_eq!(read_all(&mut tcp).await, b"");
    let record = guarded.record().await;
    assert_eq!(record.verdict, Verdict::Failed);
    assert_eq!(record.reason, Some(Reason::Unreachable));
}
