//! Settings of the authorization server, as plain values; how they are written in a file is the binary's matter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::dpop;
use crate::jwt;
use crate::jwt::jwk::Jwk;
use crate::scope::{self, Scopes};
use crate::server::client::{AuthMethod, GrantType};
use crate::server::redirect_uri;

/// The longest life of an access token: what is revoked otherwise than here, at an issuer's or in a policy, is in force after it.
pub const ACCESS_TOKEN_TTL_MAX: Duration = Duration::from_mins(30);

/// Settings of the authorization server.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the configuration"
)]
pub struct Config {
    /// How long an access token lives; at most [`ACCESS_TOKEN_TTL_MAX`].
    pub access_token_ttl: Duration,
    /// How long a refresh token lives unused.
    pub refresh_token_idle_ttl: Duration,
    /// How long a grant lives, however often it is refreshed.
    pub grant_ttl: Duration,
    /// How long an authorization code lives (RFC 6749 §4.1.2).
    pub code_ttl: Duration,
    /// How long a key signs before the next one does.
    pub key_period: Duration,
    /// Whether clients may identify themselves by the URL of a metadata document.
    pub metadata_documents: bool,
    /// The hosts whose metadata documents are believed; `None`: any.
    pub metadata_document_hosts: Option<Vec<String>>,
    /// Whether clients may register themselves (RFC 7591).
    pub dynamic_registration: bool,
    /// Fetches metadata documents also from this machine, by plain http: for tests and for developing clients.
    pub dangerously_fetch_from_loopback: bool,
    /// The scopes of a client that asks for none.
    pub default_scopes: Scopes,
    /// Clients that the operator registered, by their identifiers.
    pub clients: BTreeMap<String, StaticClient>,
    /// Issuers whose identity assertions are exchanged for tokens (ID-JAG), by names of ours, which begin the subjects.
    pub id_jag_issuers: BTreeMap<String, IdJagIssuer>,
    /// Whether access tokens are bound to keys of their clients (RFC 9449).
    pub dpop: dpop::Mode,
    /// Whether proofs have to hold a nonce of ours (RFC 9449 §8).
    pub dpop_nonce: bool,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            access_token_ttl: Duration::from_mins(15),
            refresh_token_idle_ttl: DAY.saturating_mul(30),
            grant_ttl: DAY.saturating_mul(90),
            code_ttl: Duration::from_mins(1),
            key_period: DAY.saturating_mul(30),
            metadata_documents: true,
            metadata_document_hosts: None,
            dynamic_registration: true,
            dangerously_fetch_from_loopback: false,
            default_scopes: Scopes::new(),
            clients: BTreeMap::new(),
            id_jag_issuers: BTreeMap::new(),
            dpop: dpop::Mode::Accepted,
            dpop_nonce: false,
        }
    }
}

/// A client that the operator registered.
#[derive(Clone, Debug, Default)]
pub struct StaticClient {
    /// What it is called on pages; its identifier when absent.
    pub name: Option<String>,
    /// Where it may be redirected to.
    pub redirect_uris: Vec<String>,
    /// How it proves who it is.
    pub credential: Credential,
    /// What it may exchange for tokens.
    pub grant_types: Vec<GrantType>,
    /// The scopes it may have; `None`: all of the catalogue.
    pub scopes: Option<Scopes>,
    /// The groups of the tokens that it gets by its own right.
    pub groups: Vec<String>,
    /// Whether it may ask about tokens of other clients (RFC 7662).
    pub introspects: bool,
}

/// How a client of the operator proves who it is.
#[derive(Clone, Default)]
pub enum Credential {
    /// It cannot: a public client.
    #[default]
    None,
    /// By a secret, given here in the clear.
    Secret(String),
    /// By a secret, of which the SHA-256 digest is given.
    SecretDigest([u8; 32]),
    /// By assertions that one of these keys signs (RFC 7523).
    Keys(Vec<Jwk>),
    /// By assertions that a key published at this address signs.
    KeysAt(Url),
    /// By assertions that a key in this file signs; the file holds a JWK or a JWK set.
    KeyFile(PathBuf),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Secret(_) => "Secret",
            Self::SecretDigest(_) => "SecretDigest",
            Self::Keys(_) => "Keys",
            Self::KeysAt(_) => "KeysAt",
            Self::KeyFile(_) => "KeyFile",
        })
    }
}

impl Credential {
    /// How the token endpoint knows it. A secret may come either way.
    pub(crate) fn methods(&self) -> Vec<AuthMethod> {
        match self {
            Self::None => vec![AuthMethod::None],
            Self::Secret(_) | Self::SecretDigest(_) => {
                vec![AuthMethod::SecretBasic, AuthMethod::SecretPost]
            }
            Self::Keys(_) | Self::KeysAt(_) | Self::KeyFile(_) => vec![AuthMethod::PrivateKeyJwt],
        }
    }
}

/// An issuer whose identity assertions are exchanged for tokens.
#[derive(Clone, Debug)]
pub struct IdJagIssuer {
    /// Its identifier, exactly as in `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// The algorithms of its keys that are believed.
    pub algorithms: Vec<jwt::Algorithm>,
    /// Identifiers of clients at the issuer, and ours. A client that is not named has the same at both.
    pub clients: BTreeMap<String, String>,
    /// The claim that holds the groups of a subject.
    pub groups_claim: Option<String>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A duration is out of its bounds.
    #[error("`{name}` has to be {bounds}; change it")]
    Duration {
        /// The setting.
        name: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
    /// The gateway's own address cannot be an issuer.
    #[error(
        "the public URL `{0}` cannot be an issuer; use https (or http on a loopback address) with a host and no path"
    )]
    PublicUrl(Url),
    /// A scope of the catalogue, or one that is used, is not right.
    #[error("the scope `{0}` is not in the catalogue or not a scope; correct it")]
    Scope(String),
    /// A client's identifier cannot be told from others.
    #[error(
        "the client `{0}` needs another identifier: letters, digits, `.`, `_` and `-`, and not beginning with `dcr-`"
    )]
    ClientId(String),
    /// A client's redirect URI cannot be used.
    #[error("the redirect URI `{uri}` of the client `{client}` cannot be used")]
    RedirectUri {
        /// The client.
        client: String,
        /// The redirect URI.
        uri: String,
        /// What is wrong with it.
        #[source]
        source: redirect_uri::InvalidRedirectUri,
    },
    /// A client's settings contradict each other.
    #[error("the client `{client}` {problem}")]
    Client {
        /// The client.
        client: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// A key file cannot be read.
    #[error(
        "the key file `{path}` of the client `{client}` cannot be used; it has to hold a JWK or a JWK set"
    )]
    KeyFile {
        /// The client.
        client: String,
        /// The file.
        path: PathBuf,
        /// What the system, or the parser, said.
        #[source]
        source: std::io::Error,
    },
    /// An issuer's name cannot begin subjects.
    #[error(
        "the ID-JAG issuer `{0}` needs another name: lower-case letters, digits and `-`, and not `client`"
    )]
    IdJagName(String),
    /// There is nothing to protect.
    #[error("there is no protected resource; configure a server")]
    NoResource,
    /// The system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] crate::secret::NoRandomness),
    /// The signing keys could not be read or made.
    #[error("the signing keys could not be made ready")]
    Keys(#[from] crate::server::keys::KeysError),
}

impl Config {
    /// Refuses what cannot be meant.
    pub(crate) fn check(&self, catalogue: &Scopes) -> Result<(), BuildError> {
        let minute = Duration::from_mins(1);
        let bounds = [
            (
                "access_token_ttl",
                self.access_token_ttl,
                minute,
                ACCESS_TOKEN_TTL_MAX,
                "between 1 and 30 minutes",
            ),
            (
                "code_ttl",
                self.code_ttl,
                Duration::from_secs(10),
                minute.saturating_mul(10),
                "between 10 seconds and 10 minutes",
            ),
            (
                "refresh_token_idle_ttl",
                self.refresh_token_idle_ttl,
                minute,
                Duration::MAX,
                "at least a minute",
            ),
            (
                "grant_ttl",
                self.grant_ttl,
                self.refresh_token_idle_ttl,
                Duration::MAX,
                "at least as long as `refresh_token_idle_ttl`",
            ),
            (
                "key_period",
                self.key_period,
                Duration::from_hours(2),
                Duration::MAX,
                "at least 2 hours",
            ),
        ];
        for (name, value, min, max, bounds) in bounds {
            if value < min || value > max {
                return Err(BuildError::Duration { name, bounds });
            }
        }
        let mut used = self.default_scopes.clone();
        for client in self.clients.values() {
            used = used.union(client.scopes.as_ref().unwrap_or(&Scopes::new()));
        }
        for scope in used.iter() {
            if !catalogue.contains(scope) || scope::check_scope(scope).is_err() {
                return Err(BuildError::Scope(scope.to_owned()));
            }
        }
        for name in self.id_jag_issuers.keys() {
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if name.is_empty() || name == "client" || !name.bytes().all(plain) {
                return Err(BuildError::IdJagName(name.clone()));
            }
        }
        Ok(())
    }
}
