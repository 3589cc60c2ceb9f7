//! Fetches small JSON documents from peers: bounded in time and size, without redirects.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use portcullis_egress::{Client, EgressError};
use url::Url;

/// How long a document may take, from the first step to its last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A document, and how long it may be kept.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    /// `max-age` in seconds; 0 where keeping is forbidden.
    pub(crate) max_age: Option<u64>,
}

/// Why there is no document. The texts are for the operator, not for peers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the address cannot be requested")]
    Address(#[source] http::Error),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the document did not come within 5 seconds")]
    Timeout,
    #[error("the answer is {0}, not 200; redirects are not followed")]
    Status(StatusCode),
    #[error("the document is not JSON by its media type")]
    MediaType,
    #[error("the document broke off or is too large")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The JSON document at `url`.
pub(crate) async fn json(
    client: &Client,
    url: &Url,
    bytes_max: usize,
) -> Result<Fetched, FetchError> {
    let request = Request::get(url.as_str())
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::new()))
        .map_err(FetchError::Address)?;
    let exchange = async {
        let response = client.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        if !is_json(response.headers()) {
            return Err(FetchError::MediaType);
        }
        let max_age = max_age(response.headers());
        let body = Limited::new(response.into_body(), bytes_max)
            .collect()
            .await
            .map_err(FetchError::Body)?
            .to_bytes();
        Ok(Fetched { body, max_age })
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .unwrap_or(Err(FetchError::Timeout))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn max_age(headers: &HeaderMap) -> Option<u64> {
    let mut age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(0);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                age = seconds.trim_matches('"').parse().ok();
            }
        }
    }
    age
}
