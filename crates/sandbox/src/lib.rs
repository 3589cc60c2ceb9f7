//! Starts local servers, bounds what they inherit, and ends them with the gateway.
//!
//! Between the gateway and each server (the payload) stands a guard: the gateway's own binary,
//! executed again, which calls [`guard_main`] before it does anything else. The guard adopts every
//! process that the payload leaves behind, holds one end of a lifeline to the gateway, and kills
//! all of them when the payload exits, when it is told to, or when the gateway is gone, however it
//! went. The payload gets its three standard streams, the environment that its [`Command`] spells
//! out, and nothing else of the gateway's.
//!
//! What is not promised: a payload of the same user can kill its guard. It dies with it, and so
//! does its process group, but a daemon that it had already detached does not. On systems other
//! than Linux only the process group is killed.
//!
//! Which programs may run, and with what arguments, is the caller's decision.

mod child;
mod command;
mod control;
mod descendants;
mod guard;
#[expect(
    unsafe_code,
    reason = "signals, inherited descriptors and what happens between fork and exec have no safe interface"
)]
mod kernel;
mod plan;
mod sandbox;

pub use child::{Child, Exit, Input, Output};
pub use command::Command;
pub use guard::guard_main;
pub use sandbox::{Sandbox, SpawnError};
