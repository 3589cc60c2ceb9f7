//! Clients that know of no proxy, and connect to the address that a name has for them.

use std::net::SocketAddr;

use hickory_proto::rr::RecordType;
use portcullis_egress::{Caps, Kind, Reason, Rule, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::door_names::ask;
use crate::door_support::{Authority, Echo, Guarded, ask_at, echoes, private, read_all};
use crate::support::{Names, Server};

/// What stands for the first name that is asked for.
const FIRST: [u8; 4] = [127, 1, 0, 1];

/// A door that takes connections to [`FIRST`] at the port that the server has, after the name was asked for.
async fn capturing(port: u16, rules: Vec<Rule>, tls: bool, asked: Option<&str>) -> Guarded {
    let here: &[&[&str]] = &[&["127.0.0.1"]];
    let names = Names::new(&[("api.test", here), ("other.test", here)]);
    let place = SocketAddr::from((FIRST, port));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (http, https) = if tls { (any, place) } else { (place, any) };
    let caps = Caps::default();
    let guarded = Guarded::capturing(rules, caps, names.resolver(), http, https);
    if let Some(name) = asked {
        let (_, addresses) = ask(guarded.names_udp, name, RecordType::A).await;
        assert_eq!(addresses, ["127.1.0.1"]);
    }
    guarded
}

fn both(port: u16) -> Vec<Rule> {
    let texts = [format!("api.test:{port}"), format!("other.test:{port}")];
    private(&[&texts[0], &texts[1]])
}

fn both_plain(port: u16) -> Vec<Rule> {
    let texts = [
        format!("http://api.test:{port}"),
        format!("http://other.test:{port}"),
    ];
    private(&[&texts[0], &texts[1]])
}

#[tokio::test]
async fn tls_arrives_at_the_name_whose_address_was_given_out() {
    let authority = Authority::new(&["api.test", "other.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let mut guarded = capturing(port, both(port), true, Some("api.test.")).await;
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    let text = authority.get(tcp, "api.test").await.unwrap();
    assert!(text.ends_with("HTTP/1.1 /path"), "{text}");
    let record = guarded.record().await;
    assert_eq!(
        (record.verdict, record.kind),
        (Verdict::Allowed, Kind::CapturedTls)
    );
    assert_eq!(record.host.as_deref(), Some("api.test"));
    assert_eq!(record.port, Some(port));

    // Allowed, and not the name that this address stands for.
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(authority.hello(tcp, "other.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::ServerName);
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(authority.nameless_hello(tcp, "api.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::NoServerName);
    let text = ask_at(guarded.https, b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    assert_eq!(text, "");
    assert_eq!(guarded.denied().await, Reason::NotTls);
    assert_eq!((server.connections(), server.requests()), (1, 1));
}

#[tokio::test]
async fn tls_to_an_address_that_stands_for_nothing_goes_by_its_own_name() {
    let authority = Authority::new(&["api.test", "evil.test"]);
    let server = Server::start(Some(authority.server())).await;
    let port = server.address.port();
    let mut guarded = capturing(port, both(port), true, None).await;
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    let text = authority.get(tcp, "api.test").await.unwrap();
    assert!(text.ends_with("/path"), "{text}");
    assert_eq!(guarded.record().await.verdict, Verdict::Allowed);
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(authority.hello(tcp, "evil.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::Host);
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(authority.nameless_hello(tcp, "api.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::NoServerName);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_plain_request_arrives_at_the_name_whose_address_was_given_out() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let mut guarded = capturing(port, both_plain(port), false, Some("api.test.")).await;
    for (target, host, expected) in [
        ("/x", "api.test:PORT", None),
        ("http://api.test:PORT/x", "api.test:PORT", None),
        ("/x", "other.test:PORT", Some(Reason::HostHeader)),
        ("/x", "127.0.0.1:PORT", Some(Reason::HostHeader)),
        ("/x", "api.test:1", Some(Reason::HostHeader)),
        (
            "http://other.test:PORT/x",
            "api.test:PORT",
            Some(Reason::HostHeader),
        ),
        ("/x", "api.test.:PORT", Some(Reason::NotCanonical)),
        ("/x", "", Some(Reason::NotCanonical)),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let request = request.replace("PORT", &port.to_string());
        let text = ask_at(guarded.http, request.as_bytes()).await;
        match expected {
            None => {
                assert!(text.ends_with("HTTP/1.1 /x"), "{text}");
                let record = guarded.record().await;
                assert_eq!(record.verdict, Verdict::Allowed);
                assert_eq!(record.kind, Kind::CapturedRequest);
            }
            Some(reason) => assert_eq!(guarded.denied().await, reason, "{target} {host}"),
        }
    }
    let request = format!("CONNECT api.test:{port} HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    let text = ask_at(guarded.http, request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!(guarded.denied().await, Reason::Malformed);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_rule_for_one_protocol_is_none_for_the_other() {
    let authority = Authority::new(&["api.test"]);
    let server = Server::start(None).await;
    let port = server.address.port();
    let mut guarded = capturing(port, both_plain(port), true, Some("api.test.")).await;
    let tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(authority.hello(tcp, "api.test").await.is_err());
    assert_eq!(guarded.denied().await, Reason::Protocol);
    assert_eq!(server.connections(), 0);

    let server = Server::start(None).await;
    let port = server.address.port();
    let mut guarded = capturing(port, both(port), false, Some("api.test.")).await;
    let request = format!("GET / HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n");
    let text = ask_at(guarded.http, request.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert_eq!(guarded.denied().await, Reason::Protocol);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn anything_is_captured_where_the_operator_wrote_tcp() {
    let echo = Echo::start().await;
    let port = echo.address.port();
    let rules = private(&[&format!("tcp://api.test:{port}")]);
    let guarded = capturing(port, rules, true, Some("api.test.")).await;
    let mut tcp = TcpStream::connect(guarded.https).await.unwrap();
    assert!(echoes(&mut tcp, "hello").await);

    // But not where nothing says for whom it is.
    let echo = Echo::start().await;
    let port = echo.address.port();
    let rules = private(&[&format!("tcp://api.test:{port}")]);
    let mut guarded = capturing(port, rules, true, None).await;
    let mut tcp = TcpStream::connect(guarded.https).await.unwrap();
    tcp.write_all(b"hello, whoever you are").await.unwrap();
    assert_eq!(read_all(&mut tcp).await, b"");
    assert_eq!(guarded.denied().await, Reason::NotTls);
    assert_eq!(echo.connections(), 0);
}
