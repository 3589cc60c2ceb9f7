//! Tokens that are bound to a key of their client (RFC 9449 §5).

use serde_json::json;

use super::*;
use crate::dpop::Mode;
use crate::jwt::{KeyKind, SigningKey};

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

fn proof(key: &SigningKey, nonce: Option<&str>) -> String {
    let id = secret::base64url(&secret::random::<8>().unwrap());
    let mut claims = json!({
        "jti": id, "htm": "POST", "htu": format!("{BASE}/oauth/token"), "iat": NOW / 1000,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    key.sign_with_key("dpop+jwt", &claims).unwrap()
}

async fn call(
    harness: &Harness,
    parameters: &[(&str, &str)],
    proof: Option<&str>,
) -> Response<Bytes> {
    let mut request = form(path::TOKEN, parameters);
    if let Some(proof) = proof {
        request.headers_mut().insert("dpop", proof.parse().unwrap());
    }
    harness.send(request, None).await
}

fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", "desk"),
        ("redirect_uri", LOCAL),
        ("code", code),
        ("code_verifier", VERIFIER),
    ]
}

fn refreshing(token: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "refresh_token"),
        ("client_id", "desk"),
        ("refresh_token", token),
    ]
}

#[tokio::test]
async fn tokens_of_a_public_client_are_bound_to_its_key_for_good() {
    let harness = harness().await;
    let (own, other) = (key(), key());
    let code = harness.code(&[]).await;
    let response = call(&harness, &redemption(&code), Some(&proof(&own, None))).await;
    let tokens = body(&response);
    assert_eq!(tokens["token_type"], "DPoP", "{tokens}");
    let access = tokens["access_token"].as_str().unwrap();
    let claims = harness.server.read_access_token(access, NOW).await.unwrap();
    assert_eq!(claims.cnf.unwrap().jkt, own.thumbprint());
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for shown in [None, Some(proof(&other, None))] {
        let response = call(&harness, &refreshing(refresh), shown.as_deref()).await;
        assert_eq!(error_of(&response).1, "invalid_grant");
    }
    let response = call(&harness, &refreshing(refresh), Some(&proof(&own, None))).await;
    assert_eq!(body(&response)["token_type"], "DPoP");
}

#[tokio::test]
async fn a_code_that_was_asked_for_with_a_key_needs_it() {
    let harness = harness().await;
    let (own, other) = (key(), key());
    let asked = [("dpop_jkt", own.thumbprint())];
    for (shown, given) in [
        (None, false),
        (Some(proof(&other, None)), false),
        (Some(proof(&own, None)), true),
    ] {
        let code = harness.code(&asked).await;
        let response = call(&harness, &redemption(&code), shown.as_deref()).await;
        assert_eq!(response.status() == StatusCode::OK, given);
    }
    let bad = harness
        .get(&authorization(&[("dpop_jkt", "short")]), None)
        .await;
    assert_eq!(answer(&bad, "error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn a_proof_that_is_wrong_or_used_gives_nothing_and_spends_nothing() {
    let harness = harness().await;
    let own = key();
    let code = harness.code(&[]).await;
    let used = proof(&own, None);
    let robot = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", SECRET),
        ("resource", MCP),
    ];
    assert_eq!(
        body(&call(&harness, &robot, Some(&used)).await)["token_type"],
        "DPoP"
    );
    for shown in [&*used, "nonsense", "e30.e30."] {
        let response = call(&harness, &redemption(&code), Some(shown)).await;
        assert_eq!(
            error_of(&response),
            (StatusCode::BAD_REQUEST, "invalid_dpop_proof".into())
        );
    }
    let response = call(&harness, &redemption(&code), Some(&proof(&own, None))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_nonce_is_demanded_and_given() {
    let harness = harness_with(Config {
        dpop_nonce: true,
        ..config()
    })
    .await;
    let own = key();
    let code = harness.code(&[]).await;
    let response = call(&harness, &redemption(&code), Some(&proof(&own, None))).await;
    assert_eq!(error_of(&response).1, "use_dpop_nonce");
    let nonce = response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned();
    let response = call(
        &harness,
        &redemption(&code),
        Some(&proof(&own, Some(&nonce))),
    )
    .await;
    assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
}

#[tokio::test]
async fn proofs_can_be_required_and_switched_off() {
    let with = |dpop| Config { dpop, ..config() };
    let harness = harness_with(with(Mode::Required)).await;
    let code = harness.code(&[]).await;
    let response = call(&harness, &redemption(&code), None).await;
    assert_eq!(error_of(&response).1, "invalid_dpop_proof");
    let document = body(&harness.get(path::METADATA, None).await);
    assert!(document["dpop_signing_alg_values_supported"].is_array());

    let harness = harness_with(with(Mode::Off)).await;
    let code = harness.code(&[]).await;
    let response = call(&harness, &redemption(&code), Some(&proof(&key(), None))).await;
    assert_eq!(body(&response)["token_type"], "Bearer");
    let document = body(&harness.get(path::METADATA, None).await);
    assert_eq!(document.get("dpop_signing_alg_values_supported"), None);
}
