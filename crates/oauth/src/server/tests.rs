//! The server as its peers see it: whole requests in, whole responses out. The session at the browser is given, so that what is
//! tested is this and not the login.

mod assertions;
mod attacks;
mod authorize;
mod consent;
mod documents;
mod dpop;
mod keys;
mod races;
mod registration;
mod tokens;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use portcullis_egress::Egress;
use portcullis_store::{
    AccountLink, AuthEvent, AuthEventKind, AuthEventRow, AuthOutcome, NewAccount, Store,
};
use serde_json::Value;
use url::Url;

use crate::login::{self, Login, Session};
use crate::secret;
use crate::server::client::GrantType;
use crate::server::{
    AuthorizationServer, Config, Credential, Parts, Resource, ScopeInfo, StaticClient, path,
};
use crate::vault::Vault;

pub(super) const NOW: u64 = 1_790_000_000_000;
pub(super) const BASE: &str = "https://gw.example";
pub(super) const MCP: &str = "https://gw.example/mcp";
pub(super) const FILES: &str = "https://gw.example/servers/files/mcp";
pub(super) const LOCAL: &str = "http://127.0.0.1:7777/callback";
pub(super) const WEB: &str = "https://app.example/callback";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const SECRET: &str = "pcs_canary-of-the-static-client";

/// A server on a store of its own.
pub(super) struct Harness {
    pub(super) server: AuthorizationServer,
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
    pub(super) folder: tempfile::TempDir,
}

/// The clients of the operator: `desk` is public and local, `web` has a secret and a redirect URI elsewhere, `robot` acts by its
/// own right.
pub(super) fn config() -> Config {
    let code = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    let clients = BTreeMap::from([
        (
            "desk".to_owned(),
            StaticClient {
                name: Some("Desk".to_owned()),
                redirect_uris: vec![LOCAL.to_owned()],
                grant_types: code.clone(),
                ..StaticClient::default()
            },
        ),
        (
            "web".to_owned(),
            StaticClient {
                redirect_uris: vec![WEB.to_owned()],
                credential: Credential::Secret(SECRET.to_owned()),
                grant_types: code,
                introspects: true,
                ..StaticClient::default()
            },
        ),
        (
            "robot".to_owned(),
            StaticClient {
                credential: Credential::SecretDigest(secret::sha256(SECRET.as_bytes())),
                grant_types: vec![GrantType::ClientCredentials],
                scopes: Some("read".parse().unwrap()),
                groups: vec!["robots".to_owned()],
                ..StaticClient::default()
            },
        ),
    ]);
    Config {
        clients,
        ..Config::default()
    }
}

pub(super) fn session(account: &str) -> Session {
    Session {
        account: account.into(),
        display: "Ada <L>".into(),
        groups: vec!["staff".into()],
        authenticated_ms: NOW,
        csrf: format!("csrf-of-{account}").into(),
    }
}

pub(super) async fn harness() -> Harness {
    harness_with(config()).await
}

pub(super) async fn harness_with(config: Config) -> Harness {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = Store::open(&path, portcullis_store::Settings::default()).unwrap();
    let vault = Arc::new(Vault::new(&[7; 32]).unwrap());
    for name in ["ada", "bob"] {
        let account = NewAccount {
            name: name.to_owned(),
            display: name.to_owned(),
            groups: vec!["staff".into()],
            is_admin: false,
        };
        let link = AccountLink {
            digest: secret::sha256(name.as_bytes()),
            expires_ms: NOW,
        };
        let event = AuthEvent::new(NOW - 1, AuthEventKind::Account, AuthOutcome::Success);
        assert!(store.accounts().invite(account, link, event).await.unwrap());
    }
    let server = build(config, store.clone(), Arc::clone(&vault)).await;
    Harness {
        server,
        store,
        vault,
        folder,
    }
}

pub(super) async fn build(config: Config, store: Store, vault: Arc<Vault>) -> AuthorizationServer {
    let egress = Egress::new(&portcullis_egress::Settings::default()).unwrap();
    let public_url = Url::parse(BASE).unwrap();
    let login = Login::build(
        &login::Config::default(),
        login::Parts {
            store: store.clone(),
            vault: Arc::clone(&vault),
            egress: egress.clone(),
            public_url: public_url.clone(),
        },
    )
    .unwrap();
    let scope = |description: &str, tools: &[&str]| ScopeInfo {
        description: description.to_owned(),
        tools: tools.iter().map(ToString::to_string).collect(),
    };
    let parts = Parts {
        store,
        vault,
        egress,
        public_url,
        resources: vec![
            Resource {
                uri: Url::parse(MCP).unwrap(),
                title: "All servers".into(),
            },
            Resource {
                uri: Url::parse(FILES).unwrap(),
                title: "Files".into(),
            },
        ],
        scopes: BTreeMap::from([
            (
                "read".to_owned(),
                scope("read your files", &["read a file"]),
            ),
            ("write".to_owned(), scope("change your files", &[])),
        ]),
        login: Arc::new(login),
    };
    AuthorizationServer::build(config, parts, NOW)
        .await
        .unwrap()
}

/// An authorization request that is in order, with these parameters in the place of its own; an empty one is left out.
pub(super) fn authorization(changed: &[(&str, &str)]) -> String {
    let mut parameters = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", "desk"),
        ("redirect_uri", LOCAL),
        ("state", "s&t=1"),
        ("scope", "read write"),
        ("resource", MCP),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    parameters.extend(changed.iter().copied());
    parameters.retain(|_, value| !value.is_empty());
    let parameters: Vec<_> = parameters.into_iter().collect();
    format!("{}?{}", path::AUTHORIZE, encode(&parameters))
}

pub(super) fn encode(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

pub(super) fn form(path: &str, parameters: &[(&str, &str)]) -> Request<Bytes> {
    Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encode(parameters).into())
        .unwrap()
}

pub(super) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

pub(super) fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

pub(super) fn location(response: &Response<Bytes>) -> Url {
    assert_eq!(
        response.status(),
        StatusCode::SEE_OTHER,
        "{}",
        text(response)
    );
    Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap()
}

/// A parameter of where a response redirects to.
pub(super) fn answer(response: &Response<Bytes>, name: &str) -> Option<String> {
    location(response)
        .query_pairs()
        .find(|(it, _)| it == name)
        .map(|(_, value)| value.into_owned())
}

/// The value of a hidden field of a page.
pub(super) fn field(response: &Response<Bytes>, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = text(response)
        .split_once(&start)
        .expect("the field is there");
    rest.split_once('"').unwrap().0.to_owned()
}

pub(super) const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)));

impl Harness {
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        session: Option<Session>,
    ) -> Response<Bytes> {
        self.server.respond_to(request, session, PEER, NOW).await
    }

    pub(super) async fn get(&self, target: &str, session: Option<Session>) -> Response<Bytes> {
        let request = Request::get(target).body(Bytes::new()).unwrap();
        self.send(request, session).await
    }

    pub(super) async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Response<Bytes> {
        self.send(form(path, parameters), None).await
    }

    /// The answer of `ada`, who says yes on the consent page.
    pub(super) async fn allow(&self, target: &str, more: &[(&str, &str)]) -> Response<Bytes> {
        let page = self.get(target, Some(session("ada"))).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", text(&page));
        let request = field(&page, "request");
        let mut parameters = vec![("csrf", "csrf-of-ada"), ("request", &request)];
        parameters.push(("decision", "allow"));
        parameters.extend_from_slice(more);
        self.send(form(path::CONSENT, &parameters), Some(session("ada")))
            .await
    }

    /// A code for `desk`.
    pub(super) async fn code(&self, changed: &[(&str, &str)]) -> String {
        let response = self.allow(&authorization(changed), &[]).await;
        answer(&response, "code").expect("a code is given")
    }

    pub(super) async fn redeem(&self, code: &str, changed: &[(&str, &str)]) -> Response<Bytes> {
        let mut parameters = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", "desk"),
            ("redirect_uri", LOCAL),
            ("code", code),
            ("code_verifier", VERIFIER),
        ]);
        parameters.extend(changed.iter().copied());
        parameters.retain(|_, value| !value.is_empty());
        let parameters: Vec<_> = parameters.into_iter().collect();
        self.post(path::TOKEN, &parameters).await
    }

    pub(super) async fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Response<Bytes> {
        let mut parameters = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        parameters.push(("client_id", "desk"));
        parameters.extend_from_slice(more);
        self.post(path::TOKEN, &parameters).await
    }

    /// Tokens for `desk`.
    pub(super) async fn tokens(&self) -> Value {
        let code = self.code(&[]).await;
        let response = self.redeem(&code, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
        body(&response)
    }

    /// Whether an access token is active, as `web` is told.
    pub(super) async fn is_active(&self, token: &str) -> bool {
        let parameters = [
            ("token", token),
            ("client_id", "web"),
            ("client_secret", SECRET),
        ];
        let response = self.post(path::INTROSPECT, &parameters).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
        body(&response)["active"] == true
    }

    pub(super) async fn events(&self) -> Vec<AuthEventRow> {
        self.store.calls().flush().await.unwrap();
        let events = self.store.auth_events();
        events.search(None, None, 10_000).await.unwrap()
    }
}

pub(super) fn error_of(response: &Response<Bytes>) -> (StatusCode, String) {
    let error = body(response)["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (response.status(), error)
}

#[tokio::test]
async fn the_whole_flow_gives_tokens_for_the_resource_and_no_other() {
    let harness = harness().await;
    let response = harness.allow(&authorization(&[]), &[]).await;
    let target = location(&response);
    assert!(
        target
            .as_str()
            .starts_with("http://127.0.0.1:7777/callback?"),
        "{target}"
    );
    assert_eq!(answer(&response, "state").as_deref(), Some("s&t=1"));
    assert_eq!(answer(&response, "iss").as_deref(), Some(BASE));
    let code = answer(&response, "code").unwrap();
    let response = harness.redeem(&code, &[("resource", MCP)]).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["pragma"], "no-cache");
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let tokens = body(&response);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(tokens["scope"], "read write");
    let token = tokens["access_token"].as_str().unwrap();
    let claims = harness.server.read_access_token(token, NOW).await.unwrap();
    assert_eq!((claims.sub.as_str(), claims.aud.as_str()), ("ada", MCP));
    assert_eq!(
        (claims.iss.as_str(), claims.client_id.as_str()),
        (BASE, "desk")
    );
    assert_eq!(claims.groups, ["staff"]);
    assert_eq!(claims.exp - claims.iat, 900);
    assert!(harness.is_active(token).await);
    assert_eq!(
        crate::jwt::peek(token).unwrap().typ.as_deref(),
        Some("at+jwt")
    );
}

#[tokio::test]
async fn metadata_say_all_that_clients_look_for() {
    let harness = harness().await;
    let document = body(&harness.get(path::METADATA, None).await);
    let alias = body(&harness.get(path::OPENID, None).await);
    assert_eq!(document, alias);
    assert_eq!(document["issuer"], BASE);
    assert_eq!(
        document["authorization_endpoint"],
        format!("{BASE}/oauth/authorize")
    );
    assert_eq!(
        document["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(
        document["response_types_supported"],
        serde_json::json!(["code"])
    );
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert_eq!(
        document["registration_endpoint"],
        format!("{BASE}/oauth/register")
    );
    assert_eq!(
        document["scopes_supported"],
        serde_json::json!(["read", "write"])
    );
    assert_eq!(
        document["protected_resources"],
        serde_json::json!([MCP, FILES])
    );
    let keys = harness.get(path::JWKS, None).await;
    assert_eq!(body(&keys)["keys"].as_array().unwrap().len(), 1);
    assert!(!text(&keys).contains("\"d\""));
}

#[tokio::test]
async fn browsers_may_call_what_is_for_programs_and_nothing_else() {
    let harness = harness().await;
    let preflight = |path: &str| {
        let request = Request::builder().method(Method::OPTIONS).uri(path);
        harness.send(request.body(Bytes::new()).unwrap(), None)
    };
    for path in [
        path::TOKEN,
        path::REGISTER,
        path::REVOKE,
        path::METADATA,
        path::JWKS,
    ] {
        let response = preflight(path).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "*",
            "{path}"
        );
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-credentials")
        );
    }
    for path in [path::AUTHORIZE, path::CONSENT, path::INTROSPECT] {
        let response = preflight(path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn no_secret_is_in_any_record() {
    let harness = harness().await;
    let code = harness.code(&[]).await;
    let tokens = body(&harness.redeem(&code, &[]).await);
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    harness.refresh(&refresh, &[]).await;
    harness.refresh(&refresh, &[]).await;
    harness.redeem(&code, &[]).await;
    harness.is_active(&access).await;
    harness
        .post(
            path::TOKEN,
            &[("client_id", "web"), ("client_secret", "pcs_wrong-canary")],
        )
        .await;
    let rows = format!("{:?}", harness.events().await);
    assert!(
        rows.contains("reuse") && rows.contains("client_secret"),
        "{rows}"
    );
    for secret in [
        &*code,
        &*refresh,
        &*access,
        SECRET,
        "canary",
        VERIFIER,
        "csrf-of-ada",
    ] {
        assert!(!rows.contains(secret), "{secret}");
    }
    harness.store.close().await;
    for file in std::fs::read_dir(harness.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [&*code, &*refresh, &*access, SECRET] {
            let found = bytes
                .windows(secret.len())
                .any(|it| it == secret.as_bytes());
            assert!(!found, "a secret is in the database");
        }
    }
}
