//! What is recorded and answered, and what a kept verdict costs.

use http::{HeaderMap, Method};
use portcullis_oauth::challenge::Scheme;
use portcullis_oauth::dpop::Mode;
use portcullis_oauth::verifier::{Config, Presented, Reason, Refused};
use serde_json::json;

use crate::verifier_support::{Fixture, GATEWAY, NOW, NOW_S, authorization};

#[tokio::test]
async fn a_credential_is_recorded_once_and_each_refusal_every_time() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({}));
    for _ in 0..3 {
        assert!(fixture.bearer(&token).await.is_ok());
    }
    let expired = fixture.token(&json!({"exp": NOW_S - 60}));
    for _ in 0..2 {
        assert!(fixture.bearer(&expired).await.is_err());
    }
    let nothing = fixture.show(&HeaderMap::new(), None, NOW).await;
    assert!(nothing.is_err());
    let events = fixture.events().await;
    let short: Vec<_> = events
        .iter()
        .map(|event| (event.outcome.as_str(), event.reason.as_deref()))
        .collect();
    let expired_event = ("failure", Some("expired"));
    assert_eq!(
        short,
        [
            ("success", None),
            expired_event,
            expired_event,
            ("failure", Some("missing")),
        ]
    );
    let success = &events[0];
    assert_eq!(success.kind, "authentication");
    assert_eq!(success.principal.as_deref(), Some("ada"));
    assert_eq!(success.client.as_deref(), Some("client-1"));
    assert_eq!(success.issuer.as_deref(), Some(GATEWAY));
    assert_eq!(
        success.resource.as_deref(),
        Some("https://gateway.example/mcp")
    );
    assert_eq!(success.scopes.as_deref(), Some("tools:read"));
    assert_eq!(success.correlation.as_deref(), Some("token-1"));
    assert_eq!(success.address.as_deref(), Some("203.0.113.7"));
    // Nobody vouches for what a refused token says of its subject.
    assert_eq!(events[1].principal, None);
    assert_eq!(events[1].issuer.as_deref(), Some(GATEWAY));
    let written = format!("{events:?}");
    for secret in [&token, &expired] {
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!written.contains(signature));
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_recorded_is_none() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({}));
    fixture.store.close().await;
    for _ in 0..2 {
        let found = fixture.bearer(&token).await;
        assert_eq!(found.map(drop), Err(Reason::StoreUnavailable));
    }
}

#[tokio::test]
async fn each_refusal_has_its_status_and_challenge() {
    let fixture = Fixture::new(&Config {
        dpop: Mode::Off,
        ..Config::default()
    });
    let scopes = "tools:read".parse().unwrap();
    let answer = |reason| {
        let refused = Refused {
            reason,
            scheme: Scheme::Bearer,
        };
        let response = fixture
            .verifier
            .refusal(refused, &fixture.resource, &scopes, NOW);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), challenge)
    };
    let rest = r#"scope="tools:read", resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp""#;
    let error = |error: &str, text: &str| {
        Some(format!(
            r#"Bearer error="{error}", error_description="{text}", {rest}"#
        ))
    };
    assert_eq!(
        answer(Reason::Missing),
        (401, Some(format!("Bearer {rest}")))
    );
    let expired = error("invalid_token", "the access token has expired");
    assert_eq!(answer(Reason::Expired), (401, expired));
    let forged = error("invalid_token", "the access token is not valid here");
    assert_eq!(answer(Reason::Signature), (401, forged));
    let doubled = error(
        "invalid_request",
        "the request needs exactly one access token in its header",
    );
    assert_eq!(answer(Reason::Header), (400, doubled));
    assert_eq!(answer(Reason::KeysUnavailable), (503, None));
    assert_eq!(answer(Reason::StoreUnavailable), (503, None));
}

#[tokio::test]
async fn a_missing_scope_is_told_with_all_that_are_needed() {
    let fixture = Fixture::new(&Config {
        dpop: Mode::Off,
        ..Config::default()
    });
    let headers = authorization(&format!("Bearer {}", fixture.token(&json!({}))));
    let presented = Presented {
        headers: &headers,
        method: &Method::POST,
        certificate: None,
        peer: None,
    };
    let verdict = fixture.verifier.verify(presented, &fixture.resource, NOW);
    let identity = verdict.await.unwrap();
    let needed = "tools:read tools:write".parse().unwrap();
    let response = fixture
        .verifier
        .step_up(&presented, &identity, &fixture.resource, &needed, NOW);
    assert_eq!(response.status(), 403);
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer error="insufficient_scope", error_description="the access token lacks a scope that this needs", scope="tools:read tools:write", resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp""#
    );
    let events = fixture.events().await;
    assert_eq!(events[1].kind, "step_up");
    assert_eq!(events[1].principal.as_deref(), Some("ada"));
    assert_eq!(events[1].scopes.as_deref(), Some("tools:read tools:write"));
}
