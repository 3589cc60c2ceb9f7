//! Nonces for proofs (RFC 9449 §8): nothing is kept of them, since each is a MAC over the time.

use aws_lc_rs::hmac;

use crate::secret::{self, NoRandomness};

/// How long a nonce is handed out. It is accepted for as long again.
const SLOT_MS: u64 = 120_000;

#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret::random::<32>()?);
        Ok(Self { key })
    }

    /// The nonce of the moment.
    pub(crate) fn at(&self, now_ms: u64) -> String {
        self.of_slot(now_ms / SLOT_MS)
    }

    pub(crate) fn is_ours(&self, nonce: &str, now_ms: u64) -> bool {
        let slot = now_ms / SLOT_MS;
        [Some(slot), slot.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|slot| secret::equal(self.of_slot(slot).as_bytes(), nonce.as_bytes()))
    }

    fn of_slot(&self, slot: u64) -> String {
        secret::base64url(hmac::sign(&self.key, &slot.to_be_bytes()).as_ref())
    }
}
