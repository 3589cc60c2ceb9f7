//! Files that were not granted, and marks that would outlive the server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::raw::{HERE, call, text};
use crate::{Attempt, Outcome, Stage};

macro_rules! attempts {
    ($($name:literal: $run:expr;)*) => {
        pub(crate) const ATTEMPTS: &[Attempt] = &[$(Attempt { name: $name, run: $run },)*];
    };
}

attempts! {
    "password-hashes": |_| read("/etc/shadow");
    "private-key": |stage| read(stage.get("key"));
    "sibling": |stage| read(stage.get("secret"));
    "dot-dot": |stage| read(grant(stage, "../secret"));
    "link-out": |stage| read(grant(stage, "out"));
    "link-out-directory": |stage| read(grant(stage, "up/secret"));
    "link-out-write": |stage| write(&grant(stage, "out"));
    "own-link-out": own_link;
    "write-outside": |stage| write(Path::new(&format!("{}.new", stage.get("secret"))));
    "write-read-only": |stage| write(&Path::new(stage.get("readable")).join("new"));
    "truncate-read-only": |stage| truncate(&Path::new(stage.get("readable")).join("file"));
    "write-system": |_| write(Path::new("/usr/lib/portcullis-was-here"));
    "write-accounts": |_| open_to_write("/etc/passwd");
    "hidden-file": |stage| read(grant(stage, "client/config.json"));
    "hidden-file-write": |stage| open_to_write(grant(stage, "client/config.json"));
    "hidden-file-remove": |stage| removed(&grant(stage, "client/config.json"));
    "hidden-directory": |stage| read(grant(stage, "state/secret"));
    "hidden-directory-list": |stage| list(grant(stage, "state"));
    "hidden-directory-moved": |stage| moved(&grant(stage, "state"), &grant(stage, "state2"));
    "parent-of-hidden-moved": |stage| moved(&grant(stage, "client"), &grant(stage, "client2"));
    "hard-link-in": |stage| linked(Path::new(stage.get("secret")), &grant(stage, "linked"));
    "hard-link-out": |stage| linked(&grant(stage, "file"), &outside(stage, "escaped"));
    "rename-out": |stage| moved(&grant(stage, "movable"), &outside(stage, "moved"));
    "symlink-race": race;
    "process-1-root": |stage| read(format!("/proc/1/root{}", stage.get("secret")));
    "gateway-root": |stage| read(of_gateway(stage, &format!("root{}", stage.get("secret"))));
    "gateway-environment": |stage| read(of_gateway(stage, "environ"));
    "gateway-memory-file": |stage| open_to_read(of_gateway(stage, "mem"));
    "gateway-descriptors": |stage| list(of_gateway(stage, "fd"));
    "process-1-memory": |_| open_to_read("/proc/1/mem");
    "process-1-program": |_| open_to_write("/proc/1/exe");
    "parent-environment": |_| read(format!("/proc/{}/environ", std::os::unix::process::parent_id()));
    "home-of-root": |_| list("/root");
    "homes": |_| list("/home/..");
    "daemons": |_| list("/run");
    "system-logs": |_| list("/var/log");
    "machine-memory": |_| open_to_read("/dev/mem");
    "kernel-messages": |_| open_to_read("/dev/kmsg");
    "disk": |_| open_to_read("/dev/vda");
    "terminal-multiplexer": |_| open_to_read("/dev/ptmx");
    "devices-of-kernel": |_| list("/sys");
    "kernel-settings": |_| open_to_write("/proc/sys/kernel/core_pattern");
    "kernel-trigger": |_| open_to_write("/proc/sysrq-trigger");
    "out-of-memory-shield": |_| write_to("/proc/self/oom_score_adj", "-1000");
    "own-user-map": |_| write_to("/proc/self/setgroups", "allow");
    "control-groups": |_| list("/sys/fs/cgroup");
    "shared-memory-file": |stage| read(stage.get("shmfile"));
    "setuid-chmod": |stage| chmod(stage, 0o4755);
    "setgid-chmod": |stage| chmod(stage, 0o2755);
    "setuid-fchmodat2": fchmodat2;
    "setuid-created": |stage| created(stage, libc::O_CREAT);
    "setuid-unnamed": unnamed;
    "setuid-directory": |stage| setgid_directory(stage);
    "device-node": device;
    "file-capability": capability;
    "immutable-file": immutable;
}

fn grant(stage: &Stage, name: &str) -> PathBuf {
    Path::new(stage.get("granted")).join(name)
}

fn outside(stage: &Stage, name: &str) -> PathBuf {
    Path::new(stage.get("secret")).with_file_name(name)
}

fn of_gateway(stage: &Stage, name: &str) -> String {
    format!("/proc/{}/{name}", stage.get("gateway"))
}

fn outcome<T>(result: io::Result<T>, how: &str) -> Outcome {
    match result {
        Ok(_) => Ok(how.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn read(path: impl AsRef<Path>) -> Outcome {
    let mut text = Vec::new();
    let result = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut text));
    match result {
        Ok(0) => Err("empty".to_owned()),
        other => outcome(other, "read"),
    }
}

fn write(path: &Path) -> Outcome {
    let result = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(b"x"));
    outcome(result, "written")
}

fn write_to(path: &str, value: &str) -> Outcome {
    let result = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    outcome(result, "written")
}

/// Opens only: what is behind some of these would break the machine.
fn open_to_write(path: impl AsRef<Path>) -> Outcome {
    outcome(OpenOptions::new().write(true).open(path), "open to write")
}

fn open_to_read(path: impl AsRef<Path>) -> Outcome {
    outcome(File::open(path), "open to read")
}

fn truncate(path: &Path) -> Outcome {
    outcome(
        call(libc::SYS_truncate, &[text(&path.to_string_lossy()), 0])
            .map_err(io::Error::from_raw_os_error),
        "truncated",
    )
}

fn list(path: impl AsRef<Path>) -> Outcome {
    outcome(fs::read_dir(path), "listed")
}

fn removed(path: &Path) -> Outcome {
    outcome(fs::remove_file(path), "removed")
}

fn moved(from: &Path, to: &Path) -> Outcome {
    outcome(fs::rename(from, to), "moved")
}

fn linked(from: &Path, to: &Path) -> Outcome {
    outcome(fs::hard_link(from, to), "linked")
}

fn own_link(stage: &Stage) -> Outcome {
    let link = grant(stage, "own-link");
    symlink(stage.get("secret"), &link).map_err(|error| error.to_string())?;
    let outcome = read(&link);
    fs::remove_file(&link).ok();
    outcome
}

/// Swaps a directory and a link to the outside for each other while reading below the name.
fn race(stage: &Stage) -> Outcome {
    const EXCHANGE: usize = 2;
    let (place, link) = (grant(stage, "race"), grant(stage, "race-link"));
    fs::create_dir_all(&place).ok();
    let parent = Path::new(stage.get("secret")).parent();
    symlink(parent.unwrap_or(Path::new("/")), &link).ok();
    let (from, to) = (
        text(&place.to_string_lossy()),
        text(&link.to_string_lossy()),
    );
    let swapping = crate::raw::fork(|| {
        for _ in 0..100_000 {
            call(libc::SYS_renameat2, &[HERE, from, HERE, to, EXCHANGE]).ok();
        }
    });
    swapping.map_err(|errno| format!("fork: errno {errno}"))?;
    let reached = (0..100_000).find_map(|_| read(place.join("secret")).ok());
    call(libc::SYS_wait4, &[usize::MAX, 0, 0, 0]).ok();
    reached.ok_or_else(|| "never".to_owned())
}

fn chmod(stage: &Stage, mode: u32) -> Outcome {
    let file = grant(stage, "file");
    let result = fs::set_permissions(&file, fs::Permissions::from_mode(mode));
    is_marked(&file, result)
}

fn fchmodat2(stage: &Stage) -> Outcome {
    let file = grant(stage, "file");
    let result = call(452, &[HERE, text(&file.to_string_lossy()), 0o4755, 0]);
    is_marked(
        &file,
        result.map(drop).map_err(io::Error::from_raw_os_error),
    )
}

fn created(stage: &Stage, flags: i32) -> Outcome {
    let file = grant(stage, "made-setuid");
    fs::remove_file(&file).ok();
    let result = OpenOptions::new()
        .write(true)
        .create(true)
        .custom_flags(flags)
        .mode(0o4755)
        .open(&file);
    is_marked(&file, result.map(drop))
}

/// A file without a name, that gets one later.
fn unnamed(stage: &Stage) -> Outcome {
    let directory = text(stage.get("granted"));
    let flags = (libc::O_TMPFILE | libc::O_WRONLY).unsigned_abs() as usize;
    let fd = call(libc::SYS_openat, &[HERE, directory, flags, 0o4755]);
    let fd = fd.map_err(|errno| format!("errno {errno}"))?;
    let named = grant(stage, "named-setuid");
    let from = text(&format!("/proc/self/fd/{fd}"));
    let follow = libc::AT_SYMLINK_FOLLOW.unsigned_abs() as usize;
    let result = call(
        libc::SYS_linkat,
        &[HERE, from, HERE, text(&named.to_string_lossy()), follow],
    );
    is_marked(
        &named,
        result.map(drop).map_err(io::Error::from_raw_os_error),
    )
}

fn is_marked(file: &Path, result: io::Result<()>) -> Outcome {
    result.map_err(|error| error.to_string())?;
    let mode = fs::metadata(file).map_or(0, |found| found.permissions().mode());
    if mode & 0o6000 == 0 {
        return Err(format!("mode {mode:o}"));
    }
    Ok(format!("mode {mode:o}"))
}

fn setgid_directory(stage: &Stage) -> Outcome {
    let directory = grant(stage, "made-directory");
    fs::create_dir_all(&directory).ok();
    let result = fs::set_permissions(&directory, fs::Permissions::from_mode(0o6755));
    is_marked(&directory, result)
}

fn device(stage: &Stage) -> Outcome {
    let path = grant(stage, "device");
    fs::remove_file(&path).ok();
    // Character device 1:5, which is harmless.
    let result = call(
        libc::SYS_mknodat,
        &[HERE, text(&path.to_string_lossy()), 0o020_666, 0x105],
    );
    outcome(result.map_err(io::Error::from_raw_os_error), "made")
}

fn capability(stage: &Stage) -> Outcome {
    // Version 2, with CAP_SYS_ADMIN.
    let value: [u8; 20] = [
        1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let path = text(&grant(stage, "file").to_string_lossy());
    let name = text("security.capability");
    let result = call(
        libc::SYS_setxattr,
        &[path, name, crate::raw::address(&value), value.len(), 0],
    );
    outcome(result.map_err(io::Error::from_raw_os_error), "set")
}

/// `FS_IOC_SETFLAGS` with the flag that root alone may set.
fn immutable(stage: &Stage) -> Outcome {
    use std::os::fd::AsRawFd;
    let result = File::open(grant(stage, "file")).and_then(|file| {
        let fd = usize::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
        let set = |flags: i64| {
            call(
                libc::SYS_ioctl,
                &[fd, 0x4008_6602, crate::raw::address(&flags)],
            )
            .map_err(io::Error::from_raw_os_error)
        };
        set(0x10)?;
        set(0)
    });
    outcome(result, "set")
}
