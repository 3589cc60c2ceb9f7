//! What is known of a client: its metadata (RFC 7591 §2), wherever it comes from, and what of it is accepted.

use portcullis_egress::Reach;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::jwt::jwk::{AlgorithmParameters, Jwk, JwkSet};
use crate::scope::Scopes;
use crate::server::redirect_uri::{InvalidRedirectUri, RedirectUri};

/// The most redirect URIs of a client.
const REDIRECT_URIS_MAX: usize = 16;

/// The most keys of a client.
const KEYS_MAX: usize = 16;

/// The longest name that is shown, in characters.
const NAME_CHARS_MAX: usize = 80;

/// What may be exchanged for tokens (RFC 6749 §1.3, RFC 7523).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// `authorization_code`.
    AuthorizationCode,
    /// `refresh_token`.
    RefreshToken,
    /// `client_credentials`.
    ClientCredentials,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`, with an identity assertion (ID-JAG).
    JwtBearer,
}

impl GrantType {
    /// The text of requests and metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// The grant type of this text.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        [
            Self::AuthorizationCode,
            Self::RefreshToken,
            Self::ClientCredentials,
            Self::JwtBearer,
        ]
        .into_iter()
        .find(|it| it.as_str() == text)
    }
}

/// How a client proves who it is at the token endpoint (RFC 7591 §2, OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    None,
    SecretBasic,
    SecretPost,
    PrivateKeyJwt,
}

impl AuthMethod {
    pub(crate) const ALL: [Self; 4] = [
        Self::None,
        Self::SecretBasic,
        Self::SecretPost,
        Self::PrivateKeyJwt,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::SecretBasic | Self::SecretPost)
    }
}

/// Who vouches for a client's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator.
    Static,
    /// The host of its metadata document.
    Document,
    /// Nobody: it registered itself.
    Registered,
}

/// The keys that sign a client's assertions.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    None,
    Fixed(Vec<Jwk>),
    At(Url, Reach),
}

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) origin: Origin,
    pub(crate) redirect_uris: Vec<RedirectUri>,
    pub(crate) methods: Vec<AuthMethod>,
    pub(crate) secret: Option<[u8; 32]>,
    pub(crate) keys: Keys,
    pub(crate) grant_types: Vec<GrantType>,
    /// The scopes it may have at most.
    pub(crate) scopes: Option<Scopes>,
    /// The scopes it gets when it asks for none.
    pub(crate) default_scopes: Option<Scopes>,
    pub(crate) groups: Vec<Box<str>>,
    pub(crate) introspects: bool,
}

impl Client {
    /// Whether it has no way to prove who it is (RFC 6749 §2.1).
    pub(crate) fn is_public(&self) -> bool {
        self.methods.contains(&AuthMethod::None)
    }

    pub(crate) fn may(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// Whether all its redirect URIs lead to programs of this machine, which nothing tells apart.
    pub(crate) fn is_local_only(&self) -> bool {
        self.redirect_uris.iter().all(RedirectUri::is_local)
    }
}

/// Metadata as a client states it. What is not understood is passed over (RFC 7591 §2).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_name: Option<String>,
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grant_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwks_uri: Option<String>,
    #[serde(skip_serializing)]
    pub(crate) client_secret: Option<serde_json::Value>,
}

/// Metadata that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidMetadata {
    #[error("name between 1 and 16 redirect_uris")]
    RedirectUriCount,
    #[error("a redirect URI cannot be used")]
    RedirectUri(#[source] InvalidRedirectUri),
    #[error("grant_types has to hold authorization_code, and response_types code")]
    GrantTypes,
    #[error("this token_endpoint_auth_method is not supported here")]
    AuthMethod,
    #[error("private_key_jwt needs either jwks or jwks_uri, with public keys that sign")]
    Keys,
    #[error("a secret does not belong in a public document")]
    Secret,
    #[error("the scope is malformed")]
    Scope,
}

impl Metadata {
    /// The client of these metadata. `methods` are the ways to authenticate that may be chosen, the first by default.
    /// `reach` is where a key set may be fetched from; `plain_http`, whether from this machine too.
    pub(crate) fn accept(
        &self,
        id: &str,
        origin: Origin,
        methods: &[AuthMethod],
        plain_http: bool,
    ) -> Result<Client, InvalidMetadata> {
        if self.client_secret.is_some() {
            return Err(InvalidMetadata::Secret);
        }
        if self.redirect_uris.is_empty() || self.redirect_uris.len() > REDIRECT_URIS_MAX {
            return Err(InvalidMetadata::RedirectUriCount);
        }
        let redirect_uris = self
            .redirect_uris
            .iter()
            .map(|uri| RedirectUri::parse(uri).map_err(InvalidMetadata::RedirectUri))
            .collect::<Result<Vec<_>, _>>()?;
        let method = match self.token_endpoint_auth_method.as_deref() {
            None => methods.first(),
            Some(text) => methods.iter().find(|method| method.as_str() == text),
        };
        let method = *method.ok_or(InvalidMetadata::AuthMethod)?;
        // Those that are not known here are left out, as RFC 7591 §2 allows; the answer tells which are left.
        let grant_types: Vec<GrantType> = match &self.grant_types {
            None => vec![GrantType::AuthorizationCode],
            Some(texts) => texts
                .iter()
                .filter_map(|text| GrantType::from_text(text))
                .filter(|it| matches!(it, GrantType::AuthorizationCode | GrantType::RefreshToken))
                .collect(),
        };
        let code = self
            .response_types
            .as_ref()
            .is_none_or(|types| types.iter().any(|it| it == "code"));
        if !grant_types.contains(&GrantType::AuthorizationCode) || !code {
            return Err(InvalidMetadata::GrantTypes);
        }
        let keys = match (&self.jwks, &self.jwks_uri) {
            (None, None) => Keys::None,
            (Some(jwks), None) => Keys::Fixed(public_keys(jwks)?),
            (None, Some(uri)) => keys_at(uri, plain_http)?,
            (Some(_), Some(_)) => return Err(InvalidMetadata::Keys),
        };
        if method == AuthMethod::PrivateKeyJwt && matches!(keys, Keys::None) {
            return Err(InvalidMetadata::Keys);
        }
        let default_scopes = match &self.scope {
            None => None,
            Some(text) => Some(text.parse().map_err(|_invalid| InvalidMetadata::Scope)?),
        };
        let name = clean_name(self.client_name.as_deref().unwrap_or_default());
        Ok(Client {
            id: id.into(),
            name: if name.is_empty() {
                id.into()
            } else {
                name.into()
            },
            origin,
            redirect_uris,
            methods: vec![method],
            secret: None,
            keys,
            grant_types,
            scopes: None,
            default_scopes,
            groups: Vec::new(),
            introspects: false,
        })
    }
}

/// A name as it is shown: without what is invisible or turns the text around, and short.
fn clean_name(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{e0000}'..='\u{e007f}').contains(&c)
    };
    let visible: String = text
        .chars()
        .filter(|c| !hidden(*c))
        .take(NAME_CHARS_MAX)
        .collect();
    visible.trim().to_owned()
}

/// The keys of a set that may be published: none that is symmetric or private, and all of them usable.
pub(crate) fn public_keys(set: &serde_json::Value) -> Result<Vec<Jwk>, InvalidMetadata> {
    let listed = set.get("keys").and_then(serde_json::Value::as_array);
    let listed = listed.ok_or(InvalidMetadata::Keys)?;
    if listed.is_empty() || listed.len() > KEYS_MAX {
        return Err(InvalidMetadata::Keys);
    }
    if listed.iter().any(|key| key.get("d").is_some()) {
        return Err(InvalidMetadata::Keys);
    }
    let set: JwkSet =
        serde_json::from_value(set.clone()).map_err(|_malformed| InvalidMetadata::Keys)?;
    if !set.keys.iter().all(verifies) {
        return Err(InvalidMetadata::Keys);
    }
    Ok(set.keys)
}

/// Whether a key is an asymmetric one to verify signatures with.
pub(crate) fn verifies(key: &Jwk) -> bool {
    use crate::jwt::jwk::PublicKeyUse;
    let asymmetric = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    asymmetric && signs
}

fn keys_at(uri: &str, plain_http: bool) -> Result<Keys, InvalidMetadata> {
    let url = Url::parse(uri).map_err(|_malformed| InvalidMetadata::Keys)?;
    let clean = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    match url.scheme() {
        "https" if clean => Ok(Keys::At(url, Reach::Public)),
        "http" if clean && plain_http && is_loopback(&url) => Ok(Keys::At(url, Reach::Configured)),
        _ => Err(InvalidMetadata::Keys),
    }
}

/// Whether a URL's host is this machine, by a literal address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
