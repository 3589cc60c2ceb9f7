//! Asking a provider: bounded in time and size, JSON in return.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use portcullis_egress::{Client, EgressError, Reach};
use serde::de::DeserializeOwned;
use url::{Host, Url};

/// How long an answer may take, from the name's resolution to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes.
const BYTES_MAX: usize = 512 * 1024;

/// What could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It was not reached.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// It took too long.
    #[error("the answer took longer than 10 seconds")]
    Timeout,
    /// It did not end, or was too large.
    #[error("the answer broke off or is larger than 512 KiB")]
    Body,
    /// It is no success. What else it says is not repeated: it may hold what was sent.
    #[error("the answer has status {0}")]
    Status(StatusCode),
    /// It is not the JSON that was asked for.
    #[error("the answer is not the JSON that was asked for")]
    Json,
    /// The address cannot be asked.
    #[error("the address cannot be asked")]
    Address,
    /// It failed a moment ago, and is not asked again so soon.
    #[error("the provider failed a moment ago; it is asked again in some seconds")]
    Recently,
}

/// How far a request for `address` goes: where the issuer is, the operator said; elsewhere, only the provider.
pub(super) fn reach(issuer: &Url, address: &Url) -> Reach {
    if issuer.origin() == address.origin() {
        Reach::Configured
    } else {
        Reach::Public
    }
}

/// Whether `address` may be asked: https, or plain http on this host where the issuer is so too.
pub(super) fn is_usable(issuer: &Url, address: &Url) -> bool {
    let loopback = match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    let plain = address.username().is_empty() && address.password().is_none();
    plain
        && (address.scheme() == "https"
            || (address.scheme() == "http" && issuer.scheme() == "http" && loopback))
}

/// Fetches JSON.
pub(super) async fn get<T: DeserializeOwned>(
    client: &Client,
    address: &str,
) -> Result<T, FetchError> {
    let request = Request::get(address)
        .header(http::header::ACCEPT, "application/json")
        .body(Full::default())
        .map_err(|_invalid| FetchError::Address)?;
    json(client, request).await
}

/// Sends a request for JSON.
pub(super) async fn json<T: DeserializeOwned>(
    client: &Client,
    request: Request<Full<Bytes>>,
) -> Result<T, FetchError> {
    let exchange = async {
        let response = client.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BYTES_MAX)
            .collect()
            .await;
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(_broken) => Err(FetchError::Body),
        }
    };
    let body = match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(answer) => answer?,
        Err(_elapsed) => return Err(FetchError::Timeout),
    };
    serde_json::from_slice(&body).map_err(|_invalid| FetchError::Json)
}
