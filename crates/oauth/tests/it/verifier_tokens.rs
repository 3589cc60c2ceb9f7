//! Access tokens of the built-in authorization server: what opens a resource, and what does not (SEC-05, SEC-11, SEC-12).

use std::collections::BTreeMap;

use http::HeaderMap;
use portcullis_oauth::identity::CredentialKind;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::secret;
use portcullis_oauth::verifier::config::Certificate;
use portcullis_oauth::verifier::{Config, Reason};
use portcullis_store::{Revocation, Settings, Store};
use serde_json::{Value, json};

use crate::verifier_support::{Fixture, GATEWAY, NOW, NOW_S, authorization, resource};

#[tokio::test]
async fn a_token_for_the_resource_opens_it() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({"groups": ["staff"]}));
    for _ in 0..2 {
        let identity = fixture.bearer(&token).await.unwrap();
        assert_eq!(&*identity.subject, "ada");
        assert_eq!(&*identity.issuer, GATEWAY);
        assert_eq!(identity.client.as_deref(), Some("client-1"));
        assert_eq!(*identity.groups, ["staff".into()]);
        assert_eq!(identity.scopes.as_ref().unwrap().to_string(), "tools:read");
        assert_eq!(identity.kind, CredentialKind::AccessToken);
        assert_eq!(&*identity.token_id, "token-1");
        assert_eq!(identity.expires_ms, Some(NOW + 900_000));
    }
}

#[tokio::test]
async fn what_is_not_exactly_for_the_resource_is_refused() {
    let fixture = Fixture::new(&Config::default());
    let table: [(Value, Reason); 16] = [
        (
            json!({"aud": resource("/servers/files/mcp").uri()}),
            Reason::Audience,
        ),
        (
            json!({"aud": "https://gateway.example/mcp/"}),
            Reason::Audience,
        ),
        (
            json!({"aud": "https://upstream.example/mcp"}),
            Reason::Audience,
        ),
        (json!({"aud": null}), Reason::Audience),
        (
            json!({"aud": ["https://gateway.example/mcp", "https://gateway.example/servers/files/mcp"]}),
            Reason::SeveralAudiences,
        ),
        (json!({"iss": "https://gateway.example/"}), Reason::Issuer),
        (json!({"iss": "https://gateway.examplf"}), Reason::Issuer),
        (json!({"iss": "http://gateway.example"}), Reason::Issuer),
        (json!({"iss": null}), Reason::Malformed),
        (
            json!({"exp": NOW_S - 30, "iat": NOW_S - 900}),
            Reason::Expired,
        ),
        (json!({"exp": null}), Reason::Claims),
        (json!({"exp": NOW_S + 100_000}), Reason::Claims),
        (json!({"nbf": NOW_S + 31}), Reason::NotYetValid),
        (json!({"iat": NOW_S + 31}), Reason::NotYetValid),
        (json!({"sub": null}), Reason::Claims),
        (json!({"jti": null}), Reason::Claims),
    ];
    for (changes, reason) in table {
        let found = fixture.bearer(&fixture.token(&changes)).await;
        assert_eq!(found.map(drop), Err(reason), "{changes}");
    }
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({}));
    let claims = token.split('.').nth(1).unwrap();
    let unsigned = |head: Value| {
        let head = secret::base64url(head.to_string().as_bytes());
        format!("{head}.{claims}.")
    };
    let kid = fixture.key.kid();
    let forger = SigningKey::generate(KeyKind::Es256).unwrap();
    let mut plain: Value = json!({});
    plain["iss"] = json!(GATEWAY);
    let by_forger = forger.sign("at+jwt", &plain).unwrap();
    // The key's public half, taken for a shared secret.
    let public = serde_json::to_vec(fixture.key.public()).unwrap();
    let head =
        secret::base64url(format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#).as_bytes());
    let mac = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public),
        format!("{head}.{claims}").as_bytes(),
    );
    let symmetric = format!("{head}.{claims}.{}", secret::base64url(mac.as_ref()));
    let mut broken = token.clone();
    broken.truncate(token.len() - 8);
    broken.push_str("AAAAAAAA");
    // A head that brings its own key is not asked for it.
    let own_key = forger.sign_with_key("at+jwt", &plain).unwrap();
    for (token, reason) in [
        (
            unsigned(json!({"alg": "none", "typ": "at+jwt", "kid": kid})),
            Reason::Malformed,
        ),
        (
            unsigned(json!({"alg": "ES256", "typ": "at+jwt", "kid": kid})),
            Reason::Signature,
        ),
        (symmetric, Reason::Algorithm),
        (by_forger, Reason::UnknownKey),
        (own_key, Reason::Signature),
        (broken, Reason::Signature),
        (fixture.key.sign("jwt", &plain).unwrap(), Reason::Type),
        (fixture.key.sign("dpop+jwt", &plain).unwrap(), Reason::Type),
        ("pcr_refresh".to_owned(), Reason::Malformed),
        ("opaque".to_owned(), Reason::Malformed),
    ] {
        let found = fixture.bearer(&token).await;
        assert_eq!(found.map(drop), Err(reason), "{token}");
    }
}

#[tokio::test]
async fn a_token_ends_when_it_expires_though_it_was_believed() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({"exp": NOW_S + 60}));
    assert!(fixture.bearer(&token).await.is_ok());
    assert!(fixture.bearer_at(&token, NOW + 89_999).await.is_ok());
    let late = fixture.bearer_at(&token, NOW + 90_000).await;
    assert_eq!(late.map(drop), Err(Reason::Expired));
}

#[tokio::test]
async fn a_verdict_for_one_resource_is_none_for_another() {
    let mut fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({}));
    assert!(fixture.bearer(&token).await.is_ok());
    fixture.resource = resource("/servers/files/mcp");
    let elsewhere = fixture.bearer(&token).await;
    assert_eq!(elsewhere.map(drop), Err(Reason::Audience));
}

#[tokio::test]
async fn a_revocation_by_another_process_is_in_force_on_the_next_request() {
    let fixture = Fixture::new(&Config::default());
    let path = fixture.folder.path().join("db");
    let theirs = Store::open_beside(&path, Settings::default()).unwrap();
    for id in ["jti:token-1", "grant:grant-1", "client:client-1", "sub:ada"] {
        let token = fixture.token(&json!({"n": id}));
        assert!(fixture.bearer(&token).await.is_ok(), "{id}");
        let revoke = |before_ms| {
            let revocations = theirs.revocations();
            revocations.add(Revocation {
                id: id.to_owned(),
                before_ms,
                until_ms: NOW + 900_000,
            })
        };
        // One of earlier tokens leaves this one alone.
        revoke(NOW - 1).await.unwrap();
        assert!(fixture.bearer(&token).await.is_ok(), "{id}");
        revoke(NOW).await.unwrap();
        let found = fixture.bearer(&token).await;
        assert_eq!(found.map(drop), Err(Reason::Revoked), "{id}");
        // Neither is a token believed that was not shown before.
        let unseen = fixture.token(&json!({"n": id, "m": 1}));
        let found = fixture.bearer(&unseen).await;
        assert_eq!(found.map(drop), Err(Reason::Revoked), "{id}");
        theirs.revocations().forget(u64::MAX).await.unwrap();
    }
}

#[tokio::test]
async fn keys_rotate_under_traffic() {
    let fixture = Fixture::new(&Config::default());
    let old = fixture.token(&json!({}));
    assert!(fixture.bearer(&old).await.is_ok());
    let next = SigningKey::generate(KeyKind::EdDsa).unwrap();
    let both = vec![fixture.key.public().clone(), next.public().clone()];
    fixture.local.set_keys(both);
    assert!(fixture.bearer(&old).await.is_ok());
    let mut fixture = fixture;
    let old_key = std::mem::replace(&mut fixture.key, next);
    let new = fixture.token(&json!({}));
    assert!(fixture.bearer(&new).await.is_ok());
    fixture.local.set_keys(vec![fixture.key.public().clone()]);
    assert!(fixture.bearer(&new).await.is_ok());
    // What the old key signed is no longer believed, at the latest ten minutes later.
    let late = fixture.bearer_at(&old, NOW + 600_000).await;
    assert_eq!(late.map(drop), Err(Reason::UnknownKey));
    drop(old_key);
}

#[tokio::test]
async fn a_certificate_opens_what_it_is_configured_for() {
    let fingerprint = [0xab; 32];
    let certificate = Certificate {
        sha256: ["AB"; 32].join(":"),
        scopes: vec!["tools:read".to_owned()],
        groups: vec!["robots".to_owned()],
    };
    let config = Config {
        certificates: BTreeMap::from([("robot".to_owned(), certificate)]),
        ..Config::default()
    };
    let fixture = Fixture::new(&config);
    let none = HeaderMap::new();
    let identity = fixture.show(&none, Some(&fingerprint), NOW).await.unwrap();
    assert_eq!(&*identity.subject, "robot");
    assert_eq!(identity.kind, CredentialKind::Certificate);
    assert_eq!(identity.scopes.as_ref().unwrap().to_string(), "tools:read");
    let other = fixture.show(&none, Some(&[1; 32]), NOW).await.unwrap_err();
    assert_eq!(other.reason, Reason::UnknownCertificate);
    let nothing = fixture.show(&none, None, NOW).await.unwrap_err();
    assert_eq!(nothing.reason, Reason::Missing);
    // A token is what counts, where there is one.
    let bad = authorization("Bearer x");
    let token = fixture.show(&bad, Some(&fingerprint), NOW).await;
    assert_eq!(token.unwrap_err().reason, Reason::Malformed);
}

#[tokio::test]
async fn a_token_bound_to_a_certificate_comes_with_it() {
    let fixture = Fixture::new(&Config::default());
    let certificate = [7; 32];
    let cnf = json!({"cnf": {"x5t#S256": secret::base64url(&certificate)}});
    let headers = authorization(&format!("Bearer {}", fixture.token(&cnf)));
    assert!(
        fixture
            .show(&headers, Some(&certificate), NOW)
            .await
            .is_ok()
    );
    for other in [None, Some(&[8; 32])] {
        let found = fixture.show(&headers, other, NOW).await.unwrap_err();
        assert_eq!(found.reason, Reason::Certificate);
    }
}
