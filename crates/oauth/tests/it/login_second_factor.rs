//! Second factors and recovery codes.

use http::StatusCode;
use portcullis_oauth::account;
use portcullis_store::AuthEventKind;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::login_support::{Browser, Gateway, NOW, PASSWORD, Page};

/// An account with a second factor, the device that makes its codes, and its recovery codes.
async fn enrolled(gateway: &Gateway) -> (TOTP, Vec<String>) {
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    browser.log_in("ada", PASSWORD).await;
    let page = browser.get("/oauth/account/totp").await;
    let secret = page.body.split("Secret: <code>").nth(1).unwrap();
    let secret = Secret::Encoded(secret.split('<').next().unwrap().to_owned());
    let device = TOTP::new(
        Algorithm::SHA1,
        6,
        0,
        30,
        secret.to_bytes().unwrap(),
        None,
        "ada".to_owned(),
    )
    .unwrap();
    let (csrf, pending) = (page.hidden("csrf"), page.hidden("pending"));
    let wrong = [("csrf", &*csrf), ("pending", &pending), ("code", "abcdef")];
    let page = browser.post("/oauth/account/totp", &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let code = device.generate(NOW / 1000);
    let right = [("csrf", &*csrf), ("pending", &pending), ("code", &*code)];
    let page = browser.post("/oauth/account/totp", &right).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let codes = page.body.split("<li><code>").skip(1);
    let codes: Vec<String> = codes
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10);
    (device, codes)
}

async fn enter(browser: &mut Browser<'_>, code: &str) -> Page {
    let page = browser.log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(browser.session().await.is_none());
    let (csrf, pending) = (page.hidden("csrf"), page.hidden("pending"));
    let fields = [("csrf", &*csrf), ("pending", &pending), ("code", code)];
    browser.post("/oauth/login/code", &fields).await
}

#[tokio::test]
async fn a_password_alone_does_not_open_an_account_with_a_second_factor() {
    let gateway = Gateway::new();
    let (device, _) = enrolled(&gateway).await;
    let mut browser = gateway.browser();
    browser.now_ms = NOW + 60_000;
    let page = enter(&mut browser, "000000").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let code = device.generate(browser.now_ms / 1000);
    let page = enter(&mut browser, &code).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(&*browser.session().await.unwrap().account, "ada");
    let reasons = gateway.reasons(AuthEventKind::Login).await;
    assert_eq!(reasons[..2], ["totp", "wrong_code"]);
}

#[tokio::test]
async fn a_code_counts_once() {
    let gateway = Gateway::new();
    let (device, _) = enrolled(&gateway).await;
    let mut browser = gateway.browser();
    // The code that the enrolment used.
    let page = enter(&mut browser, &device.generate(NOW / 1000)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    browser.now_ms = NOW + 60_000;
    let code = device.generate(browser.now_ms / 1000);
    let (mut first, mut second) = (gateway.browser(), gateway.browser());
    first.now_ms = browser.now_ms;
    second.now_ms = browser.now_ms;
    let (one, two) = tokio::join!(enter(&mut first, &code), enter(&mut second, &code));
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::FORBIDDEN]);
}

#[tokio::test]
async fn a_recovery_code_counts_once() {
    let gateway = Gateway::new();
    let (_, codes) = enrolled(&gateway).await;
    let mut browser = gateway.browser();
    let page = enter(&mut browser, &codes[3].to_uppercase()).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = enter(&mut gateway.browser(), &codes[3]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = enter(&mut gateway.browser(), &codes[4]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let all = format!("{:?}", gateway.events(None).await);
    assert!(codes.iter().all(|code| !all.contains(code.as_str())));
}

#[tokio::test]
async fn the_step_between_is_of_one_browser_and_of_five_minutes() {
    let gateway = Gateway::new();
    let (device, _) = enrolled(&gateway).await;
    let mut browser = gateway.browser();
    let page = browser.log_in("ada", PASSWORD).await;
    let (csrf, pending) = (page.hidden("csrf"), page.hidden("pending"));
    browser.now_ms = NOW + 6 * 60_000;
    let code = device.generate(browser.now_ms / 1000);
    let fields = [("csrf", &*csrf), ("pending", &*pending), ("code", &*code)];
    let page = browser.post("/oauth/login/code", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.session().await.is_none());

    let mut thief = gateway.browser();
    thief.now_ms = NOW + 60_000;
    let code = device.generate(thief.now_ms / 1000);
    let csrf = thief.get("/oauth/login").await.hidden("csrf");
    let fields = [("csrf", &*csrf), ("pending", &*pending), ("code", &*code)];
    let page = thief.post("/oauth/login/code", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(thief.session().await.is_none());
}

#[tokio::test]
async fn codes_are_not_guessed_either() {
    let gateway = Gateway::new();
    enrolled(&gateway).await;
    let mut thief = gateway.browser();
    thief.peer = [198, 51, 100, 1].into();
    let page = thief.log_in("ada", PASSWORD).await;
    let (csrf, pending) = (page.hidden("csrf"), page.hidden("pending"));
    let fields = [("csrf", &*csrf), ("pending", &*pending), ("code", "123456")];
    let mut last = StatusCode::OK;
    for _ in 0..5 {
        last = thief.post("/oauth/login/code", &fields).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_second_factor_goes_by_its_code_or_by_a_reset() {
    let gateway = Gateway::new();
    let (device, codes) = enrolled(&gateway).await;
    let mut browser = gateway.browser();
    enter(&mut browser, &codes[0]).await;
    let csrf = browser.session().await.unwrap().csrf;
    let fields = [("csrf", &*csrf), ("code", "000000")];
    let page = browser.post("/oauth/account/totp/remove", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    browser.now_ms = NOW + 60_000;
    let code = device.generate(browser.now_ms / 1000);
    let fields = [("csrf", &*csrf), ("code", &*code)];
    let page = browser.post("/oauth/account/totp/remove", &fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = gateway.browser().log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    let ada = "ada".parse().unwrap();
    let code = account::reset(&gateway.store, &ada, NOW).await.unwrap();
    let page = gateway.browser().redeem(&code, "another fine phrase").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_old_session_logs_in_again_before_it_changes_how_to_log_in() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut browser = gateway.browser();
    browser.log_in("ada", PASSWORD).await;
    browser.now_ms = NOW + 16 * 60_000;
    let page = browser.get("/oauth/account/totp").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(page.header("location").starts_with("/oauth/login?return="));
}
