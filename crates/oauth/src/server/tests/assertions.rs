//! Clients that prove themselves by a key, and subjects that an issuer vouches for.

use serde_json::json;

use super::documents::{Peer, json_answer};
use super::*;
use crate::jwt::{Algorithm, KeyKind, SigningKey};
use crate::server::IdJagIssuer;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const IDP: &str = "https://idp.example";

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::Es256).unwrap()
}

/// `worker` proves itself by `key`, and may use its own right and assertions of `idp`, whose keys are at `jwks_uri`.
async fn harness_for(key: &SigningKey, jwks_uri: &str) -> Harness {
    let mut config = config();
    config.clients.insert(
        "worker".to_owned(),
        StaticClient {
            credential: Credential::Keys(vec![key.public().clone()]),
            grant_types: vec![GrantType::ClientCredentials, GrantType::JwtBearer],
            ..StaticClient::default()
        },
    );
    config.id_jag_issuers.insert(
        "corp".to_owned(),
        IdJagIssuer {
            issuer: IDP.to_owned(),
            jwks_uri: Url::parse(jwks_uri).unwrap(),
            algorithms: vec![Algorithm::ES256],
            clients: BTreeMap::from([("worker-at-idp".to_owned(), "worker".to_owned())]),
            groups_claim: Some("groups".to_owned()),
        },
    );
    harness_with(config).await
}

/// Claims of a client's assertion with one changed; null takes it away.
fn client_claims(id: &str, name: &str, value: Value) -> Value {
    let seconds = NOW / 1000;
    let mut claims = json!({
        "iss": "worker", "sub": "worker", "aud": BASE, "jti": id,
        "iat": seconds, "exp": seconds + 300,
    });
    claims[name] = value;
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

async fn credentials(harness: &Harness, assertion: &str) -> Response<Bytes> {
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
        ("resource", MCP),
        ("scope", "read"),
    ];
    harness.post(path::TOKEN, &parameters).await
}

#[tokio::test]
async fn a_client_proves_itself_by_its_key_once_for_each_assertion() {
    let key = key();
    let harness = harness_for(&key, "http://127.0.0.1:9/").await;
    for (id, aud) in [("a", BASE.to_owned()), ("b", format!("{BASE}/oauth/token"))] {
        let assertion = key
            .sign("JWT", &client_claims(id, "aud", json!(aud)))
            .unwrap();
        let response = credentials(&harness, &assertion).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
        let again = credentials(&harness, &assertion).await;
        assert_eq!(
            error_of(&again),
            (StatusCode::UNAUTHORIZED, "invalid_client".into())
        );
    }
    // The same identifier in another token.
    let other = client_claims("a", "exp", json!(NOW / 1000 + 100));
    let other = key.sign("JWT", &other).unwrap();
    assert_eq!(
        error_of(&credentials(&harness, &other).await).1,
        "invalid_client"
    );
}

#[tokio::test]
async fn an_assertion_with_anything_wrong_is_refused() {
    let key = key();
    let harness = harness_for(&key, "http://127.0.0.1:9/").await;
    let seconds = NOW / 1000;
    let mut refused = Vec::new();
    for (n, (name, value)) in [
        ("iss", json!("robot")),
        ("sub", json!("robot")),
        ("aud", json!("https://other.example")),
        ("aud", json!(format!("{BASE}/"))),
        ("aud", json!([BASE, "https://other.example"])),
        ("aud", Value::Null),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("exp", Value::Null),
        ("exp", json!(seconds)),
        ("exp", json!(seconds + 700)),
        ("exp", json!(1e300)),
        ("iat", json!(seconds + 60)),
        ("nbf", json!(seconds + 60)),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{name}={value}");
        let claims = client_claims(&format!("wrong-{n}"), name, value);
        refused.push((case, key.sign("JWT", &claims).unwrap()));
    }
    let right = || client_claims("right", "x", Value::Null);
    refused.push(("typ".to_owned(), key.sign("at+jwt", &right()).unwrap()));
    let foreign = self::key();
    refused.push(("key".to_owned(), foreign.sign("JWT", &right()).unwrap()));
    refused.push((
        "inline".to_owned(),
        foreign.sign_with_key("JWT", &right()).unwrap(),
    ));
    let none = secret::base64url(br#"{"alg":"none"}"#);
    let claims = secret::base64url(right().to_string().as_bytes());
    refused.push(("none".to_owned(), format!("{none}.{claims}.")));
    for (n, (case, assertion)) in refused.into_iter().enumerate() {
        let request = form(
            path::TOKEN,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "worker"),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
                ("resource", MCP),
                ("scope", "read"),
            ],
        );
        let from = Some(IpAddr::V4(std::net::Ipv4Addr::new(
            198,
            51,
            100,
            u8::try_from(n).unwrap(),
        )));
        let response = harness.server.respond_to(request, None, from, NOW).await;
        assert_eq!(error_of(&response).1, "invalid_client", "{case}");
    }
}

fn id_jag(id: &str, name: &str, value: Value) -> Value {
    let seconds = NOW / 1000;
    let mut claims = json!({
        "iss": IDP, "sub": "u-17", "aud": BASE, "client_id": "worker-at-idp", "jti": id,
        "resource": MCP, "scope": "read", "groups": ["staff"],
        "iat": seconds, "exp": seconds + 300,
    });
    claims[name] = value;
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

async fn exchange(
    harness: &Harness,
    client: &SigningKey,
    assertion: &str,
    more: &[(&str, &str)],
) -> Response<Bytes> {
    let id = secret::base64url(&secret::random::<8>().unwrap());
    let proof = client
        .sign("JWT", &client_claims(&id, "x", Value::Null))
        .unwrap();
    let mut parameters = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &proof),
    ];
    parameters.extend_from_slice(more);
    harness.post(path::TOKEN, &parameters).await
}

#[tokio::test]
async fn an_identity_assertion_is_exchanged_once_for_its_subject() {
    let (client, idp, peer) = (key(), key(), Peer::start().await);
    peer.serve(
        "/jwks",
        json_answer(&json!({"keys": [{"kty": "odd"}, idp.public()]})),
    );
    let harness = harness_for(&client, &format!("{}/jwks", peer.base)).await;
    let assertion = idp
        .sign("oauth-id-jag+jwt", &id_jag("a", "x", Value::Null))
        .unwrap();
    let response = exchange(&harness, &client, &assertion, &[]).await;
    assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
    let tokens = body(&response);
    assert_eq!(tokens.get("refresh_token"), None);
    assert_eq!(tokens["scope"], "read");
    let token = tokens["access_token"].as_str().unwrap();
    let claims = harness.server.read_access_token(token, NOW).await.unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.aud.as_str()),
        ("corp:u-17", MCP)
    );
    assert_eq!(claims.groups, ["staff"]);
    let again = exchange(&harness, &client, &assertion, &[]).await;
    assert_eq!(error_of(&again).1, "invalid_grant");
    let document = body(&harness.get(path::METADATA, None).await);
    let types = document["grant_types_supported"].as_array().unwrap();
    assert!(types.contains(&json!("urn:ietf:params:oauth:grant-type:jwt-bearer")));
}

#[tokio::test]
async fn an_identity_assertion_with_anything_wrong_is_refused() {
    let (client, idp, peer) = (key(), key(), Peer::start().await);
    peer.serve("/jwks", json_answer(&json!({"keys": [idp.public()]})));
    let harness = harness_for(&client, &format!("{}/jwks", peer.base)).await;
    let seconds = NOW / 1000;
    for (n, (name, value, error)) in [
        ("iss", json!("https://idp.example/"), "invalid_grant"),
        ("iss", json!("https://evil.example"), "invalid_grant"),
        ("aud", json!("https://other.example"), "invalid_grant"),
        ("aud", json!(format!("{BASE}/oauth/token")), "invalid_grant"),
        ("client_id", json!("desk"), "invalid_grant"),
        ("client_id", Value::Null, "invalid_grant"),
        ("sub", json!(""), "invalid_grant"),
        ("sub", json!("a b"), "invalid_grant"),
        ("jti", Value::Null, "invalid_grant"),
        ("exp", json!(seconds - 1), "invalid_grant"),
        ("exp", json!(seconds + 10_000), "invalid_grant"),
        ("iat", json!(seconds + 100), "invalid_grant"),
        ("iat", Value::Null, "invalid_grant"),
        (
            "resource",
            json!("https://other.example/mcp"),
            "invalid_target",
        ),
        ("resource", Value::Null, "invalid_target"),
        ("scope", json!("admin"), "invalid_scope"),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{name}={value}");
        let claims = id_jag(&format!("wrong-{n}"), name, value);
        let assertion = idp.sign("oauth-id-jag+jwt", &claims).unwrap();
        let response = exchange(&harness, &client, &assertion, &[]).await;
        assert_eq!(error_of(&response).1, error, "{case}");
    }
    let right = |id: &str| id_jag(id, "x", Value::Null);
    for (case, assertion) in [
        ("typ", idp.sign("JWT", &right("t")).unwrap()),
        ("key", key().sign("oauth-id-jag+jwt", &right("k")).unwrap()),
        (
            "inline",
            key()
                .sign_with_key("oauth-id-jag+jwt", &right("i"))
                .unwrap(),
        ),
        ("nonsense", "nonsense".to_owned()),
    ] {
        let response = exchange(&harness, &client, &assertion, &[]).await;
        assert_eq!(error_of(&response).1, "invalid_grant", "{case}");
    }
    for (more, error) in [
        (("scope", "read write"), "invalid_scope"),
        (("resource", FILES), "invalid_target"),
    ] {
        let assertion = idp.sign("oauth-id-jag+jwt", &right(more.0)).unwrap();
        let response = exchange(&harness, &client, &assertion, &[more]).await;
        assert_eq!(error_of(&response).1, error, "{more:?}");
    }
}
