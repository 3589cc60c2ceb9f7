//! Who a request comes from, once its credential has been verified.

use std::sync::Arc;

use crate::scope::Scopes;

/// Who a request comes from. A subject means nothing without its issuer: two issuers may give the same name to two people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account, client, key owner or certificate.
    pub subject: Box<str>,
    /// Who vouches for the subject: an authorization server, or the gateway itself.
    pub issuer: Arc<str>,
    /// The client that acts for the subject.
    pub client: Option<Box<str>>,
    /// The subject's groups, as the issuer names them.
    pub groups: Box<[Box<str>]>,
    /// What the credential may be used for; `None`: for whatever other checks let through, as an operator said when making it.
    pub scopes: Option<Scopes>,
    /// How it was shown.
    pub kind: CredentialKind,
    /// Ties together the events of one credential: the token's `jti`, the key's identifier, or a digest.
    pub token_id: Box<str>,
    /// When the credential ends, in Unix milliseconds, where it says so.
    pub expires_ms: Option<u64>,
}

/// What kind of credential an identity was established by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// An access token (RFC 6750, RFC 9449).
    AccessToken,
    /// A key of [`crate::api_key`].
    ApiKey,
    /// A client certificate alone (RFC 8705 §2.2, with the certificate in the configuration).
    Certificate,
}

impl CredentialKind {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::ApiKey => "api_key",
            Self::Certificate => "certificate",
        }
    }
}
