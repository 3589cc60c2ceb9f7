//! However a payload or its gateway ends, nothing is left.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::pin::pin;
use std::process::Stdio;
use std::task::Poll;
use std::time::Duration;

use portcullis_sandbox::{Child, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    DAEMON, await_death, bounded, exists, host, read_line, read_to_end, sandbox, sh,
};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);

async fn line(child: &mut Child) -> String {
    read_line(child.stdout.as_mut().unwrap()).await
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_server_ends_with_its_input() {
    bounded(async {
        let mut child = sandbox().spawn(&sh("cat; exit 5")).await.unwrap();
        assert_eq!(child.terminate(LONG).await, Exit::Code(5));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ignores_its_input_is_asked() {
    bounded(async {
        let script = "trap 'exit 7' TERM; echo ready; sleep 1000 & wait";
        let mut child = sandbox().spawn(&sh(script)).await.unwrap();
        line(&mut child).await;
        assert_eq!(child.terminate(SHORT).await, Exit::Code(7));
        assert!(!exists(child.id()));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_will_not_go_is_killed() {
    bounded(async {
        let script = "trap '' TERM; echo $PPID; while :; do sleep 1000; done";
        let mut child = sandbox().spawn(&sh(script)).await.unwrap();
        let guard = line(&mut child).await;
        assert_eq!(child.terminate(SHORT).await, Exit::Signal(9));
        assert!(!exists(child.id()) && !exists(guard));
        // Again is no harm.
        assert_eq!(child.terminate(SHORT).await, Exit::Signal(9));
    })
    .await;
}

#[tokio::test]
async fn a_daemon_ends_with_the_server_that_left_it() {
    bounded(async {
        let script = format!("{DAEMON}; read line; exit 3");
        let mut child = sandbox().spawn(&sh(&script)).await.unwrap();
        let daemon = line(&mut child).await;
        assert!(exists(&daemon));
        child.stdin = None;
        assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
        assert!(!exists(daemon));
    })
    .await;
}

#[tokio::test]
async fn a_tree_of_daemons_ends() {
    bounded(async {
        // Each level detaches two of the next, and stays.
        let script = "
            level() {
                if [ $1 -gt 0 ]; then
                    for i in 1 2; do (setsid -f sh \"$0\" $(($1 - 1)) >&1); done
                fi
                echo $$
                exec sleep 1000
            }
            level $1";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tree");
        std::fs::write(&path, script).unwrap();
        let mut command = sh("");
        command.args = vec![path.to_str().unwrap().to_owned(), "4".to_owned()];
        let mut child = sandbox().spawn(&command).await.unwrap();
        let mut pids = Vec::new();
        for _ in 0..31 {
            pids.push(line(&mut child).await);
        }
        assert_eq!(child.terminate(SHORT).await, Exit::Signal(15));
        pids.retain(|pid| exists(pid));
        assert!(pids.is_empty(), "{pids:?}");
    })
    .await;
}

#[tokio::test]
async fn a_dropped_child_leaves_nothing() {
    bounded(async {
        let script = format!("echo $PPID; {DAEMON}; trap '' TERM HUP; sleep 1000");
        let mut child = sandbox().spawn(&sh(&script)).await.unwrap();
        let guard = line(&mut child).await;
        let daemon = line(&mut child).await;
        let payload = child.id().to_string();
        let stdout = child.stdout.take().unwrap();
        drop(child);
        // It ends when the last process that holds it does.
        assert_eq!(read_to_end(stdout).await, "");
        for pid in [payload, daemon, guard] {
            tokio::task::spawn_blocking(move || await_death(&pid))
                .await
                .unwrap();
        }
    })
    .await;
}

#[test]
fn a_runtime_that_ends_leaves_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (child, pids) = runtime.block_on(bounded(async {
        let script = format!("echo $PPID; {DAEMON}; sleep 1000");
        let mut child = sandbox().spawn(&sh(&script)).await.unwrap();
        let pids = [
            line(&mut child).await,
            line(&mut child).await,
            child.id().to_string(),
        ];
        (child, pids)
    }));
    drop(runtime);
    for pid in &pids {
        await_death(pid);
    }
    drop(child);
}

#[test]
fn a_killed_gateway_leaves_nothing() {
    let script = format!("echo $PPID; {DAEMON}; trap '' TERM HUP; sleep 1000");
    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway of this test is no local server"
    )]
    let mut gateway = std::process::Command::new(host())
        .args(["/bin/sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let pids = [(); 3].map(|()| lines.next().unwrap().unwrap());
    for pid in &pids {
        assert!(exists(pid));
    }
    // SIGKILL: the gateway has no say in what follows.
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    for pid in &pids {
        await_death(pid);
    }
}

#[tokio::test]
async fn a_killed_guard_takes_the_payload_along() {
    bounded(async {
        let script = "echo $PPID; sleep 1000 & echo $!; wait";
        let mut child = sandbox().spawn(&sh(script)).await.unwrap();
        let guard = line(&mut child).await;
        let other = line(&mut child).await;
        kill(&guard);
        assert_eq!(child.wait().await.unwrap(), Exit::Lost);
        assert!(!exists(guard));
        await_death(&child.id().to_string());
        await_death(&other);
    })
    .await;
}

#[tokio::test]
async fn signals_of_a_terminal_or_an_init_leave_the_guard_to_its_work() {
    bounded(async {
        let script = "kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; kill -QUIT $PPID; \
                      echo alive; read line; exit 4";
        let mut child = sandbox().spawn(&sh(script)).await.unwrap();
        assert_eq!(line(&mut child).await, "alive");
        child.stdin = None;
        assert_eq!(child.wait().await.unwrap(), Exit::Code(4));
    })
    .await;
}

#[test]
fn an_abandoned_start_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("server");
    std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
    let mut command = sh("exec sleep 1000");
    command.program = program.to_str().unwrap().to_owned();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sandbox = sandbox();
        let mut starting = pin!(sandbox.spawn(&command));
        poll_fn(|context| {
            assert!(starting.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    });
    // Waits for the start, if it has begun.
    drop(runtime);
    for entry in std::fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let argv = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if argv.contains(&command.program) {
            await_death(entry.file_name().to_str().unwrap());
        }
    }
}
