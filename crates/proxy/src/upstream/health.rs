//! Whether a server may be tried: exponential backoff after failures, the same for all its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::UpstreamError;
use super::event::State;

/// The first pause after a failure, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause, jitter included.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted this long makes earlier failures forgotten.
const STABLE: Duration = Duration::from_secs(10);

/// The failures of one server, and its open connections.
#[derive(Debug, Default)]
pub(super) struct Health {
    inner: Mutex<Inner>,
    /// Whether `inner.down` is set: what every request asks, without the lock.
    is_down: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    connections: usize,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    reason: String,
    since: Instant,
    retry_at: Instant,
}

impl Health {
    /// Refuses while the pause after a failure lasts.
    pub(super) fn admit(&self, now: Instant) -> Result<(), UpstreamError> {
        if !self.is_down.load(Ordering::Relaxed) {
            return Ok(());
        }
        let inner = self.inner.lock();
        match &inner.down {
            Some(down) if down.retry_at > now => Err(UpstreamError::Down {
                retry_after: down.retry_at - now,
                reason: down.reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        let mut inner = self.inner.lock();
        inner.connections += 1;
        inner.down = None;
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// A connection that was made at `since` is gone; `failure` says why, if nobody asked for it.
    pub(super) fn disconnected(&self, since: Instant, failure: Option<&str>, now: Instant) {
        let mut inner = self.inner.lock();
        inner.connections = inner.connections.saturating_sub(1);
        if now.duration_since(since) >= STABLE {
            inner.failures = 0;
        }
        if let Some(reason) = failure {
            inner.fail(reason, now);
            self.is_down.store(true, Ordering::Relaxed);
        }
    }

    /// The server answered: earlier failures to reach it are over.
    pub(super) fn reached(&self) {
        if !self.is_down.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.inner.lock();
        inner.failures = 0;
        inner.down = None;
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// A start or a connection attempt failed.
    pub(super) fn failed(&self, reason: &str, now: Instant) {
        let mut inner = self.inner.lock();
        inner.fail(reason, now);
        self.is_down.store(true, Ordering::Relaxed);
    }

    pub(super) fn state(&self, now: Instant) -> State {
        let inner = self.inner.lock();
        match &inner.down {
            Some(down) => State::Down {
                reason: down.reason.clone(),
                since: down.since.into_std(),
                retry_after: down.retry_at.saturating_duration_since(now),
            },
            None if inner.connections > 0 => State::Up,
            None => State::Idle,
        }
    }
}

/// One open connection, counted until it ends.
#[derive(Debug)]
pub(super) struct Registration {
    health: Arc<Health>,
    since: Instant,
}

impl Registration {
    pub(super) fn new(health: &Arc<Health>) -> Self {
        health.connected();
        Self {
            health: health.clone(),
            since: Instant::now(),
        }
    }

    /// The connection is gone; `failure` says why, if nobody asked for it.
    pub(super) fn end(self, failure: Option<&str>) {
        self.health
            .disconnected(self.since, failure, Instant::now());
    }
}

impl Inner {
    fn fail(&mut self, reason: &str, now: Instant) {
        // Several attempts that ran side by side and failed together count once.
        if self.down.as_ref().is_some_and(|down| down.retry_at > now) {
            return;
        }
        let since = self.down.as_ref().map_or(now, |down| down.since);
        let retry_at = now + pause(self.failures, chance());
        self.failures = self.failures.saturating_add(1);
        self.down = Some(Down {
            reason: reason.to_owned(),
            since,
            retry_at,
        });
    }
}

/// The pause after `failures` earlier failures in a row; `chance` spreads it by up to a half.
fn pause(failures: u32, chance: u8) -> Duration {
    let base = PAUSE_MIN.saturating_mul(1 << failures.min(16));
    let jitter = base.saturating_mul(u32::from(chance)) / 512;
    base.saturating_add(jitter).min(PAUSE_MAX)
}

/// A random byte; without randomness there is no jitter, which does no harm.
fn chance() -> u8 {
    let mut byte = [0];
    match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => u8::from_ne_bytes(byte),
        Err(aws_lc_rs::error::Unspecified) => 0,
    }
}

#[cfg(test)]
mod tests;
