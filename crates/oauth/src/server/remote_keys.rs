//! Key sets that clients and issuers publish (RFC 7517 §5), fetched at need.

use std::sync::Arc;

use moka::sync::Cache;
use portcullis_egress::{Egress, Reach};
use tokio::sync::Mutex;
use url::Url;

use crate::jwt::jwk::Jwk;
use crate::server::client::verifies;
use crate::server::fetch;

const BYTES_MAX: usize = 64 * 1024;
const KEYS_MAX: usize = 64;
const ENTRIES_MAX: u64 = 4096;

/// How long a set is kept; how soon it is fetched again for an unknown key or after a failure; and how long an old one is used
/// while it cannot be fetched.
const KEPT_MS: u64 = 10 * 60_000;
const AGAIN_MS: u64 = 30_000;
const STALE_MS: u64 = 60 * 60_000;

/// Key sets by their addresses.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    egress: Egress,
    slots: Cache<Box<str>, Arc<Mutex<Option<Entry>>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    keys: Arc<[Jwk]>,
    fetched_ms: u64,
    tried_ms: u64,
}

/// A key set as it is published: a key of an unknown kind spoils none of the others (RFC 7517 §5).
#[derive(serde::Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Set {
    fn usable(self) -> Arc<[Jwk]> {
        let keys = self.keys.into_iter().take(KEYS_MAX);
        keys.filter_map(|key| serde_json::from_value(key).ok())
            .filter(verifies)
            .collect()
    }
}

impl RemoteKeys {
    pub(crate) fn new(egress: Egress) -> Self {
        Self {
            egress,
            slots: Cache::new(ENTRIES_MAX),
        }
    }

    /// The keys at `url`, fetched anew when none of those known is called `kid`. Empty when there are none.
    pub(crate) async fn get(
        &self,
        url: &Url,
        reach: Reach,
        kid: Option<&str>,
        now_ms: u64,
    ) -> Arc<[Jwk]> {
        // By its reach too: what the operator wrote is no way for a peer.
        let slot = self
            .slots
            .get_with(format!("{reach:?} {url}").into(), Arc::default);
        let mut slot = slot.lock().await;
        if let Some(entry) = &*slot {
            let known = kid.is_none_or(|kid| has(&entry.keys, kid));
            let fresh = now_ms.saturating_sub(entry.fetched_ms) < KEPT_MS;
            let tried = now_ms.saturating_sub(entry.tried_ms) < AGAIN_MS;
            if tried || (known && fresh) {
                return Arc::clone(&entry.keys);
            }
        }
        let keys = match fetch::json(self.egress.client(reach), url, BYTES_MAX).await {
            Ok(fetched) => serde_json::from_slice::<Set>(&fetched.body)
                .map_err(|error| tracing::warn!(%url, %error, "a key set is malformed"))
                .ok(),
            Err(error) => {
                tracing::warn!(%url, %error, "a key set could not be fetched");
                None
            }
        };
        let entry = match keys {
            Some(set) => Entry {
                keys: set.usable(),
                fetched_ms: now_ms,
                tried_ms: now_ms,
            },
            None => match slot.take() {
                Some(old) if now_ms.saturating_sub(old.fetched_ms) < STALE_MS => Entry {
                    tried_ms: now_ms,
                    ..old
                },
                _ => Entry {
                    keys: Arc::new([]),
                    fetched_ms: 0,
                    tried_ms: now_ms,
                },
            },
        };
        let keys = Arc::clone(&entry.keys);
        *slot = Some(entry);
        keys
    }
}

fn has(keys: &[Jwk], kid: &str) -> bool {
    keys.iter()
        .any(|key| key.common.key_id.as_deref() == Some(kid))
}

/// The one key that a token's `kid` means: that of this name, or the only one there is if it has none.
pub(crate) fn choose<'a>(keys: &'a [Jwk], kid: Option<&str>) -> Option<&'a Jwk> {
    let named = keys
        .iter()
        .find(|key| kid.is_some() && key.common.key_id.as_deref() == kid);
    match (named, keys) {
        (Some(key), _) => Some(key),
        (None, [key]) if kid.is_none() || key.common.key_id.is_none() => Some(key),
        (None, _) => None,
    }
}
