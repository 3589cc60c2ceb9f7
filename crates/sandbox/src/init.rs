//! The first process inside: it furnishes the namespaces, starts the payload, and is the reaper of
//! all that the payload leaves behind. When it ends, the kernel ends everything in there.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::process::{
    Gid, Pid, Signal, Uid, WaitOptions, kill_process_group, set_parent_process_death_signal,
    waitpid,
};

use crate::cgroup::Groups;
use crate::confinement::Network;
use crate::control::{Answer, Streams, send_answer};
use crate::descendants::exit_of;
use crate::doors::Doors;
use crate::filter::Filter;
use crate::guard::{Wake, has_exited, watch};
use crate::payload::{self, Gear};
use crate::plan::{Jail, Plan};
use crate::report::{Feature, Refusal, Report};
use crate::root::{self, Trees};
use crate::{identity, kernel};

/// What the guard says when it has seen the payload.
pub(crate) const GO: u8 = b'G';

const HOST_NAME: &[u8] = b"sandbox";

/// All that it needs to know.
pub(crate) struct Inside {
    /// The socket to the guard.
    pub(crate) channel: UnixStream,
    pub(crate) user: Uid,
    pub(crate) group: Gid,
    pub(crate) groups: Groups,
    pub(crate) jail: Jail,
    pub(crate) plan: Plan,
    pub(crate) report: Report,
    pub(crate) streams: Streams,
    /// What was cut loose outside, by root.
    pub(crate) trees: Option<Trees>,
}

/// Runs as the first process of new namespaces, forked by a guard whose lifeline is `control`.
pub(crate) fn main(inside: Inside, control: &UnixStream) -> ! {
    let Ok(channel) = inside.channel.try_clone() else {
        kernel::exit_now(1)
    };
    if let Err(answer) = run(inside, control) {
        send_answer(&channel, &answer, &[]).ok();
    }
    kernel::exit_now(0)
}

fn run(inside: Inside, control: &UnixStream) -> Result<(), Answer> {
    let refuse = |feature, subject: &'static str| {
        move |error: io::Error| Answer::Refused(Refusal::new(feature, &error, subject))
    };
    let Inside {
        channel,
        user,
        group,
        groups,
        jail,
        plan,
        mut report,
        streams,
        trees,
    } = inside;
    let has_trees = trees.is_some();
    // Until the channel is watched. A change of user takes it back, hence again below.
    die_with_guard().map_err(refuse(Feature::Lifetime, "the guard"))?;
    leave_lifeline(control).map_err(refuse(Feature::Lifetime, "the lifeline"))?;
    identity::settle(user, group).map_err(refuse(Feature::Namespaces, "user map"))?;
    open_network(&jail, &channel, &mut report).map_err(refuse(Feature::Network, "loopback"))?;
    rustix::system::sethostname(HOST_NAME)
        .map_err(|error| refuse(Feature::Namespaces, "host name")(error.into()))?;
    root::enter(&jail, trees).map_err(Answer::Refused)?;
    identity::drop_privileges().map_err(refuse(Feature::Privileges, "capabilities"))?;
    die_with_guard().map_err(refuse(Feature::Lifetime, "the guard"))?;
    let gear = Gear::new(&jail, groups, &mut report).map_err(Answer::Refused)?;
    let own_filter = Filter::init().map_err(refuse(Feature::SystemCalls, "first process"))?;
    let wake = Wake::new().map_err(refuse(Feature::Lifetime, "signals"))?;
    furnish(&mut report, has_trees);
    let payload = payload::start(plan, streams, gear)?;
    own_filter
        .apply()
        .map_err(refuse(Feature::SystemCalls, "first process"))?;
    say(&channel, &Answer::Report(report.encode()));
    say(&channel, &Answer::Started(payload.as_raw_nonzero().get()));
    // Until then the payload's number is looked at.
    if matches!((&channel).read(&mut [0]), Ok(1)) {
        attend(&channel, &wake, payload);
    }
    Ok(())
}

/// Stays until the payload has exited, says how, or until it is told to end.
fn attend(channel: &UnixStream, wake: &Wake, payload: Pid) {
    watch(channel, wake, payload, || {
        // Fails only when the group is empty, which the next round sees.
        kill_process_group(payload, Signal::TERM).ok();
    });
    if has_exited(payload)
        && let Ok(Some((_, status))) = waitpid(Some(payload), WaitOptions::NOHANG)
    {
        say(channel, &Answer::Ended(exit_of(status)));
    }
}

/// Gives up the copies of the guard's lifeline, so that its end is seen when the guard ends.
fn leave_lifeline(control: &UnixStream) -> io::Result<()> {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    kernel::replace(control.as_fd(), null.as_fd())?;
    // Fails for no process that was just forked.
    rustix::process::setsid()?;
    Ok(())
}

fn die_with_guard() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

fn open_network(jail: &Jail, channel: &UnixStream, report: &mut Report) -> io::Result<()> {
    kernel::raise_loopback()?;
    let mut mechanism = match jail.network {
        Network::None => "empty network namespace, seccomp: no Internet sockets".to_owned(),
        Network::Guarded => {
            let doors = Doors::open()?;
            let fds: Vec<_> = doors.iter().map(AsFd::as_fd).collect();
            send_answer(channel, &Answer::Doors, &fds)?;
            "network namespace, seccomp: TCP and UDP, the gateway's doors".to_owned()
        }
    };
    if jail.local_sockets {
        mechanism.push_str("; local sockets");
    }
    report.enforced(Feature::Network, mechanism);
    Ok(())
}

fn furnish(report: &mut Report, is_mapped: bool) {
    report.enforced(
        Feature::Namespaces,
        "user, mount, network, PID, IPC, UTS, cgroup",
    );
    let files = "tmpfs root, binds";
    report.enforced(
        Feature::Files,
        if is_mapped {
            format!("{files}, idmapped")
        } else {
            files.to_owned()
        },
    );
    report.enforced(Feature::Processes, "/proc of its own PID namespace");
    report.enforced(
        Feature::Privileges,
        "no_new_privs, no capabilities, securebits",
    );
    report.enforced(Feature::Lifetime, "PID namespace, lifeline");
}

/// A guard that is gone cannot be told; the next look at the channel sees it.
fn say(channel: &UnixStream, answer: &Answer) {
    send_answer(channel, answer, &[]).ok();
}
