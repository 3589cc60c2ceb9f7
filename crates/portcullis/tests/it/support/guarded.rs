//! An MCP server that wants an access token, with its authorization server on another origin. Each token works once it was
//! given, for as long as the test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use portcullis_testkit::answers;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use url::{Url, form_urlencoded};

/// What begins every secret that this authorization server gives away.
pub(crate) const CANARY: &str = "upstream-canary-5ec7e7";
/// The client secret that it knows.
pub(crate) const CLIENT_SECRET: &str = "client-canary-5ec7e7";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// A parameter of the form in its body.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        parameter(&self.body, name)
    }

    /// The JSON-RPC method.
    pub(crate) fn rpc(&self) -> String {
        let message: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        answers::method(&message).to_owned()
    }
}

/// What the two servers know.
#[derive(Debug)]
struct Known {
    /// The protected resource and the authorization server.
    resource: SocketAddr,
    issuer: SocketAddr,
    count: u32,
    /// Access tokens that the resource accepts, with their scopes.
    accepted: Vec<(String, String)>,
    refresh: Vec<(String, String)>,
    codes: Vec<(String, String)>,
    expires_in: u64,
    /// The scope that `work` needs.
    guarded_scope: Option<String>,
    seen: Vec<Seen>,
    seen_there: Vec<Seen>,
}

/// The two servers. They stop when this is dropped.
pub(crate) struct Guarded {
    known: Arc<Mutex<Known>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Resource,
    Issuer,
}

impl Guarded {
    /// Starts both on free ports of the loopback.
    pub(crate) async fn start() -> Self {
        let resource = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let known = Arc::new(Mutex::new(Known {
            resource: resource.local_addr().unwrap(),
            issuer: issuer.local_addr().unwrap(),
            count: 0,
            accepted: Vec::new(),
            refresh: Vec::new(),
            codes: Vec::new(),
            expires_in: 3600,
            guarded_scope: None,
            seen: Vec::new(),
            seen_there: Vec::new(),
        }));
        let serve = |listener, side| tokio::spawn(serve(listener, Arc::clone(&known), side));
        let tasks = vec![serve(resource, Side::Resource), serve(issuer, Side::Issuer)];
        Self { known, tasks }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap())
    }

    /// The URL of the MCP endpoint.
    pub(crate) fn url(&self) -> String {
        self.with(|known| format!("http://{}/mcp", known.resource))
    }

    /// Has tokens given from now on expire after these seconds.
    pub(crate) fn expire_in(&self, seconds: u64) {
        self.with(|known| known.expires_in = seconds);
    }

    /// Has `work` need a scope from now on.
    pub(crate) fn guard_work(&self, scope: &str) {
        self.with(|known| known.guarded_scope = Some(scope.to_owned()));
    }

    /// Has the resource accept no token that was given so far.
    pub(crate) fn forget_tokens(&self) {
        self.with(|known| known.accepted.clear());
    }

    /// What reached the MCP server.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.with(|known| known.seen.clone())
    }

    /// What reached the authorization server.
    pub(crate) fn seen_there(&self) -> Vec<Seen> {
        self.with(|known| known.seen_there.clone())
    }

    /// The requests for tokens by this grant.
    pub(crate) fn grants(&self, grant_type: &str) -> Vec<Seen> {
        let mut seen = self.seen_there();
        seen.retain(|seen| seen.form("grant_type").as_deref() == Some(grant_type));
        seen
    }
}

async fn serve(listener: TcpListener, known: Arc<Mutex<Known>>, side: Side) {
    while let Ok((stream, _)) = listener.accept().await {
        let known = Arc::clone(&known);
        tokio::spawn(async move {
            let service = service_fn(|request| reply(request, &known, side));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(connection.await);
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    known: &Mutex<Known>,
    side: Side,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let seen = Seen {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    };
    let mut known = known.lock().unwrap();
    Ok(match side {
        Side::Resource => {
            known.seen.push(seen.clone());
            known.resource(&seen)
        }
        Side::Issuer => {
            known.seen_there.push(seen.clone());
            known.issuer(&seen)
        }
    })
}

impl Known {
    fn resource(&self, seen: &Seen) -> Response<Full<Bytes>> {
        let base = format!("http://{}", self.resource);
        match &*seen.path {
            "/.well-known/oauth-protected-resource/mcp" => json_reply(&json!({
                "resource": format!("{base}/mcp"),
                "authorization_servers": [format!("http://{}", self.issuer)],
                "scopes_supported": ["read"],
            })),
            "/mcp" => self.mcp(seen, &base),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn mcp(&self, seen: &Seen, base: &str) -> Response<Full<Bytes>> {
        let metadata = format!("{base}/.well-known/oauth-protected-resource/mcp");
        let shown = seen.header("authorization");
        let token = shown
            .first()
            .and_then(|value| value.strip_prefix("Bearer "));
        let scopes = self
            .accepted
            .iter()
            .find(|(known, _)| Some(&**known) == token)
            .map(|(_, scopes)| scopes);
        let Some(scopes) = scopes else {
            let mut refused = status(StatusCode::UNAUTHORIZED);
            let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
            let headers = refused.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            return refused;
        };
        let message: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        if let Some(scope) = &self.guarded_scope
            && answers::tool(&message) == "work"
            && !scopes.split(' ').any(|known| known == scope)
        {
            let mut refused = status(StatusCode::FORBIDDEN);
            let challenge = format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scope}\", resource_metadata=\"{metadata}\""
            );
            let headers = refused.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            return refused;
        }
        if seen.method != Method::POST {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        match answers::answer(&message) {
            Some(answer) => json_reply(&answer),
            None => status(StatusCode::ACCEPTED),
        }
    }

    fn issuer(&mut self, seen: &Seen) -> Response<Full<Bytes>> {
        let base = format!("http://{}", self.issuer);
        match &*seen.path {
            "/.well-known/oauth-authorization-server" => json_reply(&json!({
                "issuer": base,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "registration_endpoint": format!("{base}/register"),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            })),
            "/register" => {
                let mut asked: Value = serde_json::from_slice(&seen.body).unwrap();
                asked["client_id"] = json!("gateway");
                asked["token_endpoint_auth_method"] = json!("none");
                let mut response = json_reply(&asked);
                *response.status_mut() = StatusCode::CREATED;
                response
            }
            "/authorize" => {
                let code = self.fresh("code");
                let asked = |name| parameter(seen.query.as_bytes(), name).unwrap_or_default();
                self.codes.push((code.clone(), asked("scope")));
                let mut to = Url::parse(&asked("redirect_uri")).unwrap();
                to.query_pairs_mut()
                    .append_pair("code", &code)
                    .append_pair("state", &asked("state"))
                    .append_pair("iss", &base);
                let mut response = status(StatusCode::FOUND);
                let location = to.as_str().parse().unwrap();
                response.headers_mut().insert(header::LOCATION, location);
                response
            }
            "/token" => self.token(seen),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn token(&mut self, seen: &Seen) -> Response<Full<Bytes>> {
        let form = |name| seen.form(name).unwrap_or_default();
        let take = |held: &mut Vec<(String, String)>, shown: String| {
            let at = held.iter().position(|(known, _)| *known == shown)?;
            Some(held.remove(at).1)
        };
        let scopes = match &*form("grant_type") {
            "authorization_code" => take(&mut self.codes, form("code")),
            "refresh_token" => take(&mut self.refresh, form("refresh_token")),
            "client_credentials" => (form("client_secret") == CLIENT_SECRET).then(|| form("scope")),
            _ => None,
        };
        let Some(scopes) = scopes else {
            let mut refused = json_reply(&json!({ "error": "invalid_grant" }));
            *refused.status_mut() = StatusCode::BAD_REQUEST;
            return refused;
        };
        let access = self.fresh("access");
        self.accepted.push((access.clone(), scopes.clone()));
        let mut given = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "scope": scopes,
        });
        if form("grant_type") != "client_credentials" {
            let refresh = self.fresh("refresh");
            self.refresh.push((refresh.clone(), scopes));
            given["refresh_token"] = json!(refresh);
        }
        json_reply(&given)
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{CANARY}-{what}-{}", self.count)
    }
}

fn parameter(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn json_reply(value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    let json = "application/json".parse().unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
