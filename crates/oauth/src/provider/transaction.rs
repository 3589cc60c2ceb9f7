//! Logins in progress: what a browser carries, sealed, to the provider and back, once.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::secret::{self, NoRandomness};

/// How long a login through a provider may take.
pub(crate) const LASTS_MS: u64 = 10 * 60 * 1000;

/// How many used ones are remembered.
const USED_MAX: usize = 10_000;

/// A login in progress.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) provider: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    pub(crate) return_to: String,
    pub(crate) issued_ms: u64,
}

/// Which transactions were used.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    used: Mutex<HashMap<[u8; 32], u64>>,
}

impl Transaction {
    pub(super) fn new(provider: &str, return_to: &str, now_ms: u64) -> Result<Self, NoRandomness> {
        Ok(Self {
            provider: provider.to_owned(),
            state: secret::generate("")?.to_string(),
            nonce: secret::generate("")?.to_string(),
            verifier: secret::generate("")?.to_string(),
            return_to: return_to.to_owned(),
            issued_ms: now_ms,
        })
    }

    /// The code challenge, by S256 (RFC 7636 §4.2).
    pub(super) fn challenge(&self) -> String {
        secret::base64url(&secret::sha256(self.verifier.as_bytes()))
    }
}

impl Transactions {
    /// Uses a transaction up. `false`: it was used, or is too old. When too many are remembered, none is accepted until some are
    /// too old.
    pub(crate) fn spend(&self, transaction: &Transaction, now_ms: u64) -> bool {
        let lasts = |issued_ms: u64| now_ms.saturating_sub(issued_ms) <= LASTS_MS;
        if !lasts(transaction.issued_ms) {
            return false;
        }
        let mut used = self.used.lock();
        if used.len() >= USED_MAX {
            used.retain(|_, issued_ms| lasts(*issued_ms));
        }
        if used.len() >= USED_MAX {
            return false;
        }
        let digest = secret::sha256(transaction.state.as_bytes());
        used.insert(digest, transaction.issued_ms).is_none()
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}
