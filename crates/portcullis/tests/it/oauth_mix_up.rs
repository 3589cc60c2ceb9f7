//! Authorization servers that pass for others, and addresses that are no places to log in: the gateway as a client of its
//! servers' authorization servers.

use serde_json::{Value, json};

use crate::gateway::descendants;
use crate::oauth_peers::{Web, challenge, document, plain};
use crate::oauth_support::{Browser, Page, encode};
use crate::support::{ALICE, BOUND, Gateway, Setup};
use crate::upstream_auth::error;

/// A word of the attacker's that is to reach nobody.
const WORD: &str = "reflected-canary";

/// MCP servers, each with an authorization server of its own on the same origin: the n-th at `/as/n`.
struct World {
    web: Web,
}

impl World {
    /// Each says the truth, but for these changes to the metadata of its authorization server; `OWN` stands for its issuer.
    async fn start(changes: Vec<Value>) -> Self {
        let web = Web::start().await;
        let origin = web.base();
        web.answer(move |seen| {
            let mut parts = seen.path.split('/');
            let Some(n) = parts.find_map(|part| part.parse::<usize>().ok()) else {
                return plain(404, "");
            };
            let issuer = format!("{origin}/as/{n}");
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "code_challenge_methods_supported": ["S256"],
            });
            let changes = changes
                .get(n)
                .map(|it| it.to_string().replace("OWN", &issuer));
            let changes: Value =
                serde_json::from_str(&changes.unwrap_or_default()).unwrap_or_default();
            for (name, value) in changes.as_object().into_iter().flatten() {
                metadata[name] = value.clone();
            }
            match &*seen.path.replacen(&n.to_string(), "N", 1) {
                "/N/mcp" => challenge("Bearer"),
                "/.well-known/oauth-protected-resource/N/mcp" => document(&json!({
                    "resource": format!("{origin}/{n}/mcp"),
                    "authorization_servers": [issuer],
                })),
                "/.well-known/oauth-authorization-server/as/N" => document(&metadata),
                "/as/N/register" => {
                    let mut reply = document(&json!({ "client_id": "gateway" }));
                    *reply.status_mut() = http::StatusCode::CREATED;
                    reply
                }
                "/as/N/token" => document(&json!({
                    "access_token": "given", "token_type": "Bearer", "expires_in": 3600,
                })),
                _ => plain(404, ""),
            }
        });
        Self { web }
    }

    fn issuer(&self, n: usize) -> String {
        format!("{}/as/{n}", self.web.base())
    }

    async fn gateway(&self, count: usize) -> Gateway {
        let auth = "kind = \"oauth\"\nconnection = \"shared\"\naccounts = [\"ada\"]";
        let mut setup = Setup::new().clients();
        setup = setup.with("[oauth.server]\n[scopes.some]\nservers = [\"s0\"]\n");
        for n in 0..count {
            let url = format!("url = \"{}/{n}/mcp\"\nera = \"modern\"", self.web.base());
            let settings = format!("{url}\n[servers.s{n}.auth]\n{auth}");
            setup = setup.server(&format!("s{n}"), &settings);
        }
        setup.start().await
    }

    fn asked(&self, n: usize, endpoint: &str) -> usize {
        self.web.count(&format!("/as/{n}/{endpoint}"))
    }
}

/// A person follows the link of the server `n`, and says yes where she is asked.
async fn begin(gateway: &Gateway, ada: &mut Browser<'_>, n: usize) -> Page {
    let peer = gateway.peer(&format!("/servers/s{n}/mcp")).with(ALICE);
    let answer = peer.echo(&[]).await.message().await.unwrap();
    assert_eq!(error(&answer).0, "connect-required", "{n}");
    assert!(!answer.to_string().contains(WORD), "{answer}");
    let link = format!("/oauth/upstream/s{n}/connect");
    let page = ada.get(&link).await;
    assert!(!page.text.contains(WORD), "{page:?}");
    if page.status != 200 {
        return page;
    }
    let csrf = page.field("csrf");
    ada.post(&link, &[("csrf", &csrf)]).await
}

/// What the authorization server's answer makes of a connection that was begun.
async fn back(ada: &mut Browser<'_>, answer: &[(&str, &str)]) -> Page {
    ada.get(&format!("/oauth/upstream/callback?{}", encode(answer)))
        .await
}

#[tokio::test]
async fn oauth_mix_up_by_metadata_of_another_issuer() {
    let lies = [
        json!({ "issuer": "https://honest.example" }),
        json!({ "issuer": "OWN/" }),
        json!({ "issuer": "OWN?" }),
        json!({ "issuer": "OWN#" }),
        json!({ "issuer": " OWN" }),
        json!({ "issuer": "OWN/../7" }),
        json!({ "issuer": "" }),
        json!({ "issuer": null }),
        json!({ "issuer": ["OWN"] }),
    ];
    let count = lies.len();
    let world = World::start(lies.to_vec()).await;
    let gateway = world.gateway(count + 1).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for (n, lie) in lies.iter().enumerate() {
        let page = begin(&gateway, &mut ada, n).await;
        assert!(page.status >= 400, "{lie}: {page:?}");
        for endpoint in ["register", "authorize", "token"] {
            assert_eq!(world.asked(n, endpoint), 0, "{n}");
        }
    }
    // The same without the lie.
    assert_eq!(begin(&gateway, &mut ada, count).await.status, 303);
}

/// Metadata, the `iss` that is made of its issuer, and whether it is believed.
type Case<'a> = (&'a Value, fn(&str) -> Option<String>, bool);

/// RFC 9207 §2.4, to the byte.
#[tokio::test]
async fn oauth_mix_up_by_the_issuer_of_an_answer() {
    let announced = json!({ "authorization_response_iss_parameter_supported": true });
    let silent = json!({});
    let own = |base: &str, n: usize| format!("{base}/as/{n}");
    let cases: [Case<'_>; 9] = [
        (&announced, |own| Some(own.to_owned()), true),
        (&silent, |own| Some(own.to_owned()), true),
        (&silent, |_| None, true),
        (&announced, |_| None, false),
        (&announced, |_| Some(String::new()), false),
        (
            &announced,
            |_| Some("https://honest.example".to_owned()),
            false,
        ),
        (
            &silent,
            |_| Some("https://honest.example".to_owned()),
            false,
        ),
        (&announced, |own| Some(format!("{own}/")), false),
        (&silent, |own| Some(own.replace("http:", "HTTP:")), false),
    ];
    let metadata = cases.iter().map(|(metadata, ..)| (*metadata).clone());
    let world = World::start(metadata.collect()).await;
    let gateway = world.gateway(cases.len()).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for (n, (metadata, iss, is_believed)) in cases.iter().enumerate() {
        for answer in ["code", "error"] {
            let state = begin(&gateway, &mut ada, n).await.answer("state").unwrap();
            let iss = iss(&own(&world.web.base(), n));
            let mut parameters = vec![("state", &*state), (answer, WORD)];
            parameters.extend(iss.iter().map(|iss| ("iss", &**iss)));
            parameters.push(("error_description", WORD));
            let page = back(&mut ada, &parameters).await;
            let is_connected = page.status == 200;
            assert_eq!(
                is_connected,
                *is_believed && answer == "code",
                "{metadata} {iss:?}: {page:?}"
            );
            assert!(!page.text.contains(WORD), "{page:?}");
            // Once, whatever came of it.
            assert_eq!(back(&mut ada, &parameters).await.status, 400);
        }
        assert_eq!(
            world.asked(n, "token"),
            usize::from(*is_believed),
            "{metadata}"
        );
    }
}

/// The attacker's authorization server sends the browser on to the honest one, which gives a code; the code is not to come to
/// the attacker's token endpoint.
#[tokio::test]
async fn oauth_mix_up_of_two_authorization_servers() {
    let world = World::start(vec![json!({}), json!({})]).await;
    let gateway = world.gateway(2).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let (honest, attackers) = (0, 1);
    let state = begin(&gateway, &mut ada, attackers)
        .await
        .answer("state")
        .unwrap();
    let iss = world.issuer(honest);
    let page = back(
        &mut ada,
        &[("code", WORD), ("state", &state), ("iss", &iss)],
    )
    .await;
    assert_eq!(page.status, 400, "{page:?}");
    assert_eq!(world.asked(attackers, "token"), 0);
    // Without the issuer's name it would be there. So nobody is sent to another's endpoint that does not name itself: see
    // the next test.
    let state = begin(&gateway, &mut ada, attackers)
        .await
        .answer("state")
        .unwrap();
    back(&mut ada, &[("code", WORD), ("state", &state)]).await;
    assert_eq!(world.asked(attackers, "token"), 1);
}

/// An authorization server that names the endpoint of another would get the code that the other gives.
#[tokio::test]
async fn oauth_mix_up_by_the_endpoint_of_another_site() {
    let elsewhere = |supported: bool| {
        json!({
            "authorization_endpoint": "https://honest.example/authorize",
            "authorization_response_iss_parameter_supported": supported,
        })
    };
    let world = World::start(vec![elsewhere(false), elsewhere(true)]).await;
    let gateway = world.gateway(2).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let page = begin(&gateway, &mut ada, 0).await;
    assert!(page.status >= 400, "{page:?}");
    // Where the answer has to say who gives it, the code of another is refused when it comes.
    let page = begin(&gateway, &mut ada, 1).await;
    assert_eq!(page.status, 303, "{page:?}");
    let state = page.answer("state").unwrap();
    let page = back(&mut ada, &[("code", WORD), ("state", &state)]).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert_eq!(world.asked(1, "token"), 0);
}

/// The code of the attacker's own account is not put into the victim's connection.
#[tokio::test]
async fn oauth_code_injection_into_a_connection() {
    let world = World::start(Vec::new()).await;
    let gateway = world.gateway(1).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let mut eve = Browser::logged_in(&gateway, "eve").await;
    let state = begin(&gateway, &mut ada, 0).await.answer("state").unwrap();
    for forged in [
        vec![("code", "x")],
        vec![("code", "x"), ("state", "")],
        vec![("code", "x"), ("state", "AAAA")],
        vec![("code", "x"), ("state", &state), ("state", &state)],
        vec![("code", "x"), ("code", "y"), ("state", &state)],
    ] {
        let page = back(&mut ada, &forged).await;
        assert_eq!(page.status, 400, "{forged:?}: {page:?}");
    }
    // In another person's browser, and in none: the state is spent, and connects nobody.
    let answer = [("code", "x"), ("state", &*state)];
    assert_eq!(back(&mut eve, &answer).await.status, 400);
    let page = back(&mut Browser::new(&gateway), &answer).await;
    assert!(
        page.header("location").starts_with("/oauth/login"),
        "{page:?}"
    );
    assert_eq!(back(&mut ada, &answer).await.status, 400);
    assert_eq!(world.asked(0, "token"), 0);
    // PKCE is not done without.
    let state = begin(&gateway, &mut ada, 0).await.answer("state").unwrap();
    assert_eq!(
        back(&mut ada, &[("code", "x"), ("state", &state)])
            .await
            .status,
        200
    );
    let form = world
        .web
        .seen()
        .into_iter()
        .rfind(|seen| seen.path == "/as/0/token");
    let form = String::from_utf8(form.unwrap().body.to_vec()).unwrap();
    assert!(
        form.contains("code_verifier=") && form.contains("resource="),
        "{form}"
    );
}

#[tokio::test]
async fn oauth_pkce_downgrade_by_an_authorization_server() {
    let methods = [
        json!(["plain"]),
        json!([]),
        json!(null),
        json!(["s256"]),
        json!("S256"),
    ];
    let changes = methods
        .iter()
        .map(|it| json!({ "code_challenge_methods_supported": it }));
    let world = World::start(changes.collect()).await;
    let gateway = world.gateway(methods.len()).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for (n, methods) in methods.iter().enumerate() {
        let page = begin(&gateway, &mut ada, n).await;
        assert!(page.status >= 400, "{methods}: {page:?}");
    }
}

/// Addresses that are no place to log in, or would do something when they are pasted into a shell.
const UNSAFE: &[&str] = &[
    "javascript:alert('reflected-canary')",
    "JavaScript:alert(1)//reflected-canary",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>reflected-canary</script>",
    "file:///etc/passwd",
    "vbscript:msgbox(1)",
    "blob:https://as.example/reflected-canary",
    "ms-msdt:/id reflected-canary",
    "ssh://-oProxyCommand=reflected-canary/x",
    "x-man-page:reflected-canary",
    "--version",
    "https://user:reflected-canary@as.example/",
    "https://as.example/authorize$(touch${IFS}reflected-canary)",
    "https://as.example/authorize;touch${IFS}reflected-canary",
    "https://as.example/authorize|touch${IFS}reflected-canary",
    "https://as.example/authorize?a='$(reflected-canary)'",
    "https://as.example/authorize?a=$(reflected-canary)",
    "https://as.example/authorize?a=1;reflected-canary",
    "https://as.example/authorize?a=1|reflected-canary",
    "https://as.example/authorize!reflected-canary",
    "https://as.example/authorize#reflected-canary",
];

#[tokio::test]
async fn oauth_authorization_url_that_is_none() {
    let changes = UNSAFE
        .iter()
        .map(|url| json!({ "authorization_endpoint": url }));
    let world = World::start(changes.collect()).await;
    let gateway = world.gateway(UNSAFE.len()).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for (n, url) in UNSAFE.iter().enumerate() {
        let page = begin(&gateway, &mut ada, n).await;
        assert!(page.status >= 400, "{url}: {page:?}");
        assert!(
            !format!("{page:?}").contains("as.example"),
            "{url}: {page:?}"
        );
        assert_eq!(world.asked(n, "register"), 0, "{url}");
    }
    // Nor by the command.
    for n in [0, 4, 5, 13, 16] {
        let (printed, told) = connect(&gateway, n).await;
        assert_eq!(printed, "", "{}", UNSAFE[n]);
        assert!(!told.contains("Open the address"), "{told}");
    }
}

/// Runs `portcullis connect` to its end; what it printed, and what it told.
async fn connect(gateway: &Gateway, n: usize) -> (String, String) {
    let (server, url) = (format!("s{n}"), gateway.harness.url());
    let arguments = [&*server, "--for", "token:alice", "--url", url];
    let mut command = gateway
        .command("connect", &arguments)
        .start_silent()
        .unwrap();
    command.close_stdin();
    let status = command.wait(BOUND).await.unwrap();
    drop(command.line_with("\u{0}", BOUND).await);
    assert!(!status.success());
    let output = command.output();
    let printed = output
        .lines()
        .filter(|line| line.contains("response_type=code"));
    (printed.collect(), output)
}

/// What a server writes cannot act on the terminal of whoever connects.
#[tokio::test]
async fn oauth_authorization_url_with_commands_for_a_terminal() {
    let hostile = "\u{1b}]0;reflected\u{7}\u{1b}[2J\u{9b}2J\u{202e}\r\nfake line\n";
    for scheme in ["https://x/", "javascript:", "", "https://x:port/"] {
        let world = World::start(Vec::new()).await;
        let resource = json!({
            "resource": format!("{}/0/mcp", world.web.base()),
            "authorization_servers": [format!("{scheme}{hostile}")],
        });
        let path = "/.well-known/oauth-protected-resource/0/mcp";
        world.web.replace(path, 200, &resource.to_string());
        let gateway = world.gateway(1).await;
        let (printed, told) = connect(&gateway, 0).await;
        assert_eq!(printed, "");
        assert!(told.contains("portcullis: "), "{told:?}");
        for hostile in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r'] {
            assert!(!told.contains(hostile), "{told:?}");
        }
        assert!(
            !told.lines().any(|line| line.starts_with("fake line")),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn oauth_authorization_url_is_printed_and_nothing_opens_it() {
    let world = World::start(Vec::new()).await;
    let gateway = world.gateway(1).await;
    let tools = tempfile::tempdir().unwrap();
    let marker = tools.path().join("opened");
    let openers = [
        "sh",
        "bash",
        "xdg-open",
        "open",
        "firefox",
        "www-browser",
        "gio",
        "cmd.exe",
    ];
    for name in openers {
        use std::os::unix::fs::PermissionsExt as _;
        let path = tools.path().join(name);
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho \"$0 $@\" >> {}\n", marker.display()),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let url = gateway.harness.url();
    let arguments = ["s0", "--for", "token:alice", "--url", url];
    let launch = gateway
        .command("connect", &arguments)
        .env("PATH", tools.path());
    let launch = launch
        .env("BROWSER", tools.path().join("firefox"))
        .env("DISPLAY", ":0");
    let mut command = launch.start_silent().unwrap();
    let line = command
        .line_with("response_type=code", BOUND)
        .await
        .unwrap();
    let shown: url::Url = line.trim().parse().unwrap();
    assert_eq!(shown.path(), "/as/0/authorize");
    assert_eq!(descendants(command.id().unwrap()).len(), 0);
    assert!(!marker.exists());
    command.close_stdin();
    assert!(!command.wait(BOUND).await.unwrap().success());
    assert!(!marker.exists());
}
