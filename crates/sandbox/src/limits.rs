//! Limits that the kernel holds each process to.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::confinement::Limits;
use crate::guard::CORE_BYTES;

/// Bytes that a process may lock in memory: the kernel's own default.
const LOCKED_BYTES: u64 = 8 << 20;

/// Puts the calling process, and what it starts, under `limits`, for good.
pub(crate) fn apply(limits: &Limits) -> io::Result<()> {
    let all = [
        // Not the address space: Node reserves far more of it than it ever uses.
        (Resource::Data, Some(limits.memory_bytes)),
        (Resource::Nproc, Some(limits.processes)),
        (Resource::Nofile, Some(limits.open_files)),
        (Resource::Fsize, Some(limits.file_bytes)),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Memlock, Some(LOCKED_BYTES)),
        (Resource::Core, Some(CORE_BYTES)),
        (Resource::Nice, Some(0)),
        (Resource::Rtprio, Some(0)),
    ];
    for (resource, limit) in all {
        let Some(limit) = limit else {
            continue;
        };
        // Where the gateway's own limit is lower, that stays.
        let maximum = rustix::process::getrlimit(resource).maximum;
        let limit = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
        let both = Rlimit {
            current: limit,
            maximum: limit,
        };
        setrlimit(resource, both)?;
    }
    Ok(())
}
