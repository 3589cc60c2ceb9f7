use serde::Deserialize;

use super::*;
use crate::jwt::{self, KeyKind};

#[derive(Clone, Deserialize)]
struct Read {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: Option<String>,
    nonce: Option<String>,
}

#[test]
fn a_proof_is_for_one_request_and_one_token() {
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let url = Url::parse("https://s.example/mcp?secret=1").unwrap();
    let proof = Proof {
        method: &Method::POST,
        url: &url,
        token: Some("abc"),
        nonce: Some("n"),
    };
    let one = proof.sign(&key, 1_790_000_000_999).unwrap();
    let two = proof.sign(&key, 1_790_000_000_999).unwrap();
    let head = jwt::peek(&one).unwrap();
    assert_eq!(head.typ.as_deref(), Some("dpop+jwt"));
    let public = head.jwk.unwrap();
    let read = |text: &str| -> Read {
        jwt::verify(text, &public, &[jwt::Algorithm::ES256], &["dpop+jwt"]).unwrap()
    };
    let (one, two) = (read(&one), read(&two));
    assert_ne!(one.jti, two.jti);
    assert_eq!(one.htm, "POST");
    assert_eq!(one.htu, "https://s.example/mcp");
    assert_eq!(one.iat, 1_790_000_000);
    assert_eq!(one.nonce.as_deref(), Some("n"));
    // RFC 9449 §4.2: base64url of the SHA-256 of the token.
    assert_eq!(
        one.ath.as_deref(),
        Some("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0")
    );
}

#[test]
fn a_nonce_is_kept_for_its_origin_alone() {
    let nonces = Nonces::new();
    let url = |text| Url::parse(text).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("DPoP-Nonce", HeaderValue::from_static("n1"));
    assert!(nonces.keep(&url("https://a.example/x"), &headers));
    assert!(!nonces.keep(&url("https://a.example/y"), &HeaderMap::new()));
    assert_eq!(
        nonces.of(&url("https://a.example/z")).as_deref(),
        Some("n1")
    );
    assert_eq!(nonces.of(&url("https://b.example/z")), None);
}
