//! A browser, and the person who sits at it.
//!
//! The browser is the machine's own; none is downloaded but by the system's package manager, and that only by root.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::command::{Command, Log};
use crate::gateway;
use crate::service::Service;
use crate::tools::Npm;
use crate::workspace::Workspace;

/// What Chromium is called, here and there.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How it is installed on Debian.
const INSTALL: [&str; 4] = ["install", "--yes", "--no-install-recommends", "chromium"];

/// Longest time for its installation.
const INSTALL_MAX: Duration = Duration::from_mins(10);

/// The account of the person, its display name, and its password, which opens nothing but a test's gateway.
const ACCOUNT: [&str; 3] = ["ada", "Ada Lovelace", "unrelated words for a test"];

/// Chromium, or why there is none.
pub(crate) fn chromium(log: &mut Log) -> Result<Result<PathBuf, String>> {
    if let Some(found) = find(log) {
        return Ok(Ok(found));
    }
    let command = format!("apt-get {}", INSTALL.join(" "));
    if !geteuid().is_root() {
        return Ok(Err(format!("no Chromium; run `sudo {command}`")));
    }
    let apt = || Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    let installed = apt()
        .arg("update")
        .within(INSTALL_MAX)
        .run(log)
        .and_then(|()| apt().args(INSTALL).within(INSTALL_MAX).run(log));
    if let Err(error) = installed {
        log.note(&format!("{error:#}"))?;
        return Ok(Err(format!("no Chromium, and `{command}` failed")));
    }
    Ok(find(log).ok_or_else(|| format!("no Chromium, even after `{command}`")))
}

fn find(log: &mut Log) -> Option<PathBuf> {
    NAMES.iter().find_map(|name| {
        let found = Command::new("sh")
            .args(["-c", "command -v \"$1\"", "sh", name])
            .output(log);
        Some(PathBuf::from(found.ok()?.trim())).filter(|path| path.exists())
    })
}

/// Invites an account of the gateway whose files are beneath `dir`, and seats a person at the browser who takes the invitation
/// up. The service's URL is where that person takes requests; see `person.mjs`.
pub(crate) fn person(
    workspace: &Workspace,
    log: &mut Log,
    dir: &Path,
    npm: &Npm,
    chromium: &Path,
    gateway: &Service,
) -> Result<Service> {
    let [account, display, password] = ACCOUNT;
    let words = [
        "user",
        "invite",
        account,
        "--display",
        display,
        "--url",
        &gateway.url,
    ];
    let invited = gateway::administer(workspace, log, dir, &words)?;
    let mut lines = invited.lines();
    let page = lines.next().context("the invitation has no page")?;
    let code = lines.next().context("the invitation has no code")?;
    let command = Command::new(&npm.node)
        .arg(workspace.peers().join("oauth/person.mjs"))
        .arg("--chromium")
        .arg(chromium)
        .arg("--shots")
        .arg(dir.join("pages"))
        .arg("--profile")
        .arg(dir.join("profile"))
        .args(["--account", account, "--password", password])
        .args(["--invitation", page, "--code", code])
        .env("PEERS_NPM", &npm.dir);
    Service::start(command, log, |line| {
        line.strip_prefix("ready ").map(str::to_owned)
    })
    .context("the person at the browser")
}
