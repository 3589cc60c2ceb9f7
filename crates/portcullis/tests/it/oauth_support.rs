//! What attacks on OAuth are made with: a browser, and the requests of a client.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1 as client;
use hyper_util::rt::TokioIo;
use portcullis_oauth::account::{self, Invitation};
use portcullis_store::Store;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use url::{Url, form_urlencoded};

use crate::support::{BOUND, Gateway, Identity};

/// A code verifier and its challenge (RFC 7636, Appendix B), and the verifier of somebody else.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const OTHER_VERIFIER: &str = "a-verifier-that-the-attacker-made-up-himself";

/// Where clients on this machine are redirected to.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:7777/callback";

const PASSWORD: &str = "rain kettle orbit mango";

/// A page, a document or a redirect, as it came.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }

    /// The value of a hidden field of its form.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .text
            .split_once(&start)
            .unwrap_or_else(|| panic!("no field `{name}`: {self:?}"));
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// A parameter of where it leads.
    pub(crate) fn answer(&self, name: &str) -> Option<String> {
        let to = Url::parse(self.header("location")).unwrap_or_else(|_| panic!("{self:?}"));
        let mut pairs = to.query_pairs();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Page {
    let whole = async {
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Page {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    };
    tokio::time::timeout(BOUND, whole).await.unwrap()
}

/// A browser: it keeps cookies for the gateway, and follows nothing by itself.
pub(crate) struct Browser<'g> {
    gateway: &'g Gateway,
    identity: Option<&'g Identity>,
    /// The address that it comes from.
    pub(crate) from: Ipv4Addr,
    pub(crate) jar: BTreeMap<String, String>,
    /// Every `Set-Cookie` that came.
    pub(crate) set: Vec<String>,
}

impl<'g> Browser<'g> {
    pub(crate) fn new(gateway: &'g Gateway) -> Self {
        Self {
            gateway,
            identity: None,
            from: Ipv4Addr::LOCALHOST,
            jar: BTreeMap::new(),
            set: Vec::new(),
        }
    }

    /// A browser that believes `identity`, by which the gateway speaks TLS.
    pub(crate) fn over_tls(gateway: &'g Gateway, identity: &'g Identity) -> Self {
        Self {
            identity: Some(identity),
            ..Self::new(gateway)
        }
    }

    /// A browser in which an account, which is new, has just logged in.
    pub(crate) async fn logged_in(gateway: &'g Gateway, name: &str) -> Self {
        let mut browser = Self::new(gateway);
        browser.join(name).await;
        browser
    }

    /// Makes an account, and logs in to it.
    pub(crate) async fn join(&mut self, name: &str) {
        self.join_in(name, &[]).await;
    }

    /// Makes an account in these groups, and logs in to it.
    pub(crate) async fn join_in(&mut self, name: &str, groups: &[&str]) {
        let database = self.gateway.path().join("state/portcullis.db");
        let store = Store::open_beside(&database, portcullis_store::Settings::default()).unwrap();
        let invitation = Invitation {
            name: name.parse().unwrap(),
            display: name.to_owned(),
            groups: groups.iter().map(|group| (*group).into()).collect(),
            is_admin: false,
        };
        let code = account::invite(&store, &invitation, now_s() * 1000);
        let code = code.await.unwrap();
        store.close().await;
        let path = "/oauth/account/invitation";
        let csrf = self.get(path).await.field("csrf");
        let fields = [
            ("csrf", &*csrf),
            ("code", &*code),
            ("password", PASSWORD),
            ("repeat", PASSWORD),
        ];
        let page = self.post(path, &fields).await;
        assert_eq!(page.status, 303, "{page:?}");
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(path, &[], fields).await
    }

    /// Posts a form with further headers.
    pub(crate) async fn post_from(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Page {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, encode(fields)).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Page {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.gateway.address().to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let pairs = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let request = request.body(Full::from(body)).unwrap();
        let address = self.gateway.address();
        let page = if let Some(identity) = self.identity {
            exchange(identity.connect(address, "http/1.1").await, request).await
        } else {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((self.from, 0).into()).unwrap();
            exchange(socket.connect(address).await.unwrap(), request).await
        };
        for cookie in page.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.set.push(cookie.to_owned());
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.jar.insert(name.to_owned(), value.to_owned());
        }
        page
    }

    /// Says yes on the consent page of this authorization request.
    pub(crate) async fn allow(&mut self, path: &str, more: &[(&str, &str)]) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{page:?}");
        let (csrf, request) = (page.field("csrf"), page.field("request"));
        let mut fields = vec![
            ("csrf", &*csrf),
            ("request", &*request),
            ("decision", "allow"),
        ];
        fields.extend_from_slice(more);
        self.post("/oauth/consent", &fields).await
    }

    /// A code for `client`, which asks as [`authorization`] does.
    pub(crate) async fn code(&mut self, client: &str, changed: &[(&str, &str)]) -> String {
        let path = authorization(self.gateway, client, changed);
        let page = self.allow(&path, &[]).await;
        assert_eq!(page.status, 303, "{page:?}");
        page.answer("code")
            .unwrap_or_else(|| panic!("no code: {page:?}"))
    }
}

/// The time of day in seconds, as tokens have it.
pub(crate) fn now_s() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    body.finish()
}

/// `fields`, with these in the place of its own; an empty one is left out.
fn changed(fields: &[(&str, &str)], changed: &[(&str, &str)]) -> String {
    let mut all: BTreeMap<&str, &str> = fields.iter().copied().collect();
    all.extend(changed.iter().copied());
    all.retain(|_, value| !value.is_empty());
    let all: Vec<_> = all.into_iter().collect();
    encode(&all)
}

/// The resource of the server `one`.
pub(crate) fn resource(gateway: &Gateway) -> String {
    format!("{}/servers/one/mcp", gateway.harness.url())
}

/// The path of an authorization request that is in order.
pub(crate) fn authorization(gateway: &Gateway, client: &str, changes: &[(&str, &str)]) -> String {
    let resource = resource(gateway);
    let fields = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "s&t=1"),
        ("scope", "one:list"),
        ("resource", &resource),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    format!("/oauth/authorize?{}", changed(&fields, changes))
}

/// What the token endpoint, or another one for forms, answers to `fields`, with `changes` to them.
pub(crate) async fn form(
    gateway: &Gateway,
    path: &str,
    fields: &[(&str, &str)],
    changes: &[(&str, &str)],
) -> Page {
    let body = changed(fields, changes);
    let media = [("content-type", "application/x-www-form-urlencoded")];
    Browser::new(gateway)
        .send(Method::POST, path, &media, body)
        .await
}

/// Redeems a code as the client that asked for it would, but for `changes`.
pub(crate) async fn redeem(
    gateway: &Gateway,
    client: &str,
    code: &str,
    changes: &[(&str, &str)],
) -> Page {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    form(gateway, "/oauth/token", &fields, changes).await
}

/// Refreshes, likewise.
pub(crate) async fn refresh(
    gateway: &Gateway,
    client: &str,
    token: &str,
    changes: &[(&str, &str)],
) -> Page {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", token),
    ];
    form(gateway, "/oauth/token", &fields, changes).await
}

/// Registers a public client (RFC 7591), and gives its identifier.
pub(crate) async fn register(gateway: &Gateway, name: &str, redirect_uris: &[&str]) -> String {
    let metadata = json!({
        "client_name": name,
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let json = [("content-type", "application/json")];
    let mut anybody = Browser::new(gateway);
    let page = anybody
        .send(Method::POST, "/oauth/register", &json, metadata.to_string())
        .await;
    assert_eq!(page.status, 201, "{page:?}");
    page.json()["client_id"].as_str().unwrap().to_owned()
}

/// The word of an OAuth error.
pub(crate) fn error_of(page: &Page) -> (u16, String) {
    let word = page.json()["error"].as_str().unwrap_or_default().to_owned();
    (page.status, word)
}

/// A token of an answer.
pub(crate) fn token_of(page: &Page, name: &str) -> String {
    assert_eq!(page.status, 200, "{page:?}");
    page.json()[name].as_str().unwrap().to_owned()
}
