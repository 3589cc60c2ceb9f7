//! Requests to authorization servers and for metadata: how far they may go, how long they may take, how much is read.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use portcullis_egress::{Egress, EgressError, Reach};
use url::{Host, Origin, Url};

/// How long an exchange may take, from resolving the name to the body's last byte.
const TIME_MAX: Duration = Duration::from_secs(10);

/// How large a document may be, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Which addresses an operator vouched for, and so which may be reached by what a peer names.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    origins: Vec<Origin>,
    /// The server itself is on this machine: so may be what it names.
    loopback: bool,
}

/// Why a request got no answer. None of it is told to a peer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none that may be asked.
    #[error("the address `{0}` is not an https URL without user name and fragment")]
    Address(Box<str>),
    /// No answer.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// No whole answer in time.
    #[error("`{0}` did not answer in 10 seconds")]
    Timeout(Box<str>),
    /// The answer was cut off or is too large.
    #[error("the answer of `{0}` is larger than 64 KiB or broke off")]
    Body(Box<str>),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Trust {
    /// With what an operator wrote: the server's address, an issuer, a provider's endpoint.
    pub(crate) fn new<'a>(server: &Url, written: impl Iterator<Item = &'a Url>) -> Self {
        let mut origins = vec![server.origin()];
        origins.extend(written.map(Url::origin));
        Self {
            origins,
            loopback: is_loopback(server),
        }
    }

    /// How far a request for `url` may go; `None`: nowhere.
    ///
    /// An operator's own addresses may be anywhere. Whatever else a peer names must be https on the public internet, or on
    /// this machine if the server itself is.
    pub(crate) fn reach(&self, url: &Url) -> Option<Reach> {
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.has_host();
        if !plain || !matches!(url.scheme(), "https" | "http") {
            return None;
        }
        if self.origins.contains(&url.origin()) || (self.loopback && is_loopback(url)) {
            return Some(Reach::Configured);
        }
        (url.scheme() == "https").then_some(Reach::Public)
    }

    /// An address that a peer named, if it may be asked.
    pub(crate) fn parse(&self, text: &str) -> Result<Url, FetchError> {
        let refused = || FetchError::Address(legible(text));
        let url = Url::parse(text).map_err(|_unparsable| refused())?;
        self.reach(&url).map(|_| ()).ok_or_else(refused)?;
        Ok(url)
    }
}

/// The beginning of what a peer wrote, without characters that act on a terminal or a log.
fn legible(text: &str) -> Box<str> {
    let beginning: String = text.chars().take(256).collect();
    beginning.escape_debug().to_string().into()
}

/// Whether an address names this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Sends `request` as far as `trust` lets it, and reads the whole answer. Redirects are answers like any other.
pub(crate) async fn send(
    egress: &Egress,
    trust: &Trust,
    url: &Url,
    request: http::request::Builder,
    body: Bytes,
) -> Result<Answer, FetchError> {
    let refused = || FetchError::Address(legible(url.as_str()));
    let reach = trust.reach(url).ok_or_else(refused)?;
    let request: Request<Full<Bytes>> = request
        .uri(url.as_str())
        .header(http::header::ACCEPT, "application/json")
        .body(Full::new(body))
        .map_err(|_invalid| refused())?;
    let host = || Box::from(url.host_str().unwrap_or_default());
    let exchange = async {
        let response = egress.client(reach).request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            let too_large = error.is::<LengthLimitError>();
            tracing::debug!(%url, too_large, "an answer was not read");
            FetchError::Body(host())
        })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    };
    match tokio::time::timeout(TIME_MAX, exchange).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(FetchError::Timeout(host())),
    }
}

/// A document, or `None` where the peer says that there is none (RFC 8414 §3, RFC 9728 §3: any 4xx).
pub(crate) async fn document(
    egress: &Egress,
    trust: &Trust,
    url: &Url,
) -> Result<Option<Bytes>, DocumentError> {
    let answer = send(egress, trust, url, Request::get("/"), Bytes::new()).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(answer.body)),
        status if status.is_client_error() => Ok(None),
        status => Err(DocumentError::Status(status)),
    }
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An answer that is neither yes nor no.
    #[error("the answer was {0} instead of a document")]
    Status(StatusCode),
}

#[cfg(test)]
mod tests;
