//! One request in progress, over whatever transport, with its time limits.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use portcullis_mcp::Outcome;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::duplex::InFlight;
use super::error::UpstreamError;
use super::event::{Answer, Ask, Event, Reply, encode_response};
use super::http_exchange::HttpExchange;
use super::wire::Wire;

/// A request in progress. Dropped before its last event, it cancels the request at the server.
pub struct Exchange {
    inner: Inner,
    timers: Option<Timers>,
    permit: Option<OwnedSemaphorePermit>,
}

pub(super) enum Inner {
    Http(Box<HttpExchange>),
    Duplex(InFlight),
    Over,
}

impl Exchange {
    pub(super) const fn new(
        inner: Inner,
        timers: Option<Timers>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            inner,
            timers,
            permit,
        }
    }

    /// The next event. Cancel-safe. After [`Event::Done`], `Done(Err(Closed))` again and again.
    pub async fn next(&mut self) -> Event {
        let next = async {
            match &mut self.inner {
                Inner::Http(http) => http.next().await,
                Inner::Duplex(flight) => flight.next().await,
                Inner::Over => Event::Done(Err(UpstreamError::Closed)),
            }
        };
        let event = match &self.timers {
            None => next.await,
            Some(timers) => match tokio::time::timeout_at(timers.expiry(), next).await {
                Ok(event) => event,
                Err(_elapsed) => Event::Done(Err(UpstreamError::Timeout)),
            },
        };
        match &event {
            Event::Done(_) => self.end(),
            event => {
                if let Some(timers) = &mut self.timers {
                    timers.note(event, Instant::now());
                }
            }
        }
        event
    }

    /// The answer, if it is the next event and there already, as with a plain JSON reply.
    pub fn try_ready(&mut self) -> Option<Result<Answer, UpstreamError>> {
        let result = match &mut self.inner {
            Inner::Http(http) => http.try_done(),
            Inner::Duplex(flight) => flight.try_done(),
            Inner::Over => None,
        }?;
        self.end();
        Some(result)
    }

    /// Answers a request that a legacy server sent within this exchange.
    pub async fn answer(&mut self, ask: &Ask, outcome: &Outcome) -> Result<(), UpstreamError> {
        if let Some(timers) = &mut self.timers {
            timers.answered(Instant::now());
        }
        let wire: Wire = match &self.inner {
            Inner::Http(http) => http.wire(),
            Inner::Duplex(flight) => flight.wire(),
            Inner::Over => return Err(UpstreamError::Closed),
        };
        let message: Bytes = encode_response(&ask.id, outcome);
        wire.send(message).await
    }

    /// The means to answer a request that a legacy server sent within this exchange, once the exchange itself may be over.
    pub fn reply_to(&self, ask: &Ask) -> Option<Reply> {
        let wire = match &self.inner {
            Inner::Http(http) => http.wire(),
            Inner::Duplex(flight) => flight.wire(),
            Inner::Over => return None,
        };
        Some(Reply::new(wire, ask.id.clone()))
    }

    /// The server waits for the answer to a request that it sent beside this exchange: its silence is ours meanwhile.
    pub fn hold(&mut self) {
        if let Some(timers) = &mut self.timers {
            timers.asks = timers.asks.saturating_add(1);
        }
    }

    /// The server has the answer to a request that it sent beside this exchange.
    pub fn release(&mut self) {
        if let Some(timers) = &mut self.timers {
            timers.answered(Instant::now());
        }
    }

    /// Lets go of everything; what is unfinished is cancelled at the server.
    fn end(&mut self) {
        self.inner = Inner::Over;
        self.permit = None;
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Http(_) => "http",
            Inner::Duplex(_) => "duplex",
            Inner::Over => "over",
        };
        write!(f, "Exchange({kind})")
    }
}

/// When the server's silence, or the whole request, has lasted too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    idle: Duration,
    idle_at: Instant,
    total_at: Instant,
    /// Requests of the server that wait for an answer of ours: meanwhile its silence is our doing.
    asks: u32,
}

impl Timers {
    pub(super) fn start(idle: Duration, total: Duration, now: Instant) -> Self {
        Self {
            idle,
            idle_at: now + idle,
            total_at: now + total,
            asks: 0,
        }
    }

    pub(super) fn expiry(&self) -> Instant {
        if self.asks > 0 {
            self.total_at
        } else {
            self.idle_at.min(self.total_at)
        }
    }

    fn note(&mut self, event: &Event, now: Instant) {
        if matches!(event, Event::Ask(_)) {
            self.asks = self.asks.saturating_add(1);
        }
        self.idle_at = now + self.idle;
    }

    fn answered(&mut self, now: Instant) {
        self.asks = self.asks.saturating_sub(1);
        self.idle_at = now + self.idle;
    }
}

#[cfg(test)]
mod tests;
