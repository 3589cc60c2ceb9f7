//! `portcullis policy test`: tables of calls, with the decisions that are expected on them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use super::explain::{code, decision, policies, words};
use super::ground::{Ground, Hypothesis, principal};
use crate::commands::{NO, WrongRequest};
use crate::output;

/// How files of tables end.
const ENDING: &str = ".test.toml";

/// A file of calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    call: Vec<Case>,
}

/// A call, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is shown when it fails.
    #[serde(default)]
    name: Option<String>,
    /// Who calls.
    #[serde(default = "somebody")]
    #[serde(rename = "as")]
    principal: String,
    /// How they are known.
    #[serde(default = "user")]
    kind: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    client: Option<String>,
    /// No scope restricts them when absent.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    server: String,
    tool: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
    expect: Expected,
    /// The code of the denial.
    #[serde(default)]
    code: Option<String>,
    /// A policy that determines it.
    #[serde(default)]
    by: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Allow,
    Ask,
    Deny,
}

impl Expected {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

fn somebody() -> String {
    "somebody".to_owned()
}

fn user() -> String {
    "user".to_owned()
}

/// Decides on all calls of `files`, or of those beside the policies.
pub(super) async fn run(ground: &Ground, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let found = if files.is_empty() {
        beside(&ground.config.policy.files)?
    } else {
        files.to_vec()
    };
    if found.is_empty() {
        let message = format!(
            "no tables; name files, or put files that end in `{ENDING}` beside the policies"
        );
        return Err(WrongRequest(message).into());
    }
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for path in &found {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the table `{}` cannot be read", path.display()))?;
        let table: Table = toml::from_str(&text)
            .map_err(|error| WrongRequest(format!("`{}`: {error}", path.display())))?;
        for (at, case) in table.call.iter().enumerate() {
            match fault(ground, case).await? {
                None => passed += 1,
                Some(fault) => {
                    failed += 1;
                    let number = (at + 1).to_string();
                    let name = case.name.as_deref().unwrap_or(&number);
                    output::tell(&format!("{}, call {name}: {fault}\n", path.display()));
                }
            }
        }
    }
    output::print_line(&format!("{passed} calls as expected, {failed} not"))?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    })
}

/// What is other than expected.
async fn fault(ground: &Ground, case: &Case) -> anyhow::Result<Option<String>> {
    let arguments = serde_json::to_vec(&case.arguments)?;
    let scopes = case.scopes.as_deref();
    let client = case.client.as_deref();
    let principal = principal(&case.principal, &case.kind, client, &case.groups, scopes)?;
    let server = case.server.parse()?;
    let call = Hypothesis::call(principal, server, &case.tool, &arguments);
    let judgement = ground.judge(&call).await?;
    let is_expected = decision(&judgement) == case.expect.as_str();
    let is_by = case
        .by
        .as_deref()
        .is_none_or(|by| policies(&judgement).contains(&by));
    let has_code = case
        .code
        .as_deref()
        .is_none_or(|expected| code(&judgement) == Some(expected));
    Ok((!is_expected || !is_by || !has_code).then(|| {
        let mut expected = case.expect.as_str().to_owned();
        for more in [&case.code, &case.by].into_iter().flatten() {
            expected = format!("{expected} by `{more}`");
        }
        format!("expected {expected}, but {}", words(&judgement))
    }))
}

/// The tables beside policy files.
fn beside(policies: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in policies {
        let directory = if path.is_dir() {
            path.as_path()
        } else {
            path.parent().unwrap_or(Path::new("."))
        };
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(ENDING) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}
