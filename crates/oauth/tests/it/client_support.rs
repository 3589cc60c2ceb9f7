//! A server and an authorization server on this machine, whose behaviour a test can change while they run.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_egress::Egress;
use portcullis_oauth::client::settings::{
    ClientIdentity, Config, Connection, OAuthSettings, ServerAuth, ServerConfig,
};
use portcullis_oauth::client::{Credentials, Parts, Refusal, RequestTarget, Verdict};
use portcullis_oauth::secret::{base64url, sha256};
use portcullis_oauth::vault::Vault;
use portcullis_store::{Settings, Store};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

/// When the tests happen.
pub(crate) const NOW: u64 = 1_790_000_000_000;

/// A request that a peer got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) form: HashMap<String, String>,
    pub(crate) json: Value,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The claims of a token in a header or the form, unverified.
    pub(crate) fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

type Handler = Arc<dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync>;

/// An HTTP server that a closure answers for.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Peer {
    pub(crate) async fn start(make: impl FnOnce(SocketAddr) -> Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = make(address);
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                let log = Arc::clone(&log);
                let service = service_fn(move |request: Request<Incoming>| {
                    let handler = Arc::clone(&handler);
                    let log = Arc::clone(&log);
                    async move {
                        let request = read(request).await;
                        log.lock().unwrap().push(request.clone());
                        Ok::<_, Infallible>(handler(&request))
                    }
                });
                tokio::spawn(async move {
                    let builder = hyper::server::conn::http1::Builder::new();
                    builder
                        .serve_connection(TokioIo::new(tcp), service)
                        .await
                        .ok();
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for a path.
    pub(crate) fn at(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|it| it.path == path).cloned().collect()
    }
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect();
    Seen {
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
        form: pairs(&body),
        json: serde_json::from_slice(&body).unwrap_or_default(),
        headers: head.headers,
    }
}

pub(crate) fn answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

fn challenge(status: u16, text: &str) -> Response<Full<Bytes>> {
    let mut response = answer(status, &json!({}));
    let value = text.parse().unwrap();
    response.headers_mut().insert("www-authenticate", value);
    response
}

/// How the peers behave.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of a test")]
pub(crate) struct Behaviour {
    pub(crate) prm_path: Option<&'static str>,
    pub(crate) announce_prm: bool,
    pub(crate) resource: Option<String>,
    pub(crate) prm_scopes: Option<Vec<&'static str>>,
    pub(crate) challenge_scope: Option<&'static str>,
    /// The scope that each call needs.
    pub(crate) needed: Option<&'static str>,
    /// More scopes are never enough.
    pub(crate) insatiable: bool,
    pub(crate) server_nonce: Option<&'static str>,
    pub(crate) challenge_dpop: bool,

    pub(crate) issuer_path: &'static str,
    pub(crate) metadata_path: Option<&'static str>,
    pub(crate) metadata_issuer: Option<String>,
    pub(crate) metadata: Value,
    /// What `iss` is in the authorization response, if not the issuer.
    pub(crate) iss: Iss,
    pub(crate) registration: Value,
    pub(crate) token_nonce: Option<&'static str>,
    pub(crate) token_error: Option<(u16, &'static str)>,
    pub(crate) expires_in: u64,
    pub(crate) refresh: bool,
    pub(crate) token_type: Option<&'static str>,
    pub(crate) code: &'static str,
}

#[derive(Clone)]
pub(crate) enum Iss {
    Right,
    Absent,
    Wrong(String),
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            prm_path: Some("/.well-known/oauth-protected-resource/mcp"),
            announce_prm: true,
            resource: None,
            prm_scopes: None,
            challenge_scope: None,
            needed: None,
            insatiable: false,
            server_nonce: None,
            challenge_dpop: false,
            issuer_path: "",
            metadata_path: Some("/.well-known/oauth-authorization-server"),
            metadata_issuer: None,
            metadata: json!({
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
                "token_endpoint_auth_methods_supported": ["none"],
            }),
            iss: Iss::Right,
            registration: json!({"client_id": "registered", "client_secret": "registered-secret"}),
            token_nonce: None,
            token_error: None,
            expires_in: 3600,
            refresh: true,
            token_type: None,
            code: "the-code",
        }
    }
}

/// What the authorization server keeps.
#[derive(Default)]
pub(crate) struct Kept {
    /// By access token: its scopes.
    pub(crate) valid: HashMap<String, String>,
    pub(crate) refresh: Option<String>,
    pub(crate) count: u32,
    asked_scope: String,
    code_challenge: String,
}

/// A server, its authorization server, and another.
pub(crate) struct World {
    pub(crate) server: Peer,
    pub(crate) issuers: Vec<Peer>,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    /// Which of the issuers the server names.
    pub(crate) named: Arc<Mutex<usize>>,
    pub(crate) kept: Arc<Mutex<Kept>>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let behaviour = Arc::new(Mutex::new(behaviour));
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let named: Arc<Mutex<usize>> = Arc::default();
        let mut issuers = Vec::new();
        for _ in 0..2 {
            let behaviour = Arc::clone(&behaviour);
            let kept = Arc::clone(&kept);
            issuers.push(
                Peer::start(|address| {
                    Arc::new(move |seen: &Seen| {
                        let behaviour = behaviour.lock().unwrap().clone();
                        issue(&behaviour, &mut kept.lock().unwrap(), address, seen)
                    })
                })
                .await,
            );
        }
        let origins: Vec<String> = issuers.iter().map(Peer::origin).collect();
        let server = {
            let behaviour = Arc::clone(&behaviour);
            let kept = Arc::clone(&kept);
            let named = Arc::clone(&named);
            Peer::start(|address| {
                Arc::new(move |seen: &Seen| {
                    let behaviour = behaviour.lock().unwrap().clone();
                    let issuer = &origins[*named.lock().unwrap()];
                    let mut kept = kept.lock().unwrap();
                    serve(&behaviour, &mut kept, address, issuer, seen)
                })
            })
            .await
        };
        Self {
            server,
            issuers,
            behaviour,
            named,
            kept,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn change(&self, how: impl FnOnce(&mut Behaviour)) {
        how(&mut self.behaviour.lock().unwrap());
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("{}/mcp", self.server.origin())).unwrap()
    }

    pub(crate) fn issuer(&self) -> &Peer {
        &self.issuers[0]
    }

    pub(crate) fn credentials(&self, auth: ServerAuth) -> Credentials {
        self.credentials_with(auth, |_, _| {})
    }

    pub(crate) fn credentials_with(
        &self,
        auth: ServerAuth,
        change: impl FnOnce(&mut Config, &mut Parts),
    ) -> Credentials {
        let server = ServerConfig {
            url: self.url(),
            auth,
            dpop: false,
        };
        let mut config = Config::default();
        config.servers.insert("files".into(), server);
        let mut parts = parts(open(self.folder.path()));
        change(&mut config, &mut parts);
        Credentials::build(config, parts).unwrap()
    }

    /// Calls the server as the gateway does: with a credential, and again after each refusal that can be mended.
    pub(crate) async fn call(&self, credentials: &Credentials, who: &str) -> Called {
        self.call_at(credentials, who, "tools/call x", NOW).await
    }

    pub(crate) async fn call_at(
        &self,
        credentials: &Credentials,
        who: &str,
        operation: &str,
        now_ms: u64,
    ) -> Called {
        let url = self.url();
        let target = RequestTarget {
            method: &Method::POST,
            url: &url,
        };
        let egress = egress();
        let mut connects = 0;
        let mut attempt = 0;
        loop {
            let answer = credentials.authorize("files", who, target, now_ms).await;
            let authorization = match answer {
                Ok(authorization) => authorization,
                Err(portcullis_oauth::client::Need::Connect { .. }) => {
                    connects += 1;
                    match credentials.connect_headless("files", who, now_ms).await {
                        Ok(()) => continue,
                        Err(error) => return Called::failed(&error, connects),
                    }
                }
                Err(error) => return Called::failed(&error, connects),
            };
            let mut request = Request::post(url.as_str()).body(Full::default()).unwrap();
            let used = authorization.as_ref().and_then(|it| it.used);
            if let Some(authorization) = authorization {
                request.headers_mut().extend(authorization.headers);
            }
            let client = egress.client(portcullis_egress::Reach::Configured);
            let response = client.request(request).await.unwrap();
            let status = response.status();
            credentials.observe("files", response.headers());
            if status.is_success() {
                return Called {
                    status,
                    connects,
                    error: String::new(),
                };
            }
            let refusal = Refusal {
                status,
                headers: response.headers(),
                operation,
                used,
                attempt,
            };
            match credentials.refused("files", who, refusal, now_ms).await {
                Verdict::Retry => {}
                Verdict::Connect { .. } => {
                    connects += 1;
                    if let Err(error) = credentials.connect_headless("files", who, now_ms).await {
                        return Called::failed(&error, connects);
                    }
                }
                Verdict::GiveUp(why) => {
                    return Called {
                        status,
                        connects,
                        error: chain(&why),
                    };
                }
            }
            attempt += 1;
            assert!(attempt < 10, "the driver goes round in circles");
        }
    }
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: StatusCode,
    pub(crate) connects: u32,
    pub(crate) error: String,
}

impl Called {
    fn failed(error: &dyn std::error::Error, connects: u32) -> Self {
        Self {
            status: StatusCode::IM_A_TEAPOT,
            connects,
            error: chain(error),
        }
    }

    #[track_caller]
    pub(crate) fn ok(&self, connects: u32) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.connects, connects, "{self:?}");
    }

    #[track_caller]
    pub(crate) fn err(&self, text: &str) {
        assert_ne!(self.status, StatusCode::OK, "{self:?}");
        assert!(self.error.contains(text), "{self:?}");
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(crate) fn open(folder: &Path) -> Store {
    Store::open(&folder.join("db"), Settings::default()).unwrap()
}

pub(crate) fn egress() -> Egress {
    Egress::new(&portcullis_egress::Settings::default()).unwrap()
}

pub(crate) fn parts(store: Store) -> Parts {
    Parts {
        store,
        vault: Arc::new(Vault::new(&[7; 32]).unwrap()),
        egress: egress(),
        public_url: Url::parse("http://127.0.0.1:8420").unwrap(),
        assertion_key: None,
    }
}

pub(crate) fn oauth() -> OAuthSettings {
    OAuthSettings {
        client: ClientIdentity::Auto,
        scopes: None,
        connection: Connection::EachUser,
        authorization_server: None,
    }
}

/// The protected resource.
fn serve(
    behaviour: &Behaviour,
    kept: &mut Kept,
    address: SocketAddr,
    issuer: &str,
    seen: &Seen,
) -> Response<Full<Bytes>> {
    let origin = format!("http://{address}");
    if Some(seen.path.as_str()) == behaviour.prm_path {
        let resource = behaviour.resource.clone();
        let mut document = json!({
            "resource": resource.unwrap_or_else(|| format!("{origin}/mcp")),
            "authorization_servers": [format!("{issuer}{}", behaviour.issuer_path)],
        });
        if let Some(scopes) = &behaviour.prm_scopes {
            document["scopes_supported"] = json!(scopes);
        }
        return answer(200, &document);
    }
    if seen.path != "/mcp" {
        // Without metadata of the resource, the server is its own authorization server.
        if behaviour.prm_path.is_none() {
            return issue(behaviour, kept, address, seen);
        }
        return answer(404, &json!({}));
    }
    let scheme = if behaviour.challenge_dpop {
        "DPoP"
    } else {
        "Bearer"
    };
    let metadata = behaviour
        .prm_path
        .filter(|_| behaviour.announce_prm)
        .map_or(String::new(), |path| {
            format!(", resource_metadata=\"{origin}{path}\"")
        });
    let Some(authorization) = seen.header("authorization") else {
        let scope = behaviour
            .challenge_scope
            .map_or(String::new(), |scope| format!(", scope=\"{scope}\""));
        return challenge(401, &format!("{scheme} realm=\"x\"{scope}{metadata}"));
    };
    let (used, token) = authorization.split_once(' ').unwrap();
    if used != scheme {
        return challenge(401, &format!("{scheme} error=\"invalid_token\"{metadata}"));
    }
    let Some(scopes) = kept.valid.get(token) else {
        return challenge(401, &format!("{scheme} error=\"invalid_token\"{metadata}"));
    };
    if let Some(nonce) = behaviour.server_nonce {
        let proof = Seen::claims(seen.header("dpop").unwrap());
        if proof["nonce"] != nonce {
            let mut response = challenge(401, "DPoP error=\"use_dpop_nonce\"");
            let value = nonce.parse().unwrap();
            response.headers_mut().insert("dpop-nonce", value);
            return response;
        }
    }
    if let Some(needed) = behaviour.needed
        && (behaviour.insatiable || !scopes.split(' ').any(|it| it == needed))
    {
        let text = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"{metadata}");
        return challenge(403, &text);
    }
    answer(200, &json!({}))
}

/// The authorization server.
fn issue(
    behaviour: &Behaviour,
    kept: &mut Kept,
    address: SocketAddr,
    seen: &Seen,
) -> Response<Full<Bytes>> {
    let origin = format!("http://{address}");
    let issuer = format!("{origin}{}", behaviour.issuer_path);
    if Some(seen.path.as_str()) == behaviour.metadata_path {
        let mut document = json!({
            "issuer": behaviour.metadata_issuer.as_ref().unwrap_or(&issuer),
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
        });
        for (name, value) in behaviour.metadata.as_object().unwrap() {
            document[name] = value.clone();
        }
        return answer(200, &document);
    }
    match seen.path.as_str() {
        "/register" => answer(201, &behaviour.registration),
        "/authorize" => {
            assert_eq!(seen.query["response_type"], "code");
            assert_eq!(seen.query["code_challenge_method"], "S256");
            kept.code_challenge
                .clone_from(&seen.query["code_challenge"]);
            kept.asked_scope = seen.query.get("scope").cloned().unwrap_or_default();
            let mut to = Url::parse(&seen.query["redirect_uri"]).unwrap();
            to.query_pairs_mut()
                .append_pair("code", behaviour.code)
                .append_pair("state", &seen.query["state"]);
            match &behaviour.iss {
                Iss::Right => drop(to.query_pairs_mut().append_pair("iss", &issuer)),
                Iss::Wrong(iss) => drop(to.query_pairs_mut().append_pair("iss", iss)),
                Iss::Absent => {}
            }
            Response::builder()
                .status(302)
                .header("location", to.as_str())
                .body(Full::default())
                .unwrap()
        }
        "/token" => token(behaviour, kept, seen),
        _ => answer(404, &json!({})),
    }
}

fn token(behaviour: &Behaviour, kept: &mut Kept, seen: &Seen) -> Response<Full<Bytes>> {
    if let Some((status, error)) = behaviour.token_error {
        let text = json!({"error": error, "error_description": "<script>canary</script>"});
        return answer(status, &text);
    }
    if let Some(nonce) = behaviour.token_nonce {
        let proof = Seen::claims(seen.header("dpop").unwrap());
        if proof["nonce"] != nonce {
            let mut response = answer(400, &json!({"error": "use_dpop_nonce"}));
            let value = nonce.parse().unwrap();
            response.headers_mut().insert("dpop-nonce", value);
            return response;
        }
    }
    match seen.form["grant_type"].as_str() {
        "authorization_code" => {
            let verifier = &seen.form["code_verifier"];
            let expected = base64url(&sha256(verifier.as_bytes()));
            assert_eq!(kept.code_challenge, expected);
            assert_eq!(seen.form["code"], behaviour.code);
        }
        "refresh_token" => {
            if kept.refresh.as_ref() != Some(&seen.form["refresh_token"]) {
                return answer(400, &json!({"error": "invalid_grant"}));
            }
        }
        _ => kept.asked_scope = seen.form.get("scope").cloned().unwrap_or_default(),
    }
    kept.count += 1;
    let access = format!("canary-access-{}", kept.count);
    let bound = seen.header("dpop").is_some();
    kept.valid.insert(access.clone(), kept.asked_scope.clone());
    let default = if bound { "DPoP" } else { "Bearer" };
    let mut document = json!({
        "access_token": access,
        "token_type": behaviour.token_type.unwrap_or(default),
        "expires_in": behaviour.expires_in,
    });
    if behaviour.refresh {
        let refresh = format!("canary-refresh-{}", kept.count);
        document["refresh_token"] = json!(refresh);
        kept.refresh = Some(refresh);
    }
    answer(200, &document)
}

/// The two parts of a header with basic credentials.
pub(crate) fn basic(header: &str) -> (String, String) {
    let text = STANDARD
        .decode(header.strip_prefix("Basic ").unwrap())
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let (id, secret) = text.split_once(':').unwrap();
    (id.to_owned(), secret.to_owned())
}
