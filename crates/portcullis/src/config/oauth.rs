//! The tables `oauth` and `scopes`: who may enter, by which tokens, and what these open.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_oauth::dpop;
use portcullis_oauth::login;
use portcullis_oauth::verifier::config::{Certificate, Issuer, SignatureAlgorithm};
use portcullis_proxy::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Who may enter by an access token, and how clients come by one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OAuth {
    /// The built-in authorization server. It runs when this table is there, or when no other issuer is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// How people log in to the built-in authorization server.
    pub login: login::Config,
    /// Authorization servers elsewhere whose tokens are accepted, by a name of your choice, which begins the names of their
    /// subjects.
    pub issuers: BTreeMap<String, Issuer>,
    /// Clients that are known by their TLS certificate alone, by name.
    pub certificates: BTreeMap<String, Certificate>,
    /// Whether access tokens are bound to a key of the client (DPoP, RFC 9449).
    pub dpop: dpop::Mode,
    /// Whether each proof of such a key has to hold a nonce of the gateway.
    pub dpop_nonce: bool,
    /// The scopes that clients are asked to begin with; those that open the endpoint they come to, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_scopes: Option<Vec<String>>,
}

/// The built-in authorization server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// How long an access token lives; at most 30 minutes.
    pub access_token_ttl: Duration,
    /// How long a refresh token lives unused.
    pub refresh_token_ttl: Duration,
    /// How long a grant lives, however often it is refreshed.
    pub grant_ttl: Duration,
    /// How long an authorization code lives.
    pub code_ttl: Duration,
    /// How long a key signs before the next one does.
    pub key_period: Duration,
    /// How clients that the operator does not know may make themselves known.
    pub registration: Vec<Registration>,
    /// The hosts whose client metadata documents are believed; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_document_hosts: Option<Vec<String>>,
    /// Whether client metadata documents are fetched from this machine too, by plain http: for developing clients.
    pub dangerously_fetch_from_loopback: bool,
    /// Clients that the operator knows, by their identifiers.
    pub clients: BTreeMap<String, OAuthClient>,
    /// Issuers whose identity assertions (ID-JAG) are exchanged for tokens, by a name of your choice.
    pub assertion_issuers: BTreeMap<String, AssertionIssuer>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            access_token_ttl: Duration::from_secs(15 * MINUTE),
            refresh_token_ttl: Duration::from_secs(30 * DAY),
            grant_ttl: Duration::from_secs(90 * DAY),
            code_ttl: Duration::from_secs(MINUTE),
            key_period: Duration::from_secs(30 * DAY),
            registration: vec![Registration::MetadataDocument, Registration::Dynamic],
            metadata_document_hosts: None,
            dangerously_fetch_from_loopback: false,
            clients: BTreeMap::new(),
            assertion_issuers: BTreeMap::new(),
        }
    }
}

/// How clients that the operator does not know may make themselves known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Registration {
    /// By the URL of a document about them (client ID metadata documents).
    MetadataDocument,
    /// By a request (RFC 7591), which is what older clients do.
    Dynamic,
}

/// A client that the operator knows.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OAuthClient {
    /// What it is called on pages; its identifier when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it may be redirected to.
    pub redirect_uris: Vec<String>,
    /// Its secret; write `${NAME}` or `${file:PATH}` rather than the secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file with its public keys, a JWK or a JWK set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Where its public keys are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// What it may exchange for tokens; a code and refresh tokens when it has redirect URIs, else its own credential.
    pub grants: Vec<Grant>,
    /// The scopes it may have; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The groups of the tokens that it gets by its own right.
    pub groups: Vec<String>,
    /// Whether it may ask about tokens of other clients (RFC 7662).
    pub introspects: bool,
}

impl std::fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuthClient")
            .field("name", &self.name)
            .field("redirect_uris", &self.redirect_uris)
            .finish_non_exhaustive()
    }
}

/// What a client may exchange for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Grant {
    /// An authorization code.
    AuthorizationCode,
    /// A refresh token.
    RefreshToken,
    /// Its own credential.
    ClientCredentials,
    /// An identity assertion (ID-JAG).
    JwtBearer,
}

/// An issuer whose identity assertions are exchanged for tokens.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssertionIssuer {
    /// Its identifier, exactly as in `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// What its assertions may be signed with.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Identifiers of clients there, and what they are here; the same when not named.
    #[serde(default)]
    pub clients: BTreeMap<String, String>,
    /// The claim that lists the subject's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
}

fn algorithms() -> Vec<SignatureAlgorithm> {
    vec![SignatureAlgorithm::ES256, SignatureAlgorithm::RS256]
}

/// What one scope opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scope {
    /// What it lets a client do, as the end of "It will be able to …": people read it before they consent.
    pub description: String,
    /// Servers of which it opens everything.
    pub servers: Vec<String>,
    /// Tools, each `SERVER/NAME`, with `*` for any characters.
    pub tools: Vec<String>,
    /// Prompts, likewise.
    pub prompts: Vec<String>,
    /// Resources, each `SERVER/URI`, likewise.
    pub resources: Vec<String>,
    /// Scopes without which it opens nothing.
    pub needs: Vec<String>,
}
