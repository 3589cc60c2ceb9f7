//! Login by a password, and the session that follows.

use http::StatusCode;
use portcullis_oauth::account;
use portcullis_oauth::login::Config;
use portcullis_store::AuthEventKind;

use crate::login_support::{Gateway, NOW, PASSWORD};

const SESSION: &str = "__Host-portcullis-session";
const HOUR: u64 = 60 * 60 * 1000;

#[tokio::test]
async fn a_password_begins_a_session() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    assert!(browser.session().await.is_none());
    let page = browser.log_in(" Ada ", PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.header("location"), "/oauth/account");
    let session = browser.session().await.unwrap();
    assert_eq!(&*session.account, "ada");
    assert_eq!(&*session.display, "Ada Lovelace");
    assert_eq!(session.groups, ["ops".into()]);
    assert_eq!(session.authenticated_ms, NOW);
    let home = browser.get("/oauth/account").await;
    assert!(home.body.contains("Ada Lovelace"));
    let reasons = gateway.reasons(AuthEventKind::Login).await;
    assert_eq!(reasons, ["password", "invitation"]);
}

#[tokio::test]
async fn every_failure_looks_the_same() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let disabled = gateway.account("bob").await;
    account::disable(&gateway.store, &disabled, NOW)
        .await
        .unwrap();
    gateway.invite("eve").await;
    let mut pages = Vec::new();
    for (name, password) in [
        ("ada", "wrong horse battery"),
        ("ada", ""),
        ("nobody", PASSWORD),
        ("bob", PASSWORD),
        ("eve", ""),
        ("no such name!", PASSWORD),
    ] {
        let mut browser = gateway.browser();
        let page = browser.log_in(name, password).await;
        let csrf = page.hidden("csrf");
        assert!(browser.session().await.is_none());
        let mut headers = page.headers.clone();
        headers.remove("set-cookie");
        pages.push((page.status, headers, page.body.replace(&csrf, "")));
    }
    assert_eq!(pages[0].0, StatusCode::FORBIDDEN);
    for page in &pages {
        assert_eq!(*page, pages[0]);
    }
}

#[tokio::test]
async fn a_failure_is_recorded_and_what_was_typed_is_not() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    gateway.browser().log_in("ada", "canary-secret-1").await;
    // Somebody typed their password into the wrong field.
    gateway.browser().log_in("canary-secret-2", "x").await;
    let events = gateway.events(None).await;
    let failures: Vec<_> = events
        .iter()
        .filter(|row| row.outcome == "failure")
        .map(|row| (row.reason.as_deref(), row.principal.as_deref()))
        .collect();
    assert_eq!(
        failures,
        [
            (Some("unknown_account"), None),
            (Some("wrong_password"), Some("ada"))
        ]
    );
    let all = format!("{events:?}");
    assert!(!all.contains("canary") && !all.contains(PASSWORD) && !all.contains("pci_"));
}

#[tokio::test]
async fn a_session_is_not_the_one_that_was_planted() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    let planted = "A".repeat(43);
    browser.jar.insert(SESSION.to_owned(), planted.clone());
    let before = browser.get("/oauth/login").await.hidden("csrf");
    let visitor = browser.jar["__Host-portcullis-login"].clone();
    browser.log_in("ada", PASSWORD).await;
    let own = browser.jar[SESSION].clone();
    assert_ne!(own, planted);
    assert_ne!(own, visitor);
    assert!(!browser.jar.contains_key("__Host-portcullis-login"));
    assert_ne!(*browser.session().await.unwrap().csrf, *before);
    // A further login ends the session that the browser had.
    let old = browser.jar.clone();
    browser.log_in("ada", PASSWORD).await;
    assert!(browser.session().await.is_some());
    browser.jar = old;
    assert!(browser.session().await.is_none());
}

#[tokio::test]
async fn a_session_ends_when_idle_and_in_any_case() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    browser.log_in("ada", PASSWORD).await;
    // Used again and again, it lasts seven days.
    for hour in (11..7 * 24).step_by(11) {
        browser.now_ms = NOW + hour * HOUR;
        assert!(browser.session().await.is_some(), "after {hour} hours");
    }
    browser.now_ms = NOW + 7 * 24 * HOUR;
    assert!(browser.session().await.is_none());
    let mut idle = gateway.browser();
    idle.log_in("ada", PASSWORD).await;
    idle.now_ms = NOW + 12 * HOUR;
    assert!(idle.session().await.is_none());
}

#[tokio::test]
async fn an_account_has_so_many_sessions_and_no_more() {
    let gateway = Gateway::with(&Config {
        sessions_max: 2,
        ..Config::default()
    });
    gateway.account("ada").await;
    let mut browsers = Vec::new();
    for n in 1..=3 {
        let mut browser = gateway.browser();
        browser.now_ms = NOW + n;
        browser.log_in("ada", PASSWORD).await;
        browsers.push(browser);
    }
    assert!(browsers[0].session().await.is_none());
    assert!(browsers[1].session().await.is_some());
    assert!(browsers[2].session().await.is_some());
    let sessions = gateway.store.browser_sessions();
    assert_eq!(sessions.count("ada").await.unwrap(), 2);
}

#[tokio::test]
async fn logout_ends_the_session_for_good() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    browser.log_in("ada", PASSWORD).await;
    let csrf = browser.get("/oauth/account").await.hidden("csrf");
    let kept = browser.jar.clone();
    let page = browser.post("/oauth/logout", &[("csrf", &csrf)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = browser.get("/oauth/logout").await;
    assert!(page.body.contains("You are logged out"));
    browser.jar = kept;
    assert!(browser.session().await.is_none());
    assert_eq!(gateway.reasons(AuthEventKind::Logout).await, ["asked"]);
}

#[tokio::test]
async fn whoever_is_disabled_or_removed_is_out_at_once() {
    let gateway = Gateway::new();
    let ada = gateway.account("ada").await;
    let bob = gateway.account("bob").await;
    let epoch = gateway.store.epoch();
    let (mut first, mut second) = (gateway.browser(), gateway.browser());
    first.log_in("ada", PASSWORD).await;
    second.log_in("bob", PASSWORD).await;
    account::disable(&gateway.store, &ada, NOW).await.unwrap();
    account::remove(&gateway.store, &bob, NOW).await.unwrap();
    assert!(first.session().await.is_none());
    assert!(second.session().await.is_none());
    assert_ne!(gateway.store.epoch(), epoch);
    for name in ["sub:ada", "sub:bob"] {
        let revocations = gateway.store.revocations();
        assert!(revocations.any(vec![name.into()], NOW).await.unwrap());
        assert!(!revocations.any(vec![name.into()], NOW + 1).await.unwrap());
    }
    assert_eq!(
        second.log_in("bob", PASSWORD).await.status,
        StatusCode::FORBIDDEN
    );
    account::enable(&gateway.store, &ada, NOW).await.unwrap();
    assert_eq!(
        first.log_in("ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(account::list(&gateway.store).await.unwrap().len(), 1);
}
