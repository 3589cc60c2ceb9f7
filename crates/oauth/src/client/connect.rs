//! Connects a user to a server in a browser: our own consent page, the authorization request, and its answer
//! (RFC 6749 §4.1 with RFC 7636, RFC 8707 and RFC 9207).
//!
//! Nothing is begun before the user has said yes on our page. `state` is found once, within ten minutes, by the browser and the
//! account that said yes.

mod pages;

use std::sync::Arc;

use portcullis_store::{AuthEvent, AuthEventKind, AuthOutcome, RecordError, ServerConnectRow};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::challenge::Challenge;
use crate::client::discovery::{AuthorizationServer, Discovered};
use crate::client::error::CredentialError;
use crate::client::grants;
use crate::client::registration::RegistrationError;
use crate::client::scopes::{OFFLINE_ACCESS, choose_scopes};
use crate::client::settings::{Connection, OAuthSettings, ServerAuth};
use crate::client::token_endpoint::{Scheme, TokenError, TokenRequest, known_code};
use crate::client::tokens::NewToken;
use crate::client::{Inner, Remembered, Server};
use crate::jwt::{KeyKind, SigningKey};
use crate::login::Session;
use crate::scope::Scopes;
use crate::secret::{self, NoRandomness};
use crate::vault::Unsealable;

pub(crate) const PATH_PREFIX: &str = "/oauth/upstream/";
pub(crate) const CALLBACK_PATH: &str = "/oauth/upstream/callback";
pub(crate) const METADATA_PATH: &str = "/oauth/client-metadata";

/// How long a person has between our page and the callback.
const CONNECT_MS: u64 = 10 * 60 * 1000;

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server has no connections by users.
    #[error("the server is not one that users connect to")]
    NotInteractive,
    /// Only some may make the connection that all use.
    #[error("the account may not make the connection that all use")]
    NotAllowed,
    /// A parameter is twice there, or absent.
    #[error("the authorization response is malformed")]
    Malformed,
    /// No such `state`: used, expired or never given.
    #[error("the connection is not under way any more; begin again")]
    State,
    /// Another account or browser began it.
    #[error("the connection was begun by another account or browser")]
    Browser,
    /// RFC 9207 §2.4.
    #[error("the authorization response is not by the authorization server that was asked")]
    Issuer,
    /// The authorization server, or the user there, said no.
    #[error("the authorization server refused: {0}")]
    Refused(&'static str),
    /// No PKCE with S256.
    #[error("the authorization server does not announce PKCE with S256")]
    NoPkce,
    /// It has nowhere to send the user.
    #[error("the authorization server has no authorization endpoint")]
    NoEndpoint,
    /// What was kept cannot be opened.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What it takes could not be had.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl ConnectError {
    /// A stable code for pages and records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotInteractive => "not_interactive",
            Self::NotAllowed => "not_allowed",
            Self::Malformed => "malformed_response",
            Self::State => "unknown_state",
            Self::Browser => "other_browser",
            Self::Issuer => "issuer_mismatch",
            Self::Refused(code) => code,
            Self::NoPkce => "no_pkce",
            Self::NoEndpoint => "no_authorization_endpoint",
            Self::Sealed(_) | Self::Record(_) => "store_failed",
            Self::NoRandomness(_) => "no_randomness",
            Self::Credential(error) => error.code(),
        }
    }
}

/// The parameters of an authorization response.
#[derive(Clone, Default)]
pub struct CallbackParameters {
    state: Option<String>,
    code: Option<Zeroizing<String>>,
    iss: Option<String>,
    error: Option<String>,
}

impl std::fmt::Debug for CallbackParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackParameters").finish_non_exhaustive()
    }
}

impl CallbackParameters {
    /// Reads the query of a callback. A parameter that is there twice spoils it (RFC 6749 §3.1).
    pub fn parse(query: &str) -> Result<Self, ConnectError> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let twice = match &*name {
                "state" => parameters.state.replace(value.into_owned()).is_some(),
                "iss" => parameters.iss.replace(value.into_owned()).is_some(),
                "error" => parameters.error.replace(value.into_owned()).is_some(),
                "code" => {
                    let code = Zeroizing::new(value.into_owned());
                    parameters.code.replace(code).is_some()
                }
                _ => false,
            };
            if twice {
                return Err(ConnectError::Malformed);
            }
        }
        Ok(parameters)
    }
}

/// What is sealed between the approval and the callback.
#[derive(Serialize, Deserialize)]
struct Pending {
    owner: Box<str>,
    browser: String,
    verifier: Zeroizing<String>,
    client_id: Box<str>,
    resource: String,
    authorization_server: AuthorizationServer,
    scopes: String,
    dpop: Option<Zeroizing<String>>,
    metadata_url: Option<Box<str>>,
}

/// What a connection would be, for our page.
struct Plan {
    found: Arc<Discovered>,
    asked: Arc<Remembered>,
    scopes: Scopes,
    endpoint: Url,
}

impl Inner {
    /// Finds out what a connection of `owner` to `server` would be. Begins nothing.
    async fn plan(&self, server: &Server, owner: &str, now_ms: u64) -> Result<Plan, ConnectError> {
        let asked = self.remembered(owner, &server.name, now_ms);
        let asked = match asked {
            Some(asked) => Some(asked),
            None => self.asked(owner, &server.name, now_ms).await,
        };
        let asked = match asked {
            Some(asked) => asked,
            None => Arc::new(Remembered {
                at_ms: now_ms,
                challenge: Challenge::default(),
                wanted: None,
            }),
        };
        let announced = asked.challenge.resource_metadata.as_deref();
        let found = self.discover(server, announced, now_ms).await?;
        let authorization_server = &found.authorization_server;
        if !authorization_server
            .code_challenge_methods_supported
            .iter()
            .any(|method| method == "S256")
        {
            return Err(ConnectError::NoPkce);
        }
        let endpoint = authorization_server
            .authorization_endpoint
            .clone()
            .ok_or(ConnectError::NoEndpoint)?;
        Ok(Plan {
            scopes: choose_scopes(server, &found, &asked),
            found,
            asked,
            endpoint,
        })
    }

    /// Begins a connection that `account` approved in `browser`: the address to send the browser to.
    pub(crate) async fn begin(
        &self,
        server: &str,
        account: &str,
        browser: [u8; 32],
        now_ms: u64,
    ) -> Result<Url, ConnectError> {
        let server = self.server(server)?;
        let settings = interactive(server)?;
        let owner = server.owner(account)?;
        let plan = self.plan(server, &owner, now_ms).await?;
        let authorization_server = &plan.found.authorization_server;
        let client = self
            .registrar
            .client(
                &server.trust,
                authorization_server,
                &settings.client,
                true,
                now_ms,
            )
            .await
            .map_err(CredentialError::from)?
            .ok_or(CredentialError::Registration(
                RegistrationError::Unsupported,
            ))?;
        let key = grants::binding(server, &plan.found, &plan.asked)?;
        let state = secret::generate("")?;
        let verifier = secret::generate("")?;
        let challenge = secret::base64url(&secret::sha256(verifier.as_bytes()));
        let pending = Pending {
            owner,
            browser: secret::base64url(&browser),
            verifier,
            client_id: client.id.clone(),
            resource: plan.found.resource.clone(),
            authorization_server: authorization_server.clone(),
            scopes: plan.scopes.to_string(),
            dpop: key
                .as_ref()
                .map(|key| Zeroizing::new(STANDARD.encode(key.der()))),
            metadata_url: plan.asked.challenge.resource_metadata.clone(),
        };
        let event = AuthEvent {
            reason: Some("connect_approved"),
            principal: Some(account.into()),
            client: Some(client.id.clone()),
            issuer: Some(authorization_server.issuer.as_str().into()),
            resource: Some(plan.found.resource.as_str().into()),
            scopes: Some(pending.scopes.as_str().into()),
            ..AuthEvent::new(now_ms, AuthEventKind::Upstream, AuthOutcome::Success)
        };
        self.store.auth_events().append(event).await?;
        let digest = secret::sha256(state.as_bytes());
        let opened = Zeroizing::new(serde_json::to_vec(&pending).map_err(|_form| Unsealable)?);
        let row = ServerConnectRow {
            state: digest,
            account: account.to_owned(),
            server: server.name.to_string(),
            sealed: self.vault.seal(&purpose(&digest), &opened)?,
            expires_ms: now_ms.saturating_add(CONNECT_MS),
        };
        self.store.server_tokens().connect(row, now_ms).await?;
        let mut url = plan.endpoint;
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &client.id)
                .append_pair("redirect_uri", &self.registrar.redirect_uri)
                .append_pair("state", &state)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256")
                .append_pair("resource", &pending.resource);
            if !plan.scopes.is_empty() {
                query.append_pair("scope", &pending.scopes);
            }
            if plan.scopes.contains(OFFLINE_ACCESS) {
                // OpenID Connect Core 1.0 §11: otherwise the scope is ignored.
                query.append_pair("prompt", "consent");
            }
            if let Some(key) = &key {
                // RFC 9449 §10: the code is of use to this key alone.
                query.append_pair("dpop_jkt", key.thumbprint());
            }
        }
        Ok(url)
    }

    /// Completes a connection: takes its state, redeems the code, keeps the tokens. Tells the server's name.
    pub(crate) async fn finish(
        self: Arc<Self>,
        parameters: CallbackParameters,
        account: Box<str>,
        browser: [u8; 32],
        now_ms: u64,
    ) -> Result<Box<str>, ConnectError> {
        // To its end, also if the browser goes away: a code is redeemed once.
        let this = Arc::clone(&self);
        let noted = account.clone();
        let work =
            tokio::spawn(async move { self.redeem(parameters, &account, browser, now_ms).await });
        let answer = work
            .await
            .unwrap_or(Err(ConnectError::Credential(CredentialError::Stopped)));
        if let Err(error) = &answer {
            let event = AuthEvent {
                reason: Some(error.code()),
                principal: Some(noted),
                ..AuthEvent::new(now_ms, AuthEventKind::Upstream, AuthOutcome::Failure)
            };
            this.store.auth_events().note(event);
        }
        answer
    }

    async fn redeem(
        &self,
        parameters: CallbackParameters,
        account: &str,
        browser: [u8; 32],
        now_ms: u64,
    ) -> Result<Box<str>, ConnectError> {
        let state = parameters.state.ok_or(ConnectError::Malformed)?;
        let digest = secret::sha256(state.as_bytes());
        let row = self
            .store
            .server_tokens()
            .take_connect(digest, now_ms)
            .await?
            .ok_or(ConnectError::State)?;
        let plain = self.vault.unseal(&purpose(&digest), &row.sealed)?;
        let pending: Pending = serde_json::from_slice(&plain).map_err(|_shape| Unsealable)?;
        let same_browser = secret::equal(
            pending.browser.as_bytes(),
            secret::base64url(&browser).as_bytes(),
        );
        if row.account != account || !same_browser {
            return Err(ConnectError::Browser);
        }
        let authorization_server = &pending.authorization_server;
        check_issuer(authorization_server, parameters.iss.as_deref())?;
        if let Some(error) = &parameters.error {
            return Err(ConnectError::Refused(known_code(error)));
        }
        let code = parameters
            .code
            .filter(|code| !code.is_empty())
            .ok_or(ConnectError::Malformed)?;
        let server = self.server(&row.server)?;
        let settings = interactive(server)?;
        let client = self
            .registrar
            .client(
                &server.trust,
                authorization_server,
                &settings.client,
                false,
                now_ms,
            )
            .await
            .map_err(CredentialError::from)?
            .filter(|client| client.id == pending.client_id)
            .ok_or(ConnectError::State)?;
        let key = match &pending.dpop {
            None => None,
            Some(text) => {
                let der = STANDARD
                    .decode(text.as_bytes())
                    .map_err(|_text| Unsealable)?;
                let der = Zeroizing::new(der);
                let key = SigningKey::from_pkcs8(KeyKind::Es256, &der);
                Some(key.map_err(|_key| Unsealable)?)
            }
        };
        let request = TokenRequest {
            egress: &self.egress,
            trust: &server.trust,
            nonces: &self.nonces,
            endpoint: &authorization_server.token_endpoint,
            audience: &authorization_server.issuer,
            client: Some(&client),
            dpop: key.as_ref(),
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &self.registrar.redirect_uri),
            ("code_verifier", pending.verifier.as_str()),
            ("resource", pending.resource.as_str()),
        ];
        let given = request
            .send(&form, now_ms)
            .await
            .map_err(CredentialError::from)?;
        if given.scheme == Scheme::None {
            return Err(CredentialError::from(TokenError::Malformed).into());
        }
        let new = NewToken {
            given,
            requested: pending.scopes.parse().map_err(|_scopes| Unsealable)?,
            client_id: &client.id,
            dpop: key.as_ref(),
            metadata_url: pending.metadata_url.as_deref(),
        };
        let token_key = portcullis_store::ServerTokenKey {
            principal: pending.owner.to_string(),
            server: server.name.to_string(),
            issuer: authorization_server.issuer.clone(),
            resource: pending.resource.clone(),
        };
        let guard = self.tokens.lock(&pending.owner, &server.name).await;
        let token = self
            .tokens
            .put(&guard, token_key, new, now_ms)
            .await
            .map_err(CredentialError::from)?;
        self.record(&token, "connected", now_ms).await?;
        // A gateway may wait for it in another process.
        self.store.server_tokens().announce()?;
        self.challenges
            .invalidate(&(pending.owner, server.name.clone()));
        Ok(server.name.clone())
    }
}

/// The table of RFC 9207 §2.4: what is there is compared, character for character; what was announced must be there.
fn check_issuer(server: &AuthorizationServer, iss: Option<&str>) -> Result<(), ConnectError> {
    let announced = server.authorization_response_iss_parameter_supported;
    match iss {
        Some(iss) if iss == server.issuer => Ok(()),
        None if !announced => Ok(()),
        Some(_) | None => Err(ConnectError::Issuer),
    }
}

fn interactive(server: &Server) -> Result<&OAuthSettings, ConnectError> {
    match &server.auth {
        ServerAuth::OAuth(settings) => Ok(settings),
        _ => Err(ConnectError::NotInteractive),
    }
}

/// Whether this account may connect to a server.
fn may_connect(settings: &OAuthSettings, session: &Session) -> Result<(), ConnectError> {
    let allowed = match &settings.connection {
        Connection::EachUser => true,
        Connection::Shared { accounts, groups } => {
            accounts.contains(&session.account)
                || session.groups.iter().any(|group| groups.contains(group))
        }
    };
    allowed.then_some(()).ok_or(ConnectError::NotAllowed)
}

fn purpose(state: &[u8; 32]) -> String {
    format!("server-connect:{}", secret::base64url(state))
}

#[cfg(test)]
mod tests;
