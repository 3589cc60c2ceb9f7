//! Tokens that are bound to a key (RFC 9449).

use http::HeaderMap;
use portcullis_oauth::dpop::{DpopError, Mode, NONCE_HEADER};
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::secret;
use portcullis_oauth::verifier::{Config, Reason};
use serde_json::{Value, json};

use crate::verifier_support::{Fixture, NOW, NOW_S, authorization, merged};

fn client_key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

fn bound(fixture: &Fixture, key: &SigningKey) -> String {
    fixture.token(&json!({"cnf": {"jkt": key.thumbprint()}}))
}

/// A request with a token and a proof for it, with `changes` to the proof.
fn request(token: &str, key: &SigningKey, changes: &Value) -> HeaderMap {
    let claims = merged(
        json!({
            "jti": secret::generate("").unwrap().as_str(),
            "htm": "POST",
            "htu": "https://gateway.example/mcp",
            "iat": NOW_S,
            "ath": secret::base64url(&secret::sha256(token.as_bytes())),
        }),
        changes,
    );
    let proof = key.sign_with_key("dpop+jwt", &claims).unwrap();
    let mut headers = authorization(&format!("DPoP {token}"));
    headers.insert("dpop", proof.parse().unwrap());
    headers
}

async fn check(fixture: &Fixture, headers: &HeaderMap) -> Result<(), Reason> {
    let found = fixture.show(headers, None, NOW).await;
    found.map(drop).map_err(|refused| refused.reason)
}

#[tokio::test]
async fn a_bound_token_opens_with_a_proof_of_its_key_and_never_without() {
    let fixture = Fixture::new(&Config::default());
    let key = client_key();
    let token = bound(&fixture, &key);
    let good = request(&token, &key, &json!({}));
    assert_eq!(check(&fixture, &good).await, Ok(()));
    let proof = |error| Err(Reason::Proof(error));
    // Each time anew, though the token's verdict is kept.
    assert_eq!(check(&fixture, &good).await, proof(DpopError::Replay));
    let again = request(&token, &key, &json!({}));
    assert_eq!(check(&fixture, &again).await, Ok(()));

    let stolen = authorization(&format!("Bearer {token}"));
    assert_eq!(check(&fixture, &stolen).await, Err(Reason::Bound));
    let mut with_proof = request(&token, &key, &json!({}));
    with_proof.insert("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(check(&fixture, &with_proof).await, Err(Reason::Bound));
    let no_proof = authorization(&format!("DPoP {token}"));
    assert_eq!(check(&fixture, &no_proof).await, proof(DpopError::Count));
    let by_thief = request(&token, &client_key(), &json!({}));
    assert_eq!(check(&fixture, &by_thief).await, proof(DpopError::OtherKey));
    for (changes, error) in [
        (json!({"htm": "GET"}), DpopError::Request),
        (
            json!({"htu": "https://gateway.example/servers/files/mcp"}),
            DpopError::Request,
        ),
        (json!({"iat": NOW_S - 61}), DpopError::Time),
        (json!({"ath": null}), DpopError::Token),
    ] {
        let headers = request(&token, &key, &changes);
        assert_eq!(check(&fixture, &headers).await, proof(error), "{changes}");
    }
}

#[tokio::test]
async fn an_unbound_token_is_not_dressed_up_as_a_bound_one() {
    let fixture = Fixture::new(&Config::default());
    let token = fixture.token(&json!({}));
    let headers = request(&token, &client_key(), &json!({}));
    assert_eq!(check(&fixture, &headers).await, Err(Reason::Unbound));
}

#[tokio::test]
async fn where_binding_is_off_a_bound_token_opens_nothing() {
    let config = Config {
        dpop: Mode::Off,
        ..Config::default()
    };
    let fixture = Fixture::new(&config);
    let key = client_key();
    let token = bound(&fixture, &key);
    let headers = request(&token, &key, &json!({}));
    assert_eq!(check(&fixture, &headers).await, Err(Reason::Scheme));
    let headers = authorization(&format!("Bearer {token}"));
    assert_eq!(check(&fixture, &headers).await, Err(Reason::Bound));
}

#[tokio::test]
async fn where_binding_is_required_an_unbound_token_opens_nothing() {
    let config = Config {
        dpop: Mode::Required,
        ..Config::default()
    };
    let fixture = Fixture::new(&config);
    let token = fixture.token(&json!({}));
    let headers = authorization(&format!("Bearer {token}"));
    assert_eq!(check(&fixture, &headers).await, Err(Reason::Unbound));
}

#[tokio::test]
async fn a_client_without_a_nonce_is_given_one() {
    let config = Config {
        dpop_nonce: true,
        ..Config::default()
    };
    let fixture = Fixture::new(&config);
    let key = client_key();
    let token = bound(&fixture, &key);
    let first = request(&token, &key, &json!({}));
    let refused = fixture.show(&first, None, NOW).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Proof(DpopError::UseNonce));
    let scopes = "tools:read".parse().unwrap();
    let response = fixture
        .verifier
        .refusal(refused, &fixture.resource, &scopes, NOW);
    assert_eq!(response.status(), 401);
    let challenges: Vec<_> = response
        .headers()
        .get_all("www-authenticate")
        .iter()
        .collect();
    assert_eq!(challenges.len(), 2);
    let challenge = challenges[1].to_str().unwrap();
    assert!(
        challenge.starts_with(r#"DPoP error="use_dpop_nonce""#),
        "{challenge}"
    );
    let nonce = response.headers()[NONCE_HEADER].to_str().unwrap();
    let second = request(&token, &key, &json!({"nonce": nonce}));
    assert_eq!(check(&fixture, &second).await, Ok(()));
}
