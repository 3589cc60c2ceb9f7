//! Consent: the confused deputy, forged and framed forms.

use portcullis_testkit::Recorder;
use serde_json::json;
use tempfile::TempDir;

use crate::oauth_support::{
    Browser, CALLBACK, Page, authorization, encode, error_of, redeem, register, token_of,
};
use crate::support::{Gateway, Identity, Setup};

const EVIL: &str = "https://evil.example/landing";

const ACCESS: &str = r#"
[oauth.server]
[scopes."one:list"]
description = "list what there is"
tools = ["one/list"]
[scopes."one:echo"]
description = "have words repeated"
tools = ["one/echo"]
"#;

async fn gateway(recorder: &Recorder) -> Gateway {
    let setup = Setup::new().with(ACCESS);
    setup.url("one", &recorder.url(), "modern").start().await
}

/// Asserts that a page asks, and gave nothing.
#[track_caller]
fn asks(page: &Page) {
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("name=\"decision\""), "{page:?}");
    assert_eq!(page.header("location"), "");
}

/// The victim has a session, and a remembered consent for an honest client. The attacker registers a client of their own, and
/// sends the victim to the authorization endpoint with it.
#[tokio::test]
async fn oauth_confused_deputy() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let honest = register(&gateway, "Desk", &[CALLBACK, "https://desk.example/back"]).await;
    let mut victim = Browser::logged_in(&gateway, "ada").await;
    let remember = [("remember", "30")];
    let path = authorization(&gateway, &honest, &[]);
    assert_eq!(victim.allow(&path, &remember).await.status, 303);
    // So far it works: the honest client is not asked about again, and gets its code without a click.
    let again = victim.get(&path).await;
    assert_eq!(again.status, 303);
    assert!(again.answer("code").is_some());

    let evil = register(&gateway, "Desk", &[EVIL, CALLBACK]).await;
    let jar = victim.jar.clone();
    let elsewhere = [("redirect_uri", EVIL)];
    let prompted = [("prompt", "login")];
    for changes in [&elsewhere[..], &[], &[("scope", "one:list one:echo")]] {
        let page = victim.get(&authorization(&gateway, &evil, changes)).await;
        asks(&page);
        // It says where the answer would go, and nothing was kept for it.
        if changes == elsewhere {
            assert!(page.text.contains("https://evil.example"), "{page:?}");
        }
        assert_eq!(victim.jar, jar, "no cookie before the yes");
    }
    let page = victim.get(&authorization(&gateway, &evil, &prompted)).await;
    assert!(
        page.header("location").starts_with("/oauth/login"),
        "{page:?}"
    );
    // Nor does `prompt=none` pass anybody by.
    let silent = [("prompt", "none"), ("redirect_uri", EVIL)];
    let page = victim.get(&authorization(&gateway, &evil, &silent)).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(!page.text.contains("code="), "{page:?}");

    // What was remembered is for what was asked: not for another redirect, scope or resource.
    for changes in [
        &[("redirect_uri", "https://desk.example/back")][..],
        &[("scope", "one:list one:echo")],
        &[("scope", "one:echo")],
        &[("resource", &format!("{}/mcp", gateway.harness.url()))],
        &[("prompt", "consent")],
    ] {
        asks(&victim.get(&authorization(&gateway, &honest, changes)).await);
    }
    // Nor for anybody else.
    let mut other = Browser::logged_in(&gateway, "bob").await;
    asks(&other.get(&path).await);
    // Nor for the client of the attacker, by the honest client's form.
    let page = victim
        .get(&authorization(&gateway, &honest, &[("prompt", "consent")]))
        .await;
    let (csrf, request) = (page.field("csrf"), page.field("request"));
    let fields = [
        ("csrf", &*csrf),
        ("request", &*request),
        ("decision", "allow"),
        ("client_id", &evil),
        ("redirect_uri", EVIL),
        ("scope", "one:list one:echo"),
    ];
    let page = victim.post("/oauth/consent", &fields).await;
    assert!(page.header("location").starts_with(CALLBACK), "{page:?}");
    let code = page.answer("code").unwrap();
    let stolen = redeem(&gateway, &evil, &code, &[]).await;
    assert_eq!(error_of(&stolen), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn oauth_consent_forged_from_another_site() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let client = register(&gateway, "Desk", &[CALLBACK]).await;
    let path = authorization(&gateway, &client, &[]);
    let mut victim = Browser::logged_in(&gateway, "ada").await;
    let mut attacker = Browser::logged_in(&gateway, "eve").await;
    let page = victim.get(&path).await;
    let (csrf, request) = (page.field("csrf"), page.field("request"));
    let page = attacker.get(&path).await;
    let (other_csrf, other_request) = (page.field("csrf"), page.field("request"));
    assert_ne!(csrf, other_csrf);
    let good = [
        ("csrf", &*csrf),
        ("request", &*request),
        ("decision", "allow"),
    ];
    let own = gateway.harness.url().to_owned();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", &*own.replace("http:", "https:")),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let page = victim
            .post_from("/oauth/consent", &[(name, value)], &good)
            .await;
        assert!(
            (400..404).contains(&page.status),
            "{name} {value}: {page:?}"
        );
    }
    for fields in [
        vec![("request", &*request), ("decision", "allow")],
        vec![("csrf", ""), ("request", &request), ("decision", "allow")],
        vec![
            ("csrf", &other_csrf),
            ("request", &request),
            ("decision", "allow"),
        ],
        vec![
            ("csrf", &csrf),
            ("request", &other_request),
            ("decision", "allow"),
        ],
        vec![
            ("csrf", &other_csrf),
            ("request", &other_request),
            ("decision", "allow"),
        ],
        vec![
            ("csrf", &csrf),
            ("csrf", &other_csrf),
            ("request", &request),
            ("decision", "allow"),
        ],
        vec![("csrf", &csrf), ("decision", "allow")],
    ] {
        let page = victim.post("/oauth/consent", &fields).await;
        assert_eq!(page.status, 400, "{fields:?}: {page:?}");
    }
    // By GET, which another site can cause with the session's cookie.
    let page = victim
        .get(&format!("/oauth/consent?{}", encode(&good)))
        .await;
    assert!(page.status == 404 || page.status == 405, "{page:?}");
    // Without the session, or with the one of the attacker.
    assert_eq!(
        Browser::new(&gateway)
            .post("/oauth/consent", &good)
            .await
            .status,
        400
    );
    assert_eq!(attacker.post("/oauth/consent", &good).await.status, 400);
    // None of it has spent the form, which counts once.
    assert_eq!(victim.post("/oauth/consent", &good).await.status, 303);
    assert_eq!(victim.post("/oauth/consent", &good).await.status, 400);
}

/// Login forced upon a browser would have the victim act in the attacker's account.
#[tokio::test]
async fn oauth_login_forged_from_another_site() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    drop(Browser::logged_in(&gateway, "eve").await);
    let mut victim = Browser::new(&gateway);
    let page = victim.get("/oauth/login").await;
    let csrf = page.field("csrf");
    let login = |csrf| {
        [
            ("csrf", csrf),
            ("account", "eve"),
            ("password", "rain kettle orbit mango"),
        ]
    };
    let own = Browser::new(&gateway)
        .get("/oauth/login")
        .await
        .field("csrf");
    for (headers, csrf) in [
        (vec![], ""),
        (vec![], &*own),
        (vec![("origin", "https://evil.example")], &csrf),
        (vec![("sec-fetch-site", "cross-site")], &csrf),
    ] {
        let page = victim
            .post_from("/oauth/login", &headers, &login(csrf))
            .await;
        assert!((400..404).contains(&page.status), "{headers:?}: {page:?}");
    }
    let page = victim.post("/oauth/login", &login(&csrf)).await;
    assert_eq!(page.status, 303, "{page:?}");
}

/// Neither login nor consent leads where somebody wrote into the address.
#[tokio::test]
async fn oauth_open_redirect_after_login() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    drop(Browser::logged_in(&gateway, "ada").await);
    for to in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "\\\\evil.example",
        "/oauth/../../evil.example",
        "javascript:alert(1)",
        "/oauth/authorize@evil.example",
        "http:evil.example",
        "/%2fevil.example",
        "/oauth/login\r\nlocation: https://evil.example",
    ] {
        let mut ada = Browser::new(&gateway);
        let page = ada
            .get(&format!("/oauth/login?{}", encode(&[("return", to)])))
            .await;
        let (csrf, back) = (page.field("csrf"), page.field("return"));
        for back in [&*back, to] {
            let fields = [
                ("csrf", &*csrf),
                ("return", back),
                ("account", "ada"),
                ("password", "rain kettle orbit mango"),
            ];
            let page = ada.post("/oauth/login", &fields).await;
            let location = page.header("location");
            let own: url::Url = gateway.harness.url().parse().unwrap();
            let leads = own.join(location).unwrap();
            assert_eq!(leads.origin(), own.origin(), "{to:?} led to {location}");
        }
    }
}

#[tokio::test]
async fn oauth_open_redirect_by_errors() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let evil = register(&gateway, "Prize draw", &[EVIL]).await;
    let mut victim = Browser::logged_in(&gateway, "ada").await;
    for wrong in [
        ("scope", "unknown"),
        ("prompt", "none"),
        ("response_type", "token"),
        ("response_type", ""),
        ("code_challenge", ""),
        ("resource", "https://elsewhere.example/mcp"),
        ("response_mode", "fragment"),
        ("request_uri", "https://evil.example/request"),
    ] {
        let changes = [("redirect_uri", EVIL), wrong];
        let path = authorization(&gateway, &evil, &changes);
        for browser in [&mut victim, &mut Browser::new(&gateway)] {
            let page = browser.get(&path).await;
            assert_eq!(page.status, 400, "{wrong:?}: {page:?}");
            assert_eq!(page.header("location"), "", "{wrong:?}");
            assert_eq!(page.header("refresh"), "", "{wrong:?}");
        }
    }
    let path = authorization(&gateway, &evil, &[("redirect_uri", EVIL)]);
    let page = Browser::new(&gateway).get(&path).await;
    assert!(
        page.header("location").starts_with("/oauth/login"),
        "{page:?}"
    );
}

/// Names of clients are shown as text, whatever they are.
#[tokio::test]
async fn oauth_consent_page_with_markup_in_a_name() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    for name in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "x' onload='y",
    ] {
        let client = register(&gateway, name, &[CALLBACK]).await;
        let page = ada.get(&authorization(&gateway, &client, &[])).await;
        asks(&page);
        for markup in ["<script", "<img", " onload='", "onerror=alert(1)>"] {
            assert!(!page.text.contains(markup), "{name}: {}", page.text);
        }
    }
}

#[tokio::test]
async fn oauth_clickjacking_and_what_else_a_page_may_not_do() {
    let directory = TempDir::new().unwrap();
    let recorder = Recorder::start().await.unwrap();
    let identity = Identity::new(directory.path());
    let listen = format!("address = \"127.0.0.1:0\"\n{}", identity.lines);
    let setup = Setup::new().listen(&listen).with(ACCESS);
    let gateway = setup.url("one", &recorder.url(), "modern").start().await;
    let mut ada = Browser::over_tls(&gateway, &identity);
    let metadata = json!({ "redirect_uris": [EVIL], "token_endpoint_auth_method": "none" });
    let media = [("content-type", "application/json")];
    let page = ada
        .send(
            http::Method::POST,
            "/oauth/register",
            &media,
            metadata.to_string(),
        )
        .await;
    let client = page.json()["client_id"].as_str().unwrap().to_owned();
    let path = authorization(&gateway, &client, &[("redirect_uri", EVIL)]);
    let login = ada.get("/oauth/login").await;
    ada.join("ada").await;
    let consent = ada.get(&path).await;
    asks(&consent);
    let refusal = ada.get(&authorization(&gateway, "unknown", &[])).await;
    assert_eq!(refusal.status, 400);
    for page in [&login, &consent, &refusal] {
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src"),
            "{policy}"
        );
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert!(
            page.header("strict-transport-security")
                .contains("max-age="),
            "{page:?}"
        );
        let html = page.text.to_ascii_lowercase();
        for script in [
            "<script",
            "javascript:",
            " onclick",
            " onload",
            " onerror",
            "<iframe",
            "<link",
            "style=\"",
        ] {
            assert!(!html.contains(script), "{script}: {html}");
        }
        for form in html.split("<form").skip(1) {
            assert!(form.contains("name=\"csrf\""), "{form}");
            assert!(form.contains("method=\"post\""), "{form}");
        }
    }
    // A form's answer may lead to the client's own place and no further.
    let policy = consent.header("content-security-policy");
    let action = policy
        .split(';')
        .find(|part| part.contains("form-action"))
        .unwrap();
    assert_eq!(action.trim(), "form-action 'self' https://evil.example");
    assert!(!ada.set.is_empty());
    for cookie in &ada.set {
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    // A cookie under a name that any page in plain text could have set is none.
    let mut planted = Browser::over_tls(&gateway, &identity);
    for (name, value) in &ada.jar {
        planted
            .jar
            .insert(name.replace("__Host-", ""), value.clone());
    }
    let page = planted.get(&path).await;
    assert!(
        page.header("location").starts_with("/oauth/login"),
        "{page:?}"
    );
}

/// A browser that is sent on by 307 would repeat the form, with what is in it, to the client.
#[tokio::test]
async fn oauth_form_repeated_by_a_redirect() {
    let recorder = Recorder::start().await.unwrap();
    let gateway = gateway(&recorder).await;
    let client = register(&gateway, "Desk", &[CALLBACK]).await;
    let path = authorization(&gateway, &client, &[]);
    let (path, query) = path.split_once('?').unwrap();
    let media = [("content-type", "application/x-www-form-urlencoded")];
    let mut ada = Browser::new(&gateway);
    let page = ada
        .send(http::Method::POST, path, &media, query.to_owned())
        .await;
    assert_eq!(page.status, 303, "{page:?}");
    let mut ada = Browser::logged_in(&gateway, "ada").await;
    let page = ada.allow(&format!("{path}?{query}"), &[]).await;
    assert_eq!(page.status, 303, "{page:?}");
    let code = page.answer("code").unwrap();
    assert_eq!(page.answer("iss").unwrap(), gateway.harness.url());
    let tokens = redeem(&gateway, &client, &code, &[]).await;
    token_of(&tokens, "access_token");
    for page in ada.set {
        assert!(page.contains("HttpOnly"), "{page}");
    }
}
