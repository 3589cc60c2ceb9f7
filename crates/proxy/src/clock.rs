//! The time of day, as an argument.

use portcullis_pipeline::Timestamp;

/// Where the message path reads the time of day, in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug)]
pub struct Clock(fn() -> u64);

impl Clock {
    /// A clock that asks `now_ms`, which returns milliseconds since 1970-01-01 UTC.
    pub const fn new(now_ms: fn() -> u64) -> Self {
        Self(now_ms)
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp((self.0)())
    }
}
