//! What an operator says about each server's credentials. The binary maps its configuration file onto these.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::HeaderName;
use url::Url;
use zeroize::Zeroizing;

use crate::jwt::SigningKey;
use crate::scope::Scopes;
use crate::secrets::SecretName;

/// Everything about credentials toward servers.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// By the server's name.
    pub servers: BTreeMap<Box<str>, ServerConfig>,
    /// What the gateway calls itself where it registers; empty: `Portcullis`.
    pub client_name: Box<str>,
    /// Where our client ID metadata document is, if not at `{public_url}/oauth/client-metadata`.
    pub client_metadata_url: Option<Url>,
}

/// A server and how the gateway proves itself to it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The server's address.
    pub url: Url,
    /// The credential.
    pub auth: ServerAuth,
    /// Only tokens bound to a key of ours are taken and sent (RFC 9449). Without it, they are where the server asks for it.
    pub dpop: bool,
}

/// The kind of credential that a server is sent.
#[derive(Clone, Debug)]
pub enum ServerAuth {
    /// None.
    None,
    /// A fixed header with a sealed secret.
    Secret(SecretHeader),
    /// A token that a person consents to (RFC 6749 §4.1).
    OAuth(OAuthSettings),
    /// A token for the gateway itself (RFC 6749 §4.4).
    ClientCredentials(GrantSettings),
    /// A token in exchange for an assertion about the principal (RFC 8693).
    TokenExchange(ExchangeSettings),
    /// A token for an identity assertion authorization grant that the enterprise's identity provider issues (ID-JAG).
    IdJag(IdJagSettings),
    /// A token for the token that this workload's platform gives it (RFC 7523 §2.1).
    WorkloadIdentity(WorkloadSettings),
}

/// A header with a secret in it.
#[derive(Clone, Debug)]
pub struct SecretHeader {
    /// The header, usually `Authorization`.
    pub header: HeaderName,
    /// Its value, in which `{secret}` stands for the secret: `Bearer {secret}`.
    pub template: Box<str>,
    /// The secret's name in the store.
    pub secret: SecretName,
}

/// Where a client secret comes from.
#[derive(Clone)]
pub enum SecretSource {
    /// The store.
    Sealed(SecretName),
    /// The configuration, which read it from wherever.
    Value(Zeroizing<String>),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sealed(name) => f.debug_tuple("Sealed").field(name).finish(),
            Self::Value(_) => f.write_str("Value(..)"),
        }
    }
}

/// A client that somebody registered for the gateway by hand.
#[derive(Clone, Debug)]
pub struct PreregisteredClient {
    /// `client_id`.
    pub id: Box<str>,
    /// How it proves itself.
    pub proof: ClientProof,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// It does not: a public client.
    None,
    /// A secret, in the header or the body as the authorization server asks (RFC 6749 §2.3.1).
    Secret(SecretSource),
    /// An assertion signed with a key (RFC 7523 §2.2).
    Key(Box<SigningKey>),
}

/// Who the gateway is to an authorization server.
#[derive(Clone, Debug)]
pub enum ClientIdentity {
    /// Its metadata document where that is supported and can be read, otherwise by registering itself.
    Auto,
    /// A client registered by hand.
    Preregistered(PreregisteredClient),
    /// Its client ID metadata document.
    MetadataDocument,
    /// A client it registers itself (RFC 7591).
    Dynamic,
}

/// For [`ServerAuth::OAuth`].
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    /// Who we are.
    pub client: ClientIdentity,
    /// What is asked for at first; `None`: what the server asks for, else all it supports, else nothing in particular.
    pub scopes: Option<Scopes>,
    /// Who connects, and for whom.
    pub connection: Connection,
    /// The only issuer that is believed, if the server is not to choose.
    pub authorization_server: Option<Box<str>>,
}

/// Who connects to a server in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Each user their own account there.
    EachUser,
    /// One for all users, made by one of these; nobody else may.
    Shared {
        /// Accounts of the gateway.
        accounts: Vec<Box<str>>,
        /// Groups of accounts.
        groups: Vec<Box<str>>,
    },
}

/// For [`ServerAuth::ClientCredentials`], and part of the others.
#[derive(Clone, Debug)]
pub struct GrantSettings {
    /// Who we are to the server's authorization server.
    pub client: PreregisteredClient,
    /// What is asked for, and never more; `None`: what the server asks for, else all it supports.
    pub scopes: Option<Scopes>,
    /// The only issuer that gets our credentials. `None`: the first one that the server names, for good.
    pub authorization_server: Option<Box<str>>,
}

/// For [`ServerAuth::TokenExchange`].
#[derive(Clone, Debug)]
pub struct ExchangeSettings {
    /// Who we are at the token endpoint.
    pub grant: GrantSettings,
    /// What is exchanged.
    pub subject: SubjectToken,
}

/// For [`ServerAuth::IdJag`].
#[derive(Clone, Debug)]
pub struct IdJagSettings {
    /// Who we are to the server's authorization server.
    pub grant: GrantSettings,
    /// The identity provider's token endpoint.
    pub provider_token_endpoint: Url,
    /// Who we are to the identity provider.
    pub provider_client: PreregisteredClient,
    /// The identity provider's issuer: audience of our assertions there. `None`: its token endpoint.
    pub provider_issuer: Option<Box<str>>,
    /// What says who the user is.
    pub subject: SubjectToken,
}

/// For [`ServerAuth::WorkloadIdentity`].
#[derive(Clone, Debug)]
pub struct WorkloadSettings {
    /// The file in which the platform keeps a fresh token; read each time.
    pub token_file: PathBuf,
    /// The audience that the token must have; `None`: the issuer it is sent to. Another than that needs
    /// `authorization_server`, lest a server has it sent elsewhere.
    pub audience: Option<Box<str>>,
    /// `client_id`, where the authorization server wants one.
    pub client_id: Option<Box<str>>,
    /// What is asked for, and never more; `None`: as for [`GrantSettings`].
    pub scopes: Option<Scopes>,
    /// The only issuer that gets the token.
    pub authorization_server: Option<Box<str>>,
}

/// A token that says who somebody is.
#[derive(Clone, Debug)]
pub enum SubjectToken {
    /// An assertion that the gateway signs about the principal, for the one it is sent to.
    OwnAssertion,
    /// The ID token that the principal's login at the identity provider left (see `Credentials::remember_identity`).
    Identity {
        /// The identity provider's issuer.
        issuer: Box<str>,
    },
    /// A sealed secret: the same for all principals.
    Secret {
        /// Its name.
        name: SecretName,
        /// Its type (RFC 8693 §3).
        token_type: Box<str>,
    },
    /// A file, read each time: the same for all principals.
    File {
        /// Where.
        path: PathBuf,
        /// Its type (RFC 8693 §3).
        token_type: Box<str>,
    },
}

impl SubjectToken {
    /// Whether it differs by principal.
    pub(crate) fn per_principal(&self) -> bool {
        match self {
            Self::OwnAssertion | Self::Identity { .. } => true,
            Self::Secret { .. } | Self::File { .. } => false,
        }
    }
}

/// The type of an ID token (RFC 8693 §3).
pub const TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// The type of a JWT (RFC 8693 §3).
pub const TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The type of an access token (RFC 8693 §3).
pub const TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of an identity assertion authorization grant.
pub const TYPE_ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

impl ServerAuth {
    /// Whether the credential belongs to one principal, rather than to all.
    pub fn per_principal(&self) -> bool {
        match self {
            Self::None
            | Self::Secret(_)
            | Self::ClientCredentials(_)
            | Self::WorkloadIdentity(_) => false,
            Self::OAuth(settings) => settings.connection == Connection::EachUser,
            Self::TokenExchange(settings) => settings.subject.per_principal(),
            Self::IdJag(settings) => settings.subject.per_principal(),
        }
    }

    /// The issuer that the operator wrote.
    pub(crate) fn pin(&self) -> Option<&str> {
        match self {
            Self::None | Self::Secret(_) => None,
            Self::OAuth(settings) => settings.authorization_server.as_deref(),
            Self::ClientCredentials(settings) => settings.authorization_server.as_deref(),
            Self::TokenExchange(settings) => settings.grant.authorization_server.as_deref(),
            Self::IdJag(settings) => settings.grant.authorization_server.as_deref(),
            Self::WorkloadIdentity(settings) => settings.authorization_server.as_deref(),
        }
    }

    /// The scopes that the operator wrote.
    pub(crate) fn scopes(&self) -> Option<&Scopes> {
        match self {
            Self::None | Self::Secret(_) => None,
            Self::OAuth(settings) => settings.scopes.as_ref(),
            Self::ClientCredentials(settings) => settings.scopes.as_ref(),
            Self::TokenExchange(settings) => settings.grant.scopes.as_ref(),
            Self::IdJag(settings) => settings.grant.scopes.as_ref(),
            Self::WorkloadIdentity(settings) => settings.scopes.as_ref(),
        }
    }

    /// Whether credentials that an operator wrote go to the authorization server, so that a server must not choose it anew.
    pub(crate) fn bound(&self) -> bool {
        match self {
            Self::None | Self::Secret(_) => false,
            Self::OAuth(settings) => matches!(settings.client, ClientIdentity::Preregistered(_)),
            Self::ClientCredentials(_)
            | Self::TokenExchange(_)
            | Self::IdJag(_)
            | Self::WorkloadIdentity(_) => true,
        }
    }
}
