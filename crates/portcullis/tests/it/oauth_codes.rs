//! Authorization codes and refresh tokens in the wrong hands (RFC 9700).

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_testkit::Recorder;
use serde_json::json;
use tokio::task::JoinSet;

use crate::oauth_support::{
    Browser, CALLBACK, CHALLENGE, OTHER_VERIFIER, Page, VERIFIER, authorization, error_of, form,
    redeem, refresh, register, resource, token_of,
};
use crate::support::{Gateway, Setup};

const SECRET: &str = "robot-canary-deadbeef-0123456789abcdef";

const ACCESS: &str = r#"
[oauth.server.clients.robot]
secret = "${ROBOT}"
redirect_uris = ["https://robot.example/back"]
[scopes."one:list"]
description = "list what there is"
tools = ["one/list"]
[scopes."one:echo"]
description = "have words repeated"
tools = ["one/echo"]
[scopes."two"]
description = "use the other server"
servers = ["two"]
"#;

async fn gateway(recorder: &Recorder) -> Gateway {
    gateway_with(recorder, "").await
}

async fn gateway_with(recorder: &Recorder, server: &str) -> Gateway {
    let setup = Setup::new().with(&format!("[oauth.server]\n{server}\n"));
    let setup = setup.with(ACCESS).env("ROBOT", SECRET);
    let setup = setup.url("one", &recorder.url(), "modern");
    setup.url("two", &recorder.url(), "modern").start().await
}

/// Whether an access token opens the server `one`.
async fn opens(gateway: &Gateway, token: &str) -> bool {
    let list = gateway.of(token).request(1, "tools/list", json!({})).await;
    let status = list.status.as_u16();
    list.bytes().await.unwrap();
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

#[track_caller]
fn is_refused(page: &Page, what: &str) {
    assert!((400..500).contains(&page.status), "{what}: {page:?}");
    assert!(!page.text.contains("access_token"), "{what}: {page:?}");
}

/// A stolen code, with whatever an attacker has in the place of what only the client has.
#[tokio::test]
async fn oauth_code_injection() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let evil = register(&gateway, "Evil", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let two = format!("{}/servers/two/mcp", gateway.harness.url());
    let long = "a".repeat(200);
    for changes in [
        &[("code_verifier", "")][..],
        &[("code_verifier", OTHER_VERIFIER)],
        &[("code_verifier", CHALLENGE)],
        &[("code_verifier", "short")],
        &[("code_verifier", &long)],
        &[("code_verifier", &VERIFIER.to_ascii_uppercase())],
        &[("code_verifier", &format!("{VERIFIER}="))],
        &[("redirect_uri", "http://127.0.0.1:1/callback")],
        &[("redirect_uri", "")],
        &[("resource", &two)],
        &[("resource", "https://elsewhere.example/mcp")],
        &[("client_id", &evil)],
        &[("client_id", "robot"), ("client_secret", SECRET)],
        &[("client_id", "")],
        &[("grant_type", "refresh_token")],
    ] {
        let code = ada.code(&desk, &[]).await;
        let page = redeem(&gateway, &desk, &code, changes).await;
        is_refused(&page, &format!("{changes:?}"));
    }
    // As its client shows it, it is good; and a guess has spent it.
    let code = ada.code(&desk, &[]).await;
    let guess = redeem(&gateway, &desk, &code, &[("code_verifier", OTHER_VERIFIER)]).await;
    assert_eq!(error_of(&guess), (400, "invalid_grant".to_owned()));
    is_refused(&redeem(&gateway, &desk, &code, &[]).await, "spent");
    let code = ada.code(&desk, &[]).await;
    let tokens = redeem(&gateway, &desk, &code, &[]).await;
    assert!(opens(&gateway, &token_of(&tokens, "access_token")).await);
}

#[tokio::test]
async fn oauth_pkce_downgrade_by_a_client() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for changes in [
        &[("code_challenge", "")][..],
        &[("code_challenge_method", "")],
        &[("code_challenge", ""), ("code_challenge_method", "")],
        &[
            ("code_challenge", VERIFIER),
            ("code_challenge_method", "plain"),
        ],
        &[("code_challenge_method", "s256")],
        &[("code_challenge_method", "S512")],
        &[("code_challenge", "short")],
        &[("code_challenge", &format!("{CHALLENGE}="))],
        &[("code_challenge", &format!("{CHALLENGE}AAAA"))],
    ] {
        let page = ada.get(&authorization(&gateway, &desk, changes)).await;
        // To the client's own place on this machine, without a code.
        assert_eq!(
            page.answer("error").as_deref(),
            Some("invalid_request"),
            "{changes:?}"
        );
        assert_eq!(page.answer("code"), None, "{changes:?}");
        assert_eq!(page.answer("iss").as_deref(), Some(gateway.harness.url()));
    }
    // Twice is not once: which of the two would count?
    let path = authorization(&gateway, &desk, &[]);
    let page = ada.get(&format!("{path}&code_challenge={VERIFIER}")).await;
    assert!(
        page.status == 400 || page.answer("code").is_none(),
        "{page:?}"
    );
}

#[tokio::test]
async fn oauth_redirect_uri_that_is_nearly_the_registered_one() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let web = "https://desk.example/cb";
    let desk = register(&gateway, "Desk", &[web, CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for redirect in [
        "https://desk.example/cb/../evil",
        "https://desk.example/cb/..%2fevil",
        "https://desk.example/cb/",
        "https://desk.example/cb/evil",
        "https://desk.example/c",
        "https://desk.example/CB",
        "https://desk.example/%63b",
        "https://desk.example/./cb",
        "https://desk.example//cb",
        "https://desk.example/cb?",
        "https://desk.example/cb?next=https://evil.example",
        "https://desk.example/cb#",
        "https://desk.example/cb#https://evil.example",
        "https://desk.example:443/cb",
        "https://desk.example:8443/cb",
        "https://desk.example./cb",
        "https://DESK.example/cb",
        "HTTPS://desk.example/cb",
        "http://desk.example/cb",
        "https://desk.example.evil.example/cb",
        "https://evil.example/cb",
        "https://evildesk.example/cb",
        "https://www.desk.example/cb",
        "https://desk.example@evil.example/cb",
        "https://user@desk.example/cb",
        "https://evil.example\\@desk.example/cb",
        "https://evil.example#@desk.example/cb",
        "https://desk.example\\.evil.example/cb",
        "https:desk.example/cb",
        "https:///desk.example/cb",
        "//desk.example/cb",
        "/cb",
        " https://desk.example/cb",
        "https://desk.example/cb ",
        "https://desk.example/cb%0d%0alocation:x",
        "https://desk.example/cb\r\nx",
        "https://*.example/cb",
        "javascript:https://desk.example/cb",
        "data:text/html,x",
        "http://localhost:7777/callback",
        "http://[::1]:7777/callback",
        "http://127.0.0.2:7777/callback",
        "http://127.0.0.1:7777/callback/",
        "http://127.0.0.1:7777/callback?x",
        "http://127.0.0.1:7777/callback/../other",
        "http://127.0.0.1:7777@evil.example/callback",
        "http://127.0.0.1.evil.example:7777/callback",
        "http://0x7f000001:7777/callback",
        "http://127.1:7777/callback",
        "https://127.0.0.1:7777/callback",
        "urn:ietf:wg:oauth:2.0:oob",
        "",
    ] {
        let page = ada
            .get(&authorization(
                &gateway,
                &desk,
                &[("redirect_uri", redirect)],
            ))
            .await;
        assert_eq!(page.status, 400, "{redirect:?}: {page:?}");
        assert_eq!(page.header("location"), "", "{redirect:?}");
        assert!(!page.text.contains("Go to"), "{redirect:?}: {}", page.text);
    }
    for redirect in [web, CALLBACK, "http://127.0.0.1:50000/callback"] {
        let page = ada
            .get(&authorization(
                &gateway,
                &desk,
                &[("redirect_uri", redirect)],
            ))
            .await;
        assert_eq!(page.status, 200, "{redirect}: {page:?}");
    }
    // Nor can such a one be registered.
    for redirect in [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://evil.example/cb",
        "https://evil.example/cb#x",
        "https://user@evil.example/cb",
        "https://*.example/cb",
        "https:evil.example",
        "file:///tmp/cb",
        "http://127.0.0.1.evil.example/cb",
    ] {
        let metadata = json!({ "redirect_uris": [redirect], "token_endpoint_auth_method": "none" });
        let media = [("content-type", "application/json")];
        let page = Browser::new(&gateway)
            .send(
                http::Method::POST,
                "/oauth/register",
                &media,
                metadata.to_string(),
            )
            .await;
        assert_eq!(
            error_of(&page),
            (400, "invalid_redirect_uri".to_owned()),
            "{redirect}"
        );
    }
}

#[tokio::test]
async fn oauth_code_replay_revokes_what_it_gave() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let code = ada.code(&desk, &[]).await;
    let other = ada.code(&desk, &[]).await;
    let first = redeem(&gateway, &desk, &code, &[]).await;
    let access = token_of(&first, "access_token");
    let kept = token_of(&redeem(&gateway, &desk, &other, &[]).await, "access_token");
    assert!(opens(&gateway, &access).await);
    let again = redeem(&gateway, &desk, &code, &[]).await;
    assert_eq!(error_of(&again), (400, "invalid_grant".to_owned()));
    assert!(!opens(&gateway, &access).await);
    let token = token_of(&first, "refresh_token");
    is_refused(&refresh(&gateway, &desk, &token, &[]).await, "refresh");
    // And nothing else.
    assert!(opens(&gateway, &kept).await);
}

#[tokio::test]
async fn oauth_code_that_is_expired() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway_with(&recorder, "code_ttl = \"10s\"").await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let (early, late) = (ada.code(&desk, &[]).await, ada.code(&desk, &[]).await);
    token_of(&redeem(&gateway, &desk, &early, &[]).await, "access_token");
    // What is waited for is the time itself.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let page = redeem(&gateway, &desk, &late, &[]).await;
    assert_eq!(error_of(&page), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn oauth_refresh_replay_revokes_the_family() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let evil = register(&gateway, "Evil", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let code = ada.code(&desk, &[]).await;
    let mut family = vec![redeem(&gateway, &desk, &code, &[]).await];
    let two = format!("{}/servers/two/mcp", gateway.harness.url());
    for _ in 0..3 {
        let token = token_of(family.last().unwrap(), "refresh_token");
        // Neither another client nor more than was granted.
        for changes in [
            &[("client_id", &*evil)][..],
            &[("client_id", "robot"), ("client_secret", SECRET)],
            &[("scope", "one:list one:echo")],
            &[("scope", "two")],
            &[("resource", &two)],
        ] {
            let page = refresh(&gateway, &desk, &token, changes).await;
            is_refused(&page, &format!("{changes:?}"));
        }
        family.push(refresh(&gateway, &desk, &token, &[]).await);
    }
    for page in &family {
        assert!(opens(&gateway, &token_of(page, "access_token")).await);
    }
    let stolen = token_of(&family[1], "refresh_token");
    is_refused(&refresh(&gateway, &desk, &stolen, &[]).await, "replay");
    for page in &family {
        assert!(!opens(&gateway, &token_of(page, "access_token")).await);
        let token = token_of(page, "refresh_token");
        is_refused(&refresh(&gateway, &desk, &token, &[]).await, "family");
    }
}

/// A token of one kind, client or resource where another is wanted.
#[tokio::test]
async fn oauth_token_substitution() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let code = ada.code(&desk, &[]).await;
    assert!(!opens(&gateway, &code).await);
    let code_as_refresh = refresh(&gateway, &desk, &code, &[]).await;
    is_refused(&code_as_refresh, "a code for a refresh token");
    let tokens = redeem(&gateway, &desk, &code, &[]).await;
    let (access, next) = (
        token_of(&tokens, "access_token"),
        token_of(&tokens, "refresh_token"),
    );
    assert!(opens(&gateway, &access).await);
    assert!(!opens(&gateway, &next).await);
    is_refused(
        &redeem(&gateway, &desk, &access, &[]).await,
        "an access token for a code",
    );
    is_refused(
        &refresh(&gateway, &desk, &access, &[]).await,
        "an access token to refresh",
    );
    for path in ["/servers/two/mcp", "/mcp"] {
        let peer = gateway.peer(path).with(&access);
        let answer = peer.request(1, "tools/list", json!({})).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    // It opens what it was granted for, and no more of the same resource.
    let calls = recorder.seen_of("tools/call").len();
    assert_eq!(gateway.of(&access).echo(&[]).await.status, 403);
    assert_eq!(recorder.seen_of("tools/call").len(), calls);
    // A client cannot end another's token, nor ask about it.
    let evil = register(&gateway, "Evil", &[CALLBACK]).await;
    for (path, expected) in [("/oauth/revoke", 200), ("/oauth/introspect", 401)] {
        let fields = [("token", &*access), ("client_id", &evil)];
        let page = form(&gateway, path, &fields, &[]).await;
        assert!(
            page.status == expected || page.status == 400 || page.status == 403,
            "{page:?}"
        );
        assert!(!page.text.contains("\"active\":true"), "{page:?}");
        assert!(opens(&gateway, &access).await, "{path}");
    }
    // The clients that mix up who they are get nothing: public where it has a secret, by two ways at once.
    let code = ada
        .code("robot", &[("redirect_uri", "https://robot.example/back")])
        .await;
    let own = [("redirect_uri", "https://robot.example/back")];
    is_refused(
        &redeem(&gateway, "robot", &code, &own).await,
        "without its secret",
    );
    let assertion = [
        own[0],
        ("client_secret", SECRET),
        ("client_assertion", "x.y.z"),
    ];
    is_refused(
        &redeem(&gateway, "robot", &code, &assertion).await,
        "by two ways",
    );
    let right = [own[0], ("client_secret", SECRET)];
    token_of(
        &redeem(&gateway, "robot", &code, &right).await,
        "access_token",
    );
    // A person's token is not a client's own.
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &*desk),
        ("scope", "one:list"),
    ];
    let resource = resource(&gateway);
    let page = form(
        &gateway,
        "/oauth/token",
        &fields,
        &[("resource", &resource)],
    )
    .await;
    is_refused(&page, "client credentials of a public client");
}

/// Sends 64 requests at once; the tokens of those that were granted.
async fn race(gateway: &Gateway, body: &[(&str, &str)]) -> Vec<(u16, String)> {
    let address = gateway.address();
    let body = crate::oauth_support::encode(body);
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(64));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (barrier, body) = (std::sync::Arc::clone(&barrier), body.clone());
        tasks.spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            barrier.wait().await;
            let request = http::Request::post("/oauth/token")
                .header("host", address.to_string())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.into())
                .unwrap();
            let page = crate::oauth_support::exchange(stream, request).await;
            let token = page.json()["access_token"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (page.status, token)
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_code_and_refresh_races() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let desk = register(&gateway, "Desk", &[CALLBACK]).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let code = ada.code(&desk, &[]).await;
    let other = ada.code(&desk, &[]).await;
    let token = token_of(&redeem(&gateway, &desk, &other, &[]).await, "refresh_token");
    let by_code = [
        ("grant_type", "authorization_code"),
        ("client_id", &*desk),
        ("redirect_uri", CALLBACK),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let by_refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", &*desk),
        ("refresh_token", &*token),
    ];
    for body in [&by_code[..], &by_refresh] {
        let answers = race(&gateway, body).await;
        let granted: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .collect();
        assert_eq!(granted.len(), 1, "{answers:?}");
        let statuses: BTreeSet<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses, BTreeSet::from([200, 400]));
        // The others were replays, which end what was given.
        assert!(!opens(&gateway, &granted[0].1).await);
    }
}
