//! Who a payload is. A gateway that runs as root gives each a user id of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Gid, Pid, Signal, Uid, WaitOptions, kill_process, waitpid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::kernel::{self, Fork};

/// Makes what is forked next begin as user and group `id`, so that namespaces are that user's and
/// root is nobody in them. Undone by [`restore`]. The caller is root.
pub(crate) fn assume(id: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, Gid::ROOT)?;
    set_thread_res_uid(user, user, Uid::ROOT)?;
    Ok(())
}

/// Makes this process root again, after [`assume`].
pub(crate) fn restore() -> io::Result<()> {
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    Ok(())
}

/// In the first process of a new user namespace: maps its user and group to themselves, and
/// forgets any other it could become again.
pub(crate) fn settle(user: Uid, group: Gid) -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // The files of a process that may not be dumped belong to root, who is nobody in here.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let (uid, gid) = (user.as_raw(), group.as_raw());
    let written = write("/proc/self/setgroups", "deny")
        .and_then(|()| write("/proc/self/gid_map", &format!("{gid} {gid} 1")))
        .and_then(|()| write("/proc/self/uid_map", &format!("{uid} {uid} 1")));
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    written?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// A user namespace that maps the owner `user` and `group` of files to `id`, for mounts that show
/// them so. The caller is root.
pub(crate) fn owner_map(user: u32, group: u32, id: u32) -> io::Result<OwnedFd> {
    let (mut wait, hold) = io::pipe()?;
    match kernel::fork(kernel::NEW_USER)? {
        Fork::Child => {
            drop(hold);
            // Ends with the parent, or when it has what it wants.
            wait.read_exact(&mut [0]).ok();
            kernel::exit_now(0)
        }
        Fork::Parent(child) => {
            drop(wait);
            let namespace = map(child, user, group, id);
            drop(hold);
            kill_process(child, Signal::KILL).ok();
            waitpid(Some(child), WaitOptions::empty())?;
            namespace
        }
    }
}

fn map(child: Pid, user: u32, group: u32, id: u32) -> io::Result<OwnedFd> {
    let child = child.as_raw_nonzero();
    write(&format!("/proc/{child}/uid_map"), &format!("{user} {id} 1"))?;
    write(
        &format!("/proc/{child}/gid_map"),
        &format!("{group} {id} 1"),
    )?;
    Ok(File::open(format!("/proc/{child}/ns/user"))?.into())
}

/// Drops every capability, and every way to gain one, for the calling thread and what it starts.
pub(crate) fn drop_privileges() -> io::Result<()> {
    use rustix::thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
        set_no_new_privs,
    };
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let held = rustix::thread::capabilities(None)?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
                // Beyond the last that this kernel knows.
                Err(rustix::io::Errno::INVAL) => break,
                other => other?,
            }
        }
        let bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        set_capabilities_secure_bits(bits)?;
    }
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    Ok(())
}

fn write(file: &str, text: &str) -> io::Result<()> {
    // One write: the kernel takes the whole map or none.
    File::options()
        .write(true)
        .open(file)?
        .write_all(text.as_bytes())
}

/// The namespaces for [`owner_map`] of files that were met before.
#[derive(Default)]
pub(crate) struct OwnerMaps(Vec<((u32, u32), OwnedFd)>);

impl OwnerMaps {
    /// As [`owner_map`], each made once.
    pub(crate) fn get(&mut self, user: u32, group: u32, id: u32) -> io::Result<BorrowedFd<'_>> {
        let known = self.0.iter().position(|(of, _)| *of == (user, group));
        let index = if let Some(index) = known {
            index
        } else {
            self.0.push(((user, group), owner_map(user, group, id)?));
            self.0.len() - 1
        };
        let found = self.0.get(index).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.1.as_fd())
    }
}
