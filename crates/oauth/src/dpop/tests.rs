use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::{ALGORITHM_NAMES, ALGORITHMS, Checker, DpopError, NoncePolicy, Proof, proof_in};
use crate::jwt::{KeyKind, SigningKey};
use crate::secret;

const NOW_S: u64 = 1_790_000_000;
const NOW: u64 = NOW_S * 1000;
const URI: &str = "https://gateway.example/mcp";
const TOKEN: &str = "some.access.token";

fn claims() -> Value {
    json!({
        "jti": "1",
        "htm": "POST",
        "htu": URI,
        "iat": NOW_S,
        "ath": secret::base64url(&secret::sha256(TOKEN.as_bytes())),
    })
}

fn check_at(checker: &Checker, jwt: &str, now_ms: u64) -> Result<String, DpopError> {
    let proof = Proof {
        jwt,
        method: &Method::POST,
        uri: URI,
        token: Some(TOKEN),
        thumbprint: None,
    };
    checker.check(&proof, NoncePolicy::Ignored, now_ms)
}

#[test]
fn a_good_proof_names_its_key() {
    for kind in [KeyKind::Es256, KeyKind::EdDsa] {
        let key = SigningKey::generate(kind).unwrap();
        let jwt = key.sign_with_key("dpop+jwt", &claims()).unwrap();
        let thumbprint = check_at(&Checker::new().unwrap(), &jwt, NOW).unwrap();
        assert_eq!(thumbprint, key.thumbprint());
    }
}

#[test]
fn claims_have_to_fit_the_request() {
    use DpopError::{Malformed, Request, Time, Token};
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let table: [(&str, Value, Result<(), DpopError>); 20] = [
        ("htu", json!("https://gateway.example/mcp?x=y#z"), Ok(())),
        ("htu", json!("HTTPS://Gateway.example:443/mcp"), Ok(())),
        ("htu", json!("https://gateway.example/./mcp"), Ok(())),
        ("htu", json!("https://gateway.example/mcp/"), Err(Request)),
        ("htu", json!("http://gateway.example/mcp"), Err(Request)),
        ("htu", json!("https://gateway.example/MCP"), Err(Request)),
        ("htu", json!("https://evil.example/mcp"), Err(Request)),
        ("htu", json!("https://a@gateway.example/mcp"), Err(Request)),
        ("htu", json!("/mcp"), Err(Request)),
        ("htm", json!("GET"), Err(Request)),
        ("htm", json!("post"), Err(Request)),
        ("ath", json!("x"), Err(Token)),
        ("ath", Value::Null, Err(Token)),
        ("iat", json!(NOW_S - 60), Ok(())),
        ("iat", json!(NOW_S + 60), Ok(())),
        ("iat", json!(NOW_S - 61), Err(Time)),
        ("iat", json!(NOW_S + 61), Err(Time)),
        ("iat", Value::Null, Err(Malformed)),
        ("jti", json!(""), Err(Malformed)),
        ("jti", json!("x".repeat(257)), Err(Malformed)),
    ];
    for (name, value, expected) in table {
        let mut claims = claims();
        claims[name] = value.clone();
        let jwt = key.sign_with_key("dpop+jwt", &claims).unwrap();
        let found = check_at(&Checker::new().unwrap(), &jwt, NOW).map(drop);
        assert_eq!(found, expected, "{name}: {value}");
    }
}

#[test]
fn the_head_has_to_be_that_of_a_proof() {
    let checker = Checker::new().unwrap();
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let other_type = key.sign_with_key("jwt", &claims()).unwrap();
    assert_eq!(
        check_at(&checker, &other_type, NOW),
        Err(DpopError::Malformed)
    );
    let no_key = key.sign("dpop+jwt", &claims()).unwrap();
    assert_eq!(check_at(&checker, &no_key, NOW), Err(DpopError::Key));
    assert_eq!(check_at(&checker, "x", NOW), Err(DpopError::Malformed));

    let good = key.sign_with_key("dpop+jwt", &claims()).unwrap();
    let mut parts = good.split('.');
    let (head, rest) = (parts.next().unwrap(), good.split_once('.').unwrap().1);
    let read = |head: &str| -> Value {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head);
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    };
    let written = |head: &Value| {
        let head = secret::base64url(&serde_json::to_vec(head).unwrap());
        format!("{head}.{rest}")
    };
    let head = read(head);
    for (member, value, expected) in [
        ("/jwk/d", json!("AAAA"), DpopError::Key),
        ("/jwk/k", json!("AAAA"), DpopError::Key),
        ("/jwk/x", json!("AAAA"), DpopError::Signature),
        ("/alg", json!("HS256"), DpopError::Signature),
        ("/alg", json!("none"), DpopError::Malformed),
        ("/alg", json!("ES384"), DpopError::Signature),
        // Nothing but the head changed, so its signature no longer fits either.
        ("/kid", json!("x"), DpopError::Signature),
    ] {
        let mut changed = head.clone();
        let (parent, name) = member.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        let found = check_at(&checker, &written(&changed), NOW);
        assert_eq!(found, Err(expected), "{member}");
    }
    let mut symmetric = head.clone();
    symmetric["jwk"] = json!({"kty": "oct", "k": "AAAA"});
    assert_eq!(
        check_at(&checker, &written(&symmetric), NOW),
        Err(DpopError::Key)
    );
}

#[test]
fn a_proof_is_good_once_as_long_as_it_is_good_at_all() {
    let checker = Checker::new().unwrap();
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let mut early = claims();
    early["iat"] = json!(NOW_S + 60);
    let jwt = key.sign_with_key("dpop+jwt", &early).unwrap();
    assert!(check_at(&checker, &jwt, NOW).is_ok());
    for later in [0, 1, 59_000, 60_000, 119_000, 120_000] {
        let found = check_at(&checker, &jwt, NOW + later);
        assert_eq!(found, Err(DpopError::Replay), "{later}");
    }
    assert_eq!(
        check_at(&checker, &jwt, NOW + 120_001),
        Err(DpopError::Time)
    );
    // Another key may use the same identifier.
    let other = SigningKey::generate(KeyKind::Es256).unwrap();
    let jwt = other.sign_with_key("dpop+jwt", &early).unwrap();
    assert!(check_at(&checker, &jwt, NOW).is_ok());
}

#[test]
fn of_two_that_show_a_proof_at_once_one_succeeds() {
    let checker = Checker::new().unwrap();
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    for round in 0..50 {
        let mut claims = claims();
        claims["jti"] = json!(round.to_string());
        let jwt = key.sign_with_key("dpop+jwt", &claims).unwrap();
        let good = std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| check_at(&checker, &jwt, NOW).is_ok()));
            both.map(|one| one.join().unwrap())
        });
        assert_eq!(good.iter().filter(|good| **good).count(), 1, "{round}");
    }
}

#[test]
fn a_bound_token_wants_its_own_key() {
    let checker = Checker::new().unwrap();
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let jwt = key.sign_with_key("dpop+jwt", &claims()).unwrap();
    let mut proof = Proof {
        jwt: &jwt,
        method: &Method::POST,
        uri: URI,
        token: Some(TOKEN),
        thumbprint: Some("another"),
    };
    let policy = NoncePolicy::Ignored;
    assert_eq!(checker.check(&proof, policy, NOW), Err(DpopError::OtherKey));
    // A proof that failed is not spent.
    proof.thumbprint = Some(key.thumbprint());
    assert!(checker.check(&proof, policy, NOW).is_ok());
}

#[test]
fn a_required_nonce_is_ours_and_recent() {
    let checker = Checker::new().unwrap();
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let check = |nonce: Value, now_ms: u64| {
        let mut claims = claims();
        claims["nonce"] = nonce;
        claims["iat"] = json!(now_ms / 1000);
        claims["jti"] = json!(secret::generate("").unwrap().as_str());
        let jwt = key.sign_with_key("dpop+jwt", &claims).unwrap();
        let proof = Proof {
            jwt: &jwt,
            method: &Method::POST,
            uri: URI,
            token: Some(TOKEN),
            thumbprint: None,
        };
        checker
            .check(&proof, NoncePolicy::Required, now_ms)
            .map(drop)
    };
    let nonce = json!(checker.nonce(NOW).to_str().unwrap());
    assert_eq!(check(nonce.clone(), NOW), Ok(()));
    assert_eq!(check(nonce.clone(), NOW + 120_000), Ok(()));
    let stale = Err(DpopError::UseNonce);
    assert_eq!(check(nonce, NOW + 240_000), stale);
    assert_eq!(check(json!("guess"), NOW), stale);
    assert_eq!(check(Value::Null, NOW), stale);
    let theirs = Checker::new().unwrap();
    assert_eq!(
        check(json!(theirs.nonce(NOW).to_str().unwrap()), NOW),
        stale
    );
}

#[test]
fn exactly_one_proof_comes_with_a_request() {
    let mut headers = HeaderMap::new();
    assert_eq!(proof_in(&headers), Err(DpopError::Count));
    headers.append("DPoP", "a".parse().unwrap());
    assert_eq!(proof_in(&headers), Ok("a"));
    headers.append("dpop", "b".parse().unwrap());
    assert_eq!(proof_in(&headers), Err(DpopError::Count));
}

#[test]
fn the_algorithms_are_named_as_they_are() {
    let names = ALGORITHMS.map(|algorithm| format!("{algorithm:?}"));
    assert_eq!(names, ALGORITHM_NAMES);
}
