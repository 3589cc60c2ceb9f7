//! What bounds every page: headers, forms of our own, and where login leads.

use http::StatusCode;

use crate::login_support::{Gateway, PASSWORD};

#[tokio::test]
async fn every_page_has_the_headers_that_bound_it() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut stranger = gateway.browser();
    let mut ada = gateway.browser();
    ada.log_in("ada", PASSWORD).await;
    let pages = [
        stranger.get("/oauth/login").await,
        stranger.get("/oauth/logout").await,
        stranger.get("/oauth/account").await,
        stranger.get("/oauth/account/invitation").await,
        stranger.get("/oauth/account/reset").await,
        stranger.get("/oauth/login/none").await,
        stranger.post("/oauth/login", &[]).await,
        stranger.log_in("nobody", "x").await,
        stranger.get("/oauth/provider/start?provider=none").await,
        ada.get("/oauth/account").await,
        ada.get("/oauth/account/totp").await,
        ada.log_in("ada", PASSWORD).await,
    ];
    for page in pages {
        let policy = page.header("content-security-policy");
        if page.status == StatusCode::SEE_OTHER {
            assert!(page.body.is_empty());
        } else {
            for part in [
                "default-src 'none'",
                "frame-ancestors 'none'",
                "form-action 'self'",
                "base-uri 'none'",
                "img-src 'none'",
            ] {
                assert!(policy.contains(part), "{part} in {}", page.body);
            }
            assert!(!page.body.contains("<script") && !page.body.contains(" style="));
            assert!(page.body.contains("<html lang=\"en\">"));
        }
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("strict-transport-security").contains("max-age"));
    }
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    let csrf = browser.get("/oauth/login").await.hidden("csrf");
    let of_another = gateway.browser().get("/oauth/login").await.hidden("csrf");
    let fields = |csrf| [("csrf", csrf), ("account", "ada"), ("password", PASSWORD)];
    for wrong in ["", "x", &of_another] {
        let page = browser.post("/oauth/login", &fields(wrong)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
    for site in ["cross-site", "same-site", "none"] {
        let page = browser
            .post_from("/oauth/login", &fields(&csrf), site)
            .await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{site}");
    }
    // Without the cookie the token is nobody's.
    let page = gateway.browser().post("/oauth/login", &fields(&csrf)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.session().await.is_none());
    let page = browser.post("/oauth/login", &fields(&csrf)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    let page = browser.post("/oauth/logout", &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.session().await.is_some());
}

#[tokio::test]
async fn login_leads_to_paths_of_ours_alone() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    for (wanted, expected) in [
        ("/oauth/authorize?a=b&c=%2Fd", "/oauth/authorize?a=b&c=%2Fd"),
        ("", "/oauth/account"),
        ("https://evil.example/", "/oauth/account"),
        ("//evil.example", "/oauth/account"),
        ("/\\evil.example", "/oauth/account"),
        ("/.//evil.example", "/oauth/account"),
        ("/\r\nSet-Cookie: a=b", "/oauth/account"),
        ("javascript:alert(1)", "/oauth/account"),
    ] {
        // By the authorization server, and by a link that anybody made.
        let started = gateway.login.start(wanted);
        let by_server = started.headers()["location"].to_str().unwrap().to_owned();
        let link: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        for address in [by_server, format!("/oauth/login?return={link}")] {
            let mut browser = gateway.browser();
            let page = browser.get(&address).await;
            let (csrf, return_to) = (page.hidden("csrf"), page.hidden("return"));
            let return_to = return_to.replace("&#38;", "&");
            let fields = [
                ("csrf", &*csrf),
                ("return", &return_to),
                ("account", "ada"),
                ("password", PASSWORD),
            ];
            let page = browser.post("/oauth/login", &fields).await;
            assert_eq!(page.status, StatusCode::SEE_OTHER);
            assert_eq!(page.header("location"), expected, "{wanted:?}");
        }
    }
}

#[tokio::test]
async fn the_login_form_may_end_where_the_authorization_server_said_and_nowhere_else() {
    let gateway = Gateway::new();
    let path = "/oauth/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A7777%2Fcb";
    let started = gateway.login.start(path);
    assert_eq!(started.status(), StatusCode::SEE_OTHER);
    let address = started.headers()["location"].to_str().unwrap();
    let page = gateway.browser().get(address).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.ends_with("form-action 'self' http://127.0.0.1:7777"),
        "{policy}"
    );
    // A link that anybody made names no target.
    let link: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let page = gateway
        .browser()
        .get(&format!("/oauth/login?return={link}"))
        .await;
    assert!(
        page.header("content-security-policy")
            .ends_with("form-action 'self'")
    );
}

#[tokio::test]
async fn what_is_typed_is_never_markup() {
    let gateway = Gateway::new();
    let link: String = url::form_urlencoded::byte_serialize("/\"><img src=x>".as_bytes()).collect();
    let page = gateway
        .browser()
        .get(&format!("/oauth/login?return={link}"))
        .await;
    assert!(!page.body.contains("<img"));
}
