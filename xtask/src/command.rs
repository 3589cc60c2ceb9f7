//! Starts a program, keeps what it prints, and bounds its time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Longest time for a program that sets no bound of its own.
const TIME_MAX: Duration = Duration::from_mins(30);

/// A step's log: what its programs printed, and notes of its own.
pub(crate) struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Starts a log anew.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path)
            .with_context(|| format!("`{}` can't be written", path.display()))?;
        Ok(Self { file, path })
    }

    /// Where the log is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub(crate) fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").context("the step's log can't be written")
    }

    /// What has been written so far.
    pub(crate) fn text(&self) -> Result<String> {
        let bytes = fs::read(&self.path).context("the step's log can't be read")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A second handle, for a program to write to.
    pub(crate) fn share(&self) -> Result<File> {
        self.file
            .try_clone()
            .context("the step's log can't be shared")
    }
}

/// A program to run.
pub(crate) struct Command {
    inner: process::Command,
    time_max: Duration,
}

impl Command {
    /// A program, by path or by its name in `PATH`, with nothing on its standard input.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = process::Command::new(program);
        inner.stdin(Stdio::null());
        Self {
            inner,
            time_max: TIME_MAX,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.inner.arg(word);
        self
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.inner.args(words);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Sets the working directory.
    pub(crate) fn dir(mut self, path: impl AsRef<Path>) -> Self {
        self.inner.current_dir(path);
        self
    }

    /// Bounds the time it may take.
    pub(crate) fn within(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Runs it to its end and fails unless it says that all is well.
    pub(crate) fn run(self, log: &mut Log) -> Result<()> {
        let shown = self.shown();
        let status = self.status(log)?;
        if !status.success() {
            bail!("`{shown}`: {status}");
        }
        Ok(())
    }

    /// Runs it to its end.
    pub(crate) fn status(mut self, log: &mut Log) -> Result<ExitStatus> {
        let shown = self.shown();
        log.note(&format!("$ {shown}"))?;
        self.inner.stdout(log.share()?).stderr(log.share()?);
        let child = self
            .inner
            .spawn()
            .with_context(|| format!("`{shown}` can't be started"))?;
        wait(child, self.time_max).with_context(|| format!("`{shown}`"))
    }

    /// Runs it to its end and gives what it printed on standard output; fails unless all is well.
    pub(crate) fn output(mut self, log: &mut Log) -> Result<String> {
        let shown = self.shown();
        log.note(&format!("$ {shown}"))?;
        self.inner.stderr(log.share()?);
        let output = self
            .inner
            .output()
            .with_context(|| format!("`{shown}` can't be started"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        log.note(&text)?;
        if !output.status.success() {
            bail!("`{shown}`: {}", output.status);
        }
        Ok(text)
    }

    /// Starts it with standard output to be read by the caller.
    pub(crate) fn spawn(mut self, log: &mut Log) -> Result<Child> {
        let shown = self.shown();
        log.note(&format!("$ {shown} &"))?;
        self.inner.stdout(Stdio::piped()).stderr(log.share()?);
        self.inner
            .spawn()
            .with_context(|| format!("`{shown}` can't be started"))
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.inner.get_program()).chain(self.inner.get_args());
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Waits for a program's end; after `time_max` it is told to end, and failing that, killed.
pub(crate) fn wait(mut child: Child, time_max: Duration) -> Result<ExitStatus> {
    let pid = child_pid(&child)?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait()));
    match receiver.recv_timeout(time_max) {
        Ok(status) => return status.context("its end was missed"),
        Err(RecvTimeoutError::Disconnected) => bail!("its end was missed"),
        Err(RecvTimeoutError::Timeout) => {}
    }
    for signal in [Signal::TERM, Signal::KILL] {
        // It may have ended meanwhile, which is what is wanted.
        kill_process(pid, signal).ok();
        if receiver.recv_timeout(Duration::from_secs(5)).is_ok() {
            break;
        }
    }
    Err(anyhow!("took longer than {} s", time_max.as_secs()))
}

/// The process id of a child.
pub(crate) fn child_pid(child: &Child) -> Result<Pid> {
    let raw = i32::try_from(child.id()).context("a process id is out of range")?;
    Pid::from_raw(raw).context("a process id is zero")
}
