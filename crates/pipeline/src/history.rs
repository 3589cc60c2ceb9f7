//! How much each principal has called of late: what policies and questions to people may count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use portcullis_mcp::ServerName;

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
    principals: Cache<Arc<str>, Past>,
}

/// The recent past of one principal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past(Arc<Mutex<Deeds>>);

/// A tool as it is counted: its server, and the server's own name for it.
pub(crate) type Called<'a> = (&'a ServerName, &'a str);

#[derive(Debug, Default)]
struct Deeds {
    calls: Ring,
    denials: Ring,
    tools: HashMap<ServerName, HashMap<Box<str>, Ring>>,
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
    /// The past of a principal, by its identity.
    pub(crate) fn of(&self, identity: &Arc<str>) -> Past {
        self.principals
            .get_with(Arc::clone(identity), Past::default)
    }
}

impl Past {
    /// Counts a request, for a tool if it calls one.
    pub(crate) fn add(&self, called: Option<Called<'_>>, denied: bool, at: Timestamp) {
        let minute = at.0 / MINUTE_MS;
        let mut deeds = self.0.lock();
        if denied {
            deeds.denials.add(minute);
            return;
        }
        deeds.calls.add(minute);
        if let Some(called) = called {
            deeds.add_call(called, minute);
        }
    }

    /// What the principal has done within the hour before `at`, and how much of that was for one tool.
    pub(crate) fn counts(&self, called: Option<Called<'_>>, at: Timestamp) -> Counts {
        let minute = at.0 / MINUTE_MS;
        let mut deeds = self.0.lock();
        Counts {
            calls: deeds.calls.total(minute),
            denials: deeds.denials.total(minute),
            calls_of_tool: called
                .and_then(|called| deeds.calls_of(called))
                .map_or(0, |ring| ring.total(minute)),
        }
    }
}

impl Deeds {
    fn calls_of(&mut self, (server, tool): Called<'_>) -> Option<&mut Ring> {
        self.tools.get_mut(server)?.get_mut(tool)
    }

    fn add_call(&mut self, called: Called<'_>, minute: u64) {
        if let Some(ring) = self.calls_of(called) {
            ring.add(minute);
            return;
        }
        if self.tools_counted() >= TOOLS_MAX {
            for tools in self.tools.values_mut() {
                tools.retain(|_, ring| ring.total(minute) > 0);
            }
            self.tools.retain(|_, tools| !tools.is_empty());
        }
        if self.tools_counted() < TOOLS_MAX {
            let (server, tool) = called;
            let tools = self.tools.entry(server.clone()).or_default();
            tools.entry(tool.into()).or_default().add(minute);
        }
    }

    fn tools_counted(&self) -> usize {
        self.tools.values().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests;
