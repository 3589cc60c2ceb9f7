//! An event stream toward a client: filled by the request that it answers, read by the connection
//! that carries it, and kept for a while so that a client of the legacy era can take it up again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_mcp::encode_event;

use crate::runtime::Counted;

/// Events that may wait for a slow client before notifications are dropped.
const WAITING_MAX: u64 = 1024;
/// Events that wait for a client that has no connection open.
const WAITING_UNREAD_MAX: u64 = 64;
/// Bytes that may wait for a slow client before notifications are dropped.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Delivered events that are kept so that a broken stream can be resumed.
const KEPT_MAX: usize = 64;
/// Bytes of delivered events that are kept so that a broken stream can be resumed.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// How long a client should wait before it takes a broken stream up again, in milliseconds.
const RETRY_MS: u64 = 1000;
/// How often an idle stream carries a comment, so that nothing on the way closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Messages on their way to a client, in order.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Number within the session when the stream can be resumed; events then carry ids.
    number: Option<u32>,
    /// Whether it stands by itself, and so may fill up with nobody reading.
    standing: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Bytes>,
    /// Sequence number of the first of `events`.
    first: u64,
    /// Sequence number of the next event to deliver.
    next: u64,
    bytes: usize,
    done: bool,
    /// Counts readers; only the newest one is served.
    reader: u64,
    dropped: u64,
    waker: Option<Waker>,
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Forgets delivered events beyond what is kept for a resume.
    fn forget(&mut self, kept_max: usize, kept_bytes_max: usize) {
        while self.first < self.next {
            let delivered = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
            if delivered <= kept_max && self.bytes <= kept_bytes_max {
                break;
            }
            if let Some(event) = self.events.pop_front() {
                self.bytes -= event.len();
            }
            self.first += 1;
        }
    }
}

impl Stream {
    /// A stream that ends with its connection.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            number: None,
            standing: false,
            state: Mutex::default(),
        })
    }

    /// A stream that answers a request, whose events carry ids, so that it can be resumed.
    pub(crate) fn resumable(number: u32) -> Arc<Self> {
        Arc::new(Self {
            number: Some(number),
            standing: false,
            state: Mutex::default(),
        })
    }

    /// A session's own stream, for what belongs to no request.
    pub(crate) fn standing() -> Arc<Self> {
        Arc::new(Self {
            number: Some(0),
            standing: true,
            state: Mutex::default(),
        })
    }

    /// Adds a notification; it is dropped when the client is far behind.
    pub(crate) fn notify(&self, message: impl Into<Bytes>) {
        let mut state = self.state.lock();
        let waiting = state.end() - state.next;
        let waiting_max = if state.reader == 0 && self.standing {
            WAITING_UNREAD_MAX
        } else {
            WAITING_MAX
        };
        if waiting >= waiting_max || state.bytes >= WAITING_BYTES_MAX {
            state.dropped += 1;
            if state.dropped == 1 {
                tracing::warn!("a client reads too slowly; notifications to it are dropped");
            }
            return;
        }
        Self::append(&mut state, message.into());
    }

    /// Adds a message that is never dropped: a response, or a request to the client.
    pub(crate) fn push(&self, message: impl Into<Bytes>) {
        Self::append(&mut self.state.lock(), message.into());
    }

    fn append(state: &mut State, message: Bytes) {
        if state.done {
            return;
        }
        state.bytes += message.len();
        state.events.push_back(message);
        state.wake();
    }

    /// Ends the stream after what it holds.
    pub(crate) fn finish(&self) {
        let mut state = self.state.lock();
        state.done = true;
        state.wake();
    }

    /// The stream's number within its session, if it can be resumed.
    pub(crate) fn number(&self) -> Option<u32> {
        self.number
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.lock().done
    }

    /// Whether anything has been added yet; registers the task to be woken when something is.
    pub(crate) fn poll_started(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.end() > 0 || state.done {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next message as it is, for a transport that is not HTTP.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            if let Some(message) = state.events.pop_front() {
                state.bytes -= message.len();
                state.first += 1;
                state.next = state.first;
                return Poll::Ready(Some(message));
            }
            if state.done {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Reads the stream as a response's body, from the event after `after` where that is still
    /// kept. An earlier reader of the same stream ends.
    pub(crate) fn read(self: &Arc<Self>, after: Option<u64>, prime: bool) -> Reader {
        let mut state = self.state.lock();
        state.reader += 1;
        if let Some(after) = after {
            state.next = (after + 1).clamp(state.first, state.end());
        }
        state.wake();
        let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
        keep_alive.reset();
        Reader {
            stream: Arc::clone(self),
            turn: state.reader,
            prime: prime
                .then(|| self.event_id(state.next.wrapping_sub(1)))
                .flatten(),
            keep_alive,
            on_drop: None,
            held: None,
        }
    }

    fn event_id(&self, sequence: u64) -> Option<String> {
        // The priming event ahead of everything is number -1: written as 0, all others one up.
        self.number
            .map(|number| format!("{number}-{}", sequence.wrapping_add(1)))
    }
}

/// The stream and the event that a `Last-Event-ID` names.
pub(crate) fn parse_event_id(id: &str) -> Option<(u32, Option<u64>)> {
    let (number, sequence) = id.split_once('-')?;
    Some((
        number.parse().ok()?,
        sequence.parse::<u64>().ok()?.checked_sub(1),
    ))
}

/// Reads a [`Stream`] as the body of a response.
pub(crate) struct Reader {
    stream: Arc<Stream>,
    turn: u64,
    prime: Option<String>,
    keep_alive: tokio::time::Interval,
    on_drop: Option<tokio::task::AbortHandle>,
    held: Option<Counted>,
}

impl Reader {
    /// Ends the task that fills the stream when the connection goes.
    pub(crate) fn abort_on_drop(mut self, task: tokio::task::AbortHandle) -> Self {
        self.on_drop = Some(task);
        self
    }

    /// Counts as an open stream for as long as it is read.
    pub(crate) fn holding(mut self, counted: Counted) -> Self {
        self.held = Some(counted);
        self
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(id) = self.prime.take() {
            return Poll::Ready(Some(encode_event(Some(&id), Some(RETRY_MS), b"")));
        }
        {
            let mut state = self.stream.state.lock();
            if state.reader != self.turn {
                return Poll::Ready(None);
            }
            let at = usize::try_from(state.next - state.first).unwrap_or(usize::MAX);
            if let Some(message) = state.events.get(at).cloned() {
                let id = self.stream.event_id(state.next);
                state.next += 1;
                match self.stream.number {
                    Some(_) => state.forget(KEPT_MAX, KEPT_BYTES_MAX),
                    None => state.forget(0, 0),
                }
                return Poll::Ready(Some(encode_event(id.as_deref(), None, &message)));
            }
            if state.done {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
        }
        match Pin::new(&mut self.keep_alive).poll_tick(cx) {
            Poll::Ready(_) => Poll::Ready(Some(Bytes::from_static(b":\n\n"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(task) = self.on_drop.take() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
