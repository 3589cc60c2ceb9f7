//! A client of a bare server, as an ordinary host starts one: a child process that inherits the
//! environment, spoken to in lines.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio as Pipe;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use super::super::lenient::{self, Case};

/// How long a silence of the server is waited out.
const SILENCE: Duration = Duration::from_millis(1500);

/// What becomes of the server's standard error.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Logs {
    /// It is thrown away.
    Discarded,
    /// It is a pipe that nobody reads.
    Unread,
}

/// What came of waiting for the server.
#[derive(Debug)]
pub(in super::super) enum Heard {
    /// A message, and the size of its line in bytes.
    Message(Value, usize),
    /// Nothing within the time allowed.
    Silence,
    /// The server has ended; how.
    Ended(String),
}

impl Heard {
    /// The message; an error that tells what came instead.
    pub(in super::super) fn message(self) -> anyhow::Result<Value> {
        match self {
            Self::Message(message, _) => Ok(message),
            Self::Silence => anyhow::bail!("no answer"),
            Self::Ended(how) => anyhow::bail!("the server ended: {how}"),
        }
    }
}

/// A bare server and the client's ends of its pipes.
#[derive(Debug)]
pub(in super::super) struct Stdio {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<Vec<u8>>,
    next_id: i64,
}

impl Stdio {
    /// Starts the server and makes the handshake.
    pub(in super::super) async fn start(
        program: &Path,
        args: &[OsString],
        logs: Logs,
    ) -> anyhow::Result<Self> {
        let mut child = command(program)
            .args(args)
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .stderr(match logs {
                Logs::Discarded => Pipe::null(),
                Logs::Unread => Pipe::piped(),
            })
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start `{}`", program.display()))?;
        let stdin = child
            .stdin
            .take()
            .context("the server has no standard input")?;
        let stdout = child
            .stdout
            .take()
            .context("the server has no standard output")?;
        let (sender, lines) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stdout).split(b'\n');
            while let Ok(Some(line)) = reader.next_segment().await {
                if sender.send(line).await.is_err() {
                    break;
                }
            }
        });
        let mut client = Self {
            child,
            stdin,
            lines,
            next_id: 100,
        };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": super::capabilities(),
            "clientInfo": super::client_info(),
        });
        client.request("initialize", &hello).await?.message()?;
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        client.send(ready.to_string().as_bytes()).await?;
        Ok(client)
    }

    /// Sends one line.
    pub(in super::super) async fn send(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.stdin
            .write_all(&[line, b"\n"].concat())
            .await
            .context("the server reads no more")
    }

    /// Sends a request and waits for its answer; a question of the server's counts as the answer.
    pub(in super::super) async fn request(
        &mut self,
        method: &str,
        params: &Value,
    ) -> anyhow::Result<Heard> {
        let id = self.ask(method, params).await?;
        self.answer(id).await
    }

    /// Sends a request and does not wait; its id.
    pub(in super::super) async fn ask(
        &mut self,
        method: &str,
        params: &Value,
    ) -> anyhow::Result<i64> {
        self.next_id += 1;
        let id = self.next_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(request.to_string().as_bytes()).await?;
        Ok(id)
    }

    /// Calls a tool.
    pub(in super::super) async fn call(
        &mut self,
        tool: &str,
        arguments: &Value,
    ) -> anyhow::Result<Heard> {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
            .await
    }

    /// Waits for the answer to the request `id`, or for a question of the server's.
    pub(in super::super) async fn answer(&mut self, id: i64) -> anyhow::Result<Heard> {
        loop {
            match self.next().await? {
                Heard::Message(message, size) => {
                    let asks = message.get("method").is_some() && message.get("id").is_some();
                    if asks || message.get("id") == Some(&json!(id)) {
                        return Ok(Heard::Message(message, size));
                    }
                }
                other => return Ok(other),
            }
        }
    }

    /// Waits for the next message, reading it as forgivingly as everyday clients do.
    pub(in super::super) async fn next(&mut self) -> anyhow::Result<Heard> {
        let Ok(line) = tokio::time::timeout(SILENCE, self.lines.recv()).await else {
            return Ok(Heard::Silence);
        };
        let Some(line) = line else {
            let status = self
                .child
                .wait()
                .await
                .context("the server cannot be waited for")?;
            return Ok(Heard::Ended(status.to_string()));
        };
        let message = lenient::read_all(&line, Case::Kept)
            .and_then(|messages| messages.into_iter().next())
            .context("the server's line is not JSON")?;
        Ok(Heard::Message(message, line.len()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bare server is started as an ordinary host starts it, not as the gateway does"
)]
fn command(program: &Path) -> tokio::process::Command {
    tokio::process::Command::new(program)
}
