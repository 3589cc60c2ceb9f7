//! One connection of the server while it lasts; its record when it is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Shared;
use super::allowance::{Wish, WishKind};
use super::connection::{Connection, Kind, Verdict};
use super::meter::{Pace, Tally};
use super::reason::Reason;

/// Longest host that is recorded: names have no more (RFC 1035 §2.3.4).
const HOST_MAX: usize = 255;

/// A connection of the server. However it ends, its record is made then.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: Arc<Tally>,
    kind: Kind,
    host: Option<String>,
    port: Option<u16>,
    method: Option<String>,
    tool: Option<String>,
    /// The rule that would allow it.
    line: Option<String>,
    started_ms: u64,
    started: Instant,
    verdict: Verdict,
    reason: Option<Reason>,
    counted: bool,
}

impl Attempt {
    /// A connection that was accepted; `None` if there are too many.
    pub(crate) fn admit(shared: &Arc<Shared>, kind: Kind) -> Option<Self> {
        let caps = *shared.allowance.borrow().caps();
        let pace = shared.meter.begin(caps.connections_per_minute_max);
        if pace == Pace::StillExceeded {
            return None;
        }
        let mut attempt = Self::new(shared, kind);
        let before = shared.open.fetch_add(1, Ordering::SeqCst);
        attempt.counted = true;
        if before < caps.connections_max && pace == Pace::Within {
            return Some(attempt);
        }
        attempt.deny(Reason::Crowded);
        None
    }

    /// A name that was asked for and is none of the server's.
    pub(crate) fn lookup(shared: &Arc<Shared>, name: &str) {
        let mut attempt = Self::new(shared, Kind::Lookup);
        attempt.sought(name, None);
        attempt.deny(Reason::Host);
    }

    fn new(shared: &Arc<Shared>, kind: Kind) -> Self {
        Self {
            shared: Arc::clone(shared),
            tally: Arc::default(),
            kind,
            host: None,
            port: None,
            method: None,
            line: None,
            tool: shared.in_flight.watch().borrow().only(),
            started_ms: (shared.now_ms)(),
            started: Instant::now(),
            verdict: Verdict::Cut,
            reason: Some(Reason::Closed),
            counted: false,
        }
    }

    /// How it is asked for, which only the request of a proxy says.
    pub(crate) fn is(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// What was asked for, as it was written.
    pub(crate) fn sought(&mut self, host: &str, port: Option<u16>) {
        let shown = host.chars().filter(|c| !c.is_control());
        self.host = Some(shown.take(HOST_MAX).collect());
        self.port = port;
    }

    /// What was asked for, as it was understood.
    pub(crate) fn wishes(&mut self, wish: &Wish) {
        self.sought(&wish.host.to_string(), Some(wish.port));
        self.line = Some(wish.line());
        if let WishKind::Request(method) = &wish.kind {
            self.method = Some(method.as_str().chars().take(HOST_MAX).collect());
        }
    }

    /// What was asked for, for the server's own eyes.
    pub(crate) fn place(&self) -> String {
        match (&self.host, self.port) {
            (Some(host), Some(port)) => format!("`{host}` at port {port}"),
            (Some(host), None) => format!("`{host}`"),
            (None, _) => "that".to_owned(),
        }
    }

    /// The rule that would allow it, if it was understood.
    pub(crate) fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }

    /// For a call of this tool, if any.
    pub(crate) fn for_tool(&mut self, tool: Option<String>) {
        self.tool = tool;
    }

    /// It is not made.
    pub(crate) fn deny(&mut self, reason: Reason) {
        self.end(Verdict::Denied, Some(reason));
    }

    /// It is not made, or could not be, for this reason.
    pub(crate) fn refuse(&mut self, reason: Reason) {
        match reason {
            Reason::Unresolved | Reason::Unreachable | Reason::Broken => {
                self.end(Verdict::Failed, Some(reason));
            }
            _ => self.deny(reason),
        }
    }

    /// It was made, and is over: by itself, or by one of the caps.
    pub(crate) fn over(&mut self) {
        match self.tally.exceeded() {
            Some(reason) => self.cut(reason),
            None => self.end(Verdict::Allowed, None),
        }
    }

    /// It was made, and is ended by the door.
    pub(crate) fn cut(&mut self, reason: Reason) {
        self.end(Verdict::Cut, Some(reason));
    }

    fn end(&mut self, verdict: Verdict, reason: Option<Reason>) {
        self.verdict = verdict;
        self.reason = reason;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.counted {
            self.shared.open.fetch_sub(1, Ordering::SeqCst);
        }
        (self.shared.record)(Connection {
            server: self.shared.server.clone(),
            tool: self.tool.take(),
            host: self.host.take(),
            port: self.port,
            kind: self.kind,
            method: self.method.take(),
            bytes_out: self.tally.bytes_out(),
            bytes_in: self.tally.bytes_in(),
            started_ms: self.started_ms,
            duration: self.started.elapsed(),
            verdict: self.verdict,
            reason: self.reason,
        });
    }
}
