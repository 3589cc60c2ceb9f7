//! A running `portcullis run`, and what it says meanwhile.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::place::Place;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: Receiver<String>,
    pub ready: Value,
}

/// How a gateway ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: Option<i32>,
    /// What came on standard output after the ready line.
    pub stdout: String,
    /// What of the log was not awaited.
    pub log: Vec<String>,
}

impl Gateway {
    /// Starts the gateway in `place` and waits until it is ready.
    pub(crate) fn start(place: &Place, args: &[&str]) -> Self {
        let run = ["run", "--without-credential", "same-user"];
        let args: Vec<&str> = run.iter().chain(args).copied().collect();
        let mut command = place.command(&args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have seen enough.
                said.send(line).ok();
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let said: Vec<String> = log.iter().collect();
            panic!("no ready line: {line:?}, {said:?}");
        };
        Self {
            child,
            stdout,
            log,
            ready,
        }
    }

    /// The address of the listener.
    pub(crate) fn address(&self) -> &str {
        let url = self.ready.get("url").and_then(Value::as_str).unwrap();
        url.strip_prefix("http://").unwrap()
    }

    /// Waits for a line of the log that has `part` in it.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("`{part}` was not logged, but {before:?}: {error}"),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a signal is sent by the system's own tool"
        )]
        let mut kill = Command::new("/bin/kill");
        let sent = kill
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), None);
        Ended {
            code: status.code(),
            stdout,
            log: self.log.iter().collect(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A configuration with the sample server under each of `names`, beneath what `head` says.
pub(crate) fn config(head: &str, names: &[&str]) -> String {
    let server =
        |name: &&str| format!("[servers.{name}]\ncommand = [\"/bin/sh\", \"sample.sh\"]\n");
    let servers: String = names.iter().map(server).collect();
    // The sample server talks to the test by named pipes.
    let sandbox = "[sandbox]\ntier = \"off\"\nreason = \"a test talks to it\"\n";
    format!("{head}\n[listen]\naddress = \"127.0.0.1:0\"\n{sandbox}{servers}")
}

/// A place with the sample server and a configuration of it.
pub(crate) fn place(head: &str, names: &[&str]) -> Place {
    let place = Place::with(&config(head, names));
    place.write("sample.sh", include_str!("sample.sh"));
    for pipe in ["begun", "go"] {
        #[expect(
            clippy::disallowed_methods,
            reason = "a named pipe is made by the system's own tool"
        )]
        let made = Command::new("mkfifo")
            .arg(place.path().join(pipe))
            .status()
            .unwrap();
        assert!(made.success());
    }
    place
}
