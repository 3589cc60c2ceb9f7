//! Whatever is written for a host, nothing that is not public is reached by it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use portcullis_egress::{
    Caps, Egress, EgressError, Reach, Reason, Resolver, Rule, Settings, Verdict,
};
use tokio::net::TcpListener;

use crate::door_support::{Guarded, private};
use crate::ssrf_notations::{SPECIAL_V4, SPECIAL_V6, of_v4, of_v6};
use crate::support::Server;

const URLS: &str = include_str!("../data/ssrf_urls.txt");
const BENIGN: &str = include_str!("../data/benign_hosts.txt");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// Listens where nobody may arrive, on both kinds of address.
struct Internal {
    port: u16,
    reached: Arc<AtomicUsize>,
}

impl Internal {
    async fn start() -> Self {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        // A machine without IPv6 has nothing to reach there.
        let other = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).await;
        listeners.extend(other.ok());
        let reached: Arc<AtomicUsize> = Arc::default();
        for listener in listeners {
            let reached = Arc::clone(&reached);
            tokio::spawn(async move {
                while listener.accept().await.is_ok() {
                    reached.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Self { port, reached }
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

/// A name server in the hands of an attacker: every name is this machine.
fn hostile() -> Resolver {
    Resolver::Function(Arc::new(|_| vec![IpAddr::from([127, 0, 0, 1])]))
}

/// A door through which everything on the internet may be reached at this port and at 80, and every one
/// of these names: so that only the checks of addresses are left.
fn widest(port: u16, hosts: &BTreeSet<String>) -> Guarded {
    let mut rules: Vec<Rule> = Vec::new();
    let nets = ["0.0.0.0/0", "[::]/0", "allowed.test", "*.allowed.test"];
    for host in nets.into_iter().chain(hosts.iter().map(String::as_str)) {
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            continue;
        }
        for (scheme, port) in [("tcp", port), ("http", port), ("tcp", 80), ("http", 80)] {
            // What is no host is nothing that a rule could be for.
            rules.extend(format!("{scheme}://{host}:{port}").parse::<Rule>().ok());
        }
    }
    let caps = Caps {
        connections_per_minute_max: usize::MAX,
        ..Caps::default()
    };
    Guarded::with_caps(rules, caps, hostile())
}

/// Asks for `authority` in every way there is; each is denied, and none fails only because nobody
/// answered.
async fn check(guarded: &mut Guarded, url: &str, authority: &str, host_port: u16) {
    let target = format!("http://allowed.test:{host_port}/");
    let requests = [
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("CONNECT {authority}:80 HTTP/1.1\r\nHost: {authority}:80\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
    ];
    for request in requests {
        let text = guarded.ask(&request).await;
        let status = text.get(..12).unwrap_or_default();
        let refused = matches!(status, "HTTP/1.1 400" | "HTTP/1.1 403" | "");
        assert!(refused, "{request:?}: {text}");
        denied(guarded, &request).await;
    }
    // For one that does not know of the proxy.
    let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let text = crate::door_support::ask_at(guarded.http, request.as_bytes()).await;
    assert!(!text.starts_with("HTTP/1.1 2"), "{request:?}: {text}");
    denied(guarded, &request).await;
}

async fn denied(guarded: &mut Guarded, request: &str) {
    let record = guarded.record().await;
    assert_eq!(record.verdict, Verdict::Denied, "{request:?}: {record:?}");
    assert_eq!((record.bytes_out, record.bytes_in), (0, 0));
}

/// Whether the gateway's own client refuses it before anything is dialled.
async fn check_client(egress: &Egress, url: &str) {
    // What is no URI at all cannot even be asked for.
    let Ok(request) = Request::get(url).body(Full::<Bytes>::default()) else {
        return;
    };
    let error = egress.client(Reach::Public).request(request).await;
    let error = error.unwrap_err();
    let refused = matches!(
        error,
        EgressError::Address | EgressError::Host(_) | EgressError::Refused { .. }
    );
    assert!(refused, "{url:?}: {error:?}");
}

fn client() -> Egress {
    let settings = Settings {
        allow_plain_http: true,
        ..Settings::default()
    };
    Egress::with_resolver(&settings, &hostile()).unwrap()
}

#[tokio::test]
async fn no_url_of_the_lists_of_attacks_arrives() {
    let internal = Internal::start().await;
    let port = internal.port.to_string();
    let urls: Vec<String> = lines(URLS).map(|url| url.replace("PORT", &port)).collect();
    let authority = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    let host = |url: &String| {
        let authority = authority(url);
        let host = authority
            .rsplit_once(':')
            .map(|(host, _)| host.to_lowercase());
        host.unwrap_or(authority)
    };
    let mut guarded = widest(internal.port, &urls.iter().map(host).collect());
    let egress = client();
    assert!(urls.len() > 150);
    for url in &urls {
        check(&mut guarded, url, &authority(url), internal.port).await;
        check_client(&egress, url).await;
        check_client(&egress, &url.replace("http://", "https://")).await;
    }
    assert_eq!(internal.reached(), 0);
}

#[tokio::test]
async fn no_notation_of_a_special_address_arrives() {
    let internal = Internal::start().await;
    let port = internal.port;
    let mut guarded = widest(port, &BTreeSet::new());
    let egress = client();
    let v4 = SPECIAL_V4.into_iter().flat_map(of_v4);
    let v6 = SPECIAL_V6.into_iter().flat_map(of_v6);
    let mut count = 0;
    for host in v4.chain(v6) {
        let authority = format!("{host}:{port}");
        let url = format!("http://{authority}/");
        check(&mut guarded, &url, &authority, port).await;
        check_client(&egress, &url).await;
        count += 1;
    }
    assert!(count > 2000, "{count}");
    assert_eq!(internal.reached(), 0);
}

#[tokio::test]
async fn hosts_that_are_nothing_special_are_reached() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let hosts: Vec<&str> = lines(BENIGN).collect();
    let texts: Vec<String> = hosts
        .iter()
        .map(|host| format!("http://{}:{port}", host.to_lowercase()))
        .collect();
    let rules = private(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut guarded = Guarded::start(rules, hostile());
    let egress = client();
    for host in &hosts {
        let request = format!("GET http://{host}:{port}/x HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        let text = guarded.ask(&request).await;
        assert!(text.ends_with("HTTP/1.1 /x"), "{host}: {text}");
        let record = guarded.record().await;
        assert_eq!(record.verdict, Verdict::Allowed, "{host}");
        let url = format!("http://{host}:{port}/x");
        let answer = crate::support::get(egress.client(Reach::Configured), &url).await;
        assert_eq!(answer.unwrap(), "HTTP/1.1 /x", "{host}");
    }
    assert_eq!(server.requests(), 2 * hosts.len());
    // The same hosts, which nobody made private.
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut guarded = Guarded::start(crate::door_support::rules(&texts), hostile());
    let request = format!(
        "GET {}/ HTTP/1.1\r\nHost: {}\r\n\r\n",
        texts[0],
        texts[0].trim_start_matches("http://")
    );
    let text = guarded.ask(&request).await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert!(matches!(guarded.denied().await, Reason::Address(_)));
}
