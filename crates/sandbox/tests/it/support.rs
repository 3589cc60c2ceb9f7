//! What the tests share: shell scripts as payloads, and ways to see that a process is gone.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_sandbox::{Command, Sandbox};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The example `host`, which is gateway and guard.
pub(crate) fn host() -> PathBuf {
    example("host")
}

/// The program of an example of this crate.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    assert!(
        path.exists(),
        "no example `{name}`; run the tests without naming a target, so that examples are built"
    );
    path
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(vec![OsString::from(host()), "__guard".into()])
}

pub(crate) fn sh(script: &str) -> Command {
    Command {
        program: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: None,
    }
}

/// A script that detaches a process of a new session, of another new session, and says its id.
pub(crate) const DAEMON: &str = "setsid -f setsid -f sh -c 'echo $$; exec sleep 1000'";

/// Ends a test that hangs.
pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future)
        .await
        .expect("the test hangs")
}

pub(crate) async fn read_to_end(mut output: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).await.unwrap();
    text
}

/// The next line of `output`, byte for byte, so that nothing after it is lost.
pub(crate) async fn read_line(output: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    loop {
        match output.read_u8().await.expect("another line") {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

pub(crate) fn exists(pid: impl std::fmt::Display) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Returns when the process has died, whoever reaps it.
#[track_caller]
pub(crate) fn await_death(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let limit = Timespec {
        tv_sec: 30,
        tv_nsec: 0,
    };
    let ready = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit));
    assert_eq!(ready, Ok(1), "process {pid:?} is still there");
}
