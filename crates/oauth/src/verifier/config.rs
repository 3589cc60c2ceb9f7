//! What may be configured about the credentials that are accepted.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dpop::Mode;
use crate::jwt::Algorithm;

/// Which credentials open the gateway, beside the tokens of its own authorization server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Authorization servers elsewhere whose tokens are accepted, by a name for people.
    pub issuers: BTreeMap<String, Issuer>,
    /// Clients that are known by their certificate alone (RFC 8705), by name. They send no token.
    pub certificates: BTreeMap<String, Certificate>,
    /// Whether access tokens are bound to a key of the client (RFC 9449).
    pub dpop: Mode,
    /// Whether each proof has to hold a nonce of the gateway, which costs a client one more request every few minutes.
    pub dpop_nonce: bool,
}

/// An authorization server elsewhere whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its identifier, to the byte as its tokens have it in `iss`, such as `https://login.example/realms/main`.
    pub issuer: String,
    /// Audiences that are accepted beside the address of the endpoint asked for, such as `api://gateway`. A token for such an
    /// audience opens every endpoint of the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// Whether a token may be for several endpoints of the gateway at once. By default such a token is refused.
    #[serde(default)]
    pub several_resources: bool,
    /// Where its keys are. When absent, its metadata says where (RFC 8414, then OpenID Connect Discovery); with `introspection`,
    /// it is asked about every token instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// What its tokens may be signed with.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// The types of token that are accepted (`typ`, RFC 9068). `jwt` has to be named for those that do not mark access tokens,
    /// such as Keycloak and Entra.
    #[serde(default = "types")]
    pub types: Vec<TokenType>,
    /// Which claims say what.
    #[serde(default)]
    pub claims: ClaimNames,
    /// What its scopes are called here. When empty, they are called the same; otherwise those that are not named are dropped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Where to ask about tokens that only their issuer can read (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
}

/// An algorithm that signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum SignatureAlgorithm {
    ES256,
    ES384,
    EdDSA,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
}

/// A type of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TokenType {
    /// An access token (RFC 9068).
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Any token: nothing but the audience tells an access token from others.
    #[serde(rename = "jwt")]
    Jwt,
}

/// Which claims say what. A name that begins with `/` is a path into the claims (RFC 6901), such as `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    /// Who the token is for.
    pub subject: String,
    /// The client; `client_id`, or else `azp`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The subject's groups: a list of names, or one name.
    pub groups: String,
    /// The scopes: a text with spaces, or a list; `scope`, or else `scp`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Where to ask about tokens.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// The address of its introspection endpoint.
    pub url: String,
    /// The gateway's identifier there.
    pub client_id: String,
    /// The gateway's secret there; write `${NAME}` or `${file:PATH}` rather than the secret itself.
    pub client_secret: String,
    /// For how many seconds an answer is believed, at most 300. With 0, which is the default, each request asks anew, so that a
    /// token is dead as soon as its issuer says so.
    #[serde(default)]
    pub believed_seconds: u64,
}

/// A client that is known by its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// SHA-256 of the certificate in DER, in hexadecimal digits with or without colons, as `openssl x509 -noout -fingerprint
    /// -sha256` prints it.
    pub sha256: String,
    /// What the client may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The groups it is in.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn algorithms() -> Vec<SignatureAlgorithm> {
    vec![
        SignatureAlgorithm::ES256,
        SignatureAlgorithm::EdDSA,
        SignatureAlgorithm::RS256,
    ]
}

fn types() -> Vec<TokenType> {
    vec![TokenType::AccessToken]
}

impl Issuer {
    /// An issuer of which only the identifier is known.
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audiences: Vec::new(),
            several_resources: false,
            jwks_uri: None,
            algorithms: algorithms(),
            types: types(),
            claims: ClaimNames::default(),
            scopes: BTreeMap::new(),
            introspection: None,
        }
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "sub".to_owned(),
            client: None,
            groups: "groups".to_owned(),
            scope: None,
        }
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl From<SignatureAlgorithm> for Algorithm {
    fn from(algorithm: SignatureAlgorithm) -> Self {
        match algorithm {
            SignatureAlgorithm::ES256 => Self::ES256,
            SignatureAlgorithm::ES384 => Self::ES384,
            SignatureAlgorithm::EdDSA => Self::EdDSA,
            SignatureAlgorithm::RS256 => Self::RS256,
            SignatureAlgorithm::RS384 => Self::RS384,
            SignatureAlgorithm::RS512 => Self::RS512,
            SignatureAlgorithm::PS256 => Self::PS256,
            SignatureAlgorithm::PS384 => Self::PS384,
            SignatureAlgorithm::PS512 => Self::PS512,
        }
    }
}

impl TokenType {
    /// As `jwt::verify` compares it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "jwt",
        }
    }
}
