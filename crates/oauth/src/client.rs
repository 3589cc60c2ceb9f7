//! The OAuth client toward servers: obtains, keeps, renews and drops the credentials that the gateway shows them.
//!
//! A request asks [`Credentials::authorize`] for its headers, and tells [`Credentials::refused`] when a server did not accept
//! them. Nothing that a client of the gateway sent is an argument here: what goes up was obtained for the server, by the
//! gateway, and goes to that server alone. The browser's part is in `connect`.

mod challenge;
mod connect;
mod discovery;
mod dpop;
mod error;
mod fetch;
mod grants;
mod headless;
mod registration;
mod renew;
mod scopes;
pub mod settings;
mod token_endpoint;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use portcullis_egress::Egress;
use portcullis_store::calls::ReadError;
use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, RecordError, Store};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::client::challenge::Challenge;
use crate::client::discovery::Discovered;
use crate::client::dpop::{DPOP, Nonces, Proof};
use crate::client::fetch::{Trust, is_loopback};
use crate::client::registration::Registrar;
use crate::client::settings::{Config, SecretHeader, ServerAuth};
use crate::client::token_endpoint::Scheme;
use crate::client::tokens::{Token, Tokens};
use crate::jwt::SigningKey;
use crate::scope::Scopes;
use crate::secrets::Secrets;
use crate::vault::Vault;

pub use connect::{CallbackParameters, ConnectError};
pub use discovery::DiscoveryError;
pub use dpop::ProofError;
pub use error::CredentialError;
pub use fetch::{DocumentError, FetchError};
pub use grants::GrantError;
pub use headless::{HeadlessError, authorize_headless};
pub use registration::RegistrationError;
pub use token_endpoint::TokenError;
pub use tokens::TokenStoreError;

/// How long a server's challenge is remembered, so that the next request need not be refused first.
const CHALLENGE_MS: u64 = 60_000;

/// How long what a person has to connect for waits until they do.
const ASKED_MS: u64 = 24 * 60 * 60 * 1000;

/// How many requests in a row may be repeated with another credential.
const ATTEMPTS_MAX: u32 = 3;

/// How often more scopes are asked for one operation, and for how long that is remembered (rule: retry limits).
const STEPS_MAX: u32 = 2;
const STEPS_MS: u64 = 10 * 60 * 1000;

/// How long a refusal of a grant is taken as the answer.
const FAILURE_MS: u64 = 60_000;

/// How long metadata is believed.
const DISCOVERED_MS: u64 = 10 * 60 * 1000;

/// How much of all that is kept in memory.
const REMEMBERED_MAX: u64 = 10_000;

/// What credentials are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where tokens and registrations are kept.
    pub store: Store,
    /// Seals them.
    pub vault: Arc<Vault>,
    /// The way out.
    pub egress: Egress,
    /// The gateway's own address: scheme, host and port.
    pub public_url: Url,
    /// Signs assertions about principals (RFC 8693 with [`settings::SubjectToken::OwnAssertion`]).
    pub assertion_key: Option<SigningKey>,
}

/// Why credentials could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The server's address cannot be authorized for.
    #[error("server `{0}`: its address must be http or https without user name and fragment")]
    Address(Box<str>),
    /// The issuer is no address.
    #[error("server `{0}`: `authorization_server` must be the issuer's https address")]
    Issuer(Box<str>),
    /// The template has no place for the secret.
    #[error("server `{0}`: the header's value must contain `{{secret}}` once")]
    Template(Box<str>),
    /// A workload token could be sent to whomever the server names.
    #[error("server `{0}`: an `audience` of its own needs `authorization_server`")]
    Audience(Box<str>),
    /// There is no key to sign assertions with.
    #[error(
        "server `{0}`: no key signs assertions about principals; turn the authorization server on"
    )]
    AssertionKey(Box<str>),
}

/// The credentials for all servers. A clone shares them.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

/// The request that a credential is for.
#[derive(Clone, Copy, Debug)]
pub struct RequestTarget<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its address.
    pub url: &'a Url,
}

/// What a request is sent with.
pub struct Authorization {
    /// The headers to set, in place of any of the same name. Marked as sensitive.
    pub headers: HeaderMap,
    /// Which token that is; to be handed back to [`Credentials::refused`].
    pub used: Option<Used>,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// Tells a token from the one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used(u64);

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum Need {
    /// The user has to connect first, in a browser.
    #[error("the server needs a connection by its user; open {url}")]
    Connect {
        /// The page where that is done.
        url: Url,
    },
    /// It could not be obtained.
    #[error("the server's credential could not be obtained")]
    Failed(#[source] Arc<CredentialError>),
}

/// A server's answer 401 or 403.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its head.
    pub headers: &'a HeaderMap,
    /// What was asked for, such as `tools/call echo`: retries are counted for each.
    pub operation: &'a str,
    /// What [`Authorization::used`] said.
    pub used: Option<Used>,
    /// How often the request was repeated before.
    pub attempt: u32,
}

/// What to do about a refusal.
#[derive(Debug)]
pub enum Verdict {
    /// Ask [`Credentials::authorize`] again and repeat the request.
    Retry,
    /// The user has to connect, or to allow more, in a browser.
    Connect {
        /// The page where that is done.
        url: Url,
    },
    /// Nothing helps.
    GiveUp(GiveUp),
}

/// Why nothing helps.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GiveUp {
    /// The server refuses what its configured credential is.
    #[error("the server does not accept the configured credential")]
    NotAccepted,
    /// Too many attempts.
    #[error("the server refuses every new credential")]
    Attempts,
    /// The scopes that it wants were granted, or refused, before.
    #[error("the server asks for scopes that were granted or refused before")]
    Scopes,
    /// It said no, and not how to get a yes.
    #[error("the server forbids it")]
    Forbidden,
    /// A new credential could not be obtained.
    #[error("a new credential could not be obtained")]
    Failed(#[source] Arc<CredentialError>),
}

pub(crate) struct Inner {
    servers: BTreeMap<Box<str>, Server>,
    store: Store,
    vault: Arc<Vault>,
    egress: Egress,
    public_url: Url,
    assertion_key: Option<SigningKey>,
    secrets: Secrets,
    registrar: Registrar,
    tokens: Tokens,
    nonces: Nonces,
    discovered: moka::sync::Cache<Box<str>, Arc<Known>>,
    challenges: moka::sync::Cache<Holder, Arc<Remembered>>,
    failures: moka::sync::Cache<Holder, (u64, Arc<CredentialError>)>,
    steps: moka::sync::Cache<Operation, Steps>,
}

/// Whose, for which server.
type Holder = (Box<str>, Box<str>);

/// Whose, for which server, to do what.
type Operation = (Box<str>, Box<str>, Box<str>);

pub(crate) struct Server {
    name: Box<str>,
    url: Url,
    auth: ServerAuth,
    dpop: bool,
    trust: Trust,
}

/// What was discovered, when, and where it was announced.
pub(crate) struct Known {
    at_ms: u64,
    announced: Option<Box<str>>,
    discovered: Arc<Discovered>,
}

/// What a server asked for last.
#[derive(Serialize, Deserialize)]
pub(crate) struct Remembered {
    at_ms: u64,
    challenge: Challenge,
    /// What is to be asked for beside what it says: earlier scopes.
    wanted: Option<Scopes>,
}

#[derive(Clone, Copy)]
pub(crate) struct Steps {
    since_ms: u64,
    count: u32,
}

impl Credentials {
    /// Checks the configuration and sets up. Contacts nobody.
    pub fn build(config: Config, parts: Parts) -> Result<Self, BuildError> {
        let mut servers = BTreeMap::new();
        for (name, server) in config.servers {
            check(&name, &server, parts.assertion_key.is_some())?;
            let mut written = Vec::new();
            if let Some(pin) = server.auth.pin() {
                let url = Url::parse(pin).map_err(|_text| BuildError::Issuer(name.clone()))?;
                if url.scheme() != "https" && !is_loopback(&url) {
                    return Err(BuildError::Issuer(name));
                }
                written.push(url);
            }
            if let ServerAuth::IdJag(settings) = &server.auth {
                written.push(settings.provider_token_endpoint.clone());
            }
            let trust = Trust::new(&server.url, written.iter());
            let server = Server {
                name: name.clone(),
                url: server.url,
                auth: server.auth,
                dpop: server.dpop,
                trust,
            };
            servers.insert(name, server);
        }
        let secrets = Secrets::new(parts.store.clone(), Arc::clone(&parts.vault));
        let client_name = if config.client_name.is_empty() {
            "Portcullis".into()
        } else {
            config.client_name
        };
        let document = config.client_metadata_url.map_or_else(
            || {
                let own = at(&parts.public_url, "/oauth/client-metadata");
                (own.scheme() == "https").then(|| own.as_str().into())
            },
            |url| Some(url.as_str().into()),
        );
        let registrar = Registrar {
            store: parts.store.clone(),
            vault: Arc::clone(&parts.vault),
            egress: parts.egress.clone(),
            secrets: secrets.clone(),
            client_name,
            redirect_uri: at(&parts.public_url, connect::CALLBACK_PATH)
                .as_str()
                .into(),
            public_url: parts.public_url.clone(),
            document,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                servers,
                tokens: Tokens::new(parts.store.clone(), Arc::clone(&parts.vault)),
                store: parts.store,
                vault: parts.vault,
                egress: parts.egress,
                public_url: parts.public_url,
                assertion_key: parts.assertion_key,
                secrets,
                registrar,
                nonces: Nonces::new(),
                discovered: moka::sync::Cache::new(1024),
                challenges: moka::sync::Cache::new(REMEMBERED_MAX),
                failures: moka::sync::Cache::new(REMEMBERED_MAX),
                steps: moka::sync::Cache::new(REMEMBERED_MAX),
            }),
        })
    }

    /// The headers for a request to `server` on behalf of `principal`. `None`: it goes without, be it that the server needs
    /// none, be it that it has not yet said what it needs.
    ///
    /// Fails for an address that is not the server's: a token goes to its resource alone.
    pub async fn authorize(
        &self,
        server: &str,
        principal: &str,
        target: RequestTarget<'_>,
        now_ms: u64,
    ) -> Result<Option<Authorization>, Need> {
        let inner = &self.inner;
        let server = inner.server(server)?;
        if target.url.origin() != server.url.origin() || !target.url.username().is_empty() {
            return Err(CredentialError::Target.into());
        }
        match &server.auth {
            ServerAuth::None => return Ok(None),
            ServerAuth::Secret(header) => return Ok(Some(inner.secret_header(header).await?)),
            _ => {}
        }
        let owner = server.owner(principal)?;
        if let Some(token) = inner.tokens.cached(&owner, &server.name)
            && token.is_fresh(now_ms)
        {
            return inner
                .present(&token, target, now_ms)
                .map(Some)
                .map_err(Need::from);
        }
        let asked = inner.remembered(&owner, &server.name, now_ms);
        let work = Arc::clone(inner).renewed(
            server.name.clone(),
            owner,
            principal.into(),
            asked.clone(),
            now_ms,
        );
        match detached(work).await? {
            Some(token) => Ok(Some(inner.present(&token, target, now_ms)?)),
            None if asked.is_some() => Err(Need::Connect {
                url: inner.connect_url(&server.name),
            }),
            None => Ok(None),
        }
    }

    /// Says what to do about a server's answer 401 or 403.
    pub async fn refused(
        &self,
        server: &str,
        principal: &str,
        refusal: Refusal<'_>,
        now_ms: u64,
    ) -> Verdict {
        let inner = &self.inner;
        let found = inner
            .server(server)
            .and_then(|server| Ok((server, server.owner(principal)?)));
        let (server, owner) = match found {
            Ok(found) => found,
            Err(error) => return Verdict::GiveUp(GiveUp::Failed(Arc::new(error))),
        };
        let has_nonce = inner.nonces.keep(&server.url, refusal.headers);
        if matches!(server.auth, ServerAuth::None | ServerAuth::Secret(_)) {
            return Verdict::GiveUp(GiveUp::NotAccepted);
        }
        if refusal.attempt >= ATTEMPTS_MAX {
            return Verdict::GiveUp(GiveUp::Attempts);
        }
        let challenge = Challenge::read(refusal.headers);
        let work = renew::Refused {
            server: server.name.clone(),
            owner,
            principal: principal.into(),
            operation: refusal.operation.chars().take(256).collect(),
            used: refusal.used,
            attempt: refusal.attempt,
            challenge,
        };
        let inner = Arc::clone(inner);
        let answer = match refusal.status {
            StatusCode::UNAUTHORIZED => {
                // RFC 9449 §9: the token is good, the proof lacks a nonce.
                if work.challenge.is("use_dpop_nonce") && refusal.used.is_some() {
                    return if has_nonce {
                        Verdict::Retry
                    } else {
                        Verdict::GiveUp(GiveUp::Attempts)
                    };
                }
                detached(inner.unauthorized(work, now_ms)).await
            }
            StatusCode::FORBIDDEN if work.challenge.is("insufficient_scope") => {
                detached(inner.insufficient(work, now_ms)).await
            }
            _ => return Verdict::GiveUp(GiveUp::Forbidden),
        };
        answer.unwrap_or_else(|error| Verdict::GiveUp(GiveUp::Failed(error)))
    }

    /// Takes note of what a server's answer says for the next request: the nonce for the next proof (RFC 9449 §8.2).
    pub fn observe(&self, server: &str, headers: &HeaderMap) {
        if let Ok(server) = self.inner.server(server) {
            self.inner.nonces.keep(&server.url, headers);
        }
    }

    /// Drops the tokens of a principal, for one server or all. Once this resolves, none is used, in any process.
    pub async fn disconnect(
        &self,
        principal: &str,
        server: Option<&str>,
        now_ms: u64,
    ) -> Result<usize, RecordError> {
        let event = AuthEvent {
            reason: Some("disconnected"),
            principal: Some(principal.into()),
            resource: server.map(Box::from),
            ..AuthEvent::new(now_ms, AuthEventKind::Upstream, AuthOutcome::Success)
        };
        self.inner.store.auth_events().append(event).await?;
        self.inner
            .store
            .server_tokens()
            .forget(principal.to_owned(), server.map(str::to_owned))
            .await
    }

    /// The servers that a principal is connected to, each with the time of its token in Unix milliseconds.
    pub async fn connections(&self, principal: &str) -> Result<Vec<(String, u64)>, ReadError> {
        self.inner
            .store
            .server_tokens()
            .servers(principal.to_owned())
            .await
    }

    /// Keeps the ID token that a principal's login at an identity provider gave, sealed, for
    /// [`settings::SubjectToken::Identity`]. The caller has verified it.
    pub async fn remember_identity(
        &self,
        principal: &str,
        issuer: &str,
        id_token: &Zeroizing<String>,
        expires_ms: u64,
    ) -> Result<(), TokenStoreError> {
        let purpose = grants::identity_purpose(principal, issuer);
        let sealed = self.inner.vault.seal(&purpose, id_token.as_bytes())?;
        self.inner
            .store
            .server_tokens()
            .put_identity(principal.to_owned(), issuer.to_owned(), sealed, expires_ms)
            .await?;
        Ok(())
    }

    /// Our client ID metadata document, which `/oauth/client-metadata` serves as `application/json`.
    pub fn client_metadata(&self) -> Bytes {
        self.inner.registrar.document()
    }
}

impl Server {
    /// Whose token it is: the principal's, or everybody's.
    fn owner(&self, principal: &str) -> Result<Box<str>, CredentialError> {
        if !self.auth.per_principal() {
            return Ok("".into());
        }
        if principal.is_empty() {
            return Err(CredentialError::Principal);
        }
        Ok(principal.into())
    }
}

impl Inner {
    fn server(&self, name: &str) -> Result<&Server, CredentialError> {
        self.servers.get(name).ok_or(CredentialError::Server)
    }

    fn connect_url(&self, server: &str) -> Url {
        let mut url = at(&self.public_url, connect::PATH_PREFIX);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(server).push("connect");
        }
        url
    }

    fn remembered(&self, owner: &str, server: &str, now_ms: u64) -> Option<Arc<Remembered>> {
        self.challenges
            .get(&(owner.into(), server.into()))
            .filter(|it| now_ms.saturating_sub(it.at_ms) < CHALLENGE_MS)
    }

    /// Keeps what a person has to connect for, for whichever process they come to. Without it they are asked for what is asked
    /// of everybody.
    async fn keep_asked(&self, owner: &str, server: &str, asked: &Remembered) {
        let kept = async {
            let text = serde_json::to_string(asked).map_err(TokenStoreError::Form)?;
            let tokens = self.store.server_tokens();
            tokens
                .put_challenge(owner.to_owned(), server.to_owned(), text, asked.at_ms)
                .await?;
            Ok::<_, TokenStoreError>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(server, %error, "what a server asks for was not kept");
        }
    }

    /// What a person has to connect for, as far as it is known.
    async fn asked(&self, owner: &str, server: &str, now_ms: u64) -> Option<Arc<Remembered>> {
        let tokens = self.store.server_tokens();
        let since_ms = now_ms.saturating_sub(ASKED_MS);
        let kept = tokens
            .challenge(owner.to_owned(), server.to_owned(), since_ms)
            .await;
        match kept {
            Ok(text) => serde_json::from_str(&text?).ok().map(Arc::new),
            Err(error) => {
                tracing::warn!(server, %error, "what a server asked for could not be read");
                None
            }
        }
    }

    async fn secret_header(&self, header: &SecretHeader) -> Result<Authorization, CredentialError> {
        let secret = self.secrets.resolve(&header.secret).await?;
        let value = Zeroizing::new(header.template.replace("{secret}", &secret));
        let mut headers = HeaderMap::new();
        headers.insert(&header.header, sensitive(&value)?);
        Ok(Authorization {
            headers,
            used: None,
        })
    }

    /// The headers that show `token` for one request.
    fn present(
        &self,
        token: &Token,
        target: RequestTarget<'_>,
        now_ms: u64,
    ) -> Result<Authorization, CredentialError> {
        if !discovery::covers(&token.key.resource, target.url) {
            return Err(CredentialError::Target);
        }
        let mut headers = HeaderMap::new();
        let scheme = match (token.scheme, &token.dpop) {
            (Scheme::Dpop, Some(key)) => {
                let nonce = self.nonces.of(target.url);
                let proof = Proof {
                    method: target.method,
                    url: target.url,
                    token: Some(&token.access),
                    nonce: nonce.as_deref(),
                };
                let proof = proof.sign(key, now_ms).map_err(CredentialError::Proof)?;
                headers.insert(DPOP, sensitive(&proof)?);
                "DPoP"
            }
            (Scheme::Bearer, None) => "Bearer",
            _ => return Err(CredentialError::Header),
        };
        let value = Zeroizing::new(format!("{scheme} {}", *token.access));
        headers.insert(header::AUTHORIZATION, sensitive(&value)?);
        Ok(Authorization {
            headers,
            used: Some(Used(token.generation)),
        })
    }
}

fn check(
    name: &str,
    server: &settings::ServerConfig,
    has_assertion_key: bool,
) -> Result<(), BuildError> {
    let url = &server.url;
    if !matches!(url.scheme(), "http" | "https")
        || !url.username().is_empty()
        || url.password().is_some()
        || url.fragment().is_some()
    {
        return Err(BuildError::Address(name.into()));
    }
    let subject = match &server.auth {
        ServerAuth::Secret(header) if header.template.matches("{secret}").count() != 1 => {
            return Err(BuildError::Template(name.into()));
        }
        ServerAuth::WorkloadIdentity(settings)
            if settings.audience.is_some() && settings.authorization_server.is_none() =>
        {
            return Err(BuildError::Audience(name.into()));
        }
        ServerAuth::TokenExchange(settings) => &settings.subject,
        ServerAuth::IdJag(settings) => &settings.subject,
        _ => return Ok(()),
    };
    if matches!(subject, settings::SubjectToken::OwnAssertion) && !has_assertion_key {
        return Err(BuildError::AssertionKey(name.into()));
    }
    Ok(())
}

/// Runs to its end even if the caller goes away: a rotated refresh token must be kept, whoever asked for it.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, CredentialError>> + Send + 'static,
) -> Result<T, Arc<CredentialError>> {
    match tokio::spawn(work).await {
        Ok(answer) => answer.map_err(Arc::new),
        Err(_ended) => Err(Arc::new(CredentialError::Stopped)),
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, CredentialError> {
    let mut value = HeaderValue::from_str(text).map_err(|_text| CredentialError::Header)?;
    value.set_sensitive(true);
    Ok(value)
}

fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

impl From<CredentialError> for Need {
    fn from(error: CredentialError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<Arc<CredentialError>> for Need {
    fn from(error: Arc<CredentialError>) -> Self {
        Self::Failed(error)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}
