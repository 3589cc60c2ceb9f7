//! One exchange with a server that has answers in JSON, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use portcullis_egress::{Client, EgressError};

/// How long an exchange may take, with its body.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(10);

/// The largest body that is read.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The address is none.
    #[error("the address is not a URL")]
    Address(#[source] http::Error),
    /// The server could not be reached, or may not be.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// It took too long.
    #[error("no answer within 10 s")]
    Timeout,
    /// It answered with something else. Redirects are not followed.
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    /// The body broke off or is too large.
    #[error("the answer broke off, or is larger than 256 KiB")]
    Body,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// How long it may be kept, if the server said so (RFC 9111 §5.2.2).
    pub(crate) age_max: Option<Duration>,
}

/// Gets `address`.
pub(crate) async fn get(client: &Client, address: &str) -> Result<Answer, FetchError> {
    let request = Request::get(address)
        .header(ACCEPT, "application/json")
        .body(Full::default())
        .map_err(FetchError::Address)?;
    exchange(client, request).await
}

/// Sends `request` and reads the answer, which must have the status 200.
pub(crate) async fn exchange(
    client: &Client,
    request: Request<Full<Bytes>>,
) -> Result<Answer, FetchError> {
    let answer = async {
        let response = client.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let age_max = age_max(response.headers());
        let body = body_of(response).await?;
        Ok(Answer { body, age_max })
    };
    tokio::time::timeout(TIME_MAX, answer)
        .await
        .map_err(|_elapsed| FetchError::Timeout)?
}

async fn body_of(response: Response<hyper::body::Incoming>) -> Result<Bytes, FetchError> {
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect();
    match body.await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => {
            tracing::debug!(%error, "an answer could not be read");
            Err(FetchError::Body)
        }
    }
}

fn age_max(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if matches!(directive.as_str(), "no-store" | "no-cache") {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                found = Some(Duration::from_secs(seconds.trim_matches('"').parse().ok()?));
            }
        }
    }
    found
}
