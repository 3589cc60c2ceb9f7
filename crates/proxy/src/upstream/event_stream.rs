//! An event stream that a server sends over HTTP, while it arrives.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_mcp::{SseDecoder, SseEvent};

use super::wire::detach;

/// Room for the field names and the other fields of an event, beside its data.
const FIELDS_BYTES_MAX: usize = 4096;
/// How long, and for how many bytes, a stream whose answer has arrived is read on, so that its
/// connection can be used again.
const DRAIN: Duration = Duration::from_secs(1);
const DRAIN_FRAMES_MAX: usize = 16;

/// Why a stream gives no more events.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It ended or broke.
    Gone,
    /// An event was larger than allowed.
    TooLarge,
}

/// The events of one response body.
#[derive(Debug)]
pub(super) struct EventStream {
    body: Incoming,
    decoder: SseDecoder,
    ready: VecDeque<SseEvent>,
    overflown: bool,
}

impl EventStream {
    /// The events of `body`, each with at most `bytes_max` bytes of data.
    pub(super) fn new(body: Incoming, bytes_max: usize) -> Self {
        let decoder = SseDecoder::new(bytes_max.saturating_add(FIELDS_BYTES_MAX));
        Self {
            body,
            decoder,
            ready: VecDeque::new(),
            overflown: false,
        }
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<SseEvent, Ended> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if self.overflown {
                return Err(Ended::TooLarge);
            }
            let Some(Ok(frame)) = self.body.frame().await else {
                return Err(Ended::Gone);
            };
            if let Ok(chunk) = frame.into_data() {
                let ready = &mut self.ready;
                let pushed = self
                    .decoder
                    .push(&chunk, &mut |event| ready.push_back(event));
                self.overflown = pushed.is_err();
            }
        }
    }

    /// Lets go of a stream that has nothing more to say, and of its connection only if the server
    /// does not end the stream soon.
    pub(super) fn finish(mut self) {
        for _ in 0..DRAIN_FRAMES_MAX {
            match self.body.frame().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(None | Some(Err(_))) => return,
                None => break,
            }
        }
        detach(async move {
            let drained = tokio::time::timeout(DRAIN, async {
                for _ in 0..DRAIN_FRAMES_MAX {
                    if !matches!(self.body.frame().await, Some(Ok(_))) {
                        return;
                    }
                }
            });
            if drained.await.is_err() {
                tracing::debug!("a server keeps a stream open behind its answer; closed");
            }
        });
    }
}
