//! The guard: the process between the gateway and a payload.
//!
//! It has one thread, holds nothing but its end of the lifeline, and sleeps until the payload
//! exits, the gateway says something, or the gateway is gone.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, kill_process_group, setrlimit, waitpid,
};

use crate::child::Exit;
#[cfg(target_os = "linux")]
use crate::confinement::Tier;
use crate::control::{Answer, Order, Streams, receive_plan, send_answer};
use crate::plan::Plan;
use crate::{descendants, kernel};

/// The exit code of a guard that could not do its work.
const CANNOT: u8 = 3;

/// What a probe has the gateway's binary do inside a sandbox: end at once.
pub(crate) const PROBE: &str = "--probe";

/// Bytes of a memory dump. Linux makes none of so few either, and, unlike with 0, does not start
/// the program of the host that takes dumps, as root, from a pipe.
pub(crate) const CORE_BYTES: u64 = if cfg!(target_os = "linux") { 1 } else { 0 };

/// The body of the hidden subcommand by which the gateway becomes a guard.
///
/// Must be called before anything else has opened a file, started a thread or made a runtime: it
/// closes every file descriptor it did not ask for. Standard input is the lifeline. `args` are
/// what follows the subcommand: a label for process lists, or the word by which a probe ends it at once.
///
/// Exits as the payload did: with its code, with 128 and the number of the signal that killed it,
/// or with 3 if there was no payload to guard.
pub fn guard_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    if args.next().is_some_and(|arg| arg == PROBE) {
        return ExitCode::SUCCESS;
    }
    kernel::close_from(3);
    match guard() {
        Ok(Exit::Code(code)) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(CANNOT)),
        Ok(Exit::Signal(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(CANNOT)),
        Ok(Exit::Lost) => ExitCode::from(CANNOT),
        Err(error) => {
            // Under the gateway this goes nowhere, and the gateway sees the lifeline end.
            writeln!(
                io::stderr(),
                "guard: {error}; it is started by the gateway, not by hand"
            )
            .ok();
            ExitCode::from(CANNOT)
        }
    }
}

fn guard() -> io::Result<Exit> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (plan, streams) = receive_plan(&control)?;
    let wake = withdraw().and_then(|()| Wake::new())?;
    #[cfg(target_os = "linux")]
    if let Some(jail) = plan.jail.clone() {
        return match jail.tier {
            Tier::Full => crate::jail::guard(&control, plan, jail, streams, &wake),
            _ => Ok(crate::jail::guard_confined(
                &control, plan, &jail, streams, &wake,
            )),
        };
    }
    let started = start(plan, streams);
    Ok(attend(&control, &wake, started))
}

/// Says what became of the payload, and guards it until all that it started has ended.
pub(crate) fn attend(control: &UnixStream, wake: &Wake, started: Result<Pid, Answer>) -> Exit {
    let payload = match started {
        Ok(payload) => payload,
        Err(answer) => {
            tell(control, &answer);
            return Exit::Lost;
        }
    };
    tell(control, &Answer::Started(payload.as_raw_nonzero().get()));
    watch(control, wake, payload, || {
        // Fails only when the group is empty, which the next round sees.
        kill_process_group(payload, Signal::TERM).ok();
    });
    let exit = descendants::end(payload, wake);
    tell(control, &Answer::Ended(exit));
    exit
}

/// Leaves the terminal's reach, for the payload too, and sets what the payload inherits or must not do to its guard.
fn withdraw() -> io::Result<()> {
    // Fails for the leader of a group: run by hand. Then there is nothing to leave.
    rustix::process::setsid().ok();
    // A dump of a payload holds its secrets.
    let none = Rlimit {
        current: Some(CORE_BYTES),
        maximum: Some(CORE_BYTES),
    };
    setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior};
        // Any number but zero says yes.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        // A payload of the same user can neither trace this process nor read its memory.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        // Nor become another user, whose processes could not be killed from here.
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// Starts the payload. This process keeps none of its streams: they end when the payload says so.
fn start(plan: Plan, streams: Streams) -> Result<Pid, Answer> {
    let mut command = command(plan, streams);
    let parent = rustix::process::getpid();
    kernel::before_exec(&mut command, move || prepare(parent));
    spawn(&mut command)
}

/// The command of `plan`, with the payload's own streams.
pub(crate) fn command(plan: Plan, streams: Streams) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts local servers"
    )]
    let mut command = Command::new(plan.program);
    command
        .arg0(plan.name)
        .args(plan.args)
        .env_clear()
        .envs(plan.env)
        .stdin(Stdio::from(streams.stdin))
        .stdout(Stdio::from(streams.stdout))
        .stderr(Stdio::from(streams.stderr));
    if let Some(cwd) = plan.cwd {
        command.current_dir(cwd);
    }
    command
}

/// Starts the payload.
pub(crate) fn spawn(command: &mut Command) -> Result<Pid, Answer> {
    let failed = |error: &io::Error| Answer::Failed(error.raw_os_error().unwrap_or(libc::EINVAL));
    let child = command.spawn().map_err(|error| failed(&error))?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Answer::Failed(libc::ESRCH))
}

/// Makes the payload begin in a process group of its own, with the default action for every
/// signal, and, on Linux, die with this process.
///
/// This process has one thread: the signal of a parent's death is sent when the *thread* that
/// started the child ends.
fn prepare(parent: Pid) -> io::Result<()> {
    kernel::reset_signals();
    // Not a session: the guard's has no terminal, and entering another costs a wait for the CPU.
    rustix::process::setpgid(None, None)?;
    die_with(parent)
}

/// Makes the calling process, just forked by `parent`, die with it where the system can do that.
pub(crate) fn die_with(parent: Pid) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above.
    if rustix::process::getppid() == Some(parent) {
        Ok(())
    } else {
        Err(Errno::SRCH.into())
    }
}

/// Returns when everything is to be killed: the payload has exited, the gateway says so, or the
/// gateway is gone. Meanwhile reaps what the payload has left behind.
pub(crate) fn watch(
    mut control: &UnixStream,
    wake: &Wake,
    payload: Pid,
    mut terminate: impl FnMut(),
) {
    loop {
        if has_exited(payload) {
            return;
        }
        let mut polled = [
            PollFd::new(control, PollFlags::IN),
            PollFd::new(&wake.0, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let [from_gateway, from_signals] = polled.map(|fd| !fd.revents().is_empty());
        if from_signals {
            wake.drain();
        }
        if from_gateway {
            let mut order = [0];
            match control.read(&mut order) {
                Ok(1) if Order::decode(order[0]) == Order::Terminate => terminate(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// Reaps dead children up to the payload, which stays, so that nothing else gets its number.
pub(crate) fn has_exited(payload: Pid) -> bool {
    while let Some(dead) = kernel::dead_child() {
        if dead == payload {
            return true;
        }
        waitpid(Some(dead), WaitOptions::NOHANG).ok();
    }
    false
}

/// The gateway may be gone already; then there is nobody to tell.
pub(crate) fn tell(control: &UnixStream, answer: &Answer) {
    send_answer(control, answer, &[]).ok();
}

/// Becomes readable when a signal has come.
pub(crate) struct Wake(PipeReader);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let writer = OwnedFd::from(writer);
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        kernel::wake_on_signals(writer)?;
        Ok(Self(reader))
    }

    /// Waits for a signal, at most for `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let limit = Timespec::try_from(limit).ok();
        // Interrupted is as good as woken.
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()).ok();
        self.drain();
    }

    fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(64)) {}
    }
}
