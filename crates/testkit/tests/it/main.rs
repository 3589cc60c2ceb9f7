//! The fixtures, as the tests of the gateway use them.
#![cfg(test)]

mod conformance_server;
mod faulty_server;
mod recorder;

use std::time::Duration;

/// Longer than any step of these tests takes on a busy machine.
const BOUND: Duration = Duration::from_secs(20);
