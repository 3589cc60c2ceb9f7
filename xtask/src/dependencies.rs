//! The dependencies: their licences, their sources, their known defects.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::{Command, Log};
use crate::step::{Outcome, Step};
use crate::tools;
use crate::workspace::Workspace;

/// The advisory database that `cargo-deny` reads.
const ADVISORY_DB: &str = "https://github.com/RustSec/advisory-db";
/// Names a clone of the advisory database, for machines that can't reach it.
const ADVISORY_DB_CLONE: &str = "ADVISORY_DB";
/// What `cargo-deny` says when it can't fetch the database.
const NOT_FETCHED: &str = "failed to fetch advisory database";

/// One step for what the lock file alone decides, one for what needs the advisory database.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new(
            "deny",
            "licences, duplicates and sources of the dependencies",
            |workspace, log| {
                deny(workspace, log)?
                    .args(["check", "bans", "licenses", "sources"])
                    .run(log)?;
                Ok(Outcome::Passed(String::new()))
            },
        ),
        Step::new(
            "advisories",
            "no dependency has a known defect, and none is yanked",
            advisories,
        ),
    ]
}

fn advisories(workspace: &Workspace, log: &mut Log) -> Result<Outcome> {
    let clone = std::env::var_os(ADVISORY_DB_CLONE);
    let mut command = deny(workspace, log)?
        .args(["check", "advisories"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .within(Duration::from_mins(5));
    if let Some(path) = &clone {
        // Git fetches from the clone wherever the database's own address is asked for.
        let mut key = OsString::from("url.file://");
        key.push(path);
        key.push(".insteadOf");
        command = command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", key)
            .env("GIT_CONFIG_VALUE_0", ADVISORY_DB);
    }
    let status = command.status(log)?;
    if status.success() {
        return Ok(Outcome::Passed(String::new()));
    }
    if clone.is_none() && log.text()?.contains(NOT_FETCHED) {
        return Ok(Outcome::Skipped(format!(
            "{ADVISORY_DB} can't be fetched from here; set {ADVISORY_DB_CLONE} to the path of a clone"
        )));
    }
    bail!("cargo-deny: {status}")
}

fn deny(workspace: &Workspace, log: &mut Log) -> Result<Command> {
    let program = tools::cargo_deny(workspace, log)?;
    Ok(Command::new(program)
        .args(["--locked", "--workspace"])
        .dir(workspace.root("")))
}
