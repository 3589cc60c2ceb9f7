//! Control groups: limits on all processes of a payload together, where the gateway may set any.
//!
//! A group of its own for each payload, below the gateway's own. Version 2 needs the group to be
//! delegated; version 1 is used by root alone.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::confinement::Limits;
use crate::guard::Wake;
use crate::report::{Feature, Refusal, Report};

const MOUNT: &str = "/sys/fs/cgroup";
/// What every group that is made here is called, before the guard's id and start time.
const PREFIX: &str = "portcullis-";
/// How the group of a gateway may be called whose parent is delegated too, as systemd's
/// `DelegateSubgroup=gateway` does it: version 2 permits no group beside a process.
const SUBGROUP: &str = "gateway";

/// How often to try to remove a group whose last process is just going.
const REMOVALS: u32 = 50;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(2);

/// The groups of one payload, to be removed by [`remove`].
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Where they are.
    pub(crate) directories: Vec<PathBuf>,
    /// Where a process writes `0` to be in them.
    doors: Vec<File>,
}

impl Groups {
    /// Makes groups that hold `limits`, and writes into `report` which could be had.
    pub(crate) fn new(limits: &Limits, report: &mut Report) -> Self {
        let mut groups = Self::default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let Some(name) = name_of(rustix::process::getpid().as_raw_nonzero().get()) else {
            return groups;
        };
        match groups.unified(&own, &name, limits) {
            Ok(()) => {
                report.enforced(Feature::Memory, "cgroup v2 memory.max, no swap");
                report.enforced(Feature::Tasks, "cgroup v2 pids.max");
                return groups;
            }
            Err(error) => {
                for feature in [Feature::Memory, Feature::Tasks] {
                    report.missing(&Refusal::new(feature, &error, ""));
                }
            }
        }
        if !rustix::process::geteuid().is_root() {
            return groups;
        }
        let memory = limits.memory_bytes.to_string();
        match groups.legacy(&own, &name, "memory", "memory.limit_in_bytes", &memory) {
            Ok(()) => report.enforced(Feature::Memory, "cgroup v1 memory"),
            Err(error) => report.missing(&Refusal::new(Feature::Memory, &error, "")),
        }
        let processes = limits.processes.to_string();
        match groups.legacy(&own, &name, "pids", "pids.max", &processes) {
            Ok(()) => report.enforced(Feature::Tasks, "cgroup v1 pids"),
            Err(error) => report.missing(&Refusal::new(Feature::Tasks, &error, "")),
        }
        groups
    }

    /// Puts the calling process into all of them.
    pub(crate) fn enter(&self) -> io::Result<()> {
        for mut door in &self.doors {
            door.write_all(b"0")?;
        }
        Ok(())
    }

    fn unified(&mut self, own: &str, name: &str, limits: &Limits) -> io::Result<()> {
        let not_there = || io::Error::from_raw_os_error(libc::ENOENT);
        let path = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .ok_or_else(not_there)?;
        let own = below(Path::new(MOUNT), path);
        let parent = match own.parent() {
            Some(parent) if own.file_name().is_some_and(|name| name == SUBGROUP) => parent,
            _ => &own,
        };
        let controllers = std::fs::read_to_string(parent.join("cgroup.controllers"))?;
        let has = |controller| controllers.split_whitespace().any(|it| it == controller);
        if !has("memory") || !has("pids") {
            return Err(not_there());
        }
        write(&parent.join("cgroup.subtree_control"), "+memory +pids")?;
        sweep(parent);
        let leaf = parent.join(name);
        std::fs::create_dir(&leaf)?;
        let set = || {
            write(&leaf.join("memory.max"), &limits.memory_bytes.to_string())?;
            write(&leaf.join("memory.oom.group"), "1")?;
            write(&leaf.join("pids.max"), &limits.processes.to_string())?;
            match write(&leaf.join("memory.swap.max"), "0") {
                // A kernel without swap accounting has no swap to bound.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            open(&leaf.join("cgroup.procs"))
        };
        self.keep(set(), leaf.clone())
    }

    fn legacy(
        &mut self,
        own: &str,
        name: &str,
        controller: &str,
        setting: &str,
        limit: &str,
    ) -> io::Result<()> {
        let path = own
            .lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'))
            .find(|(controllers, _)| controllers.split(',').any(|it| it == controller))
            .map(|(_, path)| path)
            .ok_or(io::ErrorKind::NotFound)?;
        let parent = below(&Path::new(MOUNT).join(controller), path);
        sweep(&parent);
        let leaf = parent.join(name);
        std::fs::create_dir(&leaf)?;
        let set = || {
            write(&leaf.join(setting), limit)?;
            open(&leaf.join("cgroup.procs"))
        };
        self.keep(set(), leaf.clone())
    }

    fn keep(&mut self, door: io::Result<File>, leaf: PathBuf) -> io::Result<()> {
        match door {
            Ok(door) => {
                self.doors.push(door);
                self.directories.push(leaf);
                Ok(())
            }
            Err(error) => {
                std::fs::remove_dir(&leaf).ok();
                Err(error)
            }
        }
    }
}

/// Removes the groups in `directories`. All their processes have ended, or are about to.
pub(crate) fn remove(directories: &[PathBuf], wake: &Wake) {
    for directory in directories {
        for _ in 0..REMOVALS {
            match std::fs::remove_dir(directory) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    wake.wait(BETWEEN_REMOVALS);
                }
                _ => break,
            }
        }
    }
}

/// Removes the groups of guards that are gone without having done so, as after SIGKILL.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_left_over) {
            let directory = entry.path();
            // Only version 2 has this; in version 1 the namespace has ended its processes.
            write(&directory.join("cgroup.kill"), "1").ok();
            std::fs::remove_dir(directory).ok();
        }
    }
}

/// Whether `name` is one of ours, of a guard that no longer runs.
fn is_left_over(name: &str) -> bool {
    let Some((pid, _)) = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'))
    else {
        return false;
    };
    let Ok(pid) = pid.parse() else {
        return false;
    };
    name_of(pid).is_none_or(|current| current != name)
}

/// The name of the group of a guard that runs, which no other process will ever have.
fn name_of(guard: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{guard}/stat")).ok()?;
    // The fields after the name, which may hold anything, begin with the third.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    // One that only waits to be reaped does nothing more.
    if state == "Z" || state == "X" {
        return None;
    }
    Some(format!("{PREFIX}{guard}-{started}"))
}

fn below(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

fn open(file: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(file)
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
