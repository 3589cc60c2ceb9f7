//! How much moves, and the caps on it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::allowance::Caps;
use super::reason::Reason;

const MINUTE: Duration = Duration::from_mins(1);

/// How many denied lookups are recorded in a minute: a tunnel of names asks for thousands.
const LOOKUPS_RECORDED_MAX: u64 = 100;

/// What a server moved in the current minute.
#[derive(Debug)]
pub(crate) struct Meter(Mutex<Window>);

#[derive(Debug)]
struct Window {
    since: Instant,
    bytes_out: u64,
    bytes_in: u64,
    connections: usize,
    lookups: u64,
}

/// Whether one more connection may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Within,
    /// It is the first that may not.
    Exceeded,
    /// It is one of many.
    StillExceeded,
}

impl Default for Meter {
    fn default() -> Self {
        Self(Mutex::new(Window::new()))
    }
}

impl Window {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            bytes_out: 0,
            bytes_in: 0,
            connections: 0,
            lookups: 0,
        }
    }
}

impl Meter {
    fn with<T>(&self, act: impl FnOnce(&mut Window) -> T) -> T {
        let mut window = self.0.lock();
        if window.since.elapsed() >= MINUTE {
            *window = Window::new();
        }
        act(&mut window)
    }

    /// Whether one more connection may begin, of so many in a minute.
    pub(crate) fn begin(&self, connections_max: usize) -> Pace {
        self.with(|window| {
            window.connections = window.connections.saturating_add(1);
            match window.connections.saturating_sub(connections_max) {
                0 => Pace::Within,
                1 => Pace::Exceeded,
                _ => Pace::StillExceeded,
            }
        })
    }

    /// Whether one more denied lookup is recorded.
    pub(crate) fn records_lookup(&self) -> bool {
        self.with(|window| {
            window.lookups += 1;
            window.lookups <= LOOKUPS_RECORDED_MAX
        })
    }
}

/// What one connection moved.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    exceeded: OnceLock<Reason>,
}

impl Tally {
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// The cap that ended it.
    pub(crate) fn exceeded(&self) -> Option<Reason> {
        self.exceeded.get().copied()
    }
}

/// A connection to the outside, which fails before it exceeds a cap.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    io: S,
    caps: Caps,
    tally: Arc<Tally>,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(crate) fn new(io: S, caps: Caps, tally: Arc<Tally>, meter: Arc<Meter>) -> Self {
        Self {
            io,
            caps,
            tally,
            meter,
        }
    }

    fn exceed(&self, reason: Reason) -> io::Error {
        // The first reason is the one.
        self.tally.exceeded.get_or_init(|| reason);
        io::Error::new(io::ErrorKind::QuotaExceeded, reason.to_string())
    }

    /// How many of `wanted` bytes may go out; they count from here on.
    fn take_out(&self, wanted: usize) -> io::Result<usize> {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let left = self.caps.bytes_out_per_connection_max;
        let left = left.saturating_sub(self.tally.bytes_out());
        let taken = self.meter.with(|window| {
            let in_minute = self.caps.bytes_out_per_minute_max;
            let taken = wanted
                .min(left)
                .min(in_minute.saturating_sub(window.bytes_out));
            window.bytes_out += taken;
            taken
        });
        if taken == 0 && wanted > 0 {
            return Err(self.exceed(match left {
                0 => Reason::ConnectionBytes,
                _ => Reason::MinuteBytes,
            }));
        }
        self.tally.bytes_out.fetch_add(taken, Ordering::Relaxed);
        Ok(usize::try_from(taken).unwrap_or(usize::MAX))
    }

    /// These bytes did not go out.
    fn give_back(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.tally.bytes_out.fetch_sub(count, Ordering::Relaxed);
        self.meter
            .with(|window| window.bytes_out = window.bytes_out.saturating_sub(count));
    }

    /// These bytes came in.
    fn take_in(&self, count: usize) -> io::Result<()> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let now = self.tally.bytes_in().saturating_add(count);
        if now > self.caps.bytes_in_per_connection_max {
            return Err(self.exceed(Reason::ConnectionBytes));
        }
        let fits = self.meter.with(|window| {
            let now = window.bytes_in.saturating_add(count);
            let fits = now <= self.caps.bytes_in_per_minute_max;
            if fits {
                window.bytes_in = now;
            }
            fits
        });
        if !fits {
            return Err(self.exceed(Reason::MinuteBytes));
        }
        self.tally.bytes_in.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let count = buffer.filled().len().saturating_sub(before);
        if let Err(error) = self.take_in(count) {
            // What is too much is not passed on in part.
            buffer.set_filled(before);
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.take_out(bytes.len())?;
        let part = bytes.get(..taken).unwrap_or_default();
        let written = Pin::new(&mut self.io).poll_write(cx, part);
        let gone = match &written {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.give_back(taken.saturating_sub(gone));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
