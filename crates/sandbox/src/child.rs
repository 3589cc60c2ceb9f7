//! A running local server, seen from the gateway.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use crate::control::{Answer, HEAD_BYTES, Order};
use crate::doors::Doors;
use crate::report::Report;

/// The gateway's end of a child's standard input. Dropping it is the end of the input.
pub type Input = pipe::Sender;

/// The gateway's end of a child's standard output or error.
pub type Output = pipe::Receiver;

/// How long a guard may take to kill everything before it is itself killed. Above the patience
/// that it has with processes that do not go.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);

/// A local server. Dropping it kills the server and all that it has started.
#[derive(Debug)]
pub struct Child {
    /// The child's standard input, until taken.
    pub stdin: Option<Input>,
    /// The child's standard output, until taken.
    pub stdout: Option<Output>,
    /// The child's standard error, until taken.
    pub stderr: Option<Output>,
    /// The server's ways out, if it has [`Network::Guarded`](crate::Network::Guarded), until taken.
    /// Dropping them leaves it without any.
    pub doors: Option<Doors>,
    report: Report,
    pid: Pid,
    orders: mpsc::UnboundedSender<Order>,
    exit: watch::Receiver<Option<Exit>>,
}

/// How a child exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its guard was killed, or could not end it: nobody knows.
    Lost,
}

/// What starting a child leaves in the gateway's hands.
pub(crate) struct Started {
    pub(crate) guard: tokio::process::Child,
    pub(crate) pid: Pid,
    pub(crate) control: UnixStream,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) doors: Option<Doors>,
    pub(crate) report: Report,
}

impl Child {
    pub(crate) fn new(started: Started) -> Self {
        let (orders, orders_received) = mpsc::unbounded_channel();
        let (exit_sender, exit) = watch::channel(None);
        let pid = started.pid;
        // A task of its own, so that guards are reaped whatever becomes of the `Child`.
        tokio::spawn(attend(
            started.guard,
            started.control,
            pid,
            orders_received,
            exit_sender,
        ));
        Self {
            stdin: Some(started.stdin),
            stdout: Some(started.stdout),
            stderr: Some(started.stderr),
            doors: started.doors,
            report: started.report,
            pid,
            orders,
            exit,
        }
    }

    /// The process id of the server itself.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What of its confinement is in force.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Waits until the server and all that it started are gone. Leaves the streams alone: a server
    /// that waits for the end of its input needs `stdin` dropped first. May be dropped and called
    /// again.
    ///
    /// Fails only when the runtime that the child was started on has ended.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        let exit = self
            .exit
            .wait_for(Option::is_some)
            .await
            .map_err(io::Error::other)?;
        Ok(exit.unwrap_or(Exit::Lost))
    }

    /// Ends the server in the order of MCP's stdio transport: closes its standard input, waits for
    /// `grace`, sends SIGTERM to its process group, waits for `grace` again, and kills all that is
    /// left. A `stdin` that was taken is the caller's to drop first.
    pub async fn terminate(&mut self, grace: Duration) -> Exit {
        self.stdin = None;
        for order in [Order::Terminate, Order::Kill] {
            if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
                return exit.unwrap_or(Exit::Lost);
            }
            // Nobody to tell means that it has ended meanwhile.
            self.orders.send(order).ok();
        }
        self.wait().await.unwrap_or(Exit::Lost)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::Lost => write!(f, "an unknown exit: its guard was killed"),
        }
    }
}

/// Carries orders to the guard and its last report back, until both are gone.
async fn attend(
    mut guard: tokio::process::Child,
    control: UnixStream,
    pid: Pid,
    mut orders: mpsc::UnboundedReceiver<Order>,
    exit: watch::Sender<Option<Exit>>,
) {
    let (mut answers, mut control) = control.into_split();
    let mut answer = [0; HEAD_BYTES];
    let outcome = {
        let reported = answers.read_exact(&mut answer);
        tokio::pin!(reported);
        loop {
            // Orders end when the `Child` is dropped.
            let order = tokio::select! {
                result = &mut reported => break result.map(|_| ()),
                order = orders.recv() => order.unwrap_or(Order::Kill),
            };
            // A guard that is gone has its end of the socket closed, which the next round sees.
            control.write_all(&[order.encode()]).await.ok();
            if order == Order::Kill {
                break tokio::time::timeout(KILL_TIMEOUT, reported)
                    .await
                    .map_err(io::Error::from)
                    .and_then(|result| result.map(|_| ()));
            }
        }
    };
    let ended = if let (Ok(()), Some(Answer::Ended(ended))) = (outcome, Answer::decode(answer, ""))
    {
        ended
    } else {
        tracing::warn!(
            pid = pid.as_raw_nonzero().get(),
            "the guard of a local server was killed or hangs; processes that had detached \
             themselves may remain"
        );
        // A guard that hangs must not go on later; without one its payload dies by itself.
        guard.start_kill().ok();
        kill_process_group(pid, Signal::KILL).ok();
        Exit::Lost
    };
    if let Err(error) = guard.wait().await {
        tracing::warn!(%error, "the guard of a local server could not be waited for");
    }
    exit.send_replace(Some(ended));
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}
