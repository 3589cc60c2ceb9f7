//! Starting a program, learning where it listens, and ending it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    time::timeout,
};

/// The path of a binary of this workspace, beside the running test's.
///
/// # Errors
///
/// It is not built: `cargo build -p portcullis-testkit` builds those of this crate.
pub fn fixture(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("the test's own path")?;
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("`{name}` is not built; build its package first"))
}

/// A program about to start, with an empty environment.
#[derive(Debug)]
pub struct Launch {
    command: Command,
}

/// A running program, killed by its id when this is dropped.
#[derive(Debug)]
pub struct Harness {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Output,
    url: String,
}

/// What a program wrote, to either stream, in the order of its arrival.
#[derive(Debug, Clone)]
struct Output(watch::Sender<Written>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    streams_open: usize,
}

impl Launch {
    /// Prepares to start `program`.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the programs under test are no local servers"
    )]
    pub fn new(program: impl AsRef<Path>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.env_clear().kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the program, and waits until it writes a line that contains `ready`.
    ///
    /// The first URL of that line, if there is one, becomes [`Harness::url`].
    ///
    /// # Errors
    ///
    /// It cannot be started, ends first, or is not ready within `bound`; the error shows its
    /// output.
    pub async fn start(self, ready: &str, bound: Duration) -> anyhow::Result<Harness> {
        let mut harness = self.start_silent()?;
        let line = harness.line_with(ready, bound).await?;
        harness.url = url_of(&line).map(str::to_owned).unwrap_or_default();
        Ok(harness)
    }

    /// Starts the program without waiting for a word of it.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start_silent(mut self) -> anyhow::Result<Harness> {
        let mut child = self.command.spawn().context("the program does not start")?;
        let stdin = child.stdin.take();
        let output = Output::of(&mut child);
        Ok(Harness {
            child,
            stdin,
            output,
            url: String::new(),
        })
    }
}

impl Harness {
    /// Where the program listens; empty if its ready line held no URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id, while the program runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// All that it wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// The first line that contains `text`, waiting for it if need be.
    ///
    /// # Errors
    ///
    /// There is none within `bound`, or the program closed both streams without it.
    pub async fn line_with(&self, text: &str, bound: Duration) -> anyhow::Result<String> {
        let mut written = self.output.0.subscribe();
        let line = |written: &Written| {
            written
                .lines
                .iter()
                .find(|line| line.contains(text))
                .cloned()
        };
        let seen = |written: &Written| line(written).is_some() || written.streams_open == 0;
        let found = timeout(bound, async {
            let written = written.wait_for(seen).await.ok()?;
            line(&written)
        });
        match found.await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("the program ended without `{text}`:\n{}", self.output()),
            Err(_) => bail!("no `{text}` within {bound:?}:\n{}", self.output()),
        }
    }

    /// Closes the program's standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Takes the program's standard input, to write to it.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for the program to end by itself.
    ///
    /// # Errors
    ///
    /// It still runs after `bound`.
    pub async fn wait(&mut self, bound: Duration) -> anyhow::Result<ExitStatus> {
        let ended = timeout(bound, self.child.wait()).await;
        let ended = ended.with_context(|| format!("still running:\n{}", self.output()))?;
        Ok(ended?)
    }

    /// Kills the program, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let output = Self(watch::channel(Written::default()).0);
        if let Some(stdout) = child.stdout.take() {
            output.read(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.read(stderr);
        }
        output
    }

    fn read(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        self.0.send_modify(|written| written.streams_open += 1);
        let written = self.0.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                written.send_modify(|written| written.lines.push(line));
            }
            written.send_modify(|written| written.streams_open -= 1);
        });
    }

    fn text(&self) -> String {
        self.0.borrow().lines.join("\n")
    }
}

fn url_of(line: &str) -> Option<&str> {
    let start = line.find("http://").or_else(|| line.find("https://"))?;
    let url = line.get(start..)?;
    url.split(|next: char| next.is_whitespace() || "\"'`,".contains(next))
        .next()
}
