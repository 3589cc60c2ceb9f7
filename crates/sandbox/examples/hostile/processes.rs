//! Other processes, and rights that are not this one's.

use std::time::Duration;

use crate::raw::{address, call};
use crate::{Attempt, Outcome, Stage, raw};

macro_rules! attempts {
    ($($name:literal: $run:expr;)*) => {
        pub(crate) const ATTEMPTS: &[Attempt] = &[$(Attempt { name: $name, run: $run },)*];
    };
}

attempts! {
    "signal-gateway": |stage| plain(call(libc::SYS_kill, &[stage.number("gateway"), 0]));
    "signal-process-1": |_| plain(call(libc::SYS_kill, &[1, 0]));
    "signal-everybody": |_| plain(call(libc::SYS_kill, &[usize::MAX, 0]));
    "signal-by-descriptor": signal_by_descriptor;
    "trace-gateway": |stage| plain(call(libc::SYS_ptrace, &[0x4206, stage.number("gateway"), 0, 0]));
    "trace-process-1": |_| plain(call(libc::SYS_ptrace, &[0x4206, 1, 0, 0]));
    "trace-child": trace_child;
    "read-gateway-memory": |stage| memory(stage, libc::SYS_process_vm_readv);
    "write-gateway-memory": |stage| memory(stage, libc::SYS_process_vm_writev);
    "environment": environment;
    "inherited-descriptors": |_| inherited();
    "become-root": |_| plain(call(libc::SYS_setresuid, &[0, 0, 0]));
    "become-another": |_| plain(call(libc::SYS_setresuid, &[12345, 12345, 12345]));
    "change-groups": |_| plain(call(libc::SYS_setgroups, &[1, address(&[0_u32])]));
    "raise-capabilities": |_| capabilities();
    "raise-priority": |_| plain(call(libc::SYS_setpriority, &[0, 0, (-20_isize).cast_unsigned()]));
    "real-time": |_| plain(call(libc::SYS_sched_setscheduler, &[0, 1, address(&[1_i32])]));
    "raise-files": |_| raise(7, 1 << 20);
    "raise-core": |_| raise(4, 1 << 20);
    "raise-memory": |_| raise(2, 1 << 40);
    "lock-memory": |_| lock();
}

fn plain(result: Result<usize, i32>) -> Outcome {
    match result {
        Ok(value) => Ok(format!("returned {value}")),
        Err(errno) => Err(format!("errno {errno}")),
    }
}

fn signal_by_descriptor(stage: &Stage) -> Outcome {
    let gateway = call(libc::SYS_pidfd_open, &[stage.number("gateway"), 0]);
    let gateway = gateway.map_err(|errno| format!("pidfd_open: errno {errno}"))?;
    plain(call(libc::SYS_pidfd_send_signal, &[gateway, 0, 0, 0]))
}

fn trace_child(_: &Stage) -> Outcome {
    let child = raw::fork(|| std::thread::sleep(Duration::from_millis(200)));
    let child = child.map_err(|errno| format!("fork: errno {errno}"))?;
    plain(call(
        libc::SYS_ptrace,
        &[0x4206, child.unsigned_abs() as usize, 0, 0],
    ))
}

/// `struct iovec`, of a place here and one in the gateway.
fn memory(stage: &Stage, number: libc::c_long) -> Outcome {
    // What is there, so that writing it changes nothing.
    let here = *b"canary";
    let local = [address(&here), here.len()];
    let remote = [stage.number("address"), here.len()];
    let gateway = stage.number("gateway");
    plain(call(
        number,
        &[gateway, address(&local), 1, address(&remote), 1, 0],
    ))
}

fn environment(stage: &Stage) -> Outcome {
    let name = stage.get("variable");
    match std::env::vars().find(|(known, _)| known == name) {
        Some(_) => Ok(format!("{name} is set")),
        None => Err(format!("{name} is not set")),
    }
}

fn inherited() -> Outcome {
    match (3..4096).find(|fd| call(libc::SYS_fcntl, &[*fd, 1]).is_ok()) {
        Some(fd) => Ok(format!("descriptor {fd}")),
        None => Err("none".to_owned()),
    }
}

/// `capset` of all that there are.
fn capabilities() -> Outcome {
    let header = [0x2008_0522_u32, 0];
    let all = [0xffff_ffff_u32, 0xffff_ffff, 0, 0x1ff, 0x1ff, 0];
    plain(call(libc::SYS_capset, &[address(&header), address(&all)]))
}

fn raise(resource: usize, to: u64) -> Outcome {
    let limit = [to, to];
    plain(call(
        libc::SYS_prlimit64,
        &[0, resource, address(&limit), 0],
    ))
}

fn lock() -> Outcome {
    let memory = vec![1_u8; 64 << 20];
    plain(call(
        libc::SYS_mlock,
        &[memory.as_ptr().expose_provenance(), memory.len()],
    ))
}
