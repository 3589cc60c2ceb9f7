//! Ends everything that a payload started.
//!
//! On Linux the guard is the reaper of all its descendants: whatever loses its parent becomes its
//! child, so killing children until there is none reaches every one, whatever session or group it
//! has moved to. Elsewhere the process group is what can be reached.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group};

use crate::child::Exit;
use crate::guard::Wake;

/// How long a process that was sent SIGKILL may take to go: one that waits for a dead disk never
/// goes, and the gateway has to be told something.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look again for children that a dying process has left meanwhile.
const ROUND: Duration = Duration::from_millis(10);

/// Kills the payload and all that it started, and waits until they are gone.
///
/// `payload` has not been waited for yet, so its number is still its own. The answer is how it
/// exited, [`Exit::Lost`] if it could not be ended in 10 s.
pub(crate) fn end(payload: Pid, wake: &Wake) -> Exit {
    // Fails only when the group is empty.
    kill_process_group(payload, Signal::KILL).ok();
    let deadline = Instant::now() + PATIENCE;
    let mut exit = Exit::Lost;
    while reap(payload, &mut exit) && Instant::now() < deadline {
        for child in children() {
            // Gone already, or of another user, whom the deadline is for.
            kill_process(child, Signal::KILL).ok();
        }
        wake.wait(ROUND);
    }
    exit
}

/// Reaps every child that is dead and answers whether any is left.
fn reap(payload: Pid, exit: &mut Exit) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == payload => *exit = exit_of(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

pub(crate) fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost,
    }
}

#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    children_of(rustix::process::getpid())
}

/// The children of a process that has one thread, the oldest first.
#[cfg(target_os = "linux")]
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let this = parent.as_raw_nonzero();
    // One file, in kernels built with it, as all common ones are.
    if let Ok(list) = std::fs::read_to_string(format!("/proc/{this}/task/{this}/children")) {
        return list
            .split_ascii_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect();
    }
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(this.get()))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The fourth field of `/proc/PID/stat`; the second is a name in parentheses that may hold
/// anything.
#[cfg(target_os = "linux")]
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn children() -> Vec<Pid> {
    Vec::new()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
