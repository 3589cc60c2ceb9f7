//! The part of the door that OAuth is: whom a credential belongs to, what a client without one is told, and the pages and
//! documents by which it gets one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use portcullis_oauth::client::Credentials;
use portcullis_oauth::identity::{CredentialKind, Identity};
use portcullis_oauth::login::Login;
use portcullis_oauth::metadata::{self, Facts};
use portcullis_oauth::resource::ProtectedResource;
use portcullis_oauth::scope::Scopes;
use portcullis_oauth::server::AuthorizationServer;
use portcullis_oauth::verifier::{Presented, Reason, Refused, TokenVerifier};
use portcullis_pipeline::{Granted, Principal, PrincipalKind, ScopeMap};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::asking;
use crate::peer::Peer;
use crate::route::Route;

/// Where the metadata of protected resources is (RFC 9728 §3.1), before the path of the resource.
const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";

/// Where the gateway's own client metadata document is.
const CLIENT_METADATA: &str = "/oauth/client-metadata";

/// Who may enter, and how they come by a credential.
#[derive(Debug)]
pub struct Access {
    /// Knows whom a credential belongs to.
    pub verifier: TokenVerifier,
    /// The built-in authorization server.
    pub server: Option<Arc<AuthorizationServer>>,
    /// The login of accounts.
    pub login: Option<Arc<Login>>,
    /// The gateway as a client of its servers' authorization servers.
    pub credentials: Option<Arc<Credentials>>,
    /// The gateway's own base, without a path.
    pub public_url: Url,
    /// Issuers of tokens, by their identifiers: what the names of their subjects begin with. The gateway's own have none.
    pub issuers: BTreeMap<String, String>,
    /// What a client is asked to ask for; `None`: what opens the endpoint it came to.
    pub default_scopes: Option<Scopes>,
    /// Whether clients may show certificates.
    pub mutual_tls: bool,
    /// What keeps the authorization server in order; ended with the rest.
    pub upkeep: Option<AbortOnDropHandle<()>>,
}

impl Access {
    /// Whether somebody may get in by a token.
    pub(crate) fn has_issuers(&self) -> bool {
        self.server.is_some() || !self.issuers.is_empty()
    }

    /// The endpoint as tokens name it.
    pub(crate) fn resource(&self, route: &Route) -> ProtectedResource {
        ProtectedResource::new(&self.public_url, &route.path())
    }

    /// Who sends a request.
    pub(crate) async fn verify(
        &self,
        peer: &Peer,
        method: &Method,
        headers: &HeaderMap,
        route: &Route,
        now_ms: u64,
    ) -> Result<Arc<Identity>, Refused> {
        let presented = Presented {
            headers,
            method,
            certificate: peer.certificate.as_ref(),
            peer: Some(peer.ip()),
        };
        let resource = self.resource(route);
        self.verifier.verify(presented, &resource, now_ms).await
    }

    /// The principal that an identity is.
    pub(crate) fn principal(&self, identity: &Identity) -> Principal {
        let kind = match identity.kind {
            CredentialKind::AccessToken => PrincipalKind::User,
            CredentialKind::ApiKey => PrincipalKind::Key,
            CredentialKind::Certificate => PrincipalKind::Certificate,
        };
        let name = match self.issuers.get(&*identity.issuer) {
            Some(issuer) => format!("{issuer}:{}", identity.subject).into(),
            None => Arc::from(&*identity.subject),
        };
        let granted = match &identity.scopes {
            Some(scopes) => Granted::Scopes(scopes.iter().map(Box::from).collect()),
            None => Granted::Everything,
        };
        let client = identity.client.as_deref().map(Arc::from);
        let groups = identity.groups.iter().cloned().collect();
        Principal::acting(name, kind, client, granted).in_groups(groups)
    }

    /// What somebody without a valid credential is told: status and headers, for any body.
    pub(crate) fn refusal(
        &self,
        refused: Refused,
        route: &Route,
        scopes: &ScopeMap,
        now_ms: u64,
    ) -> Response<()> {
        let wanted = self.wanted(route, scopes);
        let resource = self.resource(route);
        let mut response = self.verifier.refusal(refused, &resource, &wanted, now_ms);
        if !self.has_issuers() && response.headers().contains_key(WWW_AUTHENTICATE) {
            // There is no metadata to be pointed to.
            let plain = if refused.reason == Reason::Missing {
                "Bearer"
            } else {
                "Bearer error=\"invalid_token\""
            };
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(plain));
        }
        response
    }

    /// What somebody whose token lacks scopes is asked for, which is recorded.
    pub(crate) fn step_up(
        &self,
        peer: &Peer,
        identity: &Identity,
        route: &Route,
        needed: &str,
        now_ms: u64,
    ) -> Option<HeaderValue> {
        let presented = Presented {
            headers: &HeaderMap::new(),
            method: &Method::POST,
            certificate: None,
            peer: Some(peer.ip()),
        };
        let needed: Scopes = needed.parse().ok()?;
        let resource = self.resource(route);
        let mut response = self
            .verifier
            .step_up(&presented, identity, &resource, &needed, now_ms);
        response.headers_mut().remove(WWW_AUTHENTICATE)
    }

    /// The scopes that a client of an endpoint is asked to ask for: the least that make it useful.
    fn wanted(&self, route: &Route, scopes: &ScopeMap) -> Scopes {
        let there = supported(route, scopes);
        match &self.default_scopes {
            Some(default) => default.intersection(&there),
            None => named(
                scopes
                    .on(server_of(route))
                    .filter(|scope| !scopes.builds_on_others(scope)),
            ),
        }
    }

    /// Whether a path is that of a page or document of ours.
    pub(crate) fn owns(path: &str) -> bool {
        path.starts_with("/.well-known/") || path.starts_with("/oauth/")
    }

    /// Answers a request for a page or document, whose body was read before.
    pub(crate) async fn respond(
        &self,
        request: Request<Bytes>,
        peer: &Peer,
        scopes: &ScopeMap,
        is_served: impl Fn(&Route) -> bool,
        now_ms: u64,
    ) -> Response<Bytes> {
        let path = request.uri().path();
        if let Some(rest) = path.strip_prefix(RESOURCE_METADATA) {
            if rest == asking::ADMIN_PATH && !self.issuers.is_empty() {
                return self.admin_metadata(request.method());
            }
            let route = if rest.is_empty() { "/mcp" } else { rest };
            return match Route::parse(route).filter(|route| self.has_issuers() && is_served(route))
            {
                Some(route) => self.metadata(request.method(), &route, scopes),
                None => plain(StatusCode::NOT_FOUND),
            };
        }
        let from = Some(peer.ip());
        if let Some(login) = &self.login
            && Login::owns(path)
        {
            return login.respond(request, from, now_ms).await;
        }
        if let Some(server) = &self.server
            && AuthorizationServer::owns(path)
        {
            return server.respond(request, from, now_ms).await;
        }
        if let Some(credentials) = &self.credentials {
            if path == CLIENT_METADATA {
                return document(request.method(), credentials.client_metadata());
            }
            if let Some(login) = &self.login
                && Credentials::owns(path)
            {
                return credentials.respond(request, login, now_ms).await;
            }
        }
        plain(StatusCode::NOT_FOUND)
    }

    /// The same of the API of approvals, for which the gateway itself issues no tokens.
    fn admin_metadata(&self, method: &Method) -> Response<Bytes> {
        let servers: Vec<&str> = self.issuers.keys().map(String::as_str).collect();
        let facts = Facts {
            authorization_servers: &servers,
            scopes: &named(std::iter::once(asking::APPROVALS_SCOPE)),
            dpop: self.verifier.dpop(),
            mutual_tls: self.mutual_tls,
        };
        let resource = ProtectedResource::new(&self.public_url, asking::ADMIN_PATH);
        document(method, metadata::document(&resource, &facts).into())
    }

    /// What is known of an endpoint by whoever wants a token for it (RFC 9728 §3.2).
    fn metadata(&self, method: &Method, route: &Route, scopes: &ScopeMap) -> Response<Bytes> {
        let own = self.server.as_ref().map(|server| server.issuer());
        let others = self.issuers.keys().map(String::as_str);
        let servers: Vec<&str> = own.into_iter().chain(others).collect();
        let facts = Facts {
            authorization_servers: &servers,
            scopes: &supported(route, scopes),
            dpop: self.verifier.dpop(),
            mutual_tls: self.mutual_tls,
        };
        document(
            method,
            metadata::document(&self.resource(route), &facts).into(),
        )
    }
}

/// The scopes that a client of an endpoint may need.
fn supported(route: &Route, scopes: &ScopeMap) -> Scopes {
    named(scopes.on(server_of(route)))
}

fn server_of(route: &Route) -> Option<&portcullis_mcp::ServerName> {
    match route {
        Route::All => None,
        Route::Server(name) => Some(name),
    }
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> Scopes {
    let mut scopes = Scopes::new();
    for name in names {
        // The configuration's scopes were checked; what would be too many is left out.
        if scopes.insert(name).is_err() {
            tracing::debug!(scope = name, "a scope is not told to clients");
        }
    }
    scopes
}

/// A JSON document that anybody may read, scripts of any origin among them.
fn document(method: &Method, json: Bytes) -> Response<Bytes> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    let mut response = Response::new(json);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    headers.insert(
        http::header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}

fn plain(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
