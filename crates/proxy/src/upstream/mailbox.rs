//! The events that wait for the owner of one exchange on a channel shared by several.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::UpstreamError;
use super::event::{Answer, Ask, Event};

/// Notifications that may wait; more are dropped and counted.
const NOTIFICATIONS_MAX: usize = 256;
/// Requests of the server that may wait; more are refused.
const ASKS_MAX: usize = 64;

/// A queue with one reader. Notifications are dropped when it is full, an answer never is.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Event>,
    notifications: usize,
    asks: usize,
    dropped: u64,
}

impl Mailbox {
    /// Adds a progress or another notification, unless too many wait.
    pub(super) fn notify(&self, event: Event) {
        let mut inner = self.inner.lock();
        if inner.notifications >= NOTIFICATIONS_MAX {
            inner.dropped += 1;
            return;
        }
        inner.notifications += 1;
        inner.queue.push_back(event);
        drop(inner);
        self.arrived.notify_one();
    }

    /// Adds a request of the server; gives it back when too many wait.
    pub(super) fn ask(&self, ask: Ask) -> Result<(), Ask> {
        let mut inner = self.inner.lock();
        if inner.asks >= ASKS_MAX {
            return Err(ask);
        }
        inner.asks += 1;
        inner.queue.push_back(Event::Ask(ask));
        drop(inner);
        self.arrived.notify_one();
        Ok(())
    }

    /// Adds the last event.
    pub(super) fn done(&self, result: Result<Answer, UpstreamError>) {
        self.inner.lock().queue.push_back(Event::Done(result));
        self.arrived.notify_one();
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.take(|_| true) {
                return event;
            }
            self.arrived.notified().await;
        }
    }

    /// The last event, if it is the next one and there already.
    pub(super) fn try_done(&self) -> Option<Result<Answer, UpstreamError>> {
        match self.take(|event| matches!(event, Event::Done(_)))? {
            Event::Done(result) => Some(result),
            Event::Progress(_) | Event::Notification { .. } | Event::Ask(_) => None,
        }
    }

    fn take(&self, wanted: impl FnOnce(&Event) -> bool) -> Option<Event> {
        let mut inner = self.inner.lock();
        if !inner.queue.front().is_some_and(wanted) {
            return None;
        }
        let event = inner.queue.pop_front()?;
        match &event {
            Event::Progress(_) | Event::Notification { .. } => inner.notifications -= 1,
            Event::Ask(_) => inner.asks -= 1,
            Event::Done(_) if inner.dropped > 0 => {
                tracing::warn!(
                    dropped = inner.dropped,
                    "a slow client missed notifications"
                );
            }
            Event::Done(_) => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests;
