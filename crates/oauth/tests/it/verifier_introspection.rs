//! Tokens that only their issuer can read (RFC 7662).

use std::collections::BTreeMap;

use base64::Engine as _;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::verifier::config::{Introspection, Issuer};
use portcullis_oauth::verifier::{Config, Reason};
use serde_json::{Value, json};

use crate::verifier_support::{Fixture, GATEWAY, NOW, NOW_S, Peer, merged};

const SECRET: &str = "s3cret:with+odd/characters";

fn asking(peer: &Peer, believed_seconds: u64) -> Fixture {
    Fixture::new(&config(peer, believed_seconds))
}

fn config(peer: &Peer, believed_seconds: u64) -> Config {
    let issuer = Issuer {
        introspection: Some(Introspection {
            url: format!("{}/introspect", peer.base),
            client_id: "gateway".to_owned(),
            client_secret: SECRET.to_owned(),
            believed_seconds,
        }),
        ..Issuer::new(&peer.base)
    };
    Config {
        issuers: BTreeMap::from([("main".to_owned(), issuer)]),
        ..Config::default()
    }
}

fn answer(changes: &Value) -> Value {
    merged(
        json!({
            "active": true,
            "sub": "grace",
            "aud": format!("{GATEWAY}/mcp"),
            "client_id": "app",
            "scope": "tools:read",
            "exp": NOW_S + 600,
        }),
        changes,
    )
}

#[tokio::test]
async fn an_opaque_token_is_asked_about_each_time() {
    let peer = Peer::start().await;
    peer.serve("/introspect", &answer(&json!({})));
    let fixture = asking(&peer, 0);
    let identity = fixture.bearer("opaque+token").await.unwrap();
    assert_eq!(&*identity.subject, "grace");
    assert_eq!(*identity.issuer, *peer.base);
    assert_eq!(identity.client.as_deref(), Some("app"));
    assert!(fixture.bearer("opaque+token").await.is_ok());
    assert_eq!(peer.asked(), 2);
    // It is recorded once all the same.
    assert_eq!(fixture.events().await.len(), 1);
    let (path, headers, body) = peer.requests().remove(0);
    assert_eq!(path, "/introspect");
    assert_eq!(body, "token=opaque%2Btoken&token_type_hint=access_token");
    let basic = headers["authorization"].to_str().unwrap();
    let basic = basic.strip_prefix("Basic ").unwrap();
    let basic = base64::engine::general_purpose::STANDARD
        .decode(basic)
        .unwrap();
    assert_eq!(basic, b"gateway:s3cret%3Awith%2Bodd%2Fcharacters");

    peer.serve("/introspect", &json!({"active": false}));
    let dead = fixture.bearer("opaque+token").await;
    assert_eq!(dead.map(drop), Err(Reason::Inactive));
}

#[tokio::test]
async fn an_answer_is_believed_as_long_as_configured() {
    let peer = Peer::start().await;
    peer.serve("/introspect", &answer(&json!({})));
    let fixture = asking(&peer, 60);
    for (after, asked) in [(0, 1), (59_999, 1), (60_000, 2)] {
        assert!(fixture.bearer_at("opaque", NOW + after).await.is_ok());
        assert_eq!(peer.asked(), asked, "after {after} ms");
    }
}

#[tokio::test]
async fn an_answer_has_to_be_about_a_token_for_the_resource() {
    let peer = Peer::start().await;
    let fixture = asking(&peer, 0);
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"iss": peer.base}), Ok(())),
        (json!({"exp": null}), Ok(())),
        (json!({"iss": "https://other.example"}), Err(Reason::Issuer)),
        (json!({"aud": null}), Err(Reason::Audience)),
        (
            json!({"aud": "https://other.example/mcp"}),
            Err(Reason::Audience),
        ),
        (json!({"exp": NOW_S - 30}), Err(Reason::Expired)),
        (json!({"sub": null}), Err(Reason::Claims)),
        (json!({"active": "true"}), Err(Reason::Inactive)),
        (json!({"cnf": {"jkt": "x"}}), Err(Reason::Bound)),
    ] {
        peer.serve("/introspect", &answer(&changes));
        let found = fixture.bearer(&format!("opaque-{}", peer.asked())).await;
        assert_eq!(found.map(drop), expected, "{changes}");
    }
    for (status, body) in [(500, ""), (401, ""), (200, "no json"), (302, "/")] {
        peer.serve_as("/introspect", status, None, body);
        let found = fixture.bearer("opaque").await;
        assert_eq!(found.map(drop), Err(Reason::IssuerUnavailable), "{status}");
    }
}

#[tokio::test]
async fn only_tokens_that_may_be_its_own_are_shown_to_an_issuer() {
    let peer = Peer::start().await;
    peer.serve("/introspect", &json!({"active": false}));
    let fixture = asking(&peer, 0);
    let ours = fixture.token(&json!({}));
    assert!(fixture.bearer(&ours).await.is_ok());
    let strangers = fixture.token(&json!({"iss": "https://stranger.example"}));
    for token in [
        strangers.as_str(),
        "pck_000000000000_x",
        "pcr_x",
        "pcc_x",
        "pci_x",
        "pcs_x",
    ] {
        assert!(fixture.bearer(token).await.is_err());
    }
    assert_eq!(peer.asked(), 0);
    // One that is unknown is not asked about again at once.
    for _ in 0..3 {
        assert!(fixture.bearer("opaque").await.is_err());
    }
    assert_eq!(peer.asked(), 1);
    assert!(fixture.bearer_at("opaque", NOW + 5000).await.is_err());
    assert_eq!(peer.asked(), 2);
}

#[tokio::test]
async fn an_issuer_may_have_tokens_of_both_kinds() {
    let peer = Peer::start().await;
    peer.serve("/introspect", &answer(&json!({})));
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    peer.serve_keys(&[&key]);
    let mut config = config(&peer, 0);
    let issuer = config.issuers.get_mut("main").unwrap();
    issuer.jwks_uri = Some(format!("{}/keys", peer.base));
    let fixture = Fixture::new(&config);
    assert!(fixture.bearer("opaque").await.is_ok());
    let claims = answer(&json!({"iss": peer.base, "sub": "joan"}));
    let signed = key.sign("at+jwt", &claims).unwrap();
    let identity = fixture.bearer(&signed).await.unwrap();
    assert_eq!(&*identity.subject, "joan");
    let paths: Vec<_> = peer.requests().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["/introspect", "/keys"]);
}
