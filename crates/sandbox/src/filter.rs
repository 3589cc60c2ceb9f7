//! The filter of system calls: what no local server needs is refused.
//!
//! It allows by default and refuses what reaches beyond a process, its files and its sockets: a
//! list of what is allowed would be longer, and break servers with every new C library. Calls
//! younger than this list do not exist inside, which C libraries are prepared for.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use crate::confinement::{Network, Tier};
use crate::plan::Jail;

/// A program for each answer; the strictest answer of all counts.
pub(crate) struct Filter(Vec<BpfProgram>);

/// Rules by the number of the call. A call without rules is matched whatever its arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The last call that this list was made for, `mseal`: later ones do not exist inside.
const NEWEST: u32 = 462;

/// Where the numbers of the x32 interface begin, on `x86_64`. The calls are the same, their
/// numbers are not, so no rule would match them.
const X32: u32 = 0x4000_0000;

/// Calls that say they do not exist: the C library falls back to one that can be looked into.
const ABSENT: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_openat2];

/// Calls that are refused whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    457, // statmount
    458, // listmount
    // Files by something else than their path.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // Wide interfaces of the kernel, with a history.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    450, // set_mempolicy_home_node
];

/// What processes share by number or name, where there is no IPC namespace of their own.
const SHARED: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_lookup_dcookie,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[libc::SYS_lookup_dcookie];

/// Calls with the mode of a file, and which argument it is.
const MODES: &[(libc::c_long, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (452, 2), // fchmodat2
    (libc::SYS_mkdirat, 2),
    (libc::SYS_mknodat, 2),
];
#[cfg(target_arch = "x86_64")]
const MODES_HERE: &[(libc::c_long, u8)] = &[
    (libc::SYS_chmod, 1),
    (libc::SYS_creat, 1),
    (libc::SYS_mkdir, 1),
    (libc::SYS_mknod, 1),
];
#[cfg(not(target_arch = "x86_64"))]
const MODES_HERE: &[(libc::c_long, u8)] = &[];

/// Calls that may make a file, and which arguments are the flags and the mode.
#[cfg(target_arch = "x86_64")]
const OPENS: &[(libc::c_long, u8, u8)] = &[(libc::SYS_open, 1, 2), (libc::SYS_openat, 2, 3)];
#[cfg(not(target_arch = "x86_64"))]
const OPENS: &[(libc::c_long, u8, u8)] = &[(libc::SYS_openat, 2, 3)];

/// The kinds of namespaces that clone can make.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What types into, or takes over, somebody's terminal.
const TERMINAL: [libc::Ioctl; 3] = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSCTTY];

/// The answer of `personality` that changes nothing.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;

impl Filter {
    /// The filter of a payload.
    pub(crate) fn payload(jail: &Jail) -> io::Result<Self> {
        let mut refused = refused()?;
        if jail.tier != Tier::Full {
            refused.extend(SHARED.iter().map(|call| (*call, vec![])));
        }
        let absent = ABSENT.iter().map(|call| (*call, vec![])).collect();
        Ok(Self(vec![
            numbers(),
            program(absent, libc::ENOSYS)?,
            program(
                sockets(jail.network, jail.local_sockets)?,
                libc::EAFNOSUPPORT,
            )?,
            // The last takes away nothing that installing another one needs.
            program(refused, libc::EPERM)?,
        ]))
    }

    /// The filter of the first process of a jail, which only waits: all else is refused.
    pub(crate) fn init() -> io::Result<Self> {
        let mut allowed = vec![
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_sendmsg,
            libc::SYS_sendto,
            libc::SYS_recvfrom,
            libc::SYS_ppoll,
            libc::SYS_wait4,
            libc::SYS_waitid,
            libc::SYS_kill,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigprocmask,
            libc::SYS_restart_syscall,
            libc::SYS_futex,
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_clock_gettime,
            libc::SYS_close,
            libc::SYS_getpid,
        ];
        #[cfg(target_arch = "x86_64")]
        allowed.push(libc::SYS_poll);
        let rules = allowed.into_iter().map(|call| (call, vec![])).collect();
        let program = compile(
            rules,
            SeccompAction::Errno(libc::EPERM.unsigned_abs()),
            SeccompAction::Allow,
        )?;
        Ok(Self(vec![numbers(), program]))
    }

    /// Puts the calling thread, and what it starts, under the filter, for good.
    pub(crate) fn apply(&self) -> io::Result<()> {
        for program in &self.0 {
            apply_filter(program).map_err(|error| match error {
                seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
                other => io::Error::other(other),
            })?;
        }
        Ok(())
    }
}

/// Kills whatever calls by x32 numbers, and denies the existence of younger calls. By hand: the
/// library has no way to compare the number of a call.
fn numbers() -> BpfProgram {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const IF_ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        instruction(LOAD, 0, 0, 0), // seccomp_data.nr
        instruction(IF_AT_LEAST, 0, 1, X32),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(IF_ABOVE, 0, 1, NEWEST),
        instruction(RETURN, 0, 0, no_such_call),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Refuses the calls that `rules` match, with `errno`.
fn program(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    compile(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
    )
}

/// Calls by another machine's numbers, as those of i386, are killed by the library's own check.
fn compile(rules: Rules, rest: SeccompAction, matched: SeccompAction) -> io::Result<BpfProgram> {
    let arch: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(io::Error::other)?;
    SeccompFilter::new(rules, rest, matched, arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}

fn refused() -> io::Result<Rules> {
    let mut rules: Rules = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (*call, vec![]))
        .collect();
    let clone = rules.entry(libc::SYS_clone).or_default();
    for namespace in NAMESPACES {
        clone.push(rule(vec![has(0, namespace.unsigned_abs())?])?);
    }
    let ioctl = rules.entry(libc::SYS_ioctl).or_default();
    for request in TERMINAL {
        ioctl.push(rule(vec![is(1, request)?])?);
    }
    let other = rule(vec![is_not(0, 0)?, is_not(0, PERSONALITY_QUERY)?])?;
    rules.insert(libc::SYS_personality, vec![other]);
    // A file that runs as its owner would be a way out to the host, where it may be root's.
    for bit in [libc::S_ISUID, libc::S_ISGID] {
        for (call, mode) in MODES.iter().chain(MODES_HERE) {
            let refused = rule(vec![has(*mode, bit)?])?;
            rules.entry(*call).or_default().push(refused);
        }
        for (call, flags, mode) in OPENS {
            // Without either flag the mode is not looked at, and may be anything.
            for creating in [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY] {
                let is_made = has(*flags, creating.unsigned_abs())?;
                let refused = rule(vec![is_made, has(*mode, bit)?])?;
                rules.entry(*call).or_default().push(refused);
            }
        }
    }
    Ok(rules)
}

/// Sockets of other families than are to be had, of other kinds than streams and datagrams, and
/// pairs of others than local ones.
fn sockets(network: Network, local_sockets: bool) -> io::Result<Rules> {
    let local = number(libc::AF_UNIX)?;
    let mut families = Vec::new();
    if local_sockets {
        families.push(local);
    }
    if network == Network::Guarded {
        families.push(number(libc::AF_INET)?);
        families.push(number(libc::AF_INET6)?);
    }
    // No conditions at all, if there is no family, match every call.
    let mut refused: Vec<SeccompRule> = Vec::new();
    if !families.is_empty() {
        let others: io::Result<_> = families.iter().map(|family| is_not(0, *family)).collect();
        refused.push(rule(others?)?);
        // Others than TCP and UDP: MPTCP and SCTP pass by Landlock's rules for ports.
        refused.push(rule(vec![
            is_not(2, 0)?,
            is_not(2, number(libc::IPPROTO_TCP)?)?,
            is_not(2, number(libc::IPPROTO_UDP)?)?,
        ])?);
        let plain = [libc::SOCK_STREAM, libc::SOCK_DGRAM];
        for kind in (0..16).filter(|kind| !plain.contains(kind)) {
            let mut conditions = vec![compare(1, SeccompCmpOp::MaskedEq(0xf), number(kind)?)?];
            if kind == libc::SOCK_SEQPACKET {
                conditions.push(is_not(0, local)?);
            }
            refused.push(rule(conditions)?);
        }
    }
    Ok(Rules::from([
        (libc::SYS_socket, refused),
        (libc::SYS_socketpair, vec![rule(vec![is_not(0, local)?])?]),
    ]))
}

/// The kernel reads these arguments as 32 bits: comparing 64 would let set high bits pass.
fn compare(argument: u8, how: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value).map_err(io::Error::other)
}

fn is(argument: u8, value: u64) -> io::Result<SeccompCondition> {
    compare(argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> io::Result<SeccompCondition> {
    compare(argument, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, bit: u32) -> io::Result<SeccompCondition> {
    compare(argument, SeccompCmpOp::MaskedEq(bit.into()), bit.into())
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn number(value: libc::c_int) -> io::Result<u64> {
    u64::try_from(value).map_err(io::Error::other)
}
