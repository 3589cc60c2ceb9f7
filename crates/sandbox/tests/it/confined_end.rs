//! However a confined server or its gateway ends, nothing is left.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use portcullis_sandbox::{Confinement, Exit, Tier};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::attempts::has_groups;
use crate::confined::{directory, output};
use crate::support::{
    DAEMON, await_death, bounded, exists, host, read_line, read_to_end, sandbox, sh,
};

/// Groups of this test's guards that are still there.
fn groups() -> Vec<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controller, path) = (fields.next().unwrap(), fields.next().unwrap());
        let directory = Path::new("/sys/fs/cgroup")
            .join(controller)
            .join(path.trim_start_matches('/'));
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        found.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_str().unwrap().contains("/portcullis-")),
        );
    }
    found
}

#[tokio::test]
async fn exits_and_orders_arrive() {
    bounded(async {
        let sandbox = sandbox();
        let confinement = Confinement::default();
        let long = Duration::from_secs(30);
        let short = Duration::from_millis(100);
        for (script, grace, expected) in [
            ("exit 42", long, Exit::Code(42)),
            ("kill -SEGV $$", long, Exit::Signal(11)),
            ("cat; exit 5", long, Exit::Code(5)),
            (
                "trap 'exit 7' TERM; echo ready; sleep 1000 & wait",
                short,
                Exit::Code(7),
            ),
            (
                "trap '' TERM; echo ready; while :; do sleep 1000; done",
                short,
                Exit::Signal(9),
            ),
        ] {
            let mut child = sandbox
                .spawn_confined(&sh(script), &confinement)
                .await
                .unwrap();
            if script.contains("ready") {
                read_line(child.stdout.as_mut().unwrap()).await;
            }
            assert_eq!(child.terminate(grace).await, expected, "{script}");
            assert!(!exists(child.id()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_leave_nothing() {
    let mut tasks = JoinSet::new();
    for code in 0..40 {
        tasks.spawn(async move {
            let mut child = sandbox()
                .spawn_confined(
                    &sh(&format!("read line; exit {code}")),
                    &Confinement::default(),
                )
                .await
                .unwrap();
            // Above the server is the first process inside, and above that the guard.
            let guard = parent(&parent(&child.id().to_string()));
            child.stdin = None;
            assert_eq!(child.wait().await.unwrap(), Exit::Code(code));
            assert!(!exists(child.id()) && !exists(&guard));
            format!("/portcullis-{guard}-")
        });
    }
    let guards = bounded(tasks.join_all()).await;
    let of_guards = |group: &PathBuf| {
        let group = group.to_str().unwrap();
        guards.iter().any(|guard| group.contains(guard))
    };
    let left: Vec<_> = groups().into_iter().filter(of_guards).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn parent(pid: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let parent = lines.find_map(|line| line.strip_prefix("PPid:")).unwrap();
    parent.trim().to_owned()
}

/// The gateway is killed outright, with daemons below its server.
#[test]
fn a_killed_gateway_leaves_nothing() {
    let directory = directory();
    // A number out here: the server knows only its own.
    let script = format!("echo ready; {DAEMON}; trap '' TERM HUP; sleep 1000");
    for tier in ["full", "confined"] {
        let mut gateway = gateway(&["--tier", tier, "/bin/sh", "-c", &script], &directory);
        let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        let server = line();
        assert_eq!(line(), "ready");
        line();
        let all = below(gateway.id());
        // Guard, server, its daemon; and the first process inside, if there is an inside.
        assert!(all.len() >= 3 && all.contains(&server), "{all:?}");
        // SIGKILL: the gateway has no say in what follows.
        gateway.kill().unwrap();
        gateway.wait().unwrap();
        for pid in &all {
            await_death(pid);
        }
    }
}

/// Gateway and guard are killed at once: nobody outside is left who could clean up.
#[test]
fn a_killed_guard_leaves_nothing() {
    let has_groups = has_groups(Tier::Full);
    let directory = directory();
    let script = format!("echo ready; {DAEMON}; trap '' TERM HUP; sleep 1000");
    let mut gateway = gateway(&["--tier", "full", "/bin/sh", "-c", &script], &directory);
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        lines.next().unwrap().unwrap();
    }
    let all = below(gateway.id());
    let guard = children(gateway.id()).remove(0);
    let name = format!("/portcullis-{guard}-");
    let left = || {
        let mut groups = groups().into_iter();
        groups.any(|group| group.to_str().unwrap().contains(&name))
    };
    assert_eq!(left(), has_groups);
    let guard = rustix::process::Pid::from_raw(guard.parse().unwrap()).unwrap();
    gateway.kill().unwrap();
    rustix::process::kill_process(guard, rustix::process::Signal::KILL).ok();
    gateway.wait().unwrap();
    for pid in &all {
        await_death(pid);
    }
    // What it could not remove, the next one does.
    let confinement = Confinement::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(output(&sh("exit 0"), &confinement));
    assert!(!left());
}

fn gateway(args: &[&str], directory: &tempfile::TempDir) -> std::process::Child {
    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway of this test is no local server"
    )]
    std::process::Command::new(host())
        .args(args)
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn children(pid: u32) -> Vec<String> {
    let mut all = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap();
        all.extend(list.split_whitespace().map(str::to_owned));
    }
    all
}

/// All processes below `pid`.
fn below(pid: u32) -> Vec<String> {
    let mut all = children(pid);
    let mut next = 0;
    while let Some(pid) = all.get(next).cloned() {
        all.extend(children(pid.parse().unwrap()));
        next += 1;
    }
    all
}

#[tokio::test]
async fn a_server_can_be_started_again() {
    bounded(async {
        let directory = directory();
        let confinement = Confinement {
            writes: vec![directory.path().to_owned()],
            ..Confinement::default()
        };
        let file = directory.path().join("count");
        let script = format!(
            "echo x >>{0}; wc -l <{0}; ls -A ~; echo >~/left; read line",
            file.display()
        );
        for round in 1..4 {
            let mut child = sandbox()
                .spawn_confined(&sh(&script), &confinement)
                .await
                .unwrap();
            let stdout = child.stdout.as_mut().unwrap();
            assert_eq!(read_line(stdout).await, round.to_string());
            child
                .stdin
                .as_mut()
                .unwrap()
                .write_all(b"end\n")
                .await
                .unwrap();
            let rest = read_to_end(child.stdout.take().unwrap()).await;
            assert_eq!(rest, "", "nothing is left of the home before");
            child.wait().await.unwrap();
        }
    })
    .await;
}
