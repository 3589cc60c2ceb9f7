//! Guessing is slow, and slows nobody else.

use http::StatusCode;
use portcullis_store::AuthEventKind;

use crate::login_support::{Gateway, NOW, PASSWORD};

#[tokio::test]
async fn guessing_is_told_to_wait() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut thief = gateway.browser();
    thief.peer = [198, 51, 100, 1].into();
    for _ in 0..5 {
        assert_eq!(
            thief.log_in("ada", "guess").await.status,
            StatusCode::FORBIDDEN
        );
    }
    let page = thief.log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(page.header("retry-after"), "1");
    assert!(page.body.contains("Wait 1 second,"));
    thief.log_in("ada", PASSWORD).await;
    let lockouts = gateway.events(Some(AuthEventKind::Lockout)).await;
    assert_eq!(lockouts.len(), 1);
    assert_eq!(lockouts[0].principal.as_deref(), Some("ada"));
    thief.now_ms = NOW + 1000;
    assert_eq!(
        thief.log_in("ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn an_unknown_account_is_slowed_alike() {
    let gateway = Gateway::new();
    let mut thief = gateway.browser();
    for _ in 0..5 {
        assert_eq!(
            thief.log_in("nobody", "x").await.status,
            StatusCode::FORBIDDEN
        );
    }
    let page = thief.log_in("nobody", "x").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_attack_from_the_same_network_does_not_hinder_a_known_device() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    let mut ada = gateway.browser();
    ada.log_in("ada", PASSWORD).await;
    let session = ada.session().await;

    let mut thief = gateway.browser();
    let mut waits = 0;
    for _ in 0..40 {
        let page = thief.log_in("ada", "guess").await;
        waits += usize::from(page.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(waits >= 35);
    // The session goes on, and so does a login from the browser that is known.
    assert_eq!(ada.session().await, session);
    assert_eq!(
        ada.log_in("ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    // A browser that is not known, elsewhere, logs in as well.
    let mut elsewhere = gateway.browser();
    elsewhere.peer = [192, 0, 2, 1].into();
    let page = elsewhere.log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_known_device_is_not_known_at_another_account_and_cannot_guess_for_ever() {
    let gateway = Gateway::new();
    gateway.account("ada").await;
    gateway.account("bob").await;
    let mut ada = gateway.browser();
    ada.log_in("ada", PASSWORD).await;
    for name in ["bob", "ada"] {
        for _ in 0..5 {
            assert_eq!(
                ada.log_in(name, "guess").await.status,
                StatusCode::FORBIDDEN
            );
        }
        let page = ada.log_in(name, "guess").await;
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{name}");
    }
}
