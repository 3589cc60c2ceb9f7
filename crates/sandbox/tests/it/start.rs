//! What a payload gets, and what is said when there is none.

use std::os::fd::AsRawFd;

use portcullis_sandbox::{Command, Exit, Sandbox, SpawnError};
use tokio::io::AsyncWriteExt;

use crate::support::{bounded, read_line, read_to_end, sandbox, sh};

async fn output(command: &Command) -> (String, Exit) {
    bounded(async {
        let mut child = sandbox().spawn(command).await.unwrap();
        let text = read_to_end(child.stdout.take().unwrap()).await;
        (text, child.wait().await.unwrap())
    })
    .await
}

#[tokio::test]
async fn streams_are_the_payloads_own() {
    bounded(async {
        let mut child = sandbox()
            .spawn(&sh("cat; echo to stderr >&2; echo $$"))
            .await
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"through\n").await.unwrap();
        drop(stdin);
        let text = read_to_end(child.stdout.take().unwrap()).await;
        assert_eq!(text, format!("through\n{}\n", child.id()));
        let text = read_to_end(child.stderr.take().unwrap()).await;
        assert_eq!(text, "to stderr\n");
        assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
        assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_the_payload_closes_it() {
    bounded(async {
        let mut child = sandbox()
            .spawn(&sh("exec >&-; exec sleep 1000"))
            .await
            .unwrap();
        assert_eq!(read_to_end(child.stdout.take().unwrap()).await, "");
    })
    .await;
}

#[tokio::test]
async fn the_environment_is_what_the_command_says() {
    let command = Command {
        program: "env".to_owned(),
        env: vec![
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("KEY".to_owned(), "a=b \u{fc}".to_owned()),
        ],
        ..Command::default()
    };
    let (text, exit) = output(&command).await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["KEY=a=b \u{fc}", "PATH=/usr/bin:/bin"]);
    assert_eq!(exit, Exit::Code(0));
}

#[tokio::test]
async fn the_guard_shows_no_secret() {
    let mut command = sh("tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/$PPID/environ; : hunter2");
    command.env.push(("KEY".to_owned(), "hunter2".to_owned()));
    let (text, _) = output(&command).await;
    assert!(text.contains("__guard /bin/sh"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn file_descriptors_of_the_gateway_stay_there() {
    let leaky = std::fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
    // `ls` itself opens the directory that it lists.
    let (text, _) = output(&sh("ls /proc/self/fd; readlink /proc/$PPID/fd/*")).await;
    let mut lines = text.lines();
    assert_eq!(
        lines.by_ref().take(4).collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
    let of_guard: Vec<&str> = lines.collect();
    assert!(
        !text.contains("passwd"),
        "{} is open in {text}",
        leaky.as_raw_fd()
    );
    if rustix::process::geteuid().is_root() {
        // The lifeline twice, nothing twice, both ends of the guard's pipe; no stream of the
        // payload.
        assert_eq!(of_guard.len(), 6, "{text}");
    } else {
        // A payload may not even look at its guard.
        assert!(of_guard.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn the_payload_is_bounded() {
    let script = "ulimit -c; cut -d' ' -f5-7 /proc/$$/stat; echo $$ $PPID 0; \
                  exec sed -n 's/^\\(SigBlk\\|SigIgn\\|NoNewPrivs\\):\t//p' /proc/self/status";
    let (text, _) = output(&sh(script)).await;
    let lines: Vec<&str> = text.lines().collect();
    let [core, actual, expected, blocked, ignored, no_new_privs] = lines[..] else {
        panic!("{text}");
    };
    assert_eq!((core, no_new_privs), ("0", "1"));
    assert_eq!(actual, expected, "process group, session and terminal");
    let mask = |text| u64::from_str_radix(text, 16).unwrap();
    assert_eq!(mask(blocked), 0);
    // The C library keeps 32 and 33 to itself: what they were at the start they stay.
    assert_eq!(mask(ignored) & !(0b11 << 31), 0);
}

#[tokio::test]
async fn it_starts_where_and_as_what_the_command_says() {
    let mut command = sh("pwd; tr '\\0' ' ' </proc/$$/cmdline");
    command.program = "sh".to_owned();
    command.cwd = Some("/usr".into());
    let (text, _) = output(&command).await;
    assert!(text.starts_with("/usr\nsh -c "), "{text}");
}

#[tokio::test]
async fn exits_are_reported() {
    assert_eq!(output(&sh("exit 42")).await.1, Exit::Code(42));
    let (_, exit) = output(&sh("kill -SEGV $$")).await;
    assert_eq!(exit, Exit::Signal(11));
    assert_eq!(exit.to_string(), "signal 11 (SIGSEGV)");
    assert_eq!(Exit::Code(3).to_string(), "exit code 3");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let mut command = sh("");
    command.program = "npx-of-nobody".to_owned();
    let error = bounded(sandbox().spawn(&command)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no program `npx-of-nobody` on PATH `/usr/bin:/bin`; install it, give its full path as \
         `command`, or set PATH in the server's `env`"
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server");
    std::fs::write(&path, "#!/nowhere/interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
    let command = Command {
        program: path.to_str().unwrap().to_owned(),
        ..Command::default()
    };
    match bounded(sandbox().spawn(&command)).await {
        Err(SpawnError::Exec { program, source }) => {
            assert_eq!(program, command.program);
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_guard_is_reported() {
    for guard in [vec![], vec!["/nowhere".into()], vec!["/bin/true".into()]] {
        let error = bounded(Sandbox::new(guard).spawn(&sh("")))
            .await
            .unwrap_err();
        assert!(matches!(error, SpawnError::Guard(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_large_environment_arrives() {
    let mut command = sh("echo ${#BIG0} ${#BIG9}");
    for i in 0..10 {
        command.env.push((format!("BIG{i}"), "x".repeat(100_000)));
    }
    assert_eq!(output(&command).await.0, "100000 100000\n");
    // A single string above the kernel's limit of 128 KiB.
    command.env.push(("HUGE".to_owned(), "x".repeat(200_000)));
    let error = bounded(sandbox().spawn(&command)).await.unwrap_err();
    assert!(matches!(error, SpawnError::Exec { .. }), "{error:?}");
}

#[tokio::test]
async fn orphans_do_not_pile_up_while_the_payload_runs() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do setsid -f true; done; \
                  while [ \"$(cat /proc/$PPID/task/$PPID/children)\" != \"$$ \" ]; do :; done; \
                  echo clean; exec sleep 1000";
    bounded(async {
        let mut child = sandbox().spawn(&sh(script)).await.unwrap();
        let line = read_line(child.stdout.as_mut().unwrap()).await;
        assert_eq!(line, "clean");
    })
    .await;
}
