//! The one place at which the wall clock is read; everything else is handed the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC; 0 on a machine whose clock stands before it.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary hands each edge this function, and nothing else reads the wall clock"
)]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
