//! The requests of one client that are in progress, so that the client can cancel them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_mcp::{Id, Object, string};
use tokio_util::sync::CancellationToken;

/// Requests in progress that one client may have.
const CALLS_MAX: usize = 1024;

/// The requests of one client that are in progress.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    by_id: Mutex<HashMap<Id, CancellationToken>>,
}

/// Why a request was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBegun {
    TooMany,
    DuplicateId,
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct CallGuard {
    calls: Arc<Calls>,
    id: Id,
    pub(crate) cancelled: CancellationToken,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.calls.by_id.lock().remove(&self.id);
    }
}

impl Calls {
    /// Notes that the request `id` is in progress.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> Result<CallGuard, NotBegun> {
        let mut by_id = self.by_id.lock();
        if by_id.len() >= CALLS_MAX {
            return Err(NotBegun::TooMany);
        }
        let cancelled = CancellationToken::new();
        match by_id.entry(id.clone()) {
            Entry::Occupied(_) => return Err(NotBegun::DuplicateId),
            Entry::Vacant(entry) => entry.insert(cancelled.clone()),
        };
        Ok(CallGuard {
            calls: Arc::clone(self),
            id: id.clone(),
            cancelled,
        })
    }

    /// The client no longer wants the answer to the request `id`.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(cancelled) = self.by_id.lock().get(id) {
            cancelled.cancel();
        }
    }

    pub(crate) fn cancel_all(&self) {
        for cancelled in self.by_id.lock().values() {
            cancelled.cancel();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.lock().is_empty()
    }
}

/// The id that a `notifications/cancelled` names.
pub(crate) fn cancelled_id(params: Option<&[u8]>) -> Option<Id> {
    Id::parse(Object::parse(params?)?.get("requestId")?)
}

/// Why a client says it cancelled, for the log.
pub(crate) fn cancel_reason(params: Option<&[u8]>) -> Option<String> {
    let params = Object::parse(params?)?;
    string(params.get("reason")?).map(|reason| reason.chars().take(200).collect())
}
