//! Invitations and resets.

use http::StatusCode;
use portcullis_oauth::account::{self, AccountError, Invitation, LINK_MS};
use portcullis_store::AuthEventKind;

use crate::login_support::{Gateway, NOW, PASSWORD};

#[tokio::test]
async fn an_invitation_sets_a_password_once() {
    let gateway = Gateway::new();
    let code = gateway.invite("ada").await;
    assert!(code.starts_with("pci_"));
    let mut browser = gateway.browser();
    let page = browser.redeem(&code, PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(&*browser.session().await.unwrap().account, "ada");
    let page = gateway.browser().redeem(&code, "another fine phrase").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = gateway.browser().log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let reasons = gateway.reasons(AuthEventKind::Account).await;
    assert_eq!(reasons, ["invalid_link", "password_set", "invited"]);
}

#[tokio::test]
async fn of_two_at_once_one_sets_the_password() {
    let gateway = Gateway::new();
    let code = gateway.invite("ada").await;
    let (mut first, mut second) = (gateway.browser(), gateway.browser());
    let (one, two) = tokio::join!(
        first.redeem(&code, PASSWORD),
        second.redeem(&code, "another fine phrase")
    );
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::FORBIDDEN]);
}

#[tokio::test]
async fn an_invitation_expires_and_is_not_guessed() {
    let gateway = Gateway::new();
    let code = gateway.invite("ada").await;
    for wrong in ["", "pci_", "pci_AAAA", code.strip_prefix("pci_").unwrap()] {
        let page = gateway.browser().redeem(wrong, PASSWORD).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    let mut late = gateway.browser();
    late.now_ms = NOW + LINK_MS;
    let page = late.redeem(&code, PASSWORD).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_weak_password_does_not_use_the_invitation_up() {
    let gateway = Gateway::new();
    let code = gateway.invite("ada").await;
    let mut browser = gateway.browser();
    for weak in ["short", "password1234"] {
        let page = browser.redeem(&code, weak).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.body.contains("role=\"alert\""));
    }
    let csrf = browser
        .get("/oauth/account/invitation")
        .await
        .hidden("csrf");
    let fields = [
        ("csrf", &*csrf),
        ("code", &code),
        ("password", PASSWORD),
        ("repeat", "something else"),
    ];
    let page = browser.post("/oauth/account/invitation", &fields).await;
    assert!(page.body.contains("The two passwords differ."));
    assert_eq!(
        browser.redeem(&code, PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_reset_ends_what_the_account_had() {
    let gateway = Gateway::new();
    let ada = gateway.account("ada").await;
    let mut browser = gateway.browser();
    browser.log_in("ada", PASSWORD).await;
    let first = account::reset(&gateway.store, &ada, NOW).await.unwrap();
    assert!(browser.session().await.is_none());
    let page = browser.log_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let revocations = gateway.store.revocations();
    assert!(revocations.any(vec!["sub:ada".into()], NOW).await.unwrap());
    // A further reset makes the one before worthless.
    let second = account::reset(&gateway.store, &ada, NOW).await.unwrap();
    let page = browser.redeem(&first, "another fine phrase").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let page = browser.redeem(&second, "another fine phrase").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = gateway.browser().log_in("ada", "another fine phrase").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn commands_say_what_they_cannot_do() {
    let gateway = Gateway::new();
    let store = &gateway.store;
    let ada = gateway.account("ada").await;
    let invitation = Invitation {
        name: ada,
        display: "Ada".to_owned(),
        groups: Vec::new(),
        is_admin: true,
    };
    let taken = account::invite(store, &invitation, NOW).await;
    assert!(matches!(taken, Err(AccountError::Taken(_))));
    let nobody = "nobody".parse().unwrap();
    for outcome in [
        account::reset(store, &nobody, NOW).await.map(drop),
        account::disable(store, &nobody, NOW).await,
        account::enable(store, &nobody, NOW).await,
        account::remove(store, &nobody, NOW).await,
    ] {
        assert!(matches!(outcome, Err(AccountError::Unknown(_))));
    }
    let blank = Invitation {
        name: nobody,
        display: "\u{7}".to_owned(),
        ..invitation
    };
    let refused = account::invite(store, &blank, NOW).await;
    assert!(matches!(refused, Err(AccountError::Text(_))));
}
