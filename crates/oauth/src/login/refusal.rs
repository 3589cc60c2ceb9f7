//! What is refused, and the page that says so.

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use portcullis_store::{ReadError, RecordError};

use crate::page::{self, Link, Message};
use crate::password::HashError;
use crate::secret::NoRandomness;
use crate::vault::Unsealable;

/// Why a page is not what was asked for. The texts are the operator's; [`Refusal::page`] has the visitor's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such page")]
    NotFound,
    #[error("no such method")]
    Method,
    #[error("not a form")]
    Form,
    #[error("not from a page of ours, or from one that is too old")]
    Forged,
    #[error("the account changed meanwhile")]
    Changed,
    #[error("too many tries")]
    Wait { seconds: u64 },
    #[error("a provider's answer was refused")]
    Provider,
    #[error("a provider cannot be reached")]
    ProviderDown,
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
    #[error(transparent)]
    Totp(#[from] crate::totp::InvalidSecret),
}

impl Refusal {
    pub(super) fn page(&self) -> Response<Bytes> {
        let (status, title, text) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "There is no such page",
                "Check the address.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This page does not work that way",
                "Open it in a browser.",
            ),
            Self::Form => (
                StatusCode::BAD_REQUEST,
                "The form cannot be read",
                "Go back and try again.",
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "The page was too old",
                "Nothing was changed. Open the page again, and allow cookies for this site.",
            ),
            Self::Changed => (
                StatusCode::FORBIDDEN,
                "You cannot log in",
                "The account cannot be used. Ask your administrator.",
            ),
            Self::Provider => (
                StatusCode::FORBIDDEN,
                "You cannot log in",
                "The provider's answer was not accepted. Try again, or ask your administrator.",
            ),
            Self::ProviderDown => (
                StatusCode::BAD_GATEWAY,
                "The provider cannot be reached",
                "Try again in a minute, or ask your administrator.",
            ),
            Self::Wait { seconds } => {
                let unit = if *seconds == 1 { "second" } else { "seconds" };
                let text = format!(
                    "There were too many tries. Wait {seconds} {unit}, then go back and try again."
                );
                return page::wait(*seconds, &text);
            }
            Self::Hash(HashError::Busy) => {
                let mut response = page::message(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Too many people are logging in",
                    "Wait a few seconds, then go back and try again.",
                );
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("5"));
                return response;
            }
            Self::Hash(_)
            | Self::Read(_)
            | Self::Record(_)
            | Self::NoRandomness(_)
            | Self::Unsealable(_)
            | Self::Totp(_) => {
                tracing::error!(error = %self, cause = ?std::error::Error::source(self), "a page of login failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something went wrong",
                    "Try again, or ask your administrator.",
                )
            }
        };
        let page = Message {
            title,
            text,
            link: Some(Link {
                href: "/oauth/login",
                text: "Log in",
            }),
        };
        page::render(status, &page, &[])
    }
}
