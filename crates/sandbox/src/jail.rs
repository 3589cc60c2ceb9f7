//! The guard of a confined payload. Where there are namespaces it stays outside, makes the first
//! process inside, and passes on what that says.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::process::{Gid, Pid, Uid};

use crate::cgroup::{self, Groups};
use crate::child::Exit;
use crate::control::{Answer, Order, Streams, receive_answer, send_answer};
use crate::descendants::{self, children_of};
use crate::guard::{self, Wake, tell, watch};
use crate::identity::{self, OwnerMaps};
use crate::init::{self, Inside};
use crate::kernel::{self, Fork};
use crate::payload;
use crate::plan::{Jail, Plan};
use crate::report::{Feature, Refusal, Report};
use crate::root;

/// Starts the payload of `plan` in `jail` and guards it until all has ended.
pub(crate) fn guard(
    control: &UnixStream,
    plan: Plan,
    jail: Jail,
    streams: Streams,
    wake: &Wake,
) -> io::Result<Exit> {
    let mut report = Report::bare(jail.tier);
    let groups = Groups::new(&jail.limits, &mut report);
    let directories = groups.directories.clone();
    let (channel, inner) = UnixStream::pair()?;
    let own = rustix::process::geteuid();
    // Only root can become another user, and only root has to.
    let uid = own.is_root().then_some(jail.uid);
    if let Some(uid) = uid {
        report.enforced(Feature::Identity, format!("user {uid}, idmapped mounts"));
    }
    let inside = Inside {
        channel: inner,
        group: uid.map_or(rustix::process::getegid(), Gid::from_raw),
        user: uid.map_or(own, Uid::from_raw),
        groups,
        jail,
        plan,
        report,
        streams,
        trees: None,
    };
    let exit = match begin(control, channel, uid, inside) {
        Ok(begun) => attend(control, &begun, wake),
        Err(refusal) => {
            tell(control, &Answer::Refused(refusal));
            None
        }
    };
    cgroup::remove(&directories, wake);
    if let Some(exit) = exit {
        tell(control, &Answer::Ended(exit));
    }
    Ok(exit.unwrap_or(Exit::Lost))
}

/// Starts the payload of `plan` without namespaces and guards it until all has ended.
pub(crate) fn guard_confined(
    control: &UnixStream,
    plan: Plan,
    jail: &Jail,
    streams: Streams,
    wake: &Wake,
) -> Exit {
    let mut report = Report::bare(jail.tier);
    let groups = Groups::new(&jail.limits, &mut report);
    let directories = groups.directories.clone();
    let started = payload::start_confined(plan, jail, streams, groups, &mut report);
    if started.is_ok() {
        tell(control, &Answer::Report(report.encode()));
    }
    let exit = guard::attend(control, wake, started);
    cgroup::remove(&directories, wake);
    exit
}

/// The first process inside, and the socket to it.
struct Init {
    pid: Pid,
    channel: UnixStream,
}

fn begin(
    control: &UnixStream,
    channel: UnixStream,
    uid: Option<u32>,
    mut inside: Inside,
) -> Result<Init, Refusal> {
    let refuse = |feature| move |error: io::Error| Refusal::new(feature, &error, "");
    if let Some(uid) = uid {
        inside
            .streams
            .give_to(uid)
            .map_err(refuse(Feature::Identity))?;
        let mut maps = OwnerMaps::default();
        inside.trees = Some(root::cut(&inside.jail, Some(&mut maps))?);
        identity::assume(uid).map_err(refuse(Feature::Identity))?;
    }
    let forked = kernel::fork(kernel::NEW_ALL);
    if let Ok(Fork::Child) = forked {
        drop(channel);
        init::main(inside, control)
    }
    if uid.is_some() {
        identity::restore().map_err(refuse(Feature::Identity))?;
    }
    match forked.map_err(refuse(Feature::Namespaces))? {
        Fork::Parent(pid) => Ok(Init { pid, channel }),
        Fork::Child => Err(refuse(Feature::Namespaces)(io::ErrorKind::Other.into())),
    }
}

/// Passes on what the first process says, and ends it when it is time. The answer is how the
/// payload exited, or nothing if there was none.
fn attend(control: &UnixStream, init: &Init, wake: &Wake) -> Option<Exit> {
    let started = pass_on(control, init);
    if started {
        watch(control, wake, init.pid, || {
            // One that is gone has nobody to tell, which the next round sees.
            (&init.channel).write_all(&[Order::Terminate.encode()]).ok();
        });
    }
    // With it the kernel ends all that is inside.
    let end = descendants::end(init.pid, wake);
    if !started {
        return None;
    }
    init.channel.set_nonblocking(true).ok();
    match (receive_answer(&init.channel), end) {
        (Ok((Answer::Ended(exit), _)), _) => Some(exit),
        // It had no time to say anything, and its payload went with it.
        (_, Exit::Signal(libc::SIGKILL)) => Some(Exit::Signal(libc::SIGKILL)),
        _ => Some(Exit::Lost),
    }
}

/// Passes on what is said until the payload runs, which is the answer.
fn pass_on(control: &UnixStream, init: &Init) -> bool {
    loop {
        let (answer, fds) = match receive_answer(&init.channel) {
            Ok(received) => received,
            Err(error) => {
                let refusal = Refusal::new(Feature::Namespaces, &error, "the first process ended");
                tell(control, &Answer::Refused(refusal));
                return false;
            }
        };
        match answer {
            Answer::Doors | Answer::Report(_) => {
                let fds: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
                send_answer(control, &answer, &fds).ok();
            }
            Answer::Started(_) => {
                // Its number out here. It is not reaped before it may be, so it has one.
                let payload = children_of(init.pid).first().copied().unwrap_or(init.pid);
                tell(control, &Answer::Started(payload.as_raw_nonzero().get()));
                (&init.channel).write_all(&[init::GO]).ok();
                return true;
            }
            Answer::Refused(_) | Answer::Failed(_) | Answer::Ended(_) => {
                tell(control, &answer);
                return false;
            }
        }
    }
}
