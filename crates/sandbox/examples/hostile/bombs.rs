//! Attempts to use up the machine. All have an end: they go a little beyond what a confined server
//! is to get, and no further.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::raw::{call, fork};
use crate::{Attempt, Outcome, Stage};

/// More processes than the tests allow.
const PROCESSES: usize = 150;
/// More bytes of memory than the tests allow.
const MEMORY: usize = 400 << 20;
/// More bytes of scratch space and of a file than the tests allow.
const DISK: usize = 40 << 20;
/// More descriptors than the tests allow.
const FILES: usize = 1500;

macro_rules! attempts {
    ($($name:literal: $run:expr;)*) => {
        pub(crate) const ATTEMPTS: &[Attempt] = &[$(Attempt { name: $name, run: $run },)*];
    };
}

attempts! {
    "fork-bomb": |_| fork_bomb();
    "thread-bomb": |_| thread_bomb();
    "memory-bomb": |_| memory_bomb(MEMORY);
    "memory-bomb-of-many": |_| memory_bomb_of_many();
    "memory-file-bomb": |_| memory_file();
    "fill-scratch": |_| fill(Path::new("/tmp/portcullis-hostile"));
    "fill-shared-memory": |_| fill(Path::new("/dev/shm/portcullis-hostile"));
    "large-file": |stage| fill(&large(stage));
    "many-descriptors": |_| descriptors();
}

fn fork_bomb() -> Outcome {
    for count in 0..PROCESSES {
        // Each waits a moment, so that all are there at once.
        if let Err(errno) = fork(|| wait(1500)) {
            return Err(format!("errno {errno} after {count}"));
        }
    }
    Ok(format!("{PROCESSES} processes"))
}

fn thread_bomb() -> Outcome {
    let mut threads = Vec::new();
    for count in 0..PROCESSES {
        let builder = std::thread::Builder::new().stack_size(16 << 10);
        match builder.spawn(|| std::thread::park_timeout(Duration::from_secs(1))) {
            Ok(thread) => threads.push(thread),
            Err(error) => return Err(format!("{error} after {count}")),
        }
    }
    Ok(format!("{PROCESSES} threads"))
}

/// Takes memory and writes to each page of it.
fn memory_bomb(bytes: usize) -> Outcome {
    let mut memory: Vec<u8> = Vec::new();
    memory
        .try_reserve_exact(bytes)
        .map_err(|error| error.to_string())?;
    memory.resize(bytes, 1);
    let sum: usize = memory
        .iter()
        .step_by(4096)
        .map(|byte| usize::from(*byte))
        .sum();
    Ok(format!("{sum} pages"))
}

/// Four processes, each of which stays below the limit of one.
fn memory_bomb_of_many() -> Outcome {
    let mut children = Vec::new();
    for _ in 0..4 {
        let child = fork(|| {
            let taken = memory_bomb(MEMORY / 4);
            wait(1500);
            if taken.is_err() {
                std::process::exit(1);
            }
        });
        children.push(child.map_err(|errno| format!("fork: errno {errno}"))?);
    }
    for child in children {
        let status = 0_i32;
        let place = crate::raw::address(&status);
        call(
            libc::SYS_wait4,
            &[child.unsigned_abs() as usize, place, 0, 0],
        )
        .ok();
        if std::hint::black_box(status) != 0 {
            return Err(format!("a process ended with {status}"));
        }
    }
    Ok("four processes".to_owned())
}

/// A file in memory, which is no process's data.
fn memory_file() -> Outcome {
    let fd = call(libc::SYS_memfd_create, &[crate::raw::text("bomb"), 0]);
    let fd = fd.map_err(|errno| format!("errno {errno}"))?;
    let chunk = vec![1_u8; 1 << 20];
    for count in 0..(MEMORY >> 20) {
        let place = chunk.as_ptr().expose_provenance();
        if let Err(errno) = call(libc::SYS_write, &[fd, place, chunk.len()]) {
            return Err(format!("errno {errno} after {count} MiB"));
        }
    }
    Ok(format!("{MEMORY} bytes"))
}

fn fill(path: &Path) -> Outcome {
    let result = File::create(path).and_then(|mut file| {
        let chunk = vec![1_u8; 1 << 20];
        for _ in 0..(DISK >> 20) {
            file.write_all(&chunk)?;
        }
        file.flush()
    });
    std::fs::remove_file(path).ok();
    match result {
        Ok(()) => Ok(format!("{DISK} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

fn large(stage: &Stage) -> PathBuf {
    Path::new(stage.get("granted")).join("large")
}

fn descriptors() -> Outcome {
    for count in 0..FILES {
        if let Err(errno) = call(libc::SYS_dup, &[0]) {
            return Err(format!("errno {errno} after {count}"));
        }
    }
    Ok(format!("{FILES} descriptors"))
}

/// So that all are there at once.
fn wait(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
