//! A payload puts itself under its confinement, between fork and exec.

use std::io::{self, PipeReader, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Pid;

use crate::cgroup::Groups;
use crate::confinement::{Limits, Tier};
use crate::control::{Answer, Streams};
use crate::filter::Filter;
use crate::guard::{command, die_with, spawn};
use crate::layout::{Access, HOME};
use crate::plan::{Jail, Plan};
use crate::report::{Feature, Refusal, Report};
use crate::ruleset::{Rights, Rules};
use crate::runtime_paths::SYSTEM;
use crate::{identity, kernel, limits};

/// What a payload without a process list of its own may read of it.
const PROC: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/uptime",
    "/proc/version",
];
/// What it may read of `/etc`: what is shown to others too, but for accounts.
const ETC: [&str; 16] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// What is still to be put on, made ready before the fork.
pub(crate) struct Gear {
    limits: Limits,
    rules: Option<Rules>,
    filter: Filter,
    groups: Groups,
}

impl Gear {
    pub(crate) fn new(jail: &Jail, groups: Groups, report: &mut Report) -> Result<Self, Refusal> {
        let refuse = |feature| move |error: io::Error| Refusal::new(feature, &error, "");
        let rules = match jail.tier {
            Tier::Full => Rules::new(jail.tier, jail.network, full_paths(jail)),
            _ => Rules::new(jail.tier, jail.network, confined_paths(jail)),
        }
        .map_err(refuse(Feature::Landlock))?;
        let filter = Filter::payload(jail).map_err(refuse(Feature::SystemCalls))?;
        report.enforced(Feature::Landlock, rules.mechanism.clone());
        report.enforced(
            Feature::SystemCalls,
            "seccomp, foreign interfaces killed, no setuid files",
        );
        report.enforced(Feature::Limits, "rlimits on data, files, processes");
        Ok(Self {
            limits: jail.limits,
            rules: Some(rules),
            filter,
            groups,
        })
    }

    /// Puts everything on. What it was that failed comes with the error.
    fn put_on(&mut self) -> Result<(), (Feature, io::Error)> {
        let of = |feature| move |error| (feature, error);
        self.groups.enter().map_err(of(Feature::Memory))?;
        limits::apply(&self.limits).map_err(of(Feature::Limits))?;
        identity::drop_privileges().map_err(of(Feature::Privileges))?;
        let rules = self.rules.take().ok_or(io::ErrorKind::NotFound.into());
        rules
            .and_then(Rules::restrict)
            .map_err(of(Feature::Landlock))?;
        kernel::close_all_on_exec().map_err(of(Feature::Privileges))?;
        // Last: it takes away what the lines above need.
        self.filter.apply().map_err(of(Feature::SystemCalls))
    }
}

/// Starts the payload of `plan` with `gear`; it leads a session of its own.
pub(crate) fn start(plan: Plan, streams: Streams, mut gear: Gear) -> Result<Pid, Answer> {
    let mut command = command(plan, streams);
    let parent = rustix::process::getpid();
    let (mut trouble, mut report) = io::pipe().map_err(|error| failed(&error))?;
    let is_first = AtomicBool::new(true);
    kernel::before_exec(&mut command, move || {
        // Nobody calls this twice, but its type allows it.
        if !is_first.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        kernel::reset_signals();
        rustix::process::setsid()?;
        gear.put_on().map_err(|(feature, error)| {
            let refusal = Refusal::new(feature, &error, "");
            report.write_all(refusal.encode().as_bytes()).ok();
            error
        })?;
        die_with(parent)
    });
    let started = spawn(&mut command);
    // Its copy of the pipe's writing end, in the closure.
    drop(command);
    match (started, refusal(&mut trouble)) {
        (Err(_), Some(refusal)) => Err(Answer::Refused(refusal)),
        (started, _) => started,
    }
}

/// Starts the payload of the tier `confined`, without namespaces, in `groups`. `report` becomes
/// that of the whole.
pub(crate) fn start_confined(
    plan: Plan,
    jail: &Jail,
    streams: Streams,
    groups: Groups,
    report: &mut Report,
) -> Result<Pid, Answer> {
    let gear = Gear::new(jail, groups, report).map_err(Answer::Refused)?;
    report.enforced(Feature::Network, "seccomp: no sockets");
    report.enforced(Feature::Privileges, "no_new_privs, no capabilities");
    start(plan, streams, gear)
}

fn refusal(trouble: &mut PipeReader) -> Option<Refusal> {
    let mut text = String::new();
    rustix::io::ioctl_fionbio(&*trouble, true).ok()?;
    // A payload that runs holds the other end no more: it was closed by the exec.
    trouble.read_to_string(&mut text).ok();
    Refusal::decode(&text)
}

fn failed(error: &io::Error) -> Answer {
    Answer::Failed(error.raw_os_error().unwrap_or(libc::EINVAL))
}

/// Everything in the new root, but for the root itself.
fn full_paths(jail: &Jail) -> impl Iterator<Item = (&Path, Rights)> {
    let readable = ["/etc", "/proc"].iter().chain(&SYSTEM);
    let writable = ["/tmp", HOME, "/dev/shm"];
    let read = readable.map(|path| (Path::new(*path), Rights::Read));
    let write = writable.map(|path| (Path::new(path), Rights::Scratch));
    let device = [(Path::new("/dev"), Rights::Device)];
    read.chain(write).chain(device).chain(granted(jail))
}

/// What a payload that sees the host's file system may touch of it.
fn confined_paths(jail: &Jail) -> impl Iterator<Item = (&Path, Rights)> {
    let devices = [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
    ];
    let read = SYSTEM.iter().chain(&ETC).chain(&PROC);
    read.map(|path| (Path::new(*path), Rights::Read))
        .chain(devices.map(|path| (Path::new(path), Rights::Device)))
        .chain(granted(jail))
}

fn granted(jail: &Jail) -> impl Iterator<Item = (&Path, Rights)> {
    jail.layout.binds.iter().map(|bind| {
        let rights = match bind.access {
            Access::Runtime | Access::Read => Rights::Read,
            Access::Write => Rights::Write,
        };
        (bind.path.as_path(), rights)
    })
}
