//! Starts local servers, bounds what they inherit, and ends them with the gateway.
//!
//! Between the gateway and each server (the payload) stands a guard: the gateway's own binary,
//! executed again, which calls [`guard_main`] before it does anything else. The guard adopts every
//! process that the payload leaves behind, holds one end of a lifeline to the gateway, and kills
//! all of them when the payload exits, when it is told to, or when the gateway is gone, however it
//! went. The payload gets its three standard streams, the environment that its [`Command`] spells
//! out, and nothing else of the gateway's.
//!
//! A server that is given a [`Confinement`] is locked in besides. In [`Tier::Full`], on Linux, it
//! begins in namespaces of its own, with a file system that holds what it was granted and nothing
//! else, no way to the network but the gateway's [`Doors`], no capabilities, limits, Landlock, and
//! a filter of system calls. What is asked for is had, or the server does not start and the error
//! says which part is missing. The one exception are limits on all processes of a server together:
//! they need control groups, which not every gateway has, and each process is limited without
//! them too. What each part rests on, and whether those could be had, is in the [`Report`] of a
//! [`Child`].
//!
//! Elsewhere only [`Tier::External`] and [`Tier::Off`] exist. On macOS a Seatbelt profile that
//! denies by default would do for files, and let connections through to one local port of the
//! gateway; there is no network of its own there, so that port would need a secret for each start,
//! and no control groups. On Windows an app container within a job object is the way.
//!
//! What is not promised: an unconfined payload of the same user can kill its guard. It dies with it, and so
//! does its process group, but a daemon that it had already detached does not. On systems other
//! than Linux only the process group is killed.
//!
//! Which programs may run, and with what arguments, is the caller's decision.

#[cfg(target_os = "linux")]
mod cgroup;
mod child;
mod command;
mod confine;
mod confinement;
mod control;
mod descendants;
mod doors;
#[cfg(target_os = "linux")]
mod filter;
mod guard;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
mod jail;
#[expect(
    unsafe_code,
    reason = "signals, inherited descriptors and what happens between fork and exec have no safe interface"
)]
mod kernel;
mod layout;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod payload;
mod plan;
mod report;
#[cfg(target_os = "linux")]
mod root;
#[cfg(target_os = "linux")]
mod ruleset;
mod runtime_paths;
mod sandbox;

pub use child::{Child, Exit, Input, Output};
pub use command::Command;
pub use confinement::{Confinement, Limits, Network, Tier};
pub use doors::Doors;
pub use guard::guard_main;
pub use report::{Feature, Got, Missing, Part, Report};
pub use sandbox::{Sandbox, SpawnError};
