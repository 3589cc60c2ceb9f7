//! The authorization server: OAuth 2.1 for the gateway's own protected resources.
//!
//! Codes with PKCE, rotating refresh tokens, consent before anything else, and metadata that clients find by themselves. Who sits
//! at the browser is for [`crate::login`] to say; whether a token is believed is the verifier's. Order matters here, so it is
//! written down: a client and its redirect URI are checked before anything is sent to either; what works once is spent before
//! anything is given for it; and it is recorded before it is given.

mod access;
mod assertion;
mod authenticate;
mod authorize;
pub mod client;
mod clients;
pub mod command;
pub mod config;
mod consent;
mod documents;
mod error;
mod fetch;
mod id_jag;
mod introspect;
pub mod keys;
mod limit;
mod metadata;
mod parameters;
mod pkce;
pub mod redirect_uri;
mod registration;
mod remote_keys;
mod request;
mod revoke;
mod token;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue,
};
use http::{Method, Request, Response, StatusCode};
use portcullis_egress::Egress;
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, Store};
use tokio::sync::watch;
use url::Url;

use crate::dpop;
use crate::jwt::jwk::Jwk;
use crate::login::{Login, Session};
use crate::page;
use crate::scope::Scopes;
use crate::vault::Vault;

pub use config::{BuildError, Config, Credential, IdJagIssuer, StaticClient};
pub use keys::{KeysError, Rotation};

use clients::Clients;
use keys::KeyRing;
use limit::Limiter;
use remote_keys::RemoteKeys;

/// Where the server answers.
pub mod path {
    /// Metadata (RFC 8414).
    pub const METADATA: &str = "/.well-known/oauth-authorization-server";
    /// The same, where OpenID Connect Discovery has it.
    pub const OPENID: &str = "/.well-known/openid-configuration";
    /// The authorization endpoint.
    pub const AUTHORIZE: &str = "/oauth/authorize";
    /// Where the consent page sends its form.
    pub const CONSENT: &str = "/oauth/consent";
    /// The token endpoint.
    pub const TOKEN: &str = "/oauth/token";
    /// Registration of clients (RFC 7591).
    pub const REGISTER: &str = "/oauth/register";
    /// Revocation (RFC 7009).
    pub const REVOKE: &str = "/oauth/revoke";
    /// Introspection (RFC 7662).
    pub const INTROSPECT: &str = "/oauth/introspect";
    /// The public keys (RFC 7517).
    pub const JWKS: &str = "/oauth/jwks";
}

/// A protected resource that tokens are issued for (RFC 8707).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its identifier, which becomes `aud`.
    pub uri: Url,
    /// What it is called on the consent page.
    pub title: Box<str>,
}

/// A scope in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeInfo {
    /// What it lets a client do, as the end of "It will be able to …".
    pub description: String,
    /// The tools it opens, in words.
    pub tools: Vec<String>,
}

/// What the server is built on.
#[derive(Debug)]
pub struct Parts {
    /// Where grants, clients and keys are kept.
    pub store: Store,
    /// What seals keys and requests.
    pub vault: Arc<Vault>,
    /// The way to documents and key sets.
    pub egress: Egress,
    /// The gateway's own base, without a path.
    pub public_url: Url,
    /// The resources that tokens are issued for.
    pub resources: Vec<Resource>,
    /// The scopes there are.
    pub scopes: BTreeMap<String, ScopeInfo>,
    /// Who sits at the browser.
    pub login: Arc<Login>,
}

/// The authorization server.
#[derive(Debug)]
pub struct AuthorizationServer {
    config: Config,
    store: Store,
    vault: Arc<Vault>,
    public_url: Url,
    issuer: Box<str>,
    resources: Vec<Resource>,
    scopes: BTreeMap<String, ScopeInfo>,
    catalogue: Scopes,
    login: Arc<Login>,
    clients: Clients,
    keys: KeyRing,
    remote_keys: RemoteKeys,
    proofs: dpop::Checker,
    failures: Limiter,
    registrations: Limiter,
}

impl AuthorizationServer {
    /// The server that `config` describes. Makes the first signing key if there is none.
    pub async fn build(config: Config, parts: Parts, now_ms: u64) -> Result<Self, BuildError> {
        let issuer = issuer_of(&parts.public_url)?;
        let mut catalogue = Scopes::new();
        for scope in parts.scopes.keys() {
            catalogue
                .insert(scope)
                .map_err(|_invalid| BuildError::Scope(scope.clone()))?;
        }
        config.check(&catalogue)?;
        if parts.resources.is_empty() {
            return Err(BuildError::NoResource);
        }
        let clients = Clients::build(&config, parts.store.clone(), parts.egress.clone())?;
        let keys = KeyRing::open(
            parts.store.clone(),
            Arc::clone(&parts.vault),
            issuer.clone(),
            config.key_period,
            now_ms,
        )
        .await?;
        Ok(Self {
            config,
            store: parts.store,
            vault: parts.vault,
            public_url: parts.public_url,
            issuer,
            resources: parts.resources,
            scopes: parts.scopes,
            catalogue,
            login: parts.login,
            clients,
            keys,
            remote_keys: RemoteKeys::new(parts.egress),
            proofs: dpop::Checker::new()?,
            failures: Limiter::new(20, 600, 60_000),
            registrations: Limiter::new(20, 120, 60_000),
        })
    }

    /// The issuer's identifier: the gateway's origin.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys that verify access tokens now.
    pub fn public_keys(&self) -> Arc<[Jwk]> {
        self.keys.public()
    }

    /// Tells whenever [`AuthorizationServer::public_keys`] change.
    pub fn key_changes(&self) -> watch::Receiver<Arc<[Jwk]>> {
        self.keys.changes()
    }

    /// Whether this answers requests for `path`.
    pub fn owns(path: &str) -> bool {
        matches!(
            path,
            path::METADATA
                | path::OPENID
                | path::AUTHORIZE
                | path::CONSENT
                | path::TOKEN
                | path::REGISTER
                | path::REVOKE
                | path::INTROSPECT
                | path::JWKS
        )
    }

    /// Answers a request for a path that this [owns](Self::owns).
    pub async fn respond(
        &self,
        request: Request<Bytes>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let session = match request.uri().path() {
            path::AUTHORIZE | path::CONSENT => self.login.session(request.headers(), now_ms).await,
            _ => None,
        };
        self.respond_to(request, session, peer, now_ms).await
    }

    /// [`AuthorizationServer::respond`], with the session known.
    async fn respond_to(
        &self,
        request: Request<Bytes>,
        session: Option<Session>,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let read = method == Method::GET || method == Method::HEAD;
        if method == Method::OPTIONS && is_open(&path) {
            return preflight();
        }
        let mut response = match path.as_str() {
            path::METADATA | path::OPENID if read => self.metadata(),
            path::JWKS if read => self.jwks().await,
            path::METADATA | path::OPENID | path::JWKS => error::method_not_allowed("GET, HEAD"),
            path::AUTHORIZE if method == Method::GET || method == Method::POST => {
                self.authorize(request, session, peer, now_ms).await
            }
            path::AUTHORIZE => error::method_not_allowed("GET, POST"),
            _ if method != Method::POST => error::method_not_allowed("POST"),
            path::CONSENT => self.consent(request, session, peer, now_ms).await,
            path::TOKEN => self.token(&request, peer, now_ms).await,
            path::REGISTER => self.register(&request, peer, now_ms).await,
            path::REVOKE => self.revoke(&request, peer, now_ms).await,
            path::INTROSPECT => self.introspect(&request, peer, now_ms).await,
            _ => page::message(StatusCode::NOT_FOUND, "Not found", "There is no such page."),
        };
        let headers = response.headers_mut();
        if is_open(&path) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("dpop-nonce, retry-after, www-authenticate"),
            );
        }
        page::transport(headers, &self.public_url);
        response
    }

    /// The absolute address of one of our paths.
    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    fn event(
        &self,
        now_ms: u64,
        kind: AuthEventKind,
        outcome: AuthOutcome,
        peer: Option<IpAddr>,
    ) -> AuthEvent {
        AuthEvent {
            issuer: Some(self.issuer.clone()),
            address: address_of(peer),
            ..AuthEvent::new(now_ms, kind, outcome)
        }
    }
}

/// What a peer's address is recorded as.
fn address_of(peer: Option<IpAddr>) -> Option<Box<str>> {
    peer.map(|peer| peer.to_canonical().to_string().into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The issuer of a gateway at `public_url` (RFC 8414 §2): its origin, without a slash at the end.
pub fn issuer_of(public_url: &Url) -> Result<Box<str>, BuildError> {
    let secure = match public_url.scheme() {
        "https" => true,
        "http" => client::is_loopback(public_url),
        _ => false,
    };
    let bare = matches!(public_url.path(), "" | "/")
        && public_url.query().is_none()
        && public_url.fragment().is_none()
        && public_url.username().is_empty()
        && public_url.password().is_none();
    if secure && bare && public_url.host().is_some() {
        Ok(public_url.origin().ascii_serialization().into())
    } else {
        Err(BuildError::PublicUrl(public_url.clone()))
    }
}

/// Whether scripts of any origin may call this path: clients that run in browsers do. Nothing there looks at cookies.
fn is_open(path: &str) -> bool {
    matches!(
        path,
        path::METADATA | path::OPENID | path::JWKS | path::TOKEN | path::REGISTER | path::REVOKE
    )
}

fn preflight() -> Response<Bytes> {
    let mut response = error::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, dpop, mcp-protocol-version",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
