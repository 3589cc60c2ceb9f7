//! The calls into the kernel that the compiler cannot check.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::Pid;

/// Signals that wake the guard and do nothing else to it: the lifeline decides when it ends.
const WAKING: [libc::c_int; 5] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
];

/// The highest number of a signal on any system.
const SIGNALS_MAX: libc::c_int = 64;

/// Closes every file descriptor from `first` upwards. To be called by a process that has opened
/// none itself yet.
pub(crate) fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // By number: the C library's wrapper is younger than systems this has to run on.
        // SAFETY: the call takes three integers. The descriptors it closes came with the process:
        // the caller upholds that nothing in it owns one yet.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
        if closed == 0 {
            return;
        }
    }
    // SAFETY: takes an integer, returns an integer.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for fd in first..RawFd::try_from(limit).unwrap_or(4096) {
        // SAFETY: as above; a descriptor that is not open is left alone with an error.
        unsafe { libc::close(fd) };
    }
}

/// The pipe that signals write to: -1 until [`wake_on_signals`] has been called.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Makes every signal of [`WAKING`] write a byte to `pipe`, which must not block.
///
/// Handlers, unlike ignored signals, are back to the default in what is executed later.
pub(crate) fn wake_on_signals(pipe: OwnedFd) -> io::Result<()> {
    WAKE.store(pipe.as_raw_fd(), Ordering::SeqCst);
    // INVARIANT: the number in `WAKE` stays open for the life of the process.
    std::mem::forget(pipe);
    for signal in WAKING {
        // SAFETY: all zeroes is a valid `sigaction`; the fields that matter are set below.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = wake as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is valid for the call, and `wake` only does what a handler may do.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn wake(_signal: libc::c_int) {
    let pipe = WAKE.load(Ordering::SeqCst);
    if pipe >= 0 {
        // SAFETY: `wake_on_signals` keeps the descriptor open for ever.
        let pipe = unsafe { BorrowedFd::borrow_raw(pipe) };
        // A full pipe wakes as well as one byte more would.
        rustix::io::write(pipe, &[0]).ok();
    }
}

/// A child that has died and is still to be reaped; it stays so.
pub(crate) fn dead_child() -> Option<Pid> {
    // SAFETY: all zeroes is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let dead = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is valid for the call.
    if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, dead) } != 0 {
        return None;
    }
    // SAFETY: `waitid` has filled in the fields of a child, or, without one, left them zero.
    Pid::from_raw(unsafe { info.si_pid() })
}

/// Makes what `command` starts call `prepare` just before it executes its program.
///
/// The caller has one thread.
pub(crate) fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: `prepare` runs in a copy of this process. No other thread of it could have held a
    // lock or been inside the allocator when the copy was made, since there is none.
    unsafe { command.pre_exec(prepare) };
}

/// Gives every signal its default action.
pub(crate) fn reset_signals() {
    for signal in 1..=SIGNALS_MAX {
        // SAFETY: takes two integers. Those that have no other action, those of the C library and
        // those beyond the last are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(target_os = "linux")]
mod linux;
