//! Server-side request forgery: what a peer names leads nowhere that the peer could not reach itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_oauth::jwt::{KeyKind, SigningKey};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::oauth_peers::{Names, Web, challenge, document, plain, redirect};
use crate::oauth_support::{Browser, CALLBACK, Page, authorization, now_s};
use crate::support::{ALICE, Gateway, Setup};
use crate::upstream_auth::error;

/// A word of the attacker's that is to reach nobody.
const WORD: &str = "reflected-canary";

/// Hosts that are, or lead to, where only this machine or its network may go, in every disguise.
const DISGUISES: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "①②⑦.⓪.⓪.①",
    "0.0.0.0",
    "0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "deep.localhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "100.64.0.1",
    "100.100.100.200",
    "198.18.0.1",
    "224.0.0.1",
    "[ff02::1]",
    "255.255.255.255",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "loop.attacker.test",
    "loop.attacker.test.",
    "mapped.attacker.test",
    "private.attacker.test",
    "metadata.attacker.test",
    "both.attacker.test",
    "six.attacker.test",
];

/// Disguises that a plain client sees through, and connects to this machine.
const REACHABLE: usize = 16;

/// Addresses of other kinds.
const OTHERS: &[&str] = &[
    "file:///etc/passwd",
    "ftp://public.attacker.test/",
    "gopher://127.0.0.1:70/_",
    "dict://127.0.0.1:11211/stats",
    "unix:///run/docker.sock",
    "data:application/json,{}",
    "javascript:alert(1)",
    "//127.0.0.1/",
    "/relative",
    "",
    "https://",
    "https://user:password@public.attacker.test/",
    "https://public.attacker.test@127.0.0.1/",
    "https://public.attacker.test/#fragment",
    "http://public.attacker.test/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://169.254.169.254/latest/meta-data/",
];

/// The attacker's MCP server, which the operator trusts no further than its own origin, and something on this machine that
/// nobody was to reach.
struct World {
    names: Names,
    server: Web,
    inner: Web,
}

impl World {
    async fn start() -> Self {
        let names = Names::start().await;
        names.set("mcp.test", &[&["127.0.0.1"]]);
        names.set("loop.attacker.test", &[&["127.0.0.1"]]);
        names.set("mapped.attacker.test", &[&["::ffff:127.0.0.1"]]);
        names.set("private.attacker.test", &[&["192.168.0.1"]]);
        names.set("metadata.attacker.test", &[&["169.254.169.254"]]);
        names.set("both.attacker.test", &[&["2d00::1", "127.0.0.1"]]);
        names.set("six.attacker.test", &[&["::1"]]);
        Self {
            names,
            server: Web::start().await,
            inner: Web::start().await,
        }
    }

    /// The server's origin, as the operator wrote it.
    fn origin(&self) -> String {
        format!("http://mcp.test:{}", self.server.address.port())
    }

    /// A gateway with `count` servers of the attacker's, so that each has a challenge of its own.
    async fn gateway(&self, count: usize) -> Gateway {
        let auth = "kind = \"oauth\"\nconnection = \"shared\"\naccounts = [\"ada\"]";
        let setup = Setup::new()
            .clients()
            .with("[oauth.server]\n[scopes.some]\nservers = [\"s0\"]\n");
        let mut setup = setup.with(&self.names.table());
        for n in 0..count {
            let url = format!("url = \"{}/{n}/mcp\"\nera = \"modern\"", self.origin());
            let settings = format!("{url}\n[servers.s{n}.auth]\n{auth}");
            setup = setup.server(&format!("s{n}"), &settings);
        }
        setup.start().await
    }

    /// `host` in an address of the port that something listens on.
    fn address(&self, host: &str) -> String {
        format!("https://{host}:{}/{WORD}", self.inner.address.port())
    }

    /// Has each server say what `lie` makes of what is true: where its metadata is, the metadata of the resource, and those of
    /// its authorization server.
    fn publish(&self, lies: Vec<Lie>) {
        let origin = self.origin();
        let truth = move |n: usize| {
            let issuer = format!("{origin}/as/{n}");
            let resource = format!("{origin}/{n}/mcp");
            let pointer = format!("{origin}/.well-known/oauth-protected-resource/{n}/mcp");
            let of_resource = json!({ "resource": resource, "authorization_servers": [issuer] });
            let of_issuer = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "registration_endpoint": format!("{origin}/register"),
                "code_challenge_methods_supported": ["S256"],
            });
            (pointer, of_resource, of_issuer)
        };
        self.server.answer(move |seen| {
            if seen.path == "/register" {
                let mut reply = document(&json!({ "client_id": "gateway" }));
                *reply.status_mut() = http::StatusCode::CREATED;
                return reply;
            }
            let mut parts = seen.path.split('/').skip(1);
            let Some(n) = parts.find_map(|part| part.parse::<usize>().ok()) else {
                return plain(404, WORD);
            };
            let (mut pointer, mut of_resource, mut of_issuer) = truth(n);
            match lies.get(n) {
                Some(Lie::Pointer(text)) => pointer.clone_from(text),
                Some(Lie::Resource(changes)) => merge(&mut of_resource, changes),
                Some(Lie::Issuer(changes)) => merge(&mut of_issuer, changes),
                None => {}
            }
            if seen.path.ends_with("/mcp") && !seen.path.starts_with("/.well-known") {
                challenge(&format!("Bearer resource_metadata=\"{pointer}\""))
            } else if seen
                .path
                .starts_with("/.well-known/oauth-protected-resource/")
            {
                document(&of_resource)
            } else if seen
                .path
                .starts_with("/.well-known/oauth-authorization-server/")
            {
                document(&of_issuer)
            } else {
                plain(404, WORD)
            }
        });
    }
}

/// What one server says wrongly.
enum Lie {
    Pointer(String),
    Resource(Value),
    Issuer(Value),
}

fn merge(document: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
}

/// Has the gateway meet the server `n`: a call, and the pages of the person who is to connect. Neither is told anything that the
/// attacker wrote. The last page.
async fn meet(gateway: &Gateway, ada: &mut Browser<'_>, n: usize, what: &str) -> Page {
    let peer = gateway.peer(&format!("/servers/s{n}/mcp")).with(ALICE);
    let answer = peer.echo(&[]).await.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required", "{what}");
    assert!(!answer.to_string().contains(WORD), "{what}: {answer}");
    let link = format!("/oauth/upstream/s{n}/connect");
    let mut page = ada.get(&link).await;
    if page.status == 200 {
        let csrf = page.field("csrf");
        page = ada.post(&link, &[("csrf", &csrf)]).await;
    }
    let all = format!("{page:?}");
    assert!(
        !all.contains(WORD) && !all.contains("attacker"),
        "{what}: {all}"
    );
    page
}

/// What a plain client does with an address: it connects, if it can.
async fn plain_client(world: &World, address: &str) -> bool {
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    let Some(host) = url.host() else { return false };
    let found = match host {
        url::Host::Domain(name) if name.trim_end_matches('.') == "localhost" => {
            Some(std::net::Ipv4Addr::LOCALHOST.into())
        }
        url::Host::Domain(name) if name.ends_with(".localhost") => {
            Some(std::net::Ipv4Addr::LOCALHOST.into())
        }
        host => world.names.plain(&host),
    };
    let is_here = found.is_some_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address == std::net::Ipv4Addr::UNSPECIFIED
    });
    let port = url.port_or_known_default().unwrap();
    match found {
        Some(address) if is_here => TcpStream::connect(SocketAddr::new(address, port))
            .await
            .is_ok(),
        _ => false,
    }
}

#[tokio::test]
async fn oauth_ssrf_the_disguises_fool_a_plain_client() {
    let world = World::start().await;
    let mut fooled = 0;
    for host in DISGUISES {
        fooled += usize::from(plain_client(&world, &world.address(host)).await);
    }
    assert!(fooled >= REACHABLE, "{fooled}");
    assert!(world.inner.knocks().await >= REACHABLE);
}

fn hostile(world: &World) -> Vec<String> {
    let disguised = DISGUISES.iter().map(|host| world.address(host));
    disguised
        .chain(OTHERS.iter().map(|text| (*text).to_owned()))
        .collect()
}

/// Every hostile address, told where `lie` tells it, is refused; and without it the same server is believed.
async fn check(lie: impl Fn(&str) -> Lie) {
    let world = World::start().await;
    let hostile = hostile(&world);
    let gateway = world.gateway(hostile.len() + 1).await;
    world.publish(hostile.iter().map(|text| lie(text)).collect());
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for (n, text) in hostile.iter().enumerate() {
        let page = meet(&gateway, &mut ada, n, text).await;
        // What cannot stand in a header was not read: the metadata is looked for where it is by default.
        let is_unread =
            matches!(lie(text), Lie::Pointer(_)) && (text.is_empty() || !text.is_ascii());
        assert!(page.status >= 400 || is_unread, "{text}: {page:?}");
        assert_eq!(world.server.count(&format!("/{n}/mcp")), 1, "{text}");
    }
    assert_eq!(world.inner.knocks().await, 0);
    let page = meet(&gateway, &mut ada, hostile.len(), "the truth").await;
    assert_eq!(page.status, 303, "{page:?}");
}

#[tokio::test]
async fn oauth_ssrf_by_the_pointer_to_protected_resource_metadata() {
    check(|hostile| Lie::Pointer(hostile.to_owned())).await;
}

#[tokio::test]
async fn oauth_ssrf_by_the_authorization_server_that_a_resource_names() {
    check(|hostile| Lie::Resource(json!({ "authorization_servers": [hostile] }))).await;
}

#[tokio::test]
async fn oauth_ssrf_by_the_registration_endpoint() {
    check(|hostile| Lie::Issuer(json!({ "registration_endpoint": hostile }))).await;
}

/// The token endpoint is asked last, when a browser came back with a code.
#[tokio::test]
async fn oauth_ssrf_by_the_token_endpoint() {
    let world = World::start().await;
    let hostile = hostile(&world);
    let gateway = world.gateway(hostile.len()).await;
    let lie = |text: &String| Lie::Issuer(json!({ "token_endpoint": text }));
    world.publish(hostile.iter().map(lie).collect());
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let mut came_back = 0;
    for (n, text) in hostile.iter().enumerate() {
        let page = meet_token(&gateway, &mut ada, n, text).await;
        let Some(state) = page else { continue };
        came_back += 1;
        let back = format!("/oauth/upstream/callback?code={WORD}&state={state}");
        let page = ada.get(&back).await;
        assert!(page.status >= 400, "{text}: {page:?}");
        assert!(
            !page.text.contains(WORD) && !page.text.contains("attacker"),
            "{text}"
        );
    }
    // Those that are https addresses of hosts were found out when they were dialled, or before that.
    assert!(came_back > 20, "{came_back}");
    assert_eq!(world.inner.knocks().await, 0);
    let sent: Vec<_> = world
        .server
        .seen()
        .into_iter()
        .filter(|seen| seen.path == "/token")
        .collect();
    assert!(sent.is_empty(), "{sent:?}");
}

/// The `state` of the authorization request, if it comes to one.
async fn meet_token(
    gateway: &Gateway,
    ada: &mut Browser<'_>,
    n: usize,
    what: &str,
) -> Option<String> {
    let page = meet(gateway, ada, n, what).await;
    (page.status == 303).then(|| page.answer("state").unwrap())
}

/// A document at an address that is good leads by a redirect to one that is not.
#[tokio::test]
async fn oauth_ssrf_by_a_redirect() {
    for status in [301, 302, 303, 307, 308] {
        for path in [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
            "/register",
        ] {
            let world = World::start().await;
            let gateway = world.gateway(1).await;
            world.publish(vec![]);
            let inner = format!("{}/{WORD}", world.inner.base());
            world.server.redirect(path, status, &inner);
            let mut ada = Browser::logged_in(&gateway, "ada").await;
            let page = meet(&gateway, &mut ada, 0, path).await;
            assert!(page.status >= 400, "{path} {status}: {page:?}");
            assert_eq!(world.inner.knocks().await, 0, "{path} {status}");
        }
    }
}

/// Documents that are too large, or are none, are not read for long.
#[tokio::test]
async fn oauth_ssrf_by_a_document_without_end() {
    for body in [
        "{".repeat(70_000),
        format!("{{\"{WORD}\":\"{}\"}}", "x".repeat(70_000)),
        format!("<b>{WORD}</b>"),
    ] {
        for path in [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
            "/register",
        ] {
            let world = World::start().await;
            let gateway = world.gateway(1).await;
            world.publish(vec![]);
            world.server.replace(path, 200, &body);
            let mut ada = Browser::logged_in(&gateway, "ada").await;
            let page = meet(&gateway, &mut ada, 0, path).await;
            assert!(page.status >= 400, "{path}: {page:?}");
        }
    }
}

/// A client's identifier is an address too, and anybody may show one.
#[tokio::test]
async fn oauth_ssrf_by_the_identifier_of_a_client() {
    let world = World::start().await;
    let gateway = world.gateway(1).await;
    let mut anybody = Browser::new(&gateway);
    for (n, client) in hostile(&world).iter().enumerate() {
        // So that nothing is refused for coming too often.
        anybody.from = [127, 0, 1, u8::try_from(n).unwrap()].into();
        let page = anybody.get(&authorization(&gateway, client, &[])).await;
        assert_eq!(page.status, 400, "{client}: {page:?}");
        assert!(
            !page.text.contains(WORD) && !page.text.contains("attacker"),
            "{client}"
        );
        assert!(!page.text.contains("Go to"), "{client}: {page:?}");
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", client.as_str()),
            ("code", "x"),
        ];
        let page = anybody.post("/oauth/token", &fields).await;
        assert_eq!(page.json()["error"], "invalid_client", "{client}: {page:?}");
        assert!(
            !page.text.contains(WORD) && !page.text.contains("attacker"),
            "{client}"
        );
    }
    assert_eq!(world.inner.knocks().await, 0);
}

/// A gateway that fetches documents from this machine too, so that what is refused is refused for what it is.
async fn developing(world: &World) -> Gateway {
    let setup = Setup::new().clients().with(&world.names.table());
    let setup = setup.with("[oauth.server]\ndangerously_fetch_from_loopback = true\n");
    let setup = setup.with("[scopes.\"one:list\"]\ntools = [\"one/list\"]\n");
    setup
        .url("one", &format!("{}/mcp", world.origin()), "modern")
        .start()
        .await
}

#[tokio::test]
async fn oauth_ssrf_by_what_the_document_of_a_client_names() {
    let world = World::start().await;
    let gateway = developing(&world).await;
    let id = format!("{}/client", world.server.base());
    let inner = world.inner.base();
    let mut metadata = json!({
        "client_id": id,
        "client_name": "Desk",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
    });
    for name in [
        "logo_uri",
        "client_uri",
        "policy_uri",
        "tos_uri",
        "sector_identifier_uri",
        "initiate_login_uri",
    ] {
        metadata[name] = json!(format!("{inner}/{name}"));
    }
    world.server.answer(move |_| document(&metadata));
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let page = ada.get(&authorization(&gateway, &id, &[])).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(!page.text.contains(&inner), "{page:?}");
    assert_eq!(world.server.count("/client"), 1);
    assert_eq!(world.inner.knocks().await, 0);

    // Keys of a client are fetched for an assertion of its own: not from a private address.
    for (n, host) in DISGUISES.iter().enumerate() {
        let (id, keys) = (
            format!("{}/client/{n}", world.server.base()),
            world.address(host),
        );
        if Url::parse(&keys).is_ok_and(|url| is_loopback(&url)) {
            // Which this gateway was told to trust.
            continue;
        }
        let metadata = json!({
            "client_id": id,
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": keys,
        });
        world.server.answer(move |_| document(&metadata));
        ada.from = [127, 0, 1, u8::try_from(n).unwrap()].into();
        let key = SigningKey::generate(KeyKind::Es256).unwrap();
        let now_s = now_s();
        let claims = json!({
            "iss": id, "sub": id, "aud": gateway.harness.url(), "exp": now_s + 60, "iat": now_s, "jti": n.to_string(),
        });
        let assertion = key.sign("JWT", &claims).unwrap();
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", &*id),
            ("code", "x"),
            ("client_assertion", &assertion),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ];
        let page = ada.post("/oauth/token", &fields).await;
        assert_eq!(page.json()["error"], "invalid_client", "{host}: {page:?}");
        assert!(
            !page.text.contains(WORD) && !page.text.contains("attacker"),
            "{host}"
        );
        assert_eq!(world.inner.knocks().await, 0, "{host}");
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[tokio::test]
async fn oauth_ssrf_by_a_client_document_that_redirects_or_never_ends() {
    let world = World::start().await;
    let gateway = developing(&world).await;
    let inner = format!("{}/{WORD}", world.inner.base());
    let mut anybody = Browser::new(&gateway);
    let large = json!({ "client_id": "x".repeat(20_000) });
    for (n, status) in [301, 302, 307, 308, 200].into_iter().enumerate() {
        let (to, large) = (inner.clone(), large.clone());
        world.server.answer(move |_| match status {
            200 => document(&large),
            _ => redirect(status, &to),
        });
        let id = format!("{}/client/{n}", world.server.base());
        let page = anybody.get(&authorization(&gateway, &id, &[])).await;
        assert_eq!(page.status, 400, "{status}: {page:?}");
        assert_eq!(world.server.count(&format!("/client/{n}")), 1);
    }
    assert_eq!(world.inner.knocks().await, 0);
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let id = format!("http://{}/client", silent.local_addr().unwrap());
    let began = Instant::now();
    let page = anybody.get(&authorization(&gateway, &id, &[])).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
}
