//! The keys of other issuers: found, kept, rotated, and gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use base64::Engine as _;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::secret;
use portcullis_oauth::verifier::config::{Issuer, TokenType};
use portcullis_oauth::verifier::{Config, Reason};
use serde_json::{Value, json};

use crate::verifier_support::{Fixture, GATEWAY, NOW, NOW_S, Peer, merged};

const MINUTE: u64 = 60_000;

fn accepting(issuers: impl IntoIterator<Item = Issuer>) -> Fixture {
    let named = |(n, issuer): (usize, Issuer)| (format!("issuer-{n}"), issuer);
    let issuers: BTreeMap<_, _> = issuers.into_iter().enumerate().map(named).collect();
    Fixture::new(&Config {
        issuers,
        ..Config::default()
    })
}

fn written(peer: &Peer) -> Issuer {
    Issuer {
        jwks_uri: Some(format!("{}/keys", peer.base)),
        ..Issuer::new(&peer.base)
    }
}

fn claims(issuer: &str, changes: &Value) -> Value {
    merged(
        json!({
            "iss": issuer,
            "sub": "grace",
            "aud": format!("{GATEWAY}/mcp"),
            "exp": NOW_S + 7200,
            "iat": NOW_S,
        }),
        changes,
    )
}

fn token(key: &SigningKey, issuer: &str, changes: &Value) -> String {
    key.sign("at+jwt", &claims(issuer, changes)).unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens() {
    let peer = Peer::start().await;
    let key = key();
    peer.serve_keys(&[&key]);
    let fixture = Arc::new(accepting([written(&peer)]));
    let tokens = (0..20).map(|n| token(&key, &peer.base, &json!({"jti": n.to_string()})));
    let tasks: Vec<_> = tokens
        .map(|token| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move { fixture.bearer(&token).await.map(drop) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(peer.asked(), 1);
}

#[tokio::test]
async fn keys_are_found_by_metadata_in_each_of_its_places() {
    for (issuer_path, metadata_path) in [
        ("", "/.well-known/oauth-authorization-server"),
        ("", "/.well-known/openid-configuration"),
        ("/", "/.well-known/openid-configuration"),
        (
            "/realms/a",
            "/.well-known/oauth-authorization-server/realms/a",
        ),
        ("/realms/a", "/.well-known/openid-configuration/realms/a"),
        ("/realms/a", "/realms/a/.well-known/openid-configuration"),
        ("/t/v2.0/", "/t/v2.0/.well-known/openid-configuration"),
    ] {
        let peer = Peer::start().await;
        let key = key();
        peer.serve_keys(&[&key]);
        let issuer = format!("{}{issuer_path}", peer.base);
        let keys = format!("{}/keys", peer.base);
        peer.serve(metadata_path, &json!({"issuer": issuer, "jwks_uri": keys}));
        let fixture = accepting([Issuer::new(&issuer)]);
        let found = fixture.bearer(&token(&key, &issuer, &json!({}))).await;
        assert_eq!(found.map(drop), Ok(()), "{issuer_path} {metadata_path}");
    }
}

#[tokio::test]
async fn metadata_cannot_swap_the_keys() {
    let peer = Peer::start().await;
    let evil = Peer::start().await;
    let key = key();
    peer.serve_keys(&[&key]);
    evil.serve_keys(&[&key]);
    let metadata = |issuer: &str, keys: &Peer| json!({"issuer": issuer, "jwks_uri": format!("{}/keys", keys.base)});
    for document in [
        // Keys on another host that only the metadata names: it would have to be public.
        metadata(&peer.base, &evil),
        // Metadata of another issuer, by one byte.
        metadata(&format!("{}/", peer.base), &peer),
        metadata(&evil.base, &peer),
    ] {
        peer.serve("/.well-known/oauth-authorization-server", &document);
        let fixture = accepting([Issuer::new(&peer.base)]);
        let found = fixture.bearer(&token(&key, &peer.base, &json!({}))).await;
        assert_eq!(found.map(drop), Err(Reason::KeysUnavailable), "{document}");
        assert_eq!(evil.asked(), 0);
    }
    // Nor can a redirect.
    peer.serve_as("/keys", 302, None, &format!("{}/keys", evil.base));
    let fixture = accepting([written(&peer)]);
    let found = fixture.bearer(&token(&key, &peer.base, &json!({}))).await;
    assert_eq!(found.map(drop), Err(Reason::KeysUnavailable));
    assert_eq!(evil.asked(), 0);
}

#[tokio::test]
async fn the_keys_of_one_issuer_are_none_of_anothers() {
    let (a, b) = (Peer::start().await, Peer::start().await);
    let (key_a, key_b) = (key(), key());
    a.serve_keys(&[&key_a]);
    b.serve_keys(&[&key_b]);
    let fixture = accepting([written(&a), written(&b)]);
    let ok = fixture.bearer(&token(&key_a, &a.base, &json!({}))).await;
    assert!(ok.is_ok());
    let ok = fixture.bearer(&token(&key_b, &b.base, &json!({}))).await;
    assert_eq!(*ok.unwrap().issuer, *b.base);
    for (key, issuer, reason) in [
        (&key_a, b.base.as_str(), Reason::UnknownKey),
        (&key_b, &a.base, Reason::UnknownKey),
        (&key_a, GATEWAY, Reason::UnknownKey),
        (&key_a, "https://stranger.example", Reason::Issuer),
    ] {
        let found = fixture.bearer(&token(key, issuer, &json!({}))).await;
        assert_eq!(found.map(drop), Err(reason), "{issuer}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_strangers_keys_are_not_sought_for_long() {
    let peer = Peer::start().await;
    let (old, new, forged) = (key(), key(), key());
    peer.serve_keys(&[&old]);
    let fixture = accepting([written(&peer)]);
    let at = async |key: &SigningKey, now_ms: u64| {
        let token = token(key, &peer.base, &json!({"jti": now_ms.to_string()}));
        fixture.bearer_at(&token, now_ms).await.map(drop)
    };
    assert_eq!(at(&old, NOW).await, Ok(()));
    peer.serve_keys(&[&old, &new]);
    // Too soon after the last fetch.
    assert_eq!(at(&new, NOW + 29_000).await, Err(Reason::UnknownKey));
    assert_eq!(peer.asked(), 1);
    assert_eq!(at(&new, NOW + 30_000).await, Ok(()));
    assert_eq!(at(&old, NOW + 30_000).await, Ok(()));
    assert_eq!(peer.asked(), 2);
    for later in 1..20 {
        let found = at(&forged, NOW + 30_000 + later * 1000).await;
        assert_eq!(found, Err(Reason::UnknownKey));
    }
    assert_eq!(peer.asked(), 2);
    // A key that was withdrawn is gone with the next fetch.
    peer.serve_keys(&[&new]);
    assert_eq!(at(&old, NOW + 11 * MINUTE).await, Err(Reason::UnknownKey));
    assert_eq!(at(&new, NOW + 11 * MINUTE).await, Ok(()));
}

#[tokio::test]
async fn the_last_keys_serve_for_an_hour_while_the_issuer_is_down() {
    let peer = Peer::start().await;
    let key = key();
    peer.serve_keys(&[&key]);
    let fixture = accepting([written(&peer)]);
    let at = async |now_ms: u64| {
        let token = token(&key, &peer.base, &json!({"jti": now_ms.to_string()}));
        fixture.bearer_at(&token, now_ms).await.map(drop)
    };
    assert_eq!(at(NOW).await, Ok(()));
    peer.serve_as("/keys", 500, None, "");
    assert_eq!(at(NOW + 11 * MINUTE).await, Ok(()));
    assert_eq!(at(NOW + 69 * MINUTE).await, Ok(()));
    assert_eq!(at(NOW + 70 * MINUTE).await, Err(Reason::KeysUnavailable));
    peer.serve_keys(&[&key]);
    assert_eq!(at(NOW + 72 * MINUTE).await, Ok(()));
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_nobodys_fault() {
    let peer = Peer::start().await;
    let key = key();
    let fixture = accepting([written(&peer)]);
    let token = token(&key, &peer.base, &json!({}));
    for body in ["", "{}", "<html>", &"x".repeat(300 * 1024)] {
        peer.serve_as("/keys", 200, None, body);
        let found = fixture.bearer(&token).await;
        assert_eq!(found.map(drop), Err(Reason::KeysUnavailable));
    }
    peer.serve_keys(&[&key]);
    assert!(fixture.bearer_at(&token, NOW + 5000).await.is_ok());
}

#[tokio::test]
async fn keys_are_kept_as_long_as_their_issuer_says() {
    for (cache_control, kept, gone) in [
        (None, 9 * MINUTE, 10 * MINUTE),
        (Some("public, max-age=7200"), 119 * MINUTE, 120 * MINUTE),
        (Some("max-age=1"), 59_000, MINUTE),
        (Some("no-store"), 59_000, MINUTE),
        (
            Some("max-age=99999999"),
            24 * 60 * MINUTE - 1,
            24 * 60 * MINUTE,
        ),
    ] {
        let peer = Peer::start().await;
        let key = key();
        let keys = json!({"keys": [key.public()]}).to_string();
        peer.serve_as("/keys", 200, cache_control, &keys);
        let fixture = accepting([written(&peer)]);
        for (after, asked) in [(0, 1), (kept, 1), (gone, 2)] {
            let exp = json!({"jti": after.to_string(), "exp": NOW_S + 100_000});
            let token = token(&key, &peer.base, &exp);
            assert!(fixture.bearer_at(&token, NOW + after).await.is_ok());
            assert_eq!(peer.asked(), asked, "{cache_control:?} after {after} ms");
        }
    }
}

#[tokio::test]
async fn a_public_rsa_key_is_no_shared_secret() {
    let peer = Peer::start().await;
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
    let public = serde_json::to_value(key.public()).unwrap();
    // Published without `alg`, as many do.
    let mut bare = public.clone();
    bare.as_object_mut().unwrap().remove("alg");
    peer.serve("/keys", &json!({"keys": [bare]}));
    let fixture = accepting([written(&peer)]);
    let good = token(&key, &peer.base, &json!({}));
    assert!(fixture.bearer(&good).await.is_ok());
    let head = json!({"alg": "HS256", "typ": "at+jwt", "kid": key.kid()}).to_string();
    let claims = claims(&peer.base, &json!({"sub": "root"})).to_string();
    let input = [head, claims]
        .map(|part| secret::base64url(part.as_bytes()))
        .join(".");
    for secret_bytes in [
        public["n"].as_str().unwrap().as_bytes(),
        public.to_string().as_bytes(),
        pem.as_bytes(),
    ] {
        let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret_bytes);
        let mac = aws_lc_rs::hmac::sign(&mac, input.as_bytes());
        let forged = format!("{input}.{}", secret::base64url(mac.as_ref()));
        let found = fixture.bearer(&forged).await;
        assert_eq!(found.map(drop), Err(Reason::Algorithm));
    }
}

#[tokio::test]
async fn tokens_that_are_not_marked_are_accepted_by_name_only() {
    let peer = Peer::start().await;
    let key = key();
    peer.serve_keys(&[&key]);
    let unmarked = key.sign("JWT", &claims(&peer.base, &json!({}))).unwrap();
    let strict = accepting([written(&peer)]);
    let found = strict.bearer(&unmarked).await;
    assert_eq!(found.map(drop), Err(Reason::Type));
    let lenient = accepting([Issuer {
        types: vec![TokenType::AccessToken, TokenType::Jwt],
        ..written(&peer)
    }]);
    assert!(lenient.bearer(&unmarked).await.is_ok());
    let logout = key
        .sign("logout+jwt", &claims(&peer.base, &json!({})))
        .unwrap();
    let found = lenient.bearer(&logout).await;
    assert_eq!(found.map(drop), Err(Reason::Type));
}
