//! Login through a provider, in the shapes of those that people use, and with answers that must not be believed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_oauth::account;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::login::Config;
use portcullis_oauth::secret;
use portcullis_store::AuthEventKind;
use serde_json::{Value, json};
use url::Url;

use crate::login_support::{Browser, Gateway, NOW, PASSWORD, Page};

const NOW_S: u64 = NOW / 1000;
const CALLBACK: &str = "/oauth/provider/callback/acme";

/// Makes a token of claims.
type Sign<'a> = Box<dyn Fn(&Value) -> String + 'a>;

/// A provider on this host, which answers what a test tells it to.
struct Fake {
    issuer: String,
    key: SigningKey,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    metadata: Value,
    keys: Value,
    id_token: String,
    /// Every request's path, `Authorization` and body.
    asked: Vec<(String, String, String)>,
}

impl Fake {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = SigningKey::generate(KeyKind::Es256).unwrap();
        let state = Arc::new(Mutex::new(State {
            metadata: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
            }),
            keys: json!({ "keys": [key.public()] }),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let header = head.headers.get("authorization");
                        let header = header.map_or("", |value| value.to_str().unwrap());
                        let mut state = shared.lock();
                        state.asked.push((
                            head.uri.path().to_owned(),
                            header.to_owned(),
                            String::from_utf8(body.to_vec()).unwrap(),
                        ));
                        let answer = match head.uri.path() {
                            "/.well-known/openid-configuration" => state.metadata.clone(),
                            "/keys" => state.keys.clone(),
                            "/token" => json!({
                                "access_token": "unused", "token_type": "Bearer",
                                "id_token": state.id_token,
                            }),
                            _ => Value::Null,
                        };
                        let answer = Bytes::from(answer.to_string());
                        Ok::<_, Infallible>(Response::new(Full::new(answer)))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { issuer, key, state }
    }

    /// A gateway that trusts this provider, with `changes` to its settings.
    fn gateway(&self, changes: Value) -> Gateway {
        let mut provider = json!({
            "issuer": self.issuer,
            "client_id": "portcullis",
            "client_secret": "s3cr3t/+",
            "label": "Acme",
            "allowed": {"everyone": true},
            "create_accounts": true,
        });
        merge(&mut provider, changes);
        let config = json!({"providers": {"acme": provider}});
        Gateway::with(&serde_json::from_value::<Config>(config).unwrap())
    }

    fn claims(&self, nonce: &str, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.issuer, "aud": "portcullis", "sub": "1234", "nonce": nonce,
            "iat": NOW_S, "exp": NOW_S + 300, "name": "Ada Lovelace",
        });
        merge(&mut claims, changes);
        claims
    }

    fn asked(&self, path: &str) -> Vec<(String, String)> {
        let state = self.state.lock();
        let asked = state.asked.iter().filter(|(own, ..)| own == path);
        asked
            .map(|(_, header, body)| (header.clone(), body.clone()))
            .collect()
    }
}

fn merge(value: &mut Value, changes: Value) {
    let (Value::Object(value), Value::Object(changes)) = (value, changes) else {
        panic!("objects alone are merged");
    };
    for (key, change) in changes {
        if change.is_null() {
            value.remove(&key);
        } else {
            value.insert(key, change);
        }
    }
}

/// Begins a login, and tells what the provider was asked.
async fn begin(browser: &mut Browser<'_>) -> HashMap<String, String> {
    let page = browser
        .get("/oauth/provider/start?provider=acme&return=%2Foauth%2Fauthorize%3Fa%3Db")
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    let address: Url = page.header("location").parse().unwrap();
    address.query_pairs().into_owned().collect()
}

/// A whole login, with `changes` to the claims of the ID token.
async fn log_in(fake: &Fake, browser: &mut Browser<'_>, changes: Value) -> Page {
    let asked = begin(browser).await;
    let claims = fake.claims(&asked["nonce"], changes);
    fake.state.lock().id_token = fake.key.sign("JWT", &claims).unwrap();
    let address = format!("{CALLBACK}?code=c0de&state={}", asked["state"]);
    browser.get(&address).await
}

#[tokio::test]
async fn a_provider_logs_somebody_in() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({}));
    let mut browser = gateway.browser();
    let page = browser.get("/oauth/login").await;
    assert!(page.body.contains("Acme"));
    let asked = begin(&mut browser).await;
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], "portcullis");
    assert_eq!(asked["scope"], "openid profile email");
    assert_eq!(asked["tenant"], "1");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(
        asked["redirect_uri"],
        format!("https://gw.example{CALLBACK}")
    );
    let claims = fake.claims(&asked["nonce"], json!({}));
    fake.state.lock().id_token = fake.key.sign("JWT", &claims).unwrap();
    let page = browser
        .get(&format!("{CALLBACK}?code=c0de&state={}", asked["state"]))
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    assert_eq!(page.header("location"), "/oauth/authorize?a=b");
    let session = browser.session().await.unwrap();
    assert_eq!(&*session.account, "acme.1234");
    assert_eq!(&*session.display, "Ada Lovelace");

    // The secret went in the header, encoded, and the verifier fits the challenge.
    let (header, body) = fake.asked("/token").remove(0);
    let pair = STANDARD.encode("portcullis:s3cr3t%2F%2B");
    assert_eq!(header, format!("Basic {pair}"));
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(form["code"], "c0de");
    let challenge = secret::base64url(&secret::sha256(form["code_verifier"].as_bytes()));
    assert_eq!(asked["code_challenge"], challenge);
    assert!(!form.contains_key("client_secret"));
    // Metadata and keys are kept.
    log_in(&fake, &mut gateway.browser(), json!({})).await;
    assert_eq!(fake.asked("/.well-known/openid-configuration").len(), 1);
    assert_eq!(fake.asked("/keys").len(), 1);
    let all = format!("{:?}", gateway.events(None).await);
    for secret in ["c0de", "s3cr3t", &asked["state"], &asked["nonce"], "eyJ"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_login_is_not_believed() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({}));
    let cases = [
        (json!({"nonce": "another"}), "id_token_nonce"),
        (json!({"nonce": null}), "id_token_nonce"),
        (json!({"aud": "another"}), "id_token_audience"),
        (
            json!({"aud": ["portcullis", "another"]}),
            "id_token_audience",
        ),
        (json!({"aud": []}), "id_token_audience"),
        (json!({"aud": null}), "id_token_claims"),
        (json!({"azp": "another"}), "id_token_party"),
        (json!({"iss": "https://evil.example"}), "id_token_issuer"),
        (
            json!({"iss": format!("{}/", fake.issuer)}),
            "id_token_issuer",
        ),
        (json!({"exp": NOW_S - 61}), "id_token_time"),
        (json!({"exp": null}), "id_token_claims"),
        (json!({"iat": NOW_S + 120}), "id_token_time"),
        (json!({"iat": NOW_S - 3600}), "id_token_time"),
        (json!({"nbf": NOW_S + 120}), "id_token_time"),
        (json!({"sub": null}), "id_token_subject"),
        (json!({"sub": ""}), "id_token_subject"),
    ];
    for (n, (changes, reason)) in cases.into_iter().enumerate() {
        let mut browser = gateway.browser();
        browser.peer = [192, 0, u8::try_from(n).unwrap(), 1].into();
        let page = log_in(&fake, &mut browser, changes.clone()).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{changes}");
        assert!(browser.session().await.is_none());
        assert_eq!(
            gateway.reasons(AuthEventKind::Login).await[0],
            reason,
            "{changes}"
        );
    }
    // An audience that is a list of one, and a party that is this client, are in order.
    let fine = json!({"aud": ["portcullis"], "azp": "portcullis"});
    let page = log_in(&fake, &mut gateway.browser(), fine).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_id_token_that_is_not_signed_by_the_provider_is_not_believed() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({"algorithms": ["ES256"]}));
    let other = SigningKey::generate(KeyKind::Es256).unwrap();
    let eddsa = SigningKey::generate(KeyKind::EdDsa).unwrap();
    fake.state.lock().keys = json!({"keys": [fake.key.public(), eddsa.public()]});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let public = fake.key.public();
    let cases: Vec<(&str, Sign<'_>)> = vec![
        (
            "id_token_malformed",
            Box::new(|claims| format!("{}.{}.", encode(&json!({"alg": "none"})), encode(claims))),
        ),
        (
            "id_token_algorithm",
            // The public key, which everybody knows, as a shared secret.
            Box::new(|claims| {
                let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
                header.kid = Some(fake.key.kid().to_owned());
                let key = serde_json::to_vec(public).unwrap();
                let key = jsonwebtoken::EncodingKey::from_secret(&key);
                jsonwebtoken::encode(&header, claims, &key).unwrap()
            }),
        ),
        (
            "id_token_key",
            Box::new(|claims| other.sign("JWT", claims).unwrap()),
        ),
        (
            "id_token_algorithm",
            Box::new(|claims| eddsa.sign("JWT", claims).unwrap()),
        ),
        (
            "id_token_typ",
            Box::new(|claims| fake.key.sign("at+jwt", claims).unwrap()),
        ),
        (
            "id_token_signature",
            Box::new(|claims| {
                let token = fake.key.sign("JWT", claims).unwrap();
                let (signed, _) = token.rsplit_once('.').unwrap();
                format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
            }),
        ),
        (
            "id_token_signature",
            Box::new(|claims| {
                let token = fake.key.sign("JWT", claims).unwrap();
                let mut parts: Vec<&str> = token.split('.').collect();
                let mut claims = claims.clone();
                claims["sub"] = json!("admin");
                let claims = encode(&claims);
                parts[1] = &claims;
                parts.join(".")
            }),
        ),
        ("id_token_malformed", Box::new(|_| "nonsense".to_owned())),
    ];
    for (reason, sign) in cases {
        let mut browser = gateway.browser();
        let asked = begin(&mut browser).await;
        let token = sign(&fake.claims(&asked["nonce"], json!({})));
        fake.state.lock().id_token = token;
        let address = format!("{CALLBACK}?code=c0de&state={}", asked["state"]);
        let page = browser.get(&address).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{reason}");
        assert_eq!(gateway.reasons(AuthEventKind::Login).await[0], reason);
    }
}

#[tokio::test]
async fn an_answer_belongs_to_one_browser_and_counts_once() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({}));
    let mut browser = gateway.browser();
    let asked = begin(&mut browser).await;
    let claims = fake.claims(&asked["nonce"], json!({}));
    fake.state.lock().id_token = fake.key.sign("JWT", &claims).unwrap();
    let address = format!("{CALLBACK}?code=c0de&state={}", asked["state"]);
    let carried = browser.jar.clone();
    // A code injected into another browser, or into this one's other login.
    assert_eq!(
        gateway.browser().get(&address).await.status,
        StatusCode::FORBIDDEN
    );
    let mut another = gateway.browser();
    begin(&mut another).await;
    assert_eq!(another.get(&address).await.status, StatusCode::FORBIDDEN);
    let twice = format!("{address}&state={}", asked["state"]);
    assert_eq!(another.get(&twice).await.status, StatusCode::FORBIDDEN);
    assert!(fake.asked("/token").is_empty());

    assert_eq!(browser.get(&address).await.status, StatusCode::SEE_OTHER);
    browser.jar = carried;
    assert_eq!(browser.get(&address).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fake.asked("/token").len(), 1);

    let mut late = gateway.browser();
    let asked = begin(&mut late).await;
    late.now_ms = NOW + 10 * 60_000 + 1;
    let address = format!("{CALLBACK}?code=c0de&state={}", asked["state"]);
    assert_eq!(late.get(&address).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn one_issuer_does_not_answer_for_another() {
    let fake = Fake::new().await;
    merge(
        &mut fake.state.lock().metadata,
        json!({"authorization_response_iss_parameter_supported": true}),
    );
    let gateway = fake.gateway(json!({}));
    let good: String = url::form_urlencoded::byte_serialize(fake.issuer.as_bytes()).collect();
    for (more, status) in [
        (String::new(), StatusCode::FORBIDDEN),
        (
            "&iss=https%3A%2F%2Fevil.example".to_owned(),
            StatusCode::FORBIDDEN,
        ),
        (format!("&iss={good}%2F"), StatusCode::FORBIDDEN),
        (format!("&iss={good}&iss={good}"), StatusCode::FORBIDDEN),
        (
            format!("&iss={good}&error=access_denied"),
            StatusCode::FORBIDDEN,
        ),
        (format!("&iss={good}"), StatusCode::SEE_OTHER),
    ] {
        let mut browser = gateway.browser();
        let asked = begin(&mut browser).await;
        let claims = fake.claims(&asked["nonce"], json!({}));
        fake.state.lock().id_token = fake.key.sign("JWT", &claims).unwrap();
        let address = format!("{CALLBACK}?code=c0de&state={}{more}", asked["state"]);
        assert_eq!(browser.get(&address).await.status, status, "{more}");
    }
    assert_eq!(fake.asked("/token").len(), 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    for changes in [
        json!({"issuer": "https://evil.example"}),
        json!({"issuer": null}),
        json!({"token_endpoint": "http://evil.example/token"}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
    ] {
        let fake = Fake::new().await;
        merge(&mut fake.state.lock().metadata, changes.clone());
        let gateway = fake.gateway(json!({}));
        let mut browser = gateway.browser();
        let page = browser.get("/oauth/provider/start?provider=acme").await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{changes}");
        // It is not asked again at once.
        browser.get("/oauth/provider/start?provider=acme").await;
        assert_eq!(fake.asked("/.well-known/openid-configuration").len(), 1);
    }
}

#[tokio::test]
async fn a_rotated_key_is_fetched_and_a_made_up_one_not_again_and_again() {
    let mut fake = Fake::new().await;
    let gateway = fake.gateway(json!({}));
    log_in(&fake, &mut gateway.browser(), json!({})).await;
    fake.key = SigningKey::generate(KeyKind::Es256).unwrap();
    for _ in 0..3 {
        let page = log_in(&fake, &mut gateway.browser(), json!({})).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(fake.asked("/keys").len(), 1);
    fake.state.lock().keys = json!({"keys": [fake.key.public()]});
    let mut later = gateway.browser();
    later.now_ms = NOW + 61_000;
    let page = log_in(&fake, &mut later, json!({})).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn an_account_is_found_by_its_subject_and_by_nothing_else() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({"create_accounts": false}));
    let ada = gateway.account("ada@example.com").await;
    let likeness = json!({
        "email": "ada@example.com", "email_verified": true, "preferred_username": "ada@example.com",
    });
    let mut browser = gateway.browser();
    let page = log_in(&fake, &mut browser, likeness.clone()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let linked = account::link_identity(&gateway.store, &ada, "acme", "1234", NOW).await;
    linked.unwrap();
    let page = log_in(&fake, &mut browser, likeness).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(
        &*browser.session().await.unwrap().account,
        "ada@example.com"
    );
    // The subject is that account's, and no second one's.
    let bob = gateway.account("bob").await;
    let again = account::link_identity(&gateway.store, &bob, "acme", "1234", NOW).await;
    assert!(again.is_err());
    account::disable(&gateway.store, &ada, NOW).await.unwrap();
    let page = log_in(&fake, &mut browser, json!({})).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let reasons = gateway.reasons(AuthEventKind::Login).await;
    assert_eq!(reasons[0], "account_changed");
    let page = browser.log_in("ada@example.com", PASSWORD).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_taken_over() {
    let fake = Fake::new().await;
    let gateway = fake.gateway(json!({}));
    gateway.account("acme.1234").await;
    let mut browser = gateway.browser();
    let page = log_in(&fake, &mut browser, json!({})).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.session().await.is_none());
}

/// Settings, claims, and who logs in: `Err` where nobody does.
async fn check(settings: Value, claims: Value, expected: Result<(&str, &[&str]), ()>) {
    let fake = Fake::new().await;
    // Entra's keys do not name their algorithm.
    let mut key = serde_json::to_value(fake.key.public()).unwrap();
    merge(&mut key, json!({"alg": null}));
    let encryption = json!({"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB", "kid": "e"});
    fake.state.lock().keys = json!({"keys": [{"kty": "new"}, encryption, key]});
    let gateway = fake.gateway(settings);
    let mut browser = gateway.browser();
    let page = log_in(&fake, &mut browser, claims.clone()).await;
    let session = browser.session().await;
    match (expected, session) {
        (Ok((account, groups)), Some(session)) => {
            assert_eq!(&*session.account, account);
            let own: Vec<&str> = session.groups.iter().map(|group| &**group).collect();
            assert_eq!(own, groups);
        }
        (Err(()), None) => assert_eq!(page.status, StatusCode::FORBIDDEN),
        (_, session) => panic!("{claims}: {session:?} {}", page.body),
    }
}

#[tokio::test]
async fn keycloak_names_groups() {
    let settings = json!({"groups_claim": "groups", "allowed": {"groups": ["/ops"]}});
    let claims = |groups: Value| {
        json!({
            "sub": "f1b7c1e0-7d1c-4f39-9b0e-3d3c5a1f2e11", "typ": "ID", "azp": "portcullis",
            "acr": "1", "groups": groups, "preferred_username": "ada",
        })
    };
    let name = "acme.f1b7c1e0-7d1c-4f39-9b0e-3d3c5a1f2e11";
    let groups = claims(json!(["/ops", "/dev"]));
    check(settings.clone(), groups, Ok((name, &["/ops", "/dev"]))).await;
    check(settings.clone(), claims(json!(["/dev"])), Err(())).await;
    check(settings.clone(), claims(json!("/ops")), Err(())).await;
    check(settings, claims(json!(["/ops", "a\nb"])), Err(())).await;
}

#[tokio::test]
async fn entra_names_people_by_oid_and_may_leave_groups_out() {
    let oid = "690222be-ff1a-4d56-abd1-7e4f7d38e474";
    let name = format!("acme.{oid}");
    let settings = json!({
        "subject_claim": "oid", "groups_claim": "groups", "allowed": {"subjects": [oid]},
    });
    let claims = json!({
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "oid": oid, "tid": "t", "ver": "2.0",
        "preferred_username": "ada@corp.example",
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://evil.example/groups"}},
    });
    check(settings, claims.clone(), Ok((&name, &[]))).await;
    // An address that nobody verified proves no domain.
    let settings = json!({"allowed": {"email_domains": ["corp.example"]}});
    let mut unverified = claims;
    merge(&mut unverified, json!({"email": "ada@corp.example"}));
    check(settings, unverified, Err(())).await;
}

#[tokio::test]
async fn google_names_the_hosted_domain() {
    let settings = json!({"allowed": {"hosted_domains": ["corp.example"]}});
    let sub = "110169484474386276334";
    let claims = |hd: Value| json!({"sub": sub, "hd": hd, "email": "ada@corp.example", "email_verified": true});
    let name = format!("acme.{sub}");
    check(
        settings.clone(),
        claims(json!("corp.example")),
        Ok((&name, &[])),
    )
    .await;
    check(settings.clone(), claims(json!("evil.example")), Err(())).await;
    check(settings, claims(Value::Null), Err(())).await;
}

#[tokio::test]
async fn okta_verifies_addresses() {
    let settings = json!({"allowed": {"email_domains": ["corp.example"]}});
    let claims = |email: &str, verified: Value| json!({"sub": "00uid4BxXw6I6TV4m0g3", "email": email, "email_verified": verified});
    let digest = secret::sha256(b"00uid4BxXw6I6TV4m0g3");
    let hex: String = digest[..16]
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let name = format!("acme.{hex}");
    let fine = claims("ada@Corp.example", json!(true));
    check(settings.clone(), fine, Ok((&name, &[]))).await;
    let fine = claims("ada@corp.example", json!("true"));
    check(settings.clone(), fine, Ok((&name, &[]))).await;
    for (email, verified) in [
        ("ada@corp.example", json!(false)),
        ("ada@corp.example", Value::Null),
        ("ada@corp.example.evil.example", json!(true)),
        ("ada@evilcorp.example", json!(true)),
        ("corp.example", json!(true)),
    ] {
        check(settings.clone(), claims(email, verified), Err(())).await;
    }
}
