use serde_json::{Value, json};

use super::{Algorithm, Distrust, KeyKind, SigningKey, verify};

const ES256: &[Algorithm] = &[Algorithm::ES256];

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

fn read(token: &str, key: &SigningKey, algorithms: &[Algorithm]) -> Result<Value, Distrust> {
    verify(token, key.public(), algorithms, &["at+jwt"])
}

#[test]
fn a_token_is_read_back_by_its_own_key() {
    for kind in [KeyKind::Es256, KeyKind::EdDsa] {
        let key = SigningKey::generate(kind).unwrap();
        let again = SigningKey::from_pkcs8(kind, key.der()).unwrap();
        assert_eq!(key.kid(), again.kid());
        let token = again.sign("at+jwt", &json!({"sub": "ada"})).unwrap();
        let claims = read(&token, &key, &[key.algorithm()]).unwrap();
        assert_eq!(claims, json!({"sub": "ada"}));
    }
}

#[test]
fn another_key_algorithm_or_type_is_not_believed() {
    let key = key();
    let token = key.sign("at+jwt", &json!({"sub": "ada"})).unwrap();
    let other = SigningKey::generate(KeyKind::Es256).unwrap();
    assert_eq!(read(&token, &other, ES256), Err(Distrust::Signature));
    assert_eq!(
        read(&token, &key, &[Algorithm::RS256]),
        Err(Distrust::Algorithm)
    );
    let id_token = key.sign("JWT", &json!({"sub": "ada"})).unwrap();
    assert_eq!(read(&id_token, &key, ES256), Err(Distrust::Type));
    assert_eq!(read("a.b.c", &key, ES256), Err(Distrust::Malformed));
    assert_eq!(read("", &key, ES256), Err(Distrust::Malformed));
}

#[test]
fn none_and_hmac_never_pass() {
    let key = key();
    let claims = crate::secret::base64url(br#"{"sub":"ada"}"#);
    let none = crate::secret::base64url(br#"{"alg":"none","typ":"at+jwt"}"#);
    assert_eq!(
        read(&format!("{none}.{claims}."), &key, ES256),
        Err(Distrust::Malformed)
    );
    // The public key, taken for a shared secret.
    let public = serde_json::to_vec(key.public()).unwrap();
    let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    let forged = jsonwebtoken::encode(
        &header,
        &json!({"sub": "ada"}),
        &jsonwebtoken::EncodingKey::from_secret(&public),
    )
    .unwrap();
    for allowed in [ES256, &[Algorithm::HS256, Algorithm::ES256]] {
        assert_eq!(read(&forged, &key, allowed), Err(Distrust::Algorithm));
    }
}

#[test]
fn any_changed_character_is_noticed() {
    let key = key();
    let token = key.sign("at+jwt", &json!({"sub": "ada"})).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The last character of a part has bits that mean nothing; strict base64 refuses them too.
        assert!(read(&changed, &key, ES256).is_err(), "{at}");
    }
}
