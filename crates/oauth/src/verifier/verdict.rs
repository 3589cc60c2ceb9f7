//! What was found out about a credential, to be believed for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::identity::Identity;
use crate::issuer::{Confirmation, Verified};

/// A credential that was found good.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) identity: Arc<Identity>,
    pub(super) confirmation: Confirmation,
    pub(super) revocable_as: Vec<String>,
    pub(super) issued_ms: u64,
    /// When it is to be verified anew, or has ended.
    until_ms: u64,
    /// The store's epoch under which it was not revoked.
    epoch: AtomicU64,
    /// Whether its first success was recorded.
    begun: AtomicBool,
}

impl Verdict {
    pub(super) fn new(verified: Verified, believed_until_ms: u64, epoch: u64, begun: bool) -> Self {
        Self {
            identity: verified.identity,
            confirmation: verified.confirmation,
            revocable_as: verified.revocable_as,
            issued_ms: verified.issued_ms,
            until_ms: verified.until_ms.min(believed_until_ms),
            epoch: AtomicU64::new(epoch),
            begun: AtomicBool::new(begun),
        }
    }

    /// Whether nothing has to be looked up.
    pub(super) fn stands(&self, epoch: u64, now_ms: u64) -> bool {
        self.is_believed(now_ms) && self.epoch.load(Ordering::Acquire) == epoch
    }

    /// Whether it needs no more than a look at the revocations.
    pub(super) fn is_believed(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// Notes that it was not revoked under `epoch`.
    pub(super) fn renew(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Whether its first success is still to be recorded; says so once.
    pub(super) fn begins(&self) -> bool {
        self.is_new() && !self.begun.swap(true, Ordering::AcqRel)
    }

    /// Takes back that the first success is recorded.
    pub(super) fn begin_again(&self) {
        self.begun.store(false, Ordering::Release);
    }

    pub(super) fn is_new(&self) -> bool {
        !self.begun.load(Ordering::Acquire)
    }
}
