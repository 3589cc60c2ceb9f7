//! What a confined server tries to reach within by way of the gateway: internal addresses in every notation, names that change, and
//! redirects.

use std::collections::BTreeSet;

use tokio::net::TcpStream;
use url::Url;

use crate::egress_door::{became, connections, direct, get, private, start, web};
use crate::gateway::Modern;
use crate::hostile::{BARE, has_python, python};
use crate::oauth_peers::Names;

const URLS: &str = include_str!("../../../egress/tests/data/ssrf_urls.txt");
const BENIGN: &str = include_str!("../../../egress/tests/data/benign_hosts.txt");

/// An address of a block that nobody has been given.
const PUBLIC: &str = "2d00::1";

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Asks for each URL in every way there is; what was said to those that got through.
const ATTACK: &str = r"
import os, socket, urllib.request
from urllib.parse import urlsplit
proxy = urlsplit(os.environ.get('http_proxy') or os.environ.get('HTTP_PROXY') or '')
def raw(place, request):
    try:
        s = socket.create_connection(place, 3)
        s.settimeout(3)
        s.sendall(request.encode('utf-8', 'surrogateescape'))
        answer = s.recv(4096)
        if answer.split(b' ')[1:2] == [b'200']: print('reached', place, request, answer)
    except Exception: pass
for url in URLS:
    # A file of the server's own.
    if url.startswith('file:'): continue
    authority = url.split('://', 1)[-1].split('/')[0]
    try: urllib.request.urlopen(url, timeout=3); print('reached', url)
    except Exception: pass
    try: place = urlsplit(url); place = (place.hostname, place.port or 80)
    except Exception: place = None
    if place: raw(place, 'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % authority)
    if proxy.hostname:
        at = (proxy.hostname, proxy.port)
        raw(at, 'CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n' % (authority, authority))
        raw(at, 'GET %s HTTP/1.1\r\nHost: %s\r\n\r\n' % (url, authority))
        raw(at, 'GET http://allowed.test:PORT/ HTTP/1.1\r\nHost: %s\r\n\r\n' % authority)
        raw(('allowed.test', 80), 'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % authority)
";

/// Has the server ask for all of `urls`, some for each call.
async fn attack(client: &Modern, urls: &[String], port: u16) -> String {
    let mut reached = String::new();
    for some in urls.chunks(16) {
        let list = serde_json::to_string(some).unwrap();
        let code = ATTACK
            .replace("URLS", &list)
            .replace("PORT", &port.to_string());
        let said = python(client, "run", &code).await;
        let (end, said) = said.split_once('\n').unwrap();
        assert_eq!(end, "exit code 0", "{said}");
        reached += said;
    }
    reached
}

#[tokio::test]
async fn no_notation_of_an_internal_address_gets_through() {
    if !has_python() {
        return;
    }
    let (names, inner) = (Names::start().await, web().await);
    let port = inner.address.port();
    let hosts = lines(BENIGN).filter(|host| *host != "intra");
    let hosts = hosts.map(|host| format!("http://{host}:{port}/"));
    let urls = lines(URLS).map(|url| url.replace("PORT", &port.to_string()));
    let urls: Vec<String> = urls.chain(hosts).collect();
    // An attacker has the name servers, and the operator allowed as much as can be written without `private`.
    let mut rules = BTreeSet::from(
        ["0.0.0.0/0", "[::]/0", "allowed.test", "*.allowed.test"].map(str::to_owned),
    );
    for url in &urls {
        let url = Url::parse(url).ok();
        let name = url
            .as_ref()
            .and_then(Url::host_str)
            .map(|it| it.trim_end_matches('.'));
        // Outside of HTTP an address may pass for a name, and is one all the same.
        let host = name.and_then(|name| url::Host::parse(name).ok());
        if let Some(url::Host::Domain(name)) = host {
            names.set(&name, &[&["127.0.0.1"]]);
            // What is no host is nothing that a rule could be for.
            let is_rule = format!("tcp://{name}:1")
                .parse::<portcullis_egress::Rule>()
                .is_ok();
            rules.extend(is_rule.then_some(name));
        }
    }
    names.set("allowed.test", &[&["127.0.0.1"]]);
    let rules: Vec<String> = rules
        .iter()
        .flat_map(|host| ["tcp", "http"].map(|scheme| format!("{scheme}://{host}:{port}")))
        .chain(["http://allowed.test".to_owned(), "*".to_owned()])
        .collect();
    let settings = format!("hosts = {}", serde_json::to_string(&rules).unwrap());
    let (gateway, client) = start(&names, &settings).await;
    let reached = attack(&client, &urls, port).await;
    assert_eq!(reached, "");
    assert_eq!(inner.knocks().await, 0);
    let found = connections(&gateway, |found| found.len() > urls.len()).await;
    for row in &found {
        let is_lookup = row["kind"] == "lookup";
        assert!(is_lookup || row["verdict"] != "allowed", "{row}");
        let reason = row["reason"].as_str().unwrap_or_default();
        assert!(!reason.contains("too many"), "{row}");
    }

    // The same program, let out as it is, gets there by many of them. Only what leads here is tried.
    let is_here = |url: &&String| {
        let host = Url::parse(url).ok().filter(|url| url.port() == Some(port));
        match host.as_ref().and_then(Url::host) {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(url::Host::Ipv6(_)) | None => false,
        }
    };
    let here: Vec<String> = urls.iter().filter(is_here).cloned().collect();
    let (_bare, client) = start(&names, BARE).await;
    attack(&client, &here, port).await;
    assert!(inner.knocks().await > 15, "{here:#?}");
}

#[tokio::test]
async fn a_name_that_changes_leads_nowhere_within() {
    if !has_python() {
        return;
    }
    let (names, inner) = (Names::start().await, web().await);
    let port = inner.address.port();
    // A client that resolves a name again where it dials is led here.
    names.set("rebind.test", &[&[PUBLIC], &["127.0.0.1"]]);
    let second = names.plain(&url::Host::Domain("rebind.test")).unwrap();
    TcpStream::connect((second, port)).await.unwrap();
    assert_eq!(inner.knocks().await, 1);
    let settings = format!("hosts = [\"http://rebind.test:{port}\", \"http://rebind.test\"]");
    let (gateway, client) = start(&names, &settings).await;
    let url = format!("http://rebind.test:{port}/");
    for _ in 0..3 {
        let said = python(&client, "run", &get(&url)).await;
        assert!(!said.contains("canary"), "{said}");
        for port in [80, port] {
            let said = python(&client, "run", &direct("rebind.test", port)).await;
            assert!(!said.contains("canary"), "{said}");
        }
    }
    assert_eq!(inner.knocks().await, 1);
    connections(&gateway, |found| {
        became(found, "run", "rebind.test", "denied")
    })
    .await;
}

#[tokio::test]
async fn a_redirect_leads_no_further_than_rules() {
    if !has_python() {
        return;
    }
    let (names, outer, inner) = (Names::start().await, web().await, web().await);
    names.set("allowed.test", &[&["127.0.0.1"]]);
    outer.redirect("/redirect", 302, &inner.base());
    let port = outer.address.port();
    let rule = private(&format!("http://allowed.test:{port}"));
    let (_gateway, client) = start(&names, &rule).await;
    let url = format!("http://allowed.test:{port}/redirect");
    let said = python(&client, "run", &get(&url)).await;
    assert!(said.starts_with("exit code 0\n403 "), "{said}");
    assert_eq!((outer.knocks().await, inner.knocks().await), (1, 0));

    let (_bare, client) = start(&names, BARE).await;
    let url = format!("{}/redirect", outer.base());
    let said = python(&client, "run", &get(&url)).await;
    assert_eq!(said, "exit code 0\nb'canary'\n");
    assert_eq!(inner.knocks().await, 1);
}
