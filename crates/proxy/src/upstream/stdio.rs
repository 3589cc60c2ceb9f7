//! A local server: a child process that speaks over its standard input and output.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use portcullis_mcp::ServerName;
use portcullis_sandbox::{Child, Command, Exit, Input, Output};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::duplex::{Duplex, Link};
use super::error::UpstreamError;
use super::event::Unsolicited;
use super::lines::{Line, Lines};
use super::local::Local;
use super::spec::{Grants, Spec};

/// Messages that may wait to be written.
const QUEUE_MAX: usize = 256;
/// How long a child is given to end after its input closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How long what a child wrote before it ended is read on, and how long a child that closed its
/// output is given to end by itself.
const DRAIN: Duration = Duration::from_secs(1);
/// The longest line of a child's standard error that is logged.
const LOG_LINE_MAX: usize = 8 * 1024;
/// Bytes of a child's standard error that are logged in a second.
const LOG_BYTES_MAX: usize = 64 * 1024;

/// Starts `command`, confined as `grants` say. The child lives until the channel is stopped, breaks, or the child ends.
pub(super) async fn start(
    local: &Local,
    command: &Command,
    grants: &Grants,
    spec: &Spec,
    inbox: mpsc::Sender<Unsolicited>,
) -> Result<Arc<Duplex>, UpstreamError> {
    let spawning = local.sandbox.spawn_confined(command, &grants.confinement);
    let mut child = spawning.await.map_err(|error| {
        // Here, since not everybody who has a server started tells of the causes of a failure, and whoever comes next learns
        // no more than that it is down.
        tracing::error!(server = %spec.name, %error, "a local server was not started");
        UpstreamError::Spawn(error)
    })?;
    tracing::debug!(server = %spec.name, report = ?child.report(), "a local server was started");
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(UpstreamError::Closed);
    };
    let (queue, queued) = mpsc::channel(QUEUE_MAX);
    let gone = CancellationToken::new();
    let calls = local.let_out(
        &spec.name,
        &mut child,
        &grants.allowance,
        gone.clone().cancelled_owned(),
    );
    let link = Link::Pipe(queue, calls);
    let duplex = Duplex::new(spec.name.clone(), spec.limits(), link, inbox);
    tokio::spawn(log(stderr, spec.name.clone()));
    let writer = tokio::spawn(write(stdin, queued, spec.timeout));
    let reader = tokio::spawn(read(stdout, duplex.clone()));
    let supervising = supervise(child, duplex.clone(), reader, writer);
    tokio::spawn(async move {
        let _closes_the_doors = gone.drop_guard();
        supervising.await;
    });
    Ok(duplex)
}

type Task = tokio::task::JoinHandle<&'static str>;

/// Waits for the first sign of the end, tells all that wait, and ends the child.
async fn supervise(mut child: Child, duplex: Arc<Duplex>, mut reader: Task, mut writer: Task) {
    let failure = tokio::select! {
        exit = child.wait() => {
            // What the child wrote last may hold answers.
            if tokio::time::timeout(DRAIN, &mut reader).await.is_err() {
                tracing::debug!("the output of a child that ended stayed open");
            }
            Some(describe(&exit))
        }
        () = duplex.stop.cancelled() => None,
        why = &mut reader => {
            let exit = tokio::time::timeout(DRAIN, child.wait()).await;
            Some(exit.map_or_else(|_| ended(why), |exit| describe(&exit)))
        }
        why = &mut writer => {
            let exit = tokio::time::timeout(DRAIN, child.wait()).await;
            Some(exit.map_or_else(|_| ended(why), |exit| describe(&exit)))
        }
    };
    duplex.finish(failure.as_deref());
    // The writer owns the child's input: its end closes it.
    writer.abort();
    let exit = child.terminate(GRACE).await;
    reader.abort();
    tracing::debug!(%exit, "a local server ended");
    duplex.ended.cancel();
}

fn describe(exit: &std::io::Result<Exit>) -> String {
    match exit {
        Ok(exit) => format!("the local server ended with {exit}"),
        Err(_) => "the local server ended".to_owned(),
    }
}

fn ended(why: Result<&'static str, tokio::task::JoinError>) -> String {
    why.unwrap_or("the connection to the local server broke")
        .to_owned()
}

/// Writes what is queued, each message on a line of its own; returns why it cannot go on.
async fn write(
    mut stdin: Input,
    mut queued: mpsc::Receiver<Bytes>,
    patience: Duration,
) -> &'static str {
    while let Some(message) = queued.recv().await {
        let mut line = message.chain(&b"\n"[..]);
        match tokio::time::timeout(patience, stdin.write_all_buf(&mut line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "the local server closed its input",
            Err(_elapsed) => return "the local server stopped reading its input",
        }
    }
    "the connection to the local server was given up"
}

/// Hands each line to `duplex`; returns why it cannot go on.
async fn read(stdout: Output, duplex: Arc<Duplex>) -> &'static str {
    let mut lines = Lines::new(stdout, duplex.bytes_max());
    loop {
        let taken = match lines.next().await {
            Ok(Some(Line::Whole(line))) => duplex.receive(&line),
            Ok(Some(Line::Oversize)) => duplex.oversize(),
            Ok(None) => return "the local server closed its output",
            Err(_) => return "the local server's output could not be read",
        };
        if taken.is_err() {
            return "the local server writes other things than MCP messages to its output";
        }
    }
}

/// Logs what the child writes to its standard error, within bounds.
async fn log(stderr: Output, name: ServerName) {
    let mut lines = Lines::new(stderr, LOG_LINE_MAX);
    let mut window = Window {
        began: Instant::now(),
        bytes: 0,
        dropped: 0,
    };
    while let Ok(Some(line)) = lines.next().await {
        if let Some(dropped) = window.turn(Instant::now()) {
            tracing::warn!(target: "portcullis::server", server = %name, dropped, "lines were left out");
        }
        match line {
            Line::Whole(line) if window.admit(line.len()) => {
                tracing::info!(target: "portcullis::server", server = %name, "{}", printable(&line));
            }
            Line::Whole(_) | Line::Oversize => window.dropped += 1,
        }
    }
    if window.dropped > 0 {
        let dropped = window.dropped;
        tracing::warn!(target: "portcullis::server", server = %name, dropped, "lines were left out");
    }
}

/// What was logged within the current second.
#[derive(Debug)]
struct Window {
    began: Instant,
    bytes: usize,
    dropped: u64,
}

impl Window {
    /// Begins a new second if the last one is over; the number of lines dropped in it, if any.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.began) < Duration::from_secs(1) {
            return None;
        }
        let dropped = self.dropped;
        *self = Self {
            began: now,
            bytes: 0,
            dropped: 0,
        };
        (dropped > 0).then_some(dropped)
    }

    fn admit(&mut self, bytes: usize) -> bool {
        let admitted = self.bytes + bytes <= LOG_BYTES_MAX;
        if admitted {
            self.bytes += bytes;
        }
        admitted
    }
}

/// `line` as text that cannot steer a terminal or forge a line of the log.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
