//! Many at once.

use std::os::fd::AsFd;

use portcullis_sandbox::Exit;
use rustix::fs::fstat;
use tokio::task::JoinSet;

use crate::support::{bounded, exists, read_to_end, sandbox, sh};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_leave_no_process_and_no_descriptor() {
    let mut tasks = JoinSet::new();
    for code in 0..100 {
        tasks.spawn(async move {
            let mut child = sandbox()
                .spawn(&sh(&format!("echo $PPID; exit {code}")))
                .await
                .unwrap();
            let stdout = child.stdout.take().unwrap();
            let inodes = [
                inode(child.stdin.as_ref().unwrap()),
                inode(&stdout),
                inode(child.stderr.as_ref().unwrap()),
            ];
            let guard = read_to_end(stdout).await;
            assert_eq!(child.wait().await.unwrap(), Exit::Code(code));
            assert!(!exists(child.id()), "the payload is left");
            assert!(!exists(guard.trim()), "the guard is left");
            inodes
        });
    }
    let inodes: Vec<u64> = bounded(tasks.join_all())
        .await
        .into_iter()
        .flatten()
        .collect();
    let open: Vec<u64> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.unwrap().path()).ok()?;
            let number = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?;
            number.parse().ok()
        })
        .collect();
    assert_eq!(inodes.len(), 300);
    assert!(inodes.iter().all(|inode| !open.contains(inode)));
}

fn inode(stream: &impl AsFd) -> u64 {
    fstat(stream).unwrap().st_ino
}
