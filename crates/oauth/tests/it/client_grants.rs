//! Tokens without a person: the gateway's own, exchanged ones, those of a workload; proofs of possession; fixed secrets.

use http::{HeaderName, Method};
use portcullis_oauth::client::RequestTarget;
use portcullis_oauth::client::settings::{
    ClientProof, ExchangeSettings, GrantSettings, IdJagSettings, PreregisteredClient, SecretHeader,
    SecretSource, ServerAuth, SubjectToken, TYPE_ID_JAG, TYPE_ID_TOKEN, WorkloadSettings,
};
use portcullis_oauth::jwt::{self, KeyKind, SigningKey};
use portcullis_oauth::secrets::Secrets;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::client_support::{Behaviour, NOW, Peer, Seen, World, answer, basic, oauth, open, parts};

fn secret(text: &str) -> ClientProof {
    ClientProof::Secret(SecretSource::Value(Zeroizing::new(text.to_owned())))
}

fn grant(proof: ClientProof) -> GrantSettings {
    GrantSettings {
        client: PreregisteredClient {
            id: "gateway".into(),
            proof,
        },
        scopes: None,
        authorization_server: None,
    }
}

fn methods(methods: &[&str]) -> Behaviour {
    let mut behaviour = Behaviour {
        refresh: false,
        ..Behaviour::default()
    };
    behaviour.metadata["token_endpoint_auth_methods_supported"] = json!(methods);
    behaviour
}

#[tokio::test]
async fn the_gateway_has_one_token_for_all_by_its_secret() {
    let world = World::start(methods(&["client_secret_basic"])).await;
    let auth = ServerAuth::ClientCredentials(grant(secret("s3cret")));
    let credentials = world.credentials(auth);
    world.call(&credentials, "ada").await.ok(0);
    world.call(&credentials, "bob").await.ok(0);
    let asked = world.issuer().at("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].form["grant_type"], "client_credentials");
    assert_eq!(asked[0].form["resource"], world.url().as_str());
    let expected = ("gateway".to_owned(), "s3cret".to_owned());
    assert_eq!(basic(asked[0].header("authorization").unwrap()), expected);
    // When it expires, another one comes without a word.
    let later = NOW + 3_600_000;
    world.call_at(&credentials, "ada", "x", later).await.ok(0);
    assert_eq!(world.issuer().at("/token").len(), 2);
}

#[tokio::test]
async fn an_assertion_is_for_the_issuer_alone() {
    let world = World::start(methods(&["private_key_jwt"])).await;
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let auth = ServerAuth::ClientCredentials(grant(ClientProof::Key(Box::new(key.clone()))));
    let credentials = world.credentials(auth);
    world.call(&credentials, "ada").await.ok(0);
    let asked = &world.issuer().at("/token")[0];
    let assertion = &asked.form["client_assertion"];
    let algorithms = [jwt::Algorithm::ES256];
    let claims: Value = jwt::verify(assertion, key.public(), &algorithms, &["jwt"]).unwrap();
    assert_eq!(claims["aud"], world.issuer().origin());
    assert_eq!(claims["iss"], "gateway");
    assert_eq!(claims["sub"], "gateway");
    assert_eq!(claims["exp"], NOW / 1000 + 120);
    assert_eq!(asked.form.get("client_secret"), None);
}

#[tokio::test]
async fn configured_credentials_stay_with_the_first_issuer() {
    let world = World::start(methods(&["client_secret_post"])).await;
    let auth = || ServerAuth::ClientCredentials(grant(secret("canary")));
    world.call(&world.credentials(auth()), "ada").await.ok(0);
    *world.named.lock().unwrap() = 1;
    world.kept.lock().unwrap().valid.clear();
    let credentials = world.credentials(auth());
    let called = world.call(&credentials, "ada").await;
    called.err("another authorization server than before");
    assert!(world.issuers[1].at("/token").is_empty());
}

#[tokio::test]
async fn a_refused_grant_is_not_repeated_and_no_other_is_tried() {
    let world = World::start(methods(&["client_secret_post"])).await;
    world.change(|it| it.token_error = Some((400, "invalid_scope")));
    let credentials = world.credentials(ServerAuth::ClientCredentials(grant(secret("x"))));
    for _ in 0..3 {
        world
            .call(&credentials, "ada")
            .await
            .err("refused: invalid_scope");
    }
    assert_eq!(world.issuer().at("/token").len(), 1);
    // A minute later it may have been mended.
    world.change(|it| it.token_error = None);
    world
        .call_at(&credentials, "ada", "x", NOW + 61_000)
        .await
        .ok(0);
}

#[tokio::test]
async fn an_operators_scopes_are_the_most_that_is_asked_for() {
    let mut behaviour = methods(&["client_secret_post"]);
    behaviour.challenge_scope = Some("everything");
    behaviour.needed = Some("admin");
    let world = World::start(behaviour).await;
    let mut settings = grant(secret("x"));
    settings.scopes = Some("read".parse().unwrap());
    let credentials = world.credentials(ServerAuth::ClientCredentials(settings));
    world.call(&credentials, "ada").await.err("scopes");
    let asked = world.issuer().at("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].form["scope"], "read");
}

#[tokio::test]
async fn more_scopes_come_without_a_person_where_none_are_fixed() {
    let mut behaviour = methods(&["client_secret_post"]);
    behaviour.challenge_scope = Some("basic");
    behaviour.needed = Some("write");
    let world = World::start(behaviour).await;
    let auth = ServerAuth::ClientCredentials(grant(secret("x")));
    let credentials = world.credentials(auth);
    world.call(&credentials, "ada").await.ok(0);
    let asked = world.issuer().at("/token");
    assert_eq!(asked[1].form["scope"], "basic write");
}

#[tokio::test]
async fn the_principal_is_exchanged_for_a_token_of_their_own() {
    let world = World::start(methods(&["client_secret_post"])).await;
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let auth = ServerAuth::TokenExchange(ExchangeSettings {
        grant: grant(secret("x")),
        subject: SubjectToken::OwnAssertion,
    });
    let signing = key.clone();
    let credentials = world.credentials_with(auth, |_, parts| parts.assertion_key = Some(signing));
    world.call(&credentials, "ada").await.ok(0);
    world.call(&credentials, "bob").await.ok(0);
    let asked = world.issuer().at("/token");
    for (request, who) in asked.iter().zip(["ada", "bob"]) {
        assert_eq!(
            request.form["grant_type"],
            "urn:ietf:params:oauth:grant-type:token-exchange"
        );
        let subject = &request.form["subject_token"];
        let algorithms = [jwt::Algorithm::ES256];
        let claims: Value = jwt::verify(subject, key.public(), &algorithms, &["jwt"]).unwrap();
        assert_eq!(claims["sub"], who);
        assert_eq!(claims["aud"], world.issuer().origin());
        assert_eq!(claims["iss"], "http://127.0.0.1:8420");
    }
}

/// An identity provider that gives a grant for an ID token.
async fn provider() -> Peer {
    Peer::start(|_| {
        std::sync::Arc::new(|seen: &Seen| {
            assert_eq!(seen.form["requested_token_type"], TYPE_ID_JAG);
            assert_eq!(seen.form["subject_token_type"], TYPE_ID_TOKEN);
            let given = json!({
                "access_token": format!("jag-for-{}", seen.form["subject_token"]),
                "issued_token_type": TYPE_ID_JAG,
                "token_type": "N_A",
            });
            answer(200, &given)
        })
    })
    .await
}

fn id_jag(provider: &Peer, subject: SubjectToken) -> ServerAuth {
    ServerAuth::IdJag(IdJagSettings {
        grant: grant(secret("x")),
        provider_token_endpoint: Url::parse(&format!("{}/token", provider.origin())).unwrap(),
        provider_client: PreregisteredClient {
            id: "gateway-at-idp".into(),
            proof: ClientProof::None,
        },
        provider_issuer: None,
        subject,
    })
}

#[tokio::test]
async fn an_enterprises_provider_grants_what_its_user_may() {
    let world = World::start(methods(&["client_secret_basic"])).await;
    let provider = provider().await;
    let issuer = "https://idp.example";
    let subject = SubjectToken::Identity {
        issuer: issuer.into(),
    };
    let credentials = world.credentials(id_jag(&provider, subject));
    // Nobody has logged in there yet.
    world
        .call(&credentials, "bob")
        .await
        .err("log in at the identity provider");
    let token = Zeroizing::new("id-token-of-ada".to_owned());
    credentials
        .remember_identity("ada", issuer, &token, NOW + 1)
        .await
        .unwrap();
    world.call(&credentials, "ada").await.ok(0);
    let first = &provider.at("/token")[0];
    assert_eq!(first.form["audience"], world.issuer().origin());
    assert_eq!(first.form["resource"], world.url().as_str());
    assert_eq!(first.form["client_id"], "gateway-at-idp");
    assert_eq!(first.form["subject_token"], "id-token-of-ada");
    let second = &world.issuer().at("/token")[0];
    assert_eq!(
        second.form["grant_type"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    assert_eq!(second.form["assertion"], "jag-for-id-token-of-ada");
    assert_eq!(basic(second.header("authorization").unwrap()).0, "gateway");
    // An expired login is none.
    let later = NOW + 3_600_000;
    let called = world.call_at(&credentials, "ada", "x", later).await;
    called.err("log in at the identity provider");
}

/// A workload's token in a file.
fn workload(world: &World, aud: &Value, exp: u64) -> WorkloadSettings {
    let key = SigningKey::generate(KeyKind::Es256).unwrap();
    let claims = json!({"iss": "https://platform.example", "sub": "w", "aud": aud, "exp": exp});
    let token = key.sign("JWT", &claims).unwrap();
    let token_file = world.folder.path().join("token");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    WorkloadSettings {
        token_file,
        audience: None,
        client_id: Some("workload".into()),
        scopes: None,
        authorization_server: None,
    }
}

#[tokio::test]
async fn a_workload_shows_the_token_of_its_platform() {
    let world = World::start(methods(&["none"])).await;
    let aud = json!(["https://other.example", world.issuer().origin()]);
    let settings = workload(&world, &aud, NOW / 1000 + 60);
    let credentials = world.credentials(ServerAuth::WorkloadIdentity(settings));
    world.call(&credentials, "ada").await.ok(0);
    let asked = &world.issuer().at("/token")[0];
    assert_eq!(
        asked.form["grant_type"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    assert_eq!(asked.form["client_id"], "workload");
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn a_workloads_token_goes_to_no_other_reader_than_it_is_for() {
    let world = World::start(methods(&["none"])).await;
    let origin = world.issuer().origin();
    for (aud, exp, expected) in [
        (
            json!("https://wrong.example"),
            NOW / 1000 + 60,
            "not for the authorization server",
        ),
        (
            json!(format!("{origin}/")),
            NOW / 1000 + 60,
            "not for the authorization server",
        ),
        (
            json!([]),
            NOW / 1000 + 60,
            "not for the authorization server",
        ),
        (json!(origin), NOW / 1000, "has expired"),
    ] {
        let settings = workload(&world, &aud, exp);
        let credentials = world.credentials(ServerAuth::WorkloadIdentity(settings));
        world.call(&credentials, "ada").await.err(expected);
    }
    assert!(world.issuer().at("/token").is_empty());
}

fn dpop() -> Behaviour {
    let mut behaviour = Behaviour {
        challenge_dpop: true,
        ..Behaviour::default()
    };
    behaviour.metadata["dpop_signing_alg_values_supported"] = json!(["ES256"]);
    behaviour
}

#[tokio::test]
async fn a_bound_token_is_shown_with_a_fresh_proof_each_time() {
    let world = World::start(dpop()).await;
    let credentials = world.credentials(ServerAuth::OAuth(oauth()));
    world.call(&credentials, "ada").await.ok(1);
    // Also by the next process: the key is kept with the token.
    let credentials = world.credentials(ServerAuth::OAuth(oauth()));
    world.call(&credentials, "ada").await.ok(0);
    let calls = world.server.at("/mcp");
    let with_token: Vec<&Seen> = calls
        .iter()
        .filter(|it| it.header("dpop").is_some())
        .collect();
    assert_eq!(with_token.len(), 2);
    let proofs: Vec<Value> = with_token
        .iter()
        .map(|it| Seen::claims(it.header("dpop").unwrap()))
        .collect();
    assert_ne!(proofs[0]["jti"], proofs[1]["jti"]);
    assert_eq!(proofs[0]["ath"], proofs[1]["ath"]);
    assert_eq!(proofs[0]["htu"], world.url().as_str());
    let asked = &world.issuer().at("/authorize")[0];
    let head = jwt::peek(with_token[0].header("dpop").unwrap()).unwrap();
    let thumbprint = head
        .jwk
        .unwrap()
        .thumbprint(jwt::jwk::ThumbprintHash::SHA256);
    assert_eq!(asked.query["dpop_jkt"], thumbprint.unwrap());
}

#[tokio::test]
async fn nonces_are_sent_back_to_both_servers() {
    let mut behaviour = dpop();
    behaviour.token_nonce = Some("as-nonce");
    behaviour.server_nonce = Some("rs-nonce");
    let world = World::start(behaviour).await;
    let credentials = world.credentials(ServerAuth::OAuth(oauth()));
    world.call(&credentials, "ada").await.ok(1);
    assert_eq!(world.issuer().at("/token").len(), 2);
    let calls = world.server.at("/mcp").len();
    // From now on it is known.
    world.call(&credentials, "ada").await.ok(0);
    assert_eq!(world.server.at("/mcp").len(), calls + 1);
}

#[tokio::test]
async fn a_token_that_should_be_bound_and_is_not_is_refused() {
    let mut behaviour = dpop();
    behaviour.token_type = Some("Bearer");
    let world = World::start(behaviour).await;
    let credentials = world.credentials(ServerAuth::OAuth(oauth()));
    world
        .call(&credentials, "ada")
        .await
        .err("not bound to our key");
}

#[tokio::test]
async fn a_fixed_secret_is_put_in_its_header() {
    let world = World::start(Behaviour::default()).await;
    let name = "files-token".parse().unwrap();
    let parts = parts(open(world.folder.path()));
    let secrets = Secrets::new(parts.store.clone(), parts.vault.clone());
    let value = Zeroizing::new("canary".to_owned());
    let auth = ServerAuth::Secret(SecretHeader {
        header: HeaderName::from_static("x-api-key"),
        template: "key {secret}".into(),
        secret: name,
    });
    let ServerAuth::Secret(header) = &auth else {
        panic!()
    };
    let name = header.secret.clone();
    let credentials = world.credentials(auth);
    let url = world.url();
    let target = RequestTarget {
        method: &Method::POST,
        url: &url,
    };
    let none = credentials.authorize("files", "ada", target, NOW).await;
    let error = crate::client_support::chain(&none.unwrap_err());
    assert!(
        error.contains("portcullis secret set files-token"),
        "{error}"
    );
    secrets.set(&name, &value, NOW).await.unwrap();
    let answer = credentials.authorize("files", "ada", target, NOW).await;
    let authorization = answer.unwrap().unwrap();
    assert_eq!(authorization.headers["x-api-key"], "key canary");
    assert!(!format!("{authorization:?}").contains("canary"));
}
