//! Fake servers and clients and fixtures for the tests.
//!
//! [`Harness`] starts a program and knows where it listens; [`raw`] sends it any bytes and reads
//! what comes back; [`Recorder`] is a server that keeps what reached it. [`answers`] writes the
//! messages of a small MCP server by hand, so that a fixture can be wrong on purpose. Nothing here
//! shares code with the gateway, or leaves the loopback.

pub mod answers;
mod harness;
pub mod raw;
mod recorder;

pub use harness::{Harness, Launch, fixture};
pub use recorder::{Recorded, Recorder};
