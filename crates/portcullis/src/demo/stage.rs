//! What the attacks are played on: the sample servers' directories, the bare servers, the traps that
//! tell whether someone called, and the gateway's endpoints.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio as Pipe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::OnceCell;

use super::client::{Endpoint, Logs, Stdio};
use super::honest::NOTES;
use super::server::JOURNAL;

/// The variable that stands for what a developer's shell is full of.
pub(super) const VARIABLE: &str = "DEMO_SECRET";

/// One of the two sample servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// Means well, trusts its arguments.
    Honest,
    /// Attacks whoever calls it.
    Hostile,
}

impl Server {
    /// Its name, on the command line and in the gateway's configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Hostile => "hostile",
        }
    }
}

/// Which copy of a sample server: each has a directory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Spoken to directly.
    Bare,
    /// Behind the gateway.
    Gateway,
}

/// A client of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The one who is attacked.
    Alice,
    /// The one who attacks, with a credential of their own.
    Mallory,
    /// Someone without a credential.
    Nobody,
}

/// The endpoints of the gateway and its clients' tokens.
#[derive(Clone, Debug)]
pub(super) struct Front {
    /// Where the honest server's endpoint is.
    pub(super) honest: (SocketAddr, String),
    /// Where the hostile server's endpoint is.
    pub(super) hostile: (SocketAddr, String),
    /// Alice's bearer token.
    pub(super) alice: String,
    /// Mallory's bearer token.
    pub(super) mallory: String,
}

/// Everything that an attack needs.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    program: PathBuf,
    traps: [Trap; 2],
    face: (Child, SocketAddr),
    front: OnceCell<Front>,
    session: OnceCell<String>,
    notes_made: AtomicUsize,
}

impl Stage {
    /// Makes the directories and starts the bare server's HTTP face; `program` is this binary.
    pub(super) async fn new(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .tempdir()?;
        for side in [Side::Bare, Side::Gateway] {
            for server in [Server::Honest, Server::Hostile] {
                fs::create_dir_all(directory(folder.path(), side, server))?;
            }
        }
        let traps = [Trap::set().await?, Trap::set().await?];
        let args = server_args(folder.path(), Side::Bare, Server::Honest, &traps);
        let face = start_face(&program, &args).await?;
        let (front, session) = (OnceCell::new(), OnceCell::new());
        let notes_made = AtomicUsize::new(0);
        Ok(Self {
            folder,
            program,
            traps,
            face,
            front,
            session,
            notes_made,
        })
    }

    /// The folder that goes away with the demonstration.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The directory of a sample server.
    pub(super) fn directory(&self, side: Side, server: Server) -> PathBuf {
        directory(self.folder.path(), side, server)
    }

    /// The program and arguments of a sample server.
    pub(super) fn command(&self, side: Side, server: Server) -> Vec<OsString> {
        let mut command = vec![self.program.clone().into_os_string()];
        command.extend(server_args(self.folder.path(), side, server, &self.traps));
        command
    }

    /// Tells the stage where the gateway is.
    pub(super) fn raise(&self, front: Front) -> anyhow::Result<()> {
        self.front
            .set(front)
            .context("the gateway was started twice")
    }

    /// The endpoint of `server` behind the gateway, for `who`.
    pub(super) fn endpoint(&self, who: Who, server: Server) -> anyhow::Result<Endpoint> {
        let front = self.front.get().context("the gateway was not started")?;
        let (address, path) = match server {
            Server::Honest => front.honest.clone(),
            Server::Hostile => front.hostile.clone(),
        };
        let token = match who {
            Who::Alice => Some(front.alice.clone()),
            Who::Mallory => Some(front.mallory.clone()),
            Who::Nobody => None,
        };
        Ok(Endpoint {
            address,
            path,
            token,
        })
    }

    /// The HTTP face of the honest server, with nothing in front of it.
    pub(super) fn face(&self) -> Endpoint {
        Endpoint {
            address: self.face.1,
            path: "/mcp".to_owned(),
            token: None,
        }
    }

    /// Alice's legacy session with the honest server behind the gateway.
    pub(super) async fn session(&self) -> anyhow::Result<&str> {
        let alice = self.endpoint(Who::Alice, Server::Honest)?;
        self.session
            .get_or_try_init(|| async move { alice.begin().await })
            .await
            .map(String::as_str)
    }

    /// A fresh bare server, spoken to in lines.
    pub(super) async fn bare(&self, server: Server) -> anyhow::Result<Stdio> {
        self.bare_with(server, Logs::Discarded).await
    }

    /// A fresh bare server whose standard error goes where `logs` says.
    pub(super) async fn bare_with(&self, server: Server, logs: Logs) -> anyhow::Result<Stdio> {
        let args = server_args(self.folder.path(), Side::Bare, server, &self.traps);
        Stdio::start(&self.program, &args, logs).await
    }

    /// The trap that the hostile server's remote schema leads to.
    pub(super) const fn trap(&self, side: Side) -> &Trap {
        let [bare, gateway] = &self.traps;
        match side {
            Side::Bare => bare,
            Side::Gateway => gateway,
        }
    }

    /// A text that occurs nowhere else.
    pub(super) fn mark(&self) -> String {
        format!(
            "attack-{:04}",
            self.notes_made.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Whether the honest server's notes hold `text`, as they are on disk.
    pub(super) fn noted(&self, side: Side, text: &str) -> bool {
        let notes = directory(self.folder.path(), side, Server::Honest).join(NOTES);
        fs::read_to_string(notes).is_ok_and(|notes| notes.contains(text))
    }

    /// How many tool calls with `text` in them have reached a server.
    pub(super) fn reached(&self, side: Side, server: Server, text: &str) -> usize {
        let journal = directory(self.folder.path(), side, server).join(JOURNAL);
        let journal = fs::read(journal).unwrap_or_default();
        let lines = journal.split(|byte| *byte == b'\n');
        let lines = lines.map(String::from_utf8_lossy);
        lines
            .filter(|line| line.contains("tools/call") && line.contains(text))
            .count()
    }

    /// Whether `text` tells of this machine or of a secret what no answer should.
    pub(super) fn reveals(&self, text: &str) -> bool {
        let tokens = self
            .front
            .get()
            .map(|front| [front.alice.clone(), front.mallory.clone()]);
        let tokens = tokens
            .into_iter()
            .flatten()
            .any(|token| text.contains(&token));
        let folder = self.folder.path().to_string_lossy();
        tokens || text.contains(&*folder) || text.contains("panicked at")
    }
}

/// A listener that counts who calls. An attack succeeds when anyone does.
#[derive(Debug)]
pub(super) struct Trap {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Trap {
    async fn set() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, calls) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 1024];
                // Whether the caller stays to be answered does not matter: it called.
                if caller.read(&mut head).await.is_ok() {
                    drop(
                        caller
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                            .await,
                    );
                }
            }
        });
        Ok(Self { address, calls })
    }

    /// How many have called.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}/schema.json", self.address)
    }
}

fn directory(folder: &Path, side: Side, server: Server) -> PathBuf {
    folder
        .join(format!("{side:?}").to_lowercase())
        .join(server.name())
}

fn server_args(folder: &Path, side: Side, server: Server, traps: &[Trap; 2]) -> Vec<OsString> {
    let [bare, gateway] = traps;
    let trap = match side {
        Side::Bare => bare,
        Side::Gateway => gateway,
    };
    vec![
        super::SERVER.into(),
        server.name().into(),
        "--dir".into(),
        directory(folder, side, server).into(),
        "--reference".into(),
        trap.url().into(),
    ]
}

/// Starts a sample server's HTTP face; its process and its address.
pub(super) async fn start_face(
    program: &Path,
    args: &[OsString],
) -> anyhow::Result<(Child, SocketAddr)> {
    let mut child = command(program)
        .args(args)
        .arg("--http")
        .stdin(Pipe::null())
        .stdout(Pipe::piped())
        .stderr(Pipe::null())
        .kill_on_drop(true)
        .spawn()
        .context("could not start the bare server's HTTP face")?;
    let stdout = child
        .stdout
        .take()
        .context("the server has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await??;
    let port = line
        .context("the server printed no port")?
        .trim()
        .parse::<u16>()?;
    Ok((child, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bare server is started as an ordinary host starts it, not as the gateway does"
)]
fn command(program: &Path) -> tokio::process::Command {
    tokio::process::Command::new(program)
}
