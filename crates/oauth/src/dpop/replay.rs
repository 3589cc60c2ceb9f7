//! Remembers proofs for as long as they could be shown again.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::{AGE_MAX_MS, DpopError};
use crate::secret;

/// A proof of a minute ahead is accepted for two: what came in one slot is kept through the next.
const SLOT_MS: u64 = 2 * AGE_MAX_MS;

/// How many proofs of one slot are remembered. Then no more are accepted: forgetting one would let it be shown again.
const PROOFS_MAX: usize = 500_000;

type Digest = [u8; 16];

#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    slot: u64,
    current: HashSet<Digest>,
    previous: HashSet<Digest>,
}

impl Seen {
    /// Takes note of a proof, which must not have been shown before.
    pub(crate) fn spend(&self, thumbprint: &str, id: &str, now_ms: u64) -> Result<(), DpopError> {
        // A thumbprint has no dot, so the two cannot run into each other.
        let digest = secret::sha256(format!("{thumbprint}.{id}").as_bytes());
        let digest: Digest = std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
        let mut slots = self.0.lock();
        slots.turn(now_ms / SLOT_MS);
        if slots.previous.contains(&digest) || slots.current.contains(&digest) {
            return Err(DpopError::Replay);
        }
        if slots.current.len() >= PROOFS_MAX {
            return Err(DpopError::Busy);
        }
        slots.current.insert(digest);
        Ok(())
    }
}

impl Slots {
    /// Moves on to `slot`. A clock that goes back forgets nothing.
    fn turn(&mut self, slot: u64) {
        if slot <= self.slot {
            return;
        }
        let current = std::mem::take(&mut self.current);
        self.previous = if slot == self.slot.saturating_add(1) {
            current
        } else {
            HashSet::new()
        };
        self.slot = slot;
    }
}
