//! Starts the gateway with a configuration of a step's own.

use std::fs;
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{Command, Log};
use crate::service::Service;
use crate::workspace::Workspace;

/// Starts `portcullis run` on a free loopback port, with `config` and an empty state directory beneath `dir`, for clients
/// without a credential.
pub(crate) fn start(
    workspace: &Workspace,
    log: &mut Log,
    dir: &Path,
    config: &str,
) -> Result<Service> {
    let program = Command::new(program(workspace)?);
    start_for(program, log, dir, config, "same-user")
}

/// The same, on a machine whose names are those of the file `hosts`.
pub(crate) fn start_among(
    workspace: &Workspace,
    log: &mut Log,
    dir: &Path,
    config: &str,
    hosts: &Path,
) -> Result<Service> {
    let program = among(hosts).arg(program(workspace)?);
    start_for(program, log, dir, config, "same-user")
}

/// A command that runs what follows as on a machine whose names are those of the file `hosts`.
pub(crate) fn among(hosts: &Path) -> Command {
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    Command::new("unshare")
        .args(own_mounts().unwrap_or_default())
        .args(["sh", "-c", script])
        .arg(hosts)
}

/// With which words `unshare` gives a command mounts of its own here; `None` where the system allows none.
pub(crate) fn own_mounts() -> Option<&'static [&'static str]> {
    static WORDS: OnceLock<Option<&[&str]>> = OnceLock::new();
    const WAYS: [&[&str]; 2] = [&["--map-root-user", "--mount"], &["--mount"]];
    *WORDS.get_or_init(|| {
        let allows = |words: &&&[&str]| {
            let mut command = process::Command::new("unshare");
            command
                .args(**words)
                .args(["mount", "--bind", "/tmp", "/tmp"]);
            command
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
        };
        WAYS.iter().find(allows).copied()
    })
}

/// The same, for clients with a credential alone.
pub(crate) fn start_closed(
    workspace: &Workspace,
    log: &mut Log,
    dir: &Path,
    config: &str,
) -> Result<Service> {
    let program = Command::new(program(workspace)?);
    start_for(program, log, dir, config, "nobody")
}

fn start_for(
    program: Command,
    log: &mut Log,
    dir: &Path,
    config: &str,
    without_credential: &str,
) -> Result<Service> {
    let file = write_config(dir, config)?;
    let state = dir.join("state");
    if state.exists() {
        fs::remove_dir_all(&state)
            .with_context(|| format!("`{}` can't be removed", state.display()))?;
    }
    let command = program
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .arg("--state-dir")
        .arg(&state)
        .args(["--without-credential", without_credential]);
    Service::start(command, log, |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line.get("event")?.as_str()? == "ready")
            .then(|| line.get("url")?.as_str().map(str::to_owned))?
    })
    .context("the gateway")
}

/// What an administrator's command prints, for a gateway whose state is beneath `dir`.
pub(crate) fn administer(
    workspace: &Workspace,
    log: &mut Log,
    dir: &Path,
    words: &[&str],
) -> Result<String> {
    Command::new(program(workspace)?)
        .args(words)
        .arg("--config")
        .arg(dir.join("portcullis.toml"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .output(log)
}

/// Writes a configuration file beneath `dir`.
pub(crate) fn write_config(dir: &Path, config: &str) -> Result<std::path::PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("`{}` can't be made", dir.display()))?;
    let file = dir.join("portcullis.toml");
    fs::write(&file, config).with_context(|| format!("`{}` can't be written", file.display()))?;
    Ok(file)
}

/// The gateway's binary.
pub(crate) fn program(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let program = workspace.binary("portcullis");
    if !program.exists() {
        bail!(
            "`{}` is missing; run the step `build` first",
            program.display()
        );
    }
    Ok(program)
}

/// The URL that exposes one server under its own names.
pub(crate) fn server_url(gateway: &Service, server: &str) -> String {
    format!("{}/servers/{server}/mcp", gateway.url)
}

/// A text as TOML writes it; its basic strings have JSON's escapes.
pub(crate) fn quoted(text: impl Into<Value>) -> String {
    text.into().to_string()
}
