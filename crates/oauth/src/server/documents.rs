//! Clients known by the URL of their metadata document (OAuth Client ID Metadata Document).
//!
//! The URL comes from whoever asks, so the fetch is guarded: by the reach of `egress`, in time and size, by a rate for each peer,
//! and by a cache that holds failures too and lets one fetch at a time go out for a URL.

use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;
use portcullis_egress::{Egress, Reach};
use tokio::sync::Mutex;
use url::Url;

use crate::server::client::{AuthMethod, Client, Metadata, Origin, is_loopback};
use crate::server::fetch;
use crate::server::limit::{Limiter, peer_key};

/// The largest document, in bytes.
const BYTES_MAX: usize = 16 * 1024;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 1024;

const MINUTE_MS: u64 = 60_000;
const KEPT_MIN_MS: u64 = 5 * MINUTE_MS;
const KEPT_MAX_MS: u64 = 24 * 60 * MINUTE_MS;
const KEPT_UNSTATED_MS: u64 = 60 * MINUTE_MS;

/// How long a failure is kept.
const FAILURE_KEPT_MS: u64 = MINUTE_MS;

/// How many documents are kept.
const ENTRIES_MAX: u64 = 4096;

/// Clients known by their documents.
#[derive(Debug)]
pub(crate) struct Documents {
    egress: Egress,
    hosts: Option<Vec<String>>,
    from_loopback: bool,
    fetches: Limiter,
    slots: Cache<Box<str>, Slot>,
}

/// Held while its document is fetched.
type Slot = Arc<Mutex<Option<Entry>>>;

#[derive(Clone, Debug)]
struct Entry {
    client: Result<Arc<Client>, NoDocument>,
    until_ms: u64,
}

/// Why a URL names no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoDocument {
    /// It is not a URL that may be a client's identifier.
    #[error("client_id_url")]
    Url,
    /// The operator does not trust its host.
    #[error("client_id_host")]
    Host,
    /// Too many were fetched for this peer, or in all.
    #[error("client_id_rate")]
    Busy,
    /// It could not be fetched.
    #[error("client_id_fetch")]
    Fetch,
    /// What was fetched is not its document.
    #[error("client_id_document")]
    Document,
}

impl NoDocument {
    /// A word for the record.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Url => "client_id_url",
            Self::Host => "client_id_host",
            Self::Busy => "client_id_rate",
            Self::Fetch => "client_id_fetch",
            Self::Document => "client_id_document",
        }
    }
}

impl Documents {
    pub(crate) fn new(egress: Egress, hosts: Option<Vec<String>>, from_loopback: bool) -> Self {
        Self {
            egress,
            hosts,
            from_loopback,
            fetches: Limiter::new(10, 300, MINUTE_MS),
            slots: Cache::new(ENTRIES_MAX),
        }
    }

    /// Whether `client_id` has the form of a URL, and is nobody else's to know.
    pub(crate) fn concerns(client_id: &str) -> bool {
        client_id.contains("://")
    }

    /// The client whose document is at `client_id`.
    pub(crate) async fn find(
        &self,
        client_id: &str,
        peer: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Arc<Client>, NoDocument> {
        let (url, reach) = self.check_url(client_id)?;
        let slot = self.slots.get_with(client_id.into(), Slot::default);
        let mut slot = slot.lock().await;
        if let Some(entry) = &*slot
            && entry.until_ms > now_ms
        {
            return entry.client.clone();
        }
        if !self.fetches.admit(&peer_key(peer), now_ms) {
            return Err(NoDocument::Busy);
        }
        let entry = self.fetch(client_id, &url, reach, now_ms).await;
        let client = entry.client.clone();
        *slot = Some(entry);
        client
    }

    fn check_url(&self, client_id: &str) -> Result<(Url, Reach), NoDocument> {
        if client_id.len() > URL_BYTES_MAX {
            return Err(NoDocument::Url);
        }
        let url = Url::parse(client_id).map_err(|_malformed| NoDocument::Url)?;
        // Written as the parser would write it: no second spelling, dot segments or hidden characters.
        let plain = url.as_str() == client_id
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.path().len() > 1;
        let reach = match url.scheme() {
            "https" => Reach::Public,
            "http" if self.from_loopback && is_loopback(&url) => Reach::Configured,
            _ => return Err(NoDocument::Url),
        };
        if !plain {
            return Err(NoDocument::Url);
        }
        let host = url.host_str().ok_or(NoDocument::Url)?;
        if let Some(hosts) = &self.hosts
            && !hosts.iter().any(|it| it.eq_ignore_ascii_case(host))
        {
            return Err(NoDocument::Host);
        }
        Ok((url, reach))
    }

    async fn fetch(&self, client_id: &str, url: &Url, reach: Reach, now_ms: u64) -> Entry {
        let failed = |error| Entry {
            client: Err(error),
            until_ms: now_ms.saturating_add(FAILURE_KEPT_MS),
        };
        let fetched = match fetch::json(self.egress.client(reach), url, BYTES_MAX).await {
            Ok(fetched) => fetched,
            Err(error) => {
                tracing::info!(client = client_id, error = %error, source = ?std::error::Error::source(&error), "no client metadata document");
                return failed(NoDocument::Fetch);
            }
        };
        let metadata: Metadata = match serde_json::from_slice(&fetched.body) {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::info!(client = client_id, %error, "a client metadata document is malformed");
                return failed(NoDocument::Document);
            }
        };
        if metadata.client_id.as_deref() != Some(client_id) {
            tracing::info!(
                client = client_id,
                "a client metadata document has another client_id"
            );
            return failed(NoDocument::Document);
        }
        let methods = [AuthMethod::None, AuthMethod::PrivateKeyJwt];
        match metadata.accept(client_id, Origin::Document, &methods, self.from_loopback) {
            Ok(client) => {
                let kept_ms = fetched
                    .max_age
                    .map_or(KEPT_UNSTATED_MS, |seconds| seconds.saturating_mul(1000))
                    .clamp(KEPT_MIN_MS, KEPT_MAX_MS);
                Entry {
                    client: Ok(Arc::new(client)),
                    until_ms: now_ms.saturating_add(kept_ms),
                }
            }
            Err(error) => {
                tracing::info!(client = client_id, %error, "a client metadata document is not accepted");
                failed(NoDocument::Document)
            }
        }
    }
}
