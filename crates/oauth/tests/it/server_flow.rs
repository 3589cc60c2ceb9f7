//! Login, consent, tokens and their verification together, each the real one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use portcullis_egress::Egress;
use portcullis_oauth::identity::Identity;
use portcullis_oauth::issuer::LocalIssuer;
use portcullis_oauth::login;
use portcullis_oauth::resource::ProtectedResource;
use portcullis_oauth::secret;
use portcullis_oauth::server::{
    AuthorizationServer, Config, Parts, Resource, Rotation, ScopeInfo, path,
};
use portcullis_oauth::vault::Vault;
use portcullis_oauth::verifier::{self, Presented, TokenVerifier};
use portcullis_store::Store;
use serde_json::{Value, json};
use url::Url;

use crate::login_support::{BASE, Browser, Gateway, NOW, PASSWORD};

const CALLBACK: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

struct Whole {
    gateway: Gateway,
    server: AuthorizationServer,
    local: Arc<LocalIssuer>,
    verifier: TokenVerifier,
    resource: ProtectedResource,
}

impl Whole {
    async fn new() -> Self {
        let gateway = Gateway::new();
        // The key of the gateway's own.
        let vault = Arc::new(Vault::new(&[7; 32]).unwrap());
        let egress = Egress::new(&portcullis_egress::Settings::default()).unwrap();
        let public_url: Url = BASE.parse().unwrap();
        let resource = ProtectedResource::new(&public_url, "/mcp");
        let login = login::Login::build(
            &login::Config::default(),
            login::Parts {
                store: gateway.store.clone(),
                vault: Arc::clone(&vault),
                egress: egress.clone(),
                public_url: public_url.clone(),
            },
        );
        let parts = Parts {
            store: gateway.store.clone(),
            vault: Arc::clone(&vault),
            egress: egress.clone(),
            public_url: public_url.clone(),
            resources: vec![Resource {
                uri: resource.uri().parse().unwrap(),
                title: "All servers".into(),
            }],
            scopes: BTreeMap::from([("tools".to_owned(), ScopeInfo::default())]),
            login: Arc::new(login.unwrap()),
        };
        let server = AuthorizationServer::build(Config::default(), parts, NOW).await;
        let server = server.unwrap();
        let local = Arc::new(LocalIssuer::new(server.issuer()));
        local.set_keys(server.public_keys().to_vec());
        let verifier = TokenVerifier::build(
            &verifier::Config::default(),
            verifier::Parts {
                store: gateway.store.clone(),
                egress,
                public_url,
                local: Some(Arc::clone(&local)),
            },
        );
        Self {
            gateway,
            server,
            local,
            verifier: verifier.unwrap(),
            resource,
        }
    }

    async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        assert!(AuthorizationServer::owns(request.uri().path()));
        let peer = Some([203, 0, 113, 7].into());
        self.server.respond(request, peer, NOW).await
    }

    async fn browse(
        &self,
        browser: &Browser<'_>,
        address: &str,
        form: Option<&[(&str, &str)]>,
    ) -> Response<Bytes> {
        let cookies: Vec<String> = browser
            .jar
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let builder = Request::builder()
            .uri(address)
            .header("cookie", cookies.join("; "));
        let request = match form {
            None => builder.body(Bytes::new()),
            Some(fields) => builder
                .method(Method::POST)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("origin", "null")
                .header("sec-fetch-site", "same-origin")
                .body(Bytes::from(encode(fields))),
        };
        self.send(request.unwrap()).await
    }

    async fn call(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(encode(fields)));
        let response = self.send(request.unwrap()).await;
        serde_json::from_slice(response.body()).unwrap_or(Value::Null)
    }

    async fn verify(&self, store: &Store, token: &str) -> Option<Arc<Identity>> {
        assert_eq!(store.path(), self.gateway.store.path());
        let mut headers = HeaderMap::new();
        let value = format!("Bearer {token}").parse().unwrap();
        headers.insert("authorization", value);
        let presented = Presented {
            headers: &headers,
            method: &Method::POST,
            certificate: None,
            peer: None,
        };
        self.verifier
            .verify(presented, &self.resource, NOW)
            .await
            .ok()
    }

    /// A registered client, and tokens for it by way of the login and the consent page.
    async fn tokens(&self) -> (String, Value) {
        self.gateway.account("ada").await;
        let metadata = json!({
            "client_name": "Desk",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let request = Request::post(path::REGISTER)
            .header("content-type", "application/json")
            .body(Bytes::from(metadata.to_string()));
        let response = self.send(request.unwrap()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let registered: Value = serde_json::from_slice(response.body()).unwrap();
        let client = registered["client_id"].as_str().unwrap().to_owned();

        let challenge = secret::base64url(&secret::sha256(VERIFIER.as_bytes()));
        let query = encode(&[
            ("response_type", "code"),
            ("client_id", &client),
            ("redirect_uri", CALLBACK),
            ("state", "s"),
            ("scope", "tools"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let target = format!("{}?{query}", path::AUTHORIZE);
        let mut browser = self.gateway.browser();
        // Not logged in: to the login, and from there back here.
        let response = self.browse(&browser, &target, None).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let login = response.headers()["location"].to_str().unwrap().to_owned();
        let page = browser.get(&login).await;
        let (csrf, back) = (page.hidden("csrf"), page.hidden("return"));
        let fields = [
            ("csrf", &*csrf),
            ("return", &*back),
            ("account", "ada"),
            ("password", PASSWORD),
        ];
        let page = browser.post("/oauth/login", &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        let target = page.header("location").to_owned();
        assert!(target.starts_with("/oauth/authorize?"), "{target}");

        let page = self.browse(&browser, &target, None).await;
        assert_eq!(page.status(), StatusCode::OK);
        let text = std::str::from_utf8(page.body()).unwrap();
        let field = |name: &str| {
            let start = format!("name=\"{name}\" value=\"");
            let (_, rest) = text.split_once(&start).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        let (csrf, request) = (field("csrf"), field("request"));
        let fields = [
            ("csrf", &*csrf),
            ("request", &*request),
            ("decision", "allow"),
        ];
        let response = self.browse(&browser, path::CONSENT, Some(&fields)).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let target: Url = response.headers()["location"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let code = target
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap()
            .1;
        let tokens = self
            .call(
                path::TOKEN,
                &[
                    ("grant_type", "authorization_code"),
                    ("client_id", &client),
                    ("redirect_uri", CALLBACK),
                    ("code", &code),
                    ("code_verifier", VERIFIER),
                    ("resource", self.resource.uri()),
                ],
            )
            .await;
        assert!(tokens["access_token"].is_string(), "{tokens}");
        (client, tokens)
    }
}

fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

#[tokio::test]
async fn a_person_connects_a_client_and_its_token_is_believed_until_it_is_revoked() {
    let whole = Whole::new().await;
    let store = &whole.gateway.store;
    let (client, tokens) = whole.tokens().await;
    let token = tokens["access_token"].as_str().unwrap();
    let identity = whole.verify(store, token).await.unwrap();
    assert_eq!(&*identity.subject, "ada");
    assert_eq!(identity.client.as_deref(), Some(&*client));
    assert_eq!(identity.groups[..], ["ops".into()]);
    assert!(identity.scopes.as_ref().unwrap().contains("tools"));

    let refresh = tokens["refresh_token"].as_str().unwrap();
    let fields = [("token", refresh), ("client_id", &*client)];
    whole.call(path::REVOKE, &fields).await;
    assert_eq!(whole.verify(store, token).await, None);
}

#[tokio::test]
async fn a_refresh_token_that_is_shown_twice_ends_what_the_verifier_believed() {
    let whole = Whole::new().await;
    let store = &whole.gateway.store;
    let (client, tokens) = whole.tokens().await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", &*client),
    ];
    let next = whole.call(path::TOKEN, &fields).await;
    let token = next["access_token"].as_str().unwrap();
    assert!(whole.verify(store, token).await.is_some());
    let again = whole.call(path::TOKEN, &fields).await;
    assert_eq!(again["error"], "invalid_grant");
    assert_eq!(whole.verify(store, token).await, None);
}

#[tokio::test]
async fn the_verifier_learns_of_keys_by_the_server_s_word() {
    let whole = Whole::new().await;
    let store = &whole.gateway.store;
    let mut changes = whole.server.key_changes();
    changes.mark_unchanged();
    let (client, tokens) = whole.tokens().await;
    whole
        .server
        .rotate_keys(Rotation::Compromised, NOW)
        .await
        .unwrap();
    assert!(changes.has_changed().unwrap());
    whole.local.set_keys(changes.borrow_and_update().to_vec());
    let old = tokens["access_token"].as_str().unwrap();
    assert_eq!(whole.verify(store, old).await, None);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", &*client),
    ];
    let next = whole.call(path::TOKEN, &fields).await;
    let token = next["access_token"].as_str().unwrap();
    assert!(whole.verify(store, token).await.is_some());
}
