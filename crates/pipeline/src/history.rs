//! How much each principal has called of late: what policies and questions to people may count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;

use crate::Timestamp;

/// How many principals are remembered; the one longest silent is forgotten first.
const PRINCIPALS_MAX: u64 = 10_000;
/// How many tools are counted for one principal; further ones count as never called.
const TOOLS_MAX: usize = 512;
/// The minutes that are counted.
const MINUTES: usize = 60;
const MINUTE_MS: u64 = 60_000;

/// What a principal has done within the last hour, to the minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that went on.
    pub calls: u32,
    /// Those that were for one tool.
    pub calls_of_tool: u32,
    /// Requests that were denied.
    pub denials: u32,
}

/// The recent past of all principals.
#[derive(Debug)]
pub struct History {
    principals: Cache<Arc<str>, Arc<Mutex<Past>>>,
}

#[derive(Debug, Default)]
struct Past {
    calls: Ring,
    denials: Ring,
    tools: HashMap<Box<str>, Ring>,
}

/// Counts by minute.
#[derive(Debug)]
struct Ring {
    counts: [u32; MINUTES],
    minute: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            counts: [0; MINUTES],
            minute: 0,
        }
    }
}

impl Ring {
    fn advance(&mut self, minute: u64) {
        let passed = minute.saturating_sub(self.minute);
        for ahead in 1..=passed.min(MINUTES as u64) {
            if let Some(count) = self.place(self.minute.saturating_add(ahead)) {
                *count = 0;
            }
        }
        self.minute = self.minute.max(minute);
    }

    fn place(&mut self, minute: u64) -> Option<&mut u32> {
        let place = usize::try_from(minute % MINUTES as u64).ok()?;
        self.counts.get_mut(place)
    }

    fn add(&mut self, minute: u64) {
        self.advance(minute);
        let minute = self.minute;
        if let Some(count) = self.place(minute) {
            *count = count.saturating_add(1);
        }
    }

    fn total(&mut self, minute: u64) -> u32 {
        self.advance(minute);
        self.counts.iter().copied().fold(0, u32::saturating_add)
    }
}

impl Default for History {
    fn default() -> Self {
        let idle = Duration::from_millis(MINUTE_MS * MINUTES as u64);
        Self {
            principals: Cache::builder()
                .max_capacity(PRINCIPALS_MAX)
                .time_to_idle(idle)
                .build(),
        }
    }
}

impl History {
    /// Counts a request of a principal, by its identity: for a tool, called `SERVER/TOOL`, if it is for one.
    pub(crate) fn add(&self, identity: &Arc<str>, tool: Option<&str>, denied: bool, at: Timestamp) {
        let past = self
            .principals
            .get_with(Arc::clone(identity), Arc::<Mutex<Past>>::default);
        let minute = at.0 / MINUTE_MS;
        let mut past = past.lock();
        if denied {
            past.denials.add(minute);
            return;
        }
        past.calls.add(minute);
        let Some(tool) = tool else { return };
        if let Some(ring) = past.tools.get_mut(tool) {
            ring.add(minute);
        } else {
            if past.tools.len() >= TOOLS_MAX {
                past.tools.retain(|_, ring| ring.total(minute) > 0);
            }
            if past.tools.len() < TOOLS_MAX {
                past.tools.entry(tool.into()).or_default().add(minute);
            }
        }
    }

    /// What a principal has done within the hour before `at`.
    pub(crate) fn of(&self, identity: &str, tool: Option<&str>, at: Timestamp) -> Counts {
        let Some(past) = self.principals.get(identity) else {
            return Counts::default();
        };
        let minute = at.0 / MINUTE_MS;
        let mut past = past.lock();
        Counts {
            calls: past.calls.total(minute),
            denials: past.denials.total(minute),
            calls_of_tool: tool
                .and_then(|tool| past.tools.get_mut(tool))
                .map_or(0, |ring| ring.total(minute)),
        }
    }
}

#[cfg(test)]
mod tests;
