use serde_json::{Value, json};

use super::KeySet;
use crate::jwt::{KeyKind, SigningKey};

fn key(kid: Option<&str>) -> Value {
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let mut key = serde_json::to_value(key.public()).unwrap();
    key["kid"] = json!(kid);
    key
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::from_json(&serde_json::to_vec(&json!({"keys": keys})).unwrap()).unwrap()
}

#[test]
fn keys_that_verify_nothing_are_passed_over() {
    let mut encrypts = key(Some("a"));
    encrypts["use"] = json!("enc");
    let mut signs = key(Some("a"));
    signs["use"] = Value::Null;
    signs["key_ops"] = json!(["sign"]);
    let odd = [
        encrypts,
        signs,
        json!({"kty": "oct", "kid": "a", "k": "AAAA"}),
        json!({"kty": "AKP", "kid": "a", "alg": "ML-DSA-44", "pub": "AA"}),
        json!({"kty": "EC", "kid": "a", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kid": 1}),
        json!("a"),
    ];
    assert!(set(&odd).keys.is_empty());
    assert!(KeySet::from_json(b"{}").is_err());
    assert!(KeySet::from_json(b"[]").is_err());
}

#[test]
fn a_key_is_found_by_its_name_or_by_being_alone() {
    let named = set(&[key(Some("a")), key(Some("b"))]);
    assert_eq!(named.candidates(Some("a")).count(), 1);
    assert_eq!(named.candidates(Some("c")).count(), 0);
    assert_eq!(named.candidates(None).count(), 0);

    let alone = set(&[key(None)]);
    assert!(alone.has(Some("a")) && alone.has(None));
    let named_alone = set(&[key(Some("a"))]);
    assert!(named_alone.has(None) && !named_alone.has(Some("b")));

    let mixed = set(&[key(None), key(Some("b"))]);
    assert!(!mixed.has(Some("a")) && !mixed.has(None) && mixed.has(Some("b")));
}
