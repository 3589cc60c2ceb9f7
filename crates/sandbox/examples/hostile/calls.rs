//! Interfaces of the kernel. Each is asked for something that it cannot do: a bare process learns
//! so (`EINVAL`, `EFAULT` and the like), a confined one does not get that far.

use crate::raw::{address, call, text};
use crate::{Attempt, Outcome, Stage, raw};

/// A pointer to nowhere.
const BAD: usize = 1;
/// -1 as an argument.
const MINUS: usize = usize::MAX;

/// The kernel's ways to say that one may not, or that there is no such thing.
fn verdict(result: Result<usize, i32>) -> Outcome {
    match result {
        Ok(value) => Ok(format!("returned {value}")),
        Err(errno @ (libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EAFNOSUPPORT)) => {
            Err(format!("errno {errno}"))
        }
        Err(errno) => Ok(format!("errno {errno}")),
    }
}

macro_rules! calls {
    ($($name:literal: $number:expr, [$($arg:expr),*];)*) => {
        &[
            $(Attempt {
                name: $name,
                run: |_: &Stage| verdict(call($number, &[$($arg),*])),
            },)*
        ]
    };
}

pub(crate) const ATTEMPTS: &[Attempt] = calls! {
    "mount": libc::SYS_mount, [BAD, BAD, BAD, 0, 0];
    "umount": libc::SYS_umount2, [text("/nowhere"), 0];
    "pivot-root": libc::SYS_pivot_root, [text("/nowhere"), text("/nowhere")];
    "chroot": libc::SYS_chroot, [text("/nowhere")];
    "unshare-user": libc::SYS_unshare, [0x1000_0000];
    "unshare-mounts": libc::SYS_unshare, [0x0002_0000];
    "unshare-network": libc::SYS_unshare, [0x4000_0000];
    "unshare-pid": libc::SYS_unshare, [0x2000_0000];
    "unshare-ipc": libc::SYS_unshare, [0x0800_0000];
    "unshare-uts": libc::SYS_unshare, [0x0400_0000];
    "unshare-cgroup": libc::SYS_unshare, [0x0200_0000];
    "unshare-time": libc::SYS_unshare, [0x80];
    "setns": libc::SYS_setns, [MINUS, 0];
    "clone3": libc::SYS_clone3, [BAD, 0];
    "open-tree": libc::SYS_open_tree, [MINUS, text("nowhere"), 0];
    "move-mount": libc::SYS_move_mount, [MINUS, text("x"), MINUS, text("x"), 0];
    "mount-setattr": libc::SYS_mount_setattr, [MINUS, text("x"), 0, BAD, 32];
    "fsopen": libc::SYS_fsopen, [text("no-such-file-system"), 0];
    "fsconfig": libc::SYS_fsconfig, [MINUS, 0, 0, 0, 0];
    "fsmount": libc::SYS_fsmount, [MINUS, 0, 0];
    "fspick": libc::SYS_fspick, [MINUS, text("nowhere"), 0];
    "statmount": 457, [BAD, BAD, 0, 0];
    "listmount": 458, [BAD, BAD, 0, 0];
    "open-by-handle": libc::SYS_open_by_handle_at, [MINUS, BAD, 0];
    "name-to-handle": libc::SYS_name_to_handle_at, [MINUS, text("x"), BAD, BAD, 0];
    "fanotify": libc::SYS_fanotify_init, [MINUS, 0];
    "fanotify-mark": libc::SYS_fanotify_mark, [MINUS, 0, 0, 0, 0];
    "bpf": libc::SYS_bpf, [999, BAD, 8];
    "perf-events": libc::SYS_perf_event_open, [BAD, 0, 0, MINUS, 0];
    "userfaultfd": libc::SYS_userfaultfd, [0xff];
    "io-uring": libc::SYS_io_uring_setup, [1, BAD];
    "io-uring-enter": libc::SYS_io_uring_enter, [MINUS, 0, 0, 0, 0, 0];
    "io-uring-register": libc::SYS_io_uring_register, [MINUS, 0, 0, 0];
    "keyctl": libc::SYS_keyctl, [0xffff];
    "add-key": libc::SYS_add_key, [BAD, BAD, 0, 0, 0];
    "request-key": libc::SYS_request_key, [BAD, BAD, 0, 0];
    "reboot": libc::SYS_reboot, [1, 1, 1, 0];
    "kexec": libc::SYS_kexec_load, [0, 99, BAD, 0xffff];
    "kexec-file": libc::SYS_kexec_file_load, [MINUS, MINUS, 0, 0, 0xffff];
    "init-module": libc::SYS_init_module, [BAD, 0, BAD];
    "finit-module": libc::SYS_finit_module, [MINUS, BAD, 0xffff];
    "delete-module": libc::SYS_delete_module, [BAD, 0];
    "swapon": libc::SYS_swapon, [text("/nowhere"), 0];
    "swapoff": libc::SYS_swapoff, [text("/nowhere")];
    "acct": libc::SYS_acct, [text("/nowhere")];
    "quotactl": libc::SYS_quotactl, [0x0080_0000, text("/nowhere"), 0, 0];
    "kernel-log": libc::SYS_syslog, [9, 0, 0];
    "sethostname": libc::SYS_sethostname, [BAD, MINUS];
    "setdomainname": libc::SYS_setdomainname, [BAD, MINUS];
    "settimeofday": libc::SYS_settimeofday, [address(&[0_i64, -1]), 0];
    "clock-settime": libc::SYS_clock_settime, [1, address(&[0_i64, 0])];
    "clock-adjtime": libc::SYS_clock_adjtime, [1, BAD];
    "adjtimex": libc::SYS_adjtimex, [BAD];
    "personality": libc::SYS_personality, [0x0004_0000];
    "move-pages": libc::SYS_move_pages, [0, 1, BAD, 0, BAD, 0];
    "mbind": libc::SYS_mbind, [BAD, 1, 99, 0, 0, 0];
    "kcmp": libc::SYS_kcmp, [std::process::id() as usize, std::process::id() as usize, 0, 0, 0];
    "process-madvise": libc::SYS_process_madvise, [MINUS, BAD, 1, 0, 0];
    "younger-call": 463, [MINUS, BAD, 0, BAD, BAD, 0];
    "openat2": libc::SYS_openat2, [MINUS, BAD, BAD, 0];
    "tiocsti": libc::SYS_ioctl, [0, 0x5412, address("x")];
    "tiocsti-high-bits": libc::SYS_ioctl, [0, 0x1_0000_5412, address("x")];
    "tioclinux": libc::SYS_ioctl, [0, 0x541c, address("\x02")];
};

/// Those that take more than a call.
pub(crate) const OTHERS: &[Attempt] = &[
    Attempt {
        name: "pidfd-getfd",
        run: |_| pidfd_getfd(),
    },
    Attempt {
        name: "clone-user-namespace",
        run: |_| clone(libc::CLONE_NEWUSER),
    },
    Attempt {
        name: "clone-mount-namespace",
        run: |_| clone(libc::CLONE_NEWNS),
    },
    Attempt {
        name: "clone-network-namespace",
        run: |_| clone(libc::CLONE_NEWNET),
    },
    Attempt {
        name: "x32-interface",
        run: |_| verdict(call(0x4000_0000 + libc::SYS_getpid, &[])),
    },
    Attempt {
        name: "i386-interface",
        run: |_| i386(),
    },
];

/// Those that only this machine has.
#[cfg(target_arch = "x86_64")]
pub(crate) const OF_MACHINE: &[Attempt] = calls! {
    "iopl": libc::SYS_iopl, [9];
    "ioperm": libc::SYS_ioperm, [0xffff, 9, 1];
    "modify-ldt": libc::SYS_modify_ldt, [0, BAD, 0];
};
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const OF_MACHINE: &[Attempt] = &[];

fn i386() -> Outcome {
    match raw::i386_getpid() {
        pid if pid > 0 => Ok(format!("process {pid}")),
        errno => Err(format!("errno {errno}")),
    }
}

fn pidfd_getfd() -> Outcome {
    let own = call(libc::SYS_pidfd_open, &[std::process::id() as usize, 0]);
    let own = own.map_err(|errno| format!("pidfd_open: errno {errno}"))?;
    verdict(call(libc::SYS_pidfd_getfd, &[own, 0, 0]))
}

/// The child ends as soon as it exists: it goes on where this process does.
fn clone(namespace: libc::c_int) -> Outcome {
    let flags = (namespace | libc::SIGCHLD).unsigned_abs() as usize;
    match call(libc::SYS_clone, &[flags, 0, 0, 0, 0]) {
        Ok(0) => std::process::exit(0),
        other => verdict(other),
    }
}
