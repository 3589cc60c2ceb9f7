//! Why an installer failed, from what it said.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::step::{Step, StepOutput};

/// What went wrong in a step. The detail is the installer's own words, without credentials.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// No such package.
    #[error(
        "the registry has no such package; check its name, and the registry that is configured: {0}"
    )]
    NoPackage(String),
    /// No version that fits.
    #[error("the package has no version that fits; name another one: {0}")]
    NoVersion(String),
    /// There is only source code, and building runs it.
    #[error(
        "the package has no wheel for this machine, and building one from its source runs it; name a version that has one, or install it yourself and write the program's path: {0}"
    )]
    OnlySource(String),
    /// What arrived is not what the registry or the lock said.
    #[error(
        "what was downloaded is not what the registry says it is; do not use it, and tell whoever runs the registry: {0}"
    )]
    Integrity(String),
    /// The registry was not reached.
    #[error(
        "the registry was not reached ({hosts}); check the network, and if the registry keeps files elsewhere, add that to `hosts`: {detail}"
    )]
    Network {
        /// What the step was let reach.
        hosts: String,
        /// The installer's words.
        detail: String,
    },
    /// The registry wants other credentials.
    #[error(
        "the registry refused the credentials; renew them in the configuration of the package manager: {0}"
    )]
    Credentials(String),
    /// No Python that fits.
    #[error("no Python that fits is installed; install it, or name another by `--python`: {0}")]
    NoPython(String),
    /// An option of the installer is missing.
    #[error("the installer is too old; install a newer npm, uv or pip: {0}")]
    TooOld(String),
    /// Anything else.
    #[error("the installer failed; run the same command outside the gateway to see more: {0}")]
    Other(String),
}

/// What npm's `--json` says of an error.
#[derive(Deserialize)]
struct NpmOutput {
    error: NpmError,
}

#[derive(Deserialize)]
struct NpmError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    summary: String,
}

type Make = fn(String) -> Fault;

/// How pip and uv word it; the first that is found counts.
const WORDS: [(&str, Make); 25] = [
    ("DO NOT MATCH THE HASHES", Fault::Integrity),
    ("Hash mismatch", Fault::Integrity),
    ("no such option", Fault::TooOld),
    ("unexpected argument", Fault::TooOld),
    ("unrecognized arguments", Fault::TooOld),
    ("invalid value 'pylock.toml'", Fault::TooOld),
    ("No module named", Fault::TooOld),
    ("401 Client Error", Fault::Credentials),
    ("403 Client Error", Fault::Credentials),
    ("401 Unauthorized", Fault::Credentials),
    ("403 Forbidden", Fault::Credentials),
    ("Failed to establish a new connection", network),
    ("Temporary failure in name resolution", network),
    ("error sending request", network),
    ("Could not connect", network),
    ("Max retries exceeded", network),
    ("No interpreter found", Fault::NoPython),
    ("no usable wheels", Fault::OnlySource),
    ("no wheels with", Fault::OnlySource),
    (
        "building source distributions is disabled",
        Fault::OnlySource,
    ),
    ("has no wheels", Fault::OnlySource),
    ("was not found in the package registry", Fault::NoPackage),
    ("from versions: none", Fault::NoPackage),
    ("there is no version of", Fault::NoVersion),
    ("No matching distribution found", Fault::NoVersion),
];

fn network(detail: String) -> Fault {
    Fault::Network {
        hosts: String::new(),
        detail,
    }
}

pub(crate) fn diagnose(step: &Step, output: &StepOutput) -> Fault {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let fault = match serde_json::from_slice::<NpmOutput>(&output.stdout) {
        Ok(NpmOutput { error }) => npm(&error),
        Err(_not_npm) => {
            WORDS
                .iter()
                .find(|(words, _make)| stderr.contains(words))
                .map_or(Fault::Other as Make, |(_words, make)| *make)(tail(&stderr))
        }
    };
    match fault {
        Fault::Network { detail, .. } => Fault::Network {
            hosts: hosts(step),
            detail,
        },
        other => other,
    }
}

fn npm(error: &NpmError) -> Fault {
    let detail = tail(&format!("{} {}", error.code, error.summary));
    match error.code.as_str() {
        "E404" => Fault::NoPackage(detail),
        "ETARGET" | "ENOVERSIONS" => Fault::NoVersion(detail),
        "EINTEGRITY" => Fault::Integrity(detail),
        "E401" | "E403" | "ENEEDAUTH" => Fault::Credentials(detail),
        "ENOTFOUND" | "ECONNREFUSED" | "ECONNRESET" | "ETIMEDOUT" | "EAI_AGAIN" | "ENETUNREACH"
        | "EHOSTUNREACH" | "ERR_SOCKET_TIMEOUT" => network(detail),
        _other => Fault::Other(detail),
    }
}

fn hosts(step: &Step) -> String {
    let mut text = String::new();
    for host in &step.hosts {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        if write!(text, "{comma}{host}").is_err() {
            break;
        }
    }
    text
}

/// The last words, on one line, without what could be a credential or steer a terminal.
fn tail(text: &str) -> String {
    static CREDENTIALS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"//[^/@\s]*@").ok());
    const CHARACTERS_MAX: usize = 600;
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let line: String = lines
        .join("; ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let line = match CREDENTIALS.as_ref() {
        Some(regex) => regex.replace_all(&line, "//").into_owned(),
        None => String::new(),
    };
    let skip = line.chars().count().saturating_sub(CHARACTERS_MAX);
    line.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests;
