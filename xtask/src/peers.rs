//! The official SDKs' clients and unmodified servers from npm and PyPI, directly and through the
//! gateway: both must answer the same.
//!
//! The comparison itself is in the scripts beside `servers.json`; this module starts what they
//! compare.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{Command, Log};
use crate::gateway;
use crate::service::Service;
use crate::step::{Outcome, Step};
use crate::tools::{self, Npm};
use crate::workspace::Workspace;

/// Longest time for the comparison of one server.
const COMPARISON_MAX: Duration = Duration::from_mins(3);

/// Comparisons under way at once; starting an interpreter keeps one core busy for seconds.
const COMPARISONS_AT_ONCE: usize = 2;

/// An SDK's client.
#[derive(Clone, Copy)]
struct Client {
    name: &'static str,
    script: &'static str,
    arguments: &'static [&'static str],
}

const TS1_LEGACY: Client = Client {
    name: "ts1-legacy",
    script: "compare.mjs",
    arguments: &["--sdk", "1", "--era", "legacy"],
};
const TS2_AUTO: Client = Client {
    name: "ts2-auto",
    script: "compare.mjs",
    arguments: &["--sdk", "2", "--era", "auto"],
};
const PY_LEGACY: Client = Client {
    name: "py-legacy",
    script: "compare.py",
    arguments: &["--era", "legacy"],
};
const PY_AUTO: Client = Client {
    name: "py-auto",
    script: "compare.py",
    arguments: &["--era", "auto"],
};

/// How the client reaches the server on the right-hand side; on the left it is always direct.
#[derive(Clone, Copy)]
enum Way {
    /// By HTTP to `portcullis run`.
    Run,
    /// By `portcullis wrap` in front of the server's command.
    Wrap,
    /// By `portcullis stdio`.
    Stdio,
    /// By HTTP to `portcullis run`, which itself reaches the server by HTTP.
    Remote,
    /// Directly, to show that two runs of one server compare equal.
    Direct,
}

/// A step for each client and way.
pub(crate) fn steps() -> Vec<Step> {
    let step = |kind: &str, about: &'static str, way: Way, client: Client| {
        Step::new(
            format!("{kind}-{}", client.name),
            about,
            move |workspace, log| {
                Peers::install(workspace, log)?.compare_all(workspace, log, way, client)
            },
        )
    };
    let mut steps = Vec::new();
    for client in [TS1_LEGACY, TS2_AUTO, PY_LEGACY, PY_AUTO] {
        steps.push(step(
            "peers-run",
            "real servers answer the SDK as they do without the gateway",
            Way::Run,
            client,
        ));
    }
    for client in [TS1_LEGACY, TS2_AUTO, PY_AUTO] {
        steps.push(step(
            "peers-wrap",
            "the same, through `portcullis wrap`",
            Way::Wrap,
            client,
        ));
    }
    for client in [TS2_AUTO, PY_LEGACY] {
        steps.push(step(
            "peers-stdio",
            "the same, through `portcullis stdio`",
            Way::Stdio,
            client,
        ));
    }
    for client in [TS1_LEGACY, TS2_AUTO, PY_AUTO] {
        steps.push(step(
            "peers-remote",
            "the same, for a server reached by HTTP",
            Way::Remote,
            client,
        ));
    }
    for client in [TS1_LEGACY, TS2_AUTO, PY_LEGACY, PY_AUTO] {
        steps.push(step(
            "baseline-peers",
            "two runs of a bare server compare equal",
            Way::Direct,
            client,
        ));
    }
    steps
}

/// A server, and the two endpoints to compare.
struct Pair {
    server: String,
    left: String,
    right: String,
}

impl Pair {
    fn direct_and(server: &str, right: String) -> Self {
        Self {
            server: server.to_owned(),
            left: String::from("stdio"),
            right,
        }
    }
}

/// A server of `servers.json`, its placeholders filled in.
struct Server {
    command: Vec<String>,
    /// The command that serves by HTTP, for a server that can.
    http: Option<Vec<String>>,
    env: BTreeMap<String, String>,
    /// What it may reach over the network.
    hosts: Vec<String>,
}

/// What is installed and started for a step.
struct Peers {
    npm: Npm,
    venv: PathBuf,
    page: Service,
    files: PathBuf,
    servers: BTreeMap<String, Server>,
}

impl Peers {
    fn install(workspace: &Workspace, log: &mut Log) -> Result<Self> {
        let npm = Npm::install(workspace, log)?;
        let venv = tools::venv(workspace, log)?;
        let page = serve_page(workspace, log)?;
        let mut peers = Self {
            npm,
            venv,
            page,
            files: workspace.target("peers/files"),
            servers: BTreeMap::new(),
        };

        let file = workspace.peers().join("servers.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("`{}` can't be read", file.display()))?;
        let table: BTreeMap<String, Value> =
            serde_json::from_str(&text).with_context(|| format!("`{}`", file.display()))?;
        for (name, entry) in table {
            let words = |member: &str| -> Option<Vec<String>> {
                let words = entry.get(member)?.as_array()?.iter();
                Some(
                    words
                        .filter_map(Value::as_str)
                        .map(|word| peers.fill(word, &name))
                        .collect(),
                )
            };
            let env = entry
                .get("env")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let server = Server {
                command: words("command").with_context(|| format!("`{name}` has no command"))?,
                http: words("http"),
                hosts: words("hosts").unwrap_or_default(),
                env: env
                    .filter_map(|(key, value)| {
                        Some((key.clone(), peers.fill(value.as_str()?, &name)))
                    })
                    .collect(),
            };
            peers.servers.insert(name, server);
        }
        Ok(peers)
    }

    /// Fills the placeholders of `servers.json`, as the scripts do.
    fn fill(&self, text: &str, server: &str) -> String {
        text.replace("{node}", &self.npm.node.to_string_lossy())
            .replace(
                "{npm}",
                &self.npm.dir.join("node_modules").to_string_lossy(),
            )
            .replace("{venv}", &self.venv.to_string_lossy())
            .replace("{dir}", &self.files.join(server).to_string_lossy())
            .replace("{page}", &self.page.url)
    }

    fn compare_all(
        &self,
        workspace: &Workspace,
        log: &mut Log,
        way: Way,
        client: Client,
    ) -> Result<Outcome> {
        let dir = log.path().with_extension("");
        let mut services = Vec::new();
        let mut pairs = Vec::new();
        match way {
            Way::Direct => {
                for name in self.servers.keys() {
                    pairs.push(Pair::direct_and(name, String::from("stdio")));
                }
            }
            Way::Run => {
                self.make_files()?;
                let gateway = gateway::start(workspace, log, &dir, &self.config())?;
                for name in self.servers.keys() {
                    pairs.push(Pair::direct_and(name, gateway::server_url(&gateway, name)));
                }
                services.push(gateway);
            }
            Way::Wrap => {
                let program = gateway::program(workspace)?;
                for (name, server) in &self.servers {
                    pairs.push(Pair::direct_and(
                        name,
                        wrapped(&program, &dir, name, server),
                    ));
                }
            }
            Way::Stdio => {
                self.make_files()?;
                let program = gateway::program(workspace)?;
                let config = gateway::write_config(&dir, &self.config())?;
                for name in self.servers.keys() {
                    let words = json!([
                        program,
                        "stdio",
                        "--config",
                        config,
                        "--server",
                        name,
                        "--state-dir",
                        dir.join("state").join(name)
                    ]);
                    pairs.push(Pair::direct_and(name, words.to_string()));
                }
            }
            Way::Remote => {
                let mut entries = Vec::new();
                for (name, server) in &self.servers {
                    let Some(words) = &server.http else { continue };
                    let remote = serve(words, log)?;
                    let url = gateway::quoted(remote.url.as_str());
                    entries.push(entry(name, &format!("url = {url}\n")));
                    pairs.push(Pair {
                        server: name.clone(),
                        left: remote.url.clone(),
                        right: String::new(),
                    });
                    services.push(remote);
                }
                let gateway = gateway::start(workspace, log, &dir, &entries.concat())?;
                for pair in &mut pairs {
                    pair.right = gateway::server_url(&gateway, &pair.server);
                }
                services.push(gateway);
            }
        }

        let different = self.compare_each(workspace, log, client, &dir, &pairs)?;
        // The gateway was started last and ends first.
        for service in services.into_iter().rev() {
            service.stop()?;
        }
        if different.is_empty() {
            return Ok(Outcome::Passed(format!("{} servers", pairs.len())));
        }
        bail!(
            "{} of {} servers: {}",
            different.len(),
            pairs.len(),
            different.join(", ")
        )
    }

    /// Compares every pair, two at a time, and names those that differ.
    fn compare_each(
        &self,
        workspace: &Workspace,
        log: &mut Log,
        client: Client,
        dir: &Path,
        pairs: &[Pair],
    ) -> Result<Vec<String>> {
        fs::create_dir_all(dir).with_context(|| format!("`{}` can't be made", dir.display()))?;
        let waiting = Mutex::new(pairs.iter());
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..COMPARISONS_AT_ONCE {
                scope.spawn(|| {
                    loop {
                        // The lock is given back before the comparison begins.
                        let next = lock(&waiting).next();
                        let Some(pair) = next else { break };
                        let compared = self.compare(workspace, client, dir, pair);
                        lock(&done).push((pair.server.clone(), compared));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by(|one, other| one.0.cmp(&other.0));

        let mut different = Vec::new();
        for (server, compared) in done {
            match compared {
                Ok((text, status)) => {
                    log.note(&text)?;
                    if !status.success() {
                        different.push(format!("{server} ({status})"));
                    }
                }
                Err(error) => different.push(format!("{server} ({error:#})")),
            }
        }
        Ok(different)
    }

    /// Compares one pair; what the scripts printed, and how they ended.
    fn compare(
        &self,
        workspace: &Workspace,
        client: Client,
        dir: &Path,
        pair: &Pair,
    ) -> Result<(String, ExitStatus)> {
        let mut log = Log::create(dir.join(format!("{}.log", pair.server)))?;
        let status = self
            .script(workspace, client)
            .args([
                "--server",
                &pair.server,
                "--left",
                &pair.left,
                "--right",
                &pair.right,
            ])
            .arg("--dir")
            .arg(self.files.join(&pair.server))
            .arg("--out")
            .arg(dir.join(&pair.server))
            .status(&mut log)?;
        Ok((log.text()?, status))
    }

    fn script(&self, workspace: &Workspace, client: Client) -> Command {
        let script = workspace.peers().join(client.script);
        let command = if script
            .extension()
            .is_some_and(|extension| extension == "py")
        {
            Command::new(self.venv.join("bin/python3"))
                .args(["-W", "ignore"])
                .arg(script)
                .arg("--node")
                .arg(&self.npm.node)
        } else {
            Command::new(&self.npm.node)
                .arg(script)
                .arg("--venv")
                .arg(&self.venv)
        };
        command
            .args(client.arguments)
            .args(["--page", &self.page.url])
            .env("PEERS_NPM", &self.npm.dir)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .within(COMPARISON_MAX)
    }

    /// A configuration with every server as a local one.
    fn config(&self) -> String {
        let entries = self.servers.iter().map(|(name, server)| {
            let env = server
                .env
                .iter()
                .map(|(key, value)| format!("{key} = {}", gateway::quoted(value.as_str())));
            let env = env.collect::<Vec<_>>().join(", ");
            let command = json!(server.command);
            let hosts = match server.hosts.as_slice() {
                [] => String::new(),
                hosts => format!("sandbox = {{ hosts = {} }}\n", json!(hosts)),
            };
            let settings = format!("command = {command}\nenv = {{ {env} }}\n{hosts}");
            entry(name, &settings)
        });
        entries.collect()
    }

    /// Makes the servers' directories, which must be there when a server starts.
    fn make_files(&self) -> Result<()> {
        for name in self.servers.keys() {
            let dir = self.files.join(name);
            fs::create_dir_all(&dir)
                .with_context(|| format!("`{}` can't be made", dir.display()))?;
        }
        Ok(())
    }
}

/// A server in a configuration. What is compared is how messages are carried, so policies only observe.
fn entry(name: &str, settings: &str) -> String {
    format!("[servers.{name}]\n{settings}[policy.servers.{name}]\nmode = \"observe\"\n")
}

/// The endpoint that puts `portcullis wrap` before a server's own command, which the scripts put for `@`.
fn wrapped(program: &Path, dir: &Path, name: &str, server: &Server) -> String {
    let mut words = vec![
        json!(program),
        json!("wrap"),
        json!("--observe"),
        json!("--name"),
        json!(name),
        json!("--state-dir"),
        json!(dir.join("state").join(name)),
    ];
    for (key, value) in &server.env {
        words.extend([json!("--env"), json!(format!("{key}={value}"))]);
    }
    for host in &server.hosts {
        words.extend([json!("--host"), json!(host)]);
    }
    words.extend([json!("--"), json!("@")]);
    Value::Array(words).to_string()
}

/// A page on loopback, for the servers that fetch one.
fn serve_page(workspace: &Workspace, log: &mut Log) -> Result<Service> {
    let command = Command::new("python3")
        .args([
            "-u",
            "-m",
            "http.server",
            "0",
            "--bind",
            "127.0.0.1",
            "--directory",
        ])
        .arg(workspace.peers().join("site"));
    Service::start(command, log, |line| {
        let (_, rest) = line.split_once('(')?;
        Some(rest.split_once("/)")?.0.to_owned())
    })
    .context("the page")
}

/// Starts a server that serves by HTTP at the port that `PORT` names, and says so on standard error.
fn serve(words: &[String], log: &mut Log) -> Result<Service> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.context("no free port")?.port();
    let command = Command::new("sh")
        .args(["-c", "exec \"$@\" 2>&1", "sh"])
        .args(words)
        .env("PORT", port.to_string());
    Service::start(command, log, move |line| {
        line.contains(&format!("port {port}"))
            .then(|| format!("http://127.0.0.1:{port}/mcp"))
    })
    .context("a server by HTTP")
}

/// A thread that panicked holding the lock fails the step by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
