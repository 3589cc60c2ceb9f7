//! Refusals, and the one place that turns them into answers (RFC 6749 §4.1.2.1, §5.2).
//!
//! The caller gets a code and one sentence; the record gets a word; the log gets the causes.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use portcullis_store::{ReadError, RecordError};
use serde::Serialize;

use crate::jwt::SignError;
use crate::secret::NoRandomness;
use crate::server::parameters::InvalidParameters;

/// The codes of the specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    InvalidTarget,
    AccessDenied,
    LoginRequired,
    ConsentRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    RegistrationNotSupported,
    InvalidRedirectUri,
    InvalidClientMetadata,
    InvalidDpopProof,
    UseDpopNonce,
    TemporarilyUnavailable,
    ServerError,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::TemporarilyUnavailable => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::UnsupportedResponseType
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::AccessDenied
            | Self::LoginRequired
            | Self::ConsentRequired
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported
            | Self::RegistrationNotSupported
            | Self::InvalidRedirectUri
            | Self::InvalidClientMetadata
            | Self::InvalidDpopProof
            | Self::UseDpopNonce => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request that is not granted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}: {text}")]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// A word for the record.
    pub(crate) reason: &'static str,
    /// A sentence for the caller.
    pub(crate) text: &'static str,
    /// A nonce for the client's next proof (RFC 9449 §8).
    pub(crate) nonce: Option<HeaderValue>,
}

impl Refusal {
    pub(crate) fn new(code: Code, reason: &'static str, text: &'static str) -> Self {
        Self {
            code,
            reason,
            text,
            nonce: None,
        }
    }

    fn internal() -> Self {
        Self::new(
            Code::ServerError,
            "internal",
            "The server could not do this; try again later.",
        )
    }

    /// The answer to a program (RFC 6749 §5.2).
    pub(crate) fn to_response(&self) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            error_description: &'a str,
        }
        let body = Body {
            error: self.code.as_str(),
            error_description: self.text,
        };
        let mut response = json(self.code.status(), &body);
        let headers = response.headers_mut();
        // RFC 9110 §11.6.1: a 401 always has a challenge, also where the header was not tried.
        if self.code == Code::InvalidClient {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"portcullis\", charset=\"UTF-8\""),
            );
        }
        if self.code == Code::TemporarilyUnavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        if let Some(nonce) = &self.nonce {
            headers.insert("dpop-nonce", nonce.clone());
        }
        response
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the authorization server could not write");
        Self::internal()
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the authorization server could not read");
        Self::internal()
    }
}

impl From<NoRandomness> for Refusal {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "the authorization server could not make a secret");
        Self::internal()
    }
}

impl From<SignError> for Refusal {
    fn from(error: SignError) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the authorization server could not sign");
        Self::internal()
    }
}

impl From<crate::server::keys::KeysError> for Refusal {
    fn from(error: crate::server::keys::KeysError) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the signing keys are not ready");
        Self::internal()
    }
}

impl From<InvalidParameters> for Refusal {
    fn from(error: InvalidParameters) -> Self {
        let text = match error {
            InvalidParameters::MediaType => {
                "Send the parameters as application/x-www-form-urlencoded."
            }
            InvalidParameters::TooMuch => "Send fewer or shorter parameters.",
            InvalidParameters::Repeated(_) => "Send each parameter once.",
        };
        Self::new(Code::InvalidRequest, "parameters", text)
    }
}

/// An answer in JSON that nobody keeps.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Bytes::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The method is another's.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Bytes> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
