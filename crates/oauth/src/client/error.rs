//! Why there is no credential for a server, in one place.

use std::sync::Arc;

use portcullis_store::RecordError;

use crate::client::discovery::DiscoveryError;
use crate::client::dpop::ProofError;
use crate::client::grants::GrantError;
use crate::client::registration::RegistrationError;
use crate::client::token_endpoint::TokenError;
use crate::client::tokens::TokenStoreError;
use crate::secrets::SecretError;

/// Why there is no credential for a server.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No such server.
    #[error("no server of this name is configured")]
    Server,
    /// Nobody to act for.
    #[error("the server needs a user, and the request has none")]
    Principal,
    /// The request goes elsewhere.
    #[error("a credential goes to its own server and resource only")]
    Target,
    /// It cannot be in a header.
    #[error("the credential cannot be sent in a header")]
    Header,
    /// Another authorization server than the one that has our credentials.
    #[error(
        "the server names another authorization server than before; if that is right, configure it as `authorization_server`"
    )]
    IssuerChanged,
    /// It was refused a moment ago.
    #[error("the authorization server refused a moment ago")]
    Remembered(#[source] Arc<CredentialError>),
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
    /// The authorization server is not known.
    #[error("the server's authorization server could not be found")]
    Discovery(#[from] DiscoveryError),
    /// We are nobody there.
    #[error("the gateway is no client of the authorization server")]
    Registration(#[from] RegistrationError),
    /// There is nothing to ask with.
    #[error("there is nothing to ask for a token with")]
    Grant(#[from] GrantError),
    /// No token was given.
    #[error("the authorization server gave no token")]
    Token(#[from] TokenError),
    /// It could not be kept.
    #[error("the token could not be kept or found")]
    Kept(#[from] TokenStoreError),
    /// Its proof could not be made.
    #[error("no proof of possession could be made")]
    Proof(#[source] ProofError),
    /// A sealed secret.
    #[error("the secret could not be used")]
    Secret(#[from] SecretError),
    /// The event could not be recorded.
    #[error("the event could not be recorded")]
    Record(#[from] RecordError),
}

impl CredentialError {
    /// A stable code for the caller.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Server => "unknown_server",
            Self::Principal => "no_principal",
            Self::Target => "wrong_target",
            Self::Header | Self::Proof(_) => "credential_unusable",
            Self::IssuerChanged => "authorization_server_changed",
            Self::Remembered(earlier) => earlier.code(),
            Self::Stopped => "stopped",
            Self::Discovery(error) => error.reason(),
            Self::Registration(_) => "not_registered",
            Self::Grant(error) => error.reason(),
            Self::Token(error) => error.reason(),
            Self::Kept(_) | Self::Record(_) => "store_failed",
            Self::Secret(_) => "secret_unavailable",
        }
    }

    /// Whether asking again soon is pointless.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Token(error) => error.is_final(),
            Self::IssuerChanged
            | Self::Grant(_)
            | Self::Registration(RegistrationError::Refused(_)) => true,
            Self::Discovery(error) => !matches!(error, DiscoveryError::Fetch { .. }),
            _ => false,
        }
    }
}
