//! A verifier with a store of its own, and a fake authorization server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_egress::Egress;
use portcullis_oauth::identity::Identity;
use portcullis_oauth::issuer::LocalIssuer;
use portcullis_oauth::jwt::{KeyKind, SigningKey};
use portcullis_oauth::resource::ProtectedResource;
use portcullis_oauth::verifier::{Config, Parts, Presented, Reason, Refused, TokenVerifier};
use portcullis_store::{AuthEventRow, Settings, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NOW_S: u64 = 1_790_000_000;
pub(crate) const NOW: u64 = NOW_S * 1000;
pub(crate) const GATEWAY: &str = "https://gateway.example";

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) local: Arc<LocalIssuer>,
    pub(crate) key: SigningKey,
    pub(crate) resource: ProtectedResource,
    pub(crate) verifier: TokenVerifier,
}

pub(crate) fn resource(path: &str) -> ProtectedResource {
    ProtectedResource::new(&GATEWAY.parse().unwrap(), path)
}

impl Fixture {
    pub(crate) fn new(config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db"), Settings::default()).unwrap();
        let key = SigningKey::generate(KeyKind::Es256).unwrap();
        let local = Arc::new(LocalIssuer::new(GATEWAY));
        local.set_keys(vec![key.public().clone()]);
        let parts = Parts {
            store: store.clone(),
            egress: Egress::new(&portcullis_egress::Settings::default()).unwrap(),
            public_url: GATEWAY.parse().unwrap(),
            local: Some(Arc::clone(&local)),
        };
        Self {
            folder,
            store,
            local,
            key,
            resource: resource("/mcp"),
            verifier: TokenVerifier::build(config, parts).unwrap(),
        }
    }

    /// A token of the built-in authorization server, with `changes` to its claims.
    pub(crate) fn token(&self, changes: &Value) -> String {
        let claims = merged(
            json!({
                "iss": GATEWAY,
                "sub": "ada",
                "aud": self.resource.uri(),
                "exp": NOW_S + 900,
                "iat": NOW_S,
                "jti": "token-1",
                "client_id": "client-1",
                "scope": "tools:read",
                "grant": "grant-1",
            }),
            changes,
        );
        self.key.sign("at+jwt", &claims).unwrap()
    }

    pub(crate) async fn bearer(&self, token: &str) -> Result<Arc<Identity>, Reason> {
        self.bearer_at(token, NOW).await
    }

    pub(crate) async fn bearer_at(
        &self,
        token: &str,
        now_ms: u64,
    ) -> Result<Arc<Identity>, Reason> {
        let headers = authorization(&format!("Bearer {token}"));
        let verdict = self.show(&headers, None, now_ms).await;
        verdict.map_err(|refused| refused.reason)
    }

    pub(crate) async fn show(
        &self,
        headers: &HeaderMap,
        certificate: Option<&[u8; 32]>,
        now_ms: u64,
    ) -> Result<Arc<Identity>, Refused> {
        let presented = Presented {
            headers,
            method: &Method::POST,
            certificate,
            peer: Some([203, 0, 113, 7].into()),
        };
        self.verifier
            .verify(presented, &self.resource, now_ms)
            .await
    }

    /// Everything recorded, oldest first.
    pub(crate) async fn events(&self) -> Vec<AuthEventRow> {
        // Notes are written with the next commit.
        self.store.calls().flush().await.unwrap();
        let mut events = self
            .store
            .auth_events()
            .search(None, None, 1000)
            .await
            .unwrap();
        events.reverse();
        events
    }
}

pub(crate) fn merged(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) fn authorization(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value.parse().unwrap());
    headers
}

/// A server that answers by path, counts, and remembers what it was sent.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) base: String,
    shared: Arc<Shared>,
}

/// Status, `Cache-Control`, and body.
type Answer = (u16, Option<&'static str>, String);

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    asked: AtomicUsize,
    requests: Mutex<Vec<(String, HeaderMap, String)>>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&theirs);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let shared = Arc::clone(&shared);
                        async move { Ok::<_, Infallible>(shared.answer(request).await) }
                    });
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        Self {
            base: format!("http://{address}"),
            shared,
        }
    }

    pub(crate) fn serve(&self, path: &str, document: &Value) {
        self.serve_as(path, 200, None, &document.to_string());
    }

    pub(crate) fn serve_as(
        &self,
        path: &str,
        status: u16,
        cache_control: Option<&'static str>,
        body: &str,
    ) {
        let answer = (status, cache_control, body.to_owned());
        self.shared.answers.lock().insert(path.to_owned(), answer);
    }

    pub(crate) fn serve_keys(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
        self.serve("/keys", &json!({"keys": keys}));
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Path, headers and body of each request.
    pub(crate) fn requests(&self) -> Vec<(String, HeaderMap, String)> {
        self.shared.requests.lock().clone()
    }
}

impl Shared {
    async fn answer(&self, request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path().to_owned();
        let answer = self.answers.lock().get(&path).cloned();
        self.requests.lock().push((
            path,
            head.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        ));
        let (status, cache_control, body) = answer.unwrap_or((404, None, String::new()));
        let mut response = Response::builder().status(status);
        if let Some(value) = cache_control {
            response = response.header("cache-control", value);
        }
        if status == 302 {
            response = response.header("location", body.as_str());
        }
        response.body(Full::from(body)).unwrap()
    }
}
