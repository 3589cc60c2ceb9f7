//! Why a credential is refused: for the record, and for the client.

use http::StatusCode;
use portcullis_store::calls::ReadError;

use crate::challenge::{Problem, Scheme};
use crate::dpop::DpopError;

/// A request whose sender is not established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is not authenticated: {}", reason.as_str())]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// How the credential was shown.
    pub scheme: Scheme,
}

/// Why a credential is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is none.
    Missing,
    /// There are several, or one that is not in the form of RFC 6750 §2.1.
    Header,
    /// It is shown in a way that is not supported here.
    Scheme,
    /// It is no credential of any kind.
    Malformed,
    /// It is by nobody whose tokens are accepted, or not by whom it claims.
    Issuer,
    /// Its key is not one of its issuer's, or there is no such API key.
    UnknownKey,
    /// Its algorithm is not allowed.
    Algorithm,
    /// It is another kind of token.
    Type,
    /// It demands an extension that is not known.
    Critical,
    /// Its signature does not verify.
    Signature,
    /// A claim is missing or has the wrong shape.
    Claims,
    /// It is for another resource.
    Audience,
    /// It is for several resources of this gateway.
    SeveralAudiences,
    /// It has expired.
    Expired,
    /// It is from the future.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// Its issuer says that it is not active.
    Inactive,
    /// It is bound to something that cannot be confirmed.
    Binding,
    /// It is bound to a key, and shown without a proof.
    Bound,
    /// It is not bound to a key, and shown as if it were, or where it has to be.
    Unbound,
    /// It is bound to another certificate.
    Certificate,
    /// The certificate is nobody's.
    UnknownCertificate,
    /// Its proof is not believed.
    Proof(DpopError),
    /// The keys of its issuer cannot be had.
    KeysUnavailable,
    /// Its issuer cannot be asked.
    IssuerUnavailable,
    /// The store cannot be asked.
    StoreUnavailable,
}

impl Reason {
    /// A stable word for the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Header => "header",
            Self::Scheme => "scheme",
            Self::Malformed => "malformed",
            Self::Issuer => "issuer",
            Self::UnknownKey => "unknown_key",
            Self::Algorithm => "algorithm",
            Self::Type => "typ",
            Self::Critical => "crit",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Audience => "audience",
            Self::SeveralAudiences => "several_audiences",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::Inactive => "inactive",
            Self::Binding => "binding",
            Self::Bound => "bound",
            Self::Unbound => "unbound",
            Self::Certificate => "certificate",
            Self::UnknownCertificate => "unknown_certificate",
            Self::Proof(error) => error.as_str(),
            Self::KeysUnavailable => "keys_unavailable",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

impl Refused {
    /// The status of the response. What could not be decided is not the credential's fault: a client should keep it and come
    /// back.
    pub fn status(self) -> StatusCode {
        match self.problem() {
            None => StatusCode::SERVICE_UNAVAILABLE,
            Some(Problem::InvalidRequest(_)) => StatusCode::BAD_REQUEST,
            Some(Problem::InsufficientScope) => StatusCode::FORBIDDEN,
            Some(
                Problem::Missing
                | Problem::InvalidToken(_)
                | Problem::InvalidDpopProof(_)
                | Problem::UseDpopNonce,
            ) => StatusCode::UNAUTHORIZED,
        }
    }

    /// One sentence for the client.
    pub fn message(self) -> &'static str {
        match self.problem() {
            None => "the credential cannot be verified at this time",
            Some(Problem::Missing) => "an access token is needed",
            Some(Problem::UseDpopNonce) => "the proof has to hold the nonce given",
            Some(Problem::InsufficientScope) => "the access token lacks a scope",
            Some(
                Problem::InvalidRequest(text)
                | Problem::InvalidToken(text)
                | Problem::InvalidDpopProof(text),
            ) => text,
        }
    }

    /// What the challenge says; nothing, where the credential is not at fault. It tells a client what it can act on, and someone
    /// who tries out forgeries no more than that they failed.
    pub(crate) fn problem(self) -> Option<Problem> {
        let invalid = Problem::InvalidToken;
        Some(match self.reason {
            Reason::Missing | Reason::UnknownCertificate | Reason::Scheme => Problem::Missing,
            Reason::Header => {
                Problem::InvalidRequest("the request needs exactly one access token in its header")
            }
            Reason::Expired => invalid("the access token has expired"),
            Reason::Revoked | Reason::Inactive => invalid("the access token is no longer valid"),
            Reason::Audience | Reason::SeveralAudiences => {
                invalid("the access token is for another resource")
            }
            Reason::Bound => invalid("the access token is bound to a key and needs a proof"),
            Reason::Unbound => invalid("the access token is not bound to a key"),
            Reason::Certificate => invalid("the access token is bound to another certificate"),
            Reason::Malformed
            | Reason::Issuer
            | Reason::UnknownKey
            | Reason::Algorithm
            | Reason::Type
            | Reason::Critical
            | Reason::Signature
            | Reason::Claims
            | Reason::NotYetValid
            | Reason::Binding => invalid("the access token is not valid here"),
            Reason::Proof(DpopError::UseNonce) => Problem::UseDpopNonce,
            Reason::Proof(DpopError::Busy)
            | Reason::KeysUnavailable
            | Reason::IssuerUnavailable
            | Reason::StoreUnavailable => return None,
            Reason::Proof(error) => Problem::InvalidDpopProof(error.description()),
        })
    }
}

impl From<DpopError> for Reason {
    fn from(error: DpopError) -> Self {
        Self::Proof(error)
    }
}

impl From<ReadError> for Reason {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "the store could not be asked about a credential");
        Self::StoreUnavailable
    }
}
