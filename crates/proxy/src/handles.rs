//! Handles that a principal holds and gives back: each belongs to one principal, works once,
//! expires, and is counted against a bound. Another principal's handle is the same as an unknown one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::seal::{NoRandomness, random_id};

/// Things held for principals under random names.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    entries: Mutex<HashMap<String, Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    owner: Arc<str>,
    expires: Instant,
    value: T,
}

/// Why nothing more is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotHeld {
    #[error("too many are held for this principal")]
    Full,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl<T> Handles<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// Holds `value` for `owner`, for `life` from `now`, and returns its name.
    pub(crate) fn put(
        &self,
        owner: &Arc<str>,
        value: T,
        now: Instant,
        life: Duration,
        held_max: usize,
    ) -> Result<String, NotHeld> {
        let id = random_id()?;
        let mut entries = self.entries.lock();
        if entries
            .values()
            .filter(|entry| entry.owner == *owner)
            .count()
            >= held_max
        {
            return Err(NotHeld::Full);
        }
        let entry = Entry {
            owner: Arc::clone(owner),
            expires: now + life,
            value,
        };
        entries.insert(id.clone(), entry);
        Ok(id)
    }

    /// Takes what `owner` holds under `id`. It is gone afterwards.
    pub(crate) fn take(&self, owner: &str, id: &str, now: Instant) -> Option<T> {
        let mut entries = self.entries.lock();
        match entries.get(id) {
            Some(entry) if &*entry.owner == owner => {}
            Some(_) | None => return None,
        }
        entries
            .remove(id)
            .filter(|entry| entry.expires > now)
            .map(|entry| entry.value)
    }

    /// Lets go of everything.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.entries.lock());
        drop(all);
    }

    /// Lets go of what has expired.
    pub(crate) fn expire(&self, now: Instant) {
        let expired: Vec<T> = {
            let mut entries = self.entries.lock();
            entries
                .extract_if(|_, entry| entry.expires <= now)
                .map(|(_, entry)| entry.value)
                .collect()
        };
        drop(expired);
    }
}

#[cfg(test)]
mod tests;
