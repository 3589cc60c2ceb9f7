//! Tokens that need no person: for the gateway itself, in exchange for an assertion, or for a workload's own token.
//!
//! Each way asks once. When it is refused, no other way is tried.

use std::path::Path;

use portcullis_store::calls::ReadError;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::client::discovery::Discovered;
use crate::client::error::CredentialError;
use crate::client::registration::RegistrationError;
use crate::client::settings::{
    ExchangeSettings, IdJagSettings, ServerAuth, SubjectToken, TYPE_ACCESS_TOKEN, TYPE_ID_JAG,
    TYPE_ID_TOKEN, TYPE_JWT, WorkloadSettings,
};
use crate::client::token_endpoint::{Client, Given, Proven, Scheme, TokenError, TokenRequest};
use crate::client::{Inner, Remembered, Server};
use crate::jwt::{KeyError, KeyKind, SignError, SigningKey};
use crate::scope::Scopes;
use crate::secret::{self, NoRandomness};
use crate::secrets::SecretError;
use crate::vault::Unsealable;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The largest token in a file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// How long an assertion about a principal is good, in seconds.
const ASSERTION_SECONDS: u64 = 120;

/// Why there is nothing to ask for a token with.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The file cannot be read.
    #[error("the file with the token cannot be read; check that the platform provides it")]
    File(#[source] std::io::Error),
    /// The file's content is no token.
    #[error("the file with the token does not hold one JWT")]
    NoToken,
    /// It is for somebody else.
    #[error(
        "the workload's token is not for the authorization server; ask the platform for one with its issuer as audience"
    )]
    Audience,
    /// It has expired.
    #[error("the workload's token has expired; check that the platform renews it")]
    Expired,
    /// Nobody logged in at the identity provider, or too long ago.
    #[error("the user has to log in at the identity provider again")]
    NoIdentity,
    /// What was kept cannot be opened.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    /// What was kept cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sealed secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no key to sign with.
    #[error("no key signs assertions about principals")]
    NoKey,
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl GrantError {
    /// A stable word for records.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::File(_) | Self::NoToken => "no_workload_token",
            Self::Audience => "workload_token_audience",
            Self::Expired => "workload_token_expired",
            Self::NoIdentity => "no_identity",
            Self::Sealed(_) | Self::Read(_) => "store_failed",
            Self::Secret(_) => "secret_unavailable",
            Self::NoKey | Self::Sign(_) | Self::Key(_) | Self::NoRandomness(_) => "no_assertion",
        }
    }
}

/// What an identity provider's token is sealed for.
pub(crate) fn identity_purpose(principal: &str, issuer: &str) -> String {
    format!("identity-token:{}", serde_json::json!([principal, issuer]))
}

/// A token that says who somebody is, and its type.
struct Subject {
    token: Zeroizing<String>,
    token_type: Box<str>,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

/// The key that a new token is to be bound to: where it is configured, or asked for by the server and possible.
pub(crate) fn binding(
    server: &Server,
    found: &Discovered,
    asked: &Remembered,
) -> Result<Option<SigningKey>, CredentialError> {
    let algorithms = &found.authorization_server.dpop_signing_alg_values_supported;
    let possible = algorithms.iter().any(|it| it == "ES256");
    let wanted = server.dpop || (asked.challenge.dpop && possible);
    if !wanted {
        return Ok(None);
    }
    let key = SigningKey::generate(KeyKind::Es256).map_err(GrantError::from)?;
    Ok(Some(key))
}

impl Inner {
    /// A token by the configured grant, and the client that it was given to.
    pub(crate) async fn granted(
        &self,
        server: &Server,
        found: &Discovered,
        principal: &str,
        scopes: &Scopes,
        dpop: Option<&SigningKey>,
        now_ms: u64,
    ) -> Result<(Given, Box<str>), CredentialError> {
        let authorization_server = &found.authorization_server;
        let client = match &server.auth {
            ServerAuth::ClientCredentials(settings) => Some(&settings.client),
            ServerAuth::TokenExchange(settings) => Some(&settings.grant.client),
            ServerAuth::IdJag(settings) => Some(&settings.grant.client),
            ServerAuth::None
            | ServerAuth::Secret(_)
            | ServerAuth::OAuth(_)
            | ServerAuth::WorkloadIdentity(_) => None,
        };
        let client = match (client, &server.auth) {
            (Some(client), _) => Some(
                self.registrar
                    .preregistered(client, Some(authorization_server))
                    .await?,
            ),
            (None, ServerAuth::WorkloadIdentity(settings)) => {
                settings.client_id.as_ref().map(|id| Client {
                    id: id.clone(),
                    proof: Proven::None,
                })
            }
            (None, _) => None,
        };
        let request = TokenRequest {
            egress: &self.egress,
            trust: &server.trust,
            nonces: &self.nonces,
            endpoint: &authorization_server.token_endpoint,
            audience: &authorization_server.issuer,
            client: client.as_ref(),
            dpop,
        };
        let scope = scopes.to_string();
        let mut parameters = vec![("resource", found.resource.as_str())];
        if !scopes.is_empty() {
            parameters.push(("scope", &scope));
        }
        let subject;
        match &server.auth {
            ServerAuth::ClientCredentials(_) => {
                parameters.push(("grant_type", "client_credentials"));
            }
            ServerAuth::TokenExchange(ExchangeSettings { subject: from, .. }) => {
                let audience = &authorization_server.issuer;
                subject = self.subject(from, principal, audience, now_ms).await?;
                parameters.extend([
                    ("grant_type", TOKEN_EXCHANGE),
                    ("subject_token", subject.token.as_str()),
                    ("subject_token_type", &subject.token_type),
                    ("requested_token_type", TYPE_ACCESS_TOKEN),
                ]);
            }
            ServerAuth::IdJag(settings) => {
                let jag = self
                    .id_jag(server, settings, found, principal, &scope, now_ms)
                    .await?;
                subject = Subject {
                    token: jag,
                    token_type: TYPE_ID_JAG.into(),
                };
                parameters.extend([
                    ("grant_type", JWT_BEARER),
                    ("assertion", subject.token.as_str()),
                ]);
            }
            ServerAuth::WorkloadIdentity(settings) => {
                let issuer = &authorization_server.issuer;
                subject = Subject {
                    token: workload_token(settings, issuer, now_ms).await?,
                    token_type: TYPE_JWT.into(),
                };
                parameters.extend([
                    ("grant_type", JWT_BEARER),
                    ("assertion", subject.token.as_str()),
                ]);
            }
            // These have no grant of their own.
            ServerAuth::None | ServerAuth::Secret(_) | ServerAuth::OAuth(_) => {
                return Err(RegistrationError::Unsupported.into());
            }
        }
        let given = request.send(&parameters, now_ms).await?;
        if given.scheme == Scheme::None {
            return Err(TokenError::Malformed.into());
        }
        let id = client.map_or_else(|| "".into(), |client| client.id);
        Ok((given, id))
    }

    /// Asks the identity provider for a grant at the server's authorization server (RFC 8693 with
    /// `requested_token_type` ID-JAG).
    async fn id_jag(
        &self,
        server: &Server,
        settings: &IdJagSettings,
        found: &Discovered,
        principal: &str,
        scope: &str,
        now_ms: u64,
    ) -> Result<Zeroizing<String>, CredentialError> {
        let endpoint = &settings.provider_token_endpoint;
        let provider = settings
            .provider_issuer
            .as_deref()
            .unwrap_or(endpoint.as_str());
        let client = self
            .registrar
            .preregistered(&settings.provider_client, None)
            .await?;
        let subject = self
            .subject(&settings.subject, principal, provider, now_ms)
            .await?;
        let request = TokenRequest {
            egress: &self.egress,
            trust: &server.trust,
            nonces: &self.nonces,
            endpoint,
            audience: provider,
            client: Some(&client),
            dpop: None,
        };
        let mut parameters = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", TYPE_ID_JAG),
            ("audience", found.authorization_server.issuer.as_str()),
            ("resource", found.resource.as_str()),
            ("subject_token", subject.token.as_str()),
            ("subject_token_type", &subject.token_type),
        ];
        if !scope.is_empty() {
            parameters.push(("scope", scope));
        }
        let given = request.send(&parameters, now_ms).await?;
        if given.issued_token_type.as_deref() != Some(TYPE_ID_JAG) {
            return Err(TokenError::Malformed.into());
        }
        Ok(given.access_token)
    }

    async fn subject(
        &self,
        from: &SubjectToken,
        principal: &str,
        audience: &str,
        now_ms: u64,
    ) -> Result<Subject, GrantError> {
        match from {
            SubjectToken::OwnAssertion => Ok(Subject {
                token: self.assertion(principal, audience, now_ms)?,
                token_type: TYPE_JWT.into(),
            }),
            SubjectToken::Identity { issuer } => {
                let sealed = self
                    .store
                    .server_tokens()
                    .identity(principal.to_owned(), issuer.to_string(), now_ms)
                    .await?
                    .ok_or(GrantError::NoIdentity)?;
                let plain = self
                    .vault
                    .unseal(&identity_purpose(principal, issuer), &sealed)?;
                let text = std::str::from_utf8(&plain).map_err(|_text| Unsealable)?;
                Ok(Subject {
                    token: Zeroizing::new(text.to_owned()),
                    token_type: TYPE_ID_TOKEN.into(),
                })
            }
            SubjectToken::Secret { name, token_type } => Ok(Subject {
                token: (*self.secrets.resolve(name).await?).clone(),
                token_type: token_type.clone(),
            }),
            SubjectToken::File { path, token_type } => Ok(Subject {
                token: token_file(path).await?,
                token_type: token_type.clone(),
            }),
        }
    }

    /// What the gateway says about a principal, for one reader.
    fn assertion(
        &self,
        principal: &str,
        audience: &str,
        now_ms: u64,
    ) -> Result<Zeroizing<String>, GrantError> {
        let key = self.assertion_key.as_ref().ok_or(GrantError::NoKey)?;
        let iat = now_ms / 1000;
        let claims = Assertion {
            iss: &self.public_url.origin().ascii_serialization(),
            sub: principal,
            aud: audience,
            jti: secret::base64url(&secret::random::<16>()?),
            iat,
            exp: iat.saturating_add(ASSERTION_SECONDS),
        };
        Ok(Zeroizing::new(key.sign("JWT", &claims)?))
    }
}

#[derive(Deserialize)]
struct WorkloadClaims {
    aud: Audience,
    exp: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The workload's token, if it is for `issuer`, or for the audience that an operator wrote, and has not expired. Its signature
/// is for its reader to verify; its audience is looked at so that no server can have it sent to another reader than it is for.
async fn workload_token(
    settings: &WorkloadSettings,
    issuer: &str,
    now_ms: u64,
) -> Result<Zeroizing<String>, GrantError> {
    let token = token_file(&settings.token_file).await?;
    let claims: WorkloadClaims = jsonwebtoken::dangerous::insecure_decode(token.as_bytes())
        .map_err(|_malformed| GrantError::NoToken)?
        .claims;
    let expected = settings.audience.as_deref().unwrap_or(issuer);
    let is_for = match &claims.aud {
        Audience::One(aud) => aud == expected,
        Audience::Many(them) => them.iter().any(|aud| aud == expected),
    };
    if !is_for {
        return Err(GrantError::Audience);
    }
    if claims.exp.saturating_mul(1000) <= now_ms {
        return Err(GrantError::Expired);
    }
    Ok(token)
}

async fn token_file(path: &Path) -> Result<Zeroizing<String>, GrantError> {
    use tokio::io::AsyncReadExt as _;
    let file = tokio::fs::File::open(path)
        .await
        .map_err(GrantError::File)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .await
        .map_err(GrantError::File)?;
    let token = text.trim();
    if token.is_empty()
        || token.len() as u64 > FILE_BYTES_MAX
        || token.contains(char::is_whitespace)
    {
        return Err(GrantError::NoToken);
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// What an address of a token endpoint shows on a page.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
