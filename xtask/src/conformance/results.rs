//! Reads what the suite wrote, and judges it.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::Log;
use crate::conformance::expected::{EXCEPTIONS, Exception, NOT_APPLICABLE};
use crate::step::begins;

/// Characters of the time that ends the name of a scenario's directory, as in `-2026-11-22T10-39-14-659Z`.
const TIME_LEN: usize = 25;

/// What the suite found in one scenario.
struct Scenario {
    name: String,
    passed: usize,
    failures: Vec<Check>,
    warnings: Vec<Check>,
}

/// A check that did not pass.
struct Check {
    id: String,
    message: String,
}

/// What a run that is as expected found.
pub(crate) struct Verdict {
    pub(crate) scenarios: usize,
    pub(crate) checks: usize,
    /// Failures that are known.
    pub(crate) excused: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} scenarios, {} checks", self.scenarios, self.checks)?;
        match self.excused {
            0 => Ok(()),
            count => write!(f, ", {count} known failures"),
        }
    }
}

/// Judges a run: `count` scenarios, each with a passed check and no failure but the known ones.
pub(crate) fn judge(run: &str, dir: &Path, count: usize, log: &mut Log) -> Result<Verdict> {
    let scenarios = read(dir)?;
    let known: Vec<&Exception> = EXCEPTIONS
        .iter()
        .filter(|one| begins(run, one.run))
        .collect();
    let mut faults = Vec::new();
    let mut excused = 0;

    if scenarios.len() != count {
        faults.push(format!(
            "{} scenarios ran, {count} were expected",
            scenarios.len()
        ));
    }
    for scenario in &scenarios {
        let exempt = NOT_APPLICABLE
            .iter()
            .find(|one| begins(run, one.run) && begins(&scenario.name, one.scenarios));
        if let Some(exempt) = exempt {
            log.note(&format!(
                "does not apply: {} ({})",
                scenario.name, exempt.why
            ))?;
            continue;
        }
        for warning in &scenario.warnings {
            log.note(&format!(
                "warning: {}: {}: {}",
                scenario.name, warning.id, warning.message
            ))?;
        }
        for failure in &scenario.failures {
            let excuse = known
                .iter()
                .find(|one| one.scenario == scenario.name && one.check == failure.id);
            let line = format!("{}: {}: {}", scenario.name, failure.id, failure.message);
            if let Some(excuse) = excuse {
                excused += 1;
                log.note(&format!("known failure: {line} ({})", excuse.why))?;
            } else {
                faults.push(line);
            }
        }
        if scenario.passed == 0 && scenario.failures.is_empty() {
            faults.push(format!("{}: nothing was checked", scenario.name));
        }
    }
    for exception in known {
        let ran = scenarios
            .iter()
            .find(|scenario| scenario.name == exception.scenario);
        let still_fails = ran.is_none_or(|scenario| {
            scenario
                .failures
                .iter()
                .any(|failure| failure.id == exception.check)
        });
        if !still_fails {
            faults.push(format!(
                "{}: {}: no longer fails; remove its exception",
                exception.scenario, exception.check
            ));
        }
    }

    let checks: usize = scenarios.iter().map(|scenario| scenario.passed).sum();
    if faults.is_empty() {
        return Ok(Verdict {
            scenarios: scenarios.len(),
            checks,
            excused,
        });
    }
    log.note("\n=== What fails the step ===")?;
    for fault in &faults {
        log.note(fault)?;
    }
    bail!("{} faults, {checks} checks passed", faults.len())
}

fn read(dir: &Path) -> Result<Vec<Scenario>> {
    let entries = fs::read_dir(dir)
        .with_context(|| format!("the suite left no results in `{}`", dir.display()))?;
    let mut scenarios = Vec::new();
    for entry in entries {
        let path = entry.context("the results can't be listed")?.path();
        let file = path.join("checks.json");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("`{}` can't be read", file.display()))?;
        let checks: Vec<Value> = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is not what was expected", file.display()))?;
        let folder = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = folder
            .get(..folder.len().saturating_sub(TIME_LEN))
            .unwrap_or(&folder);
        let name = name.strip_prefix("server-").unwrap_or(name);
        scenarios.push(Scenario {
            name: name.to_owned(),
            passed: checks
                .iter()
                .filter(|check| text_of(check, "status") == "SUCCESS")
                .count(),
            failures: with_status(&checks, "FAILURE"),
            warnings: with_status(&checks, "WARNING"),
        });
    }
    scenarios.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(scenarios)
}

fn with_status(checks: &[Value], status: &str) -> Vec<Check> {
    checks
        .iter()
        .filter(|check| text_of(check, "status") == status)
        .map(|check| Check {
            id: text_of(check, "id").to_owned(),
            message: match text_of(check, "errorMessage") {
                "" => text_of(check, "description").to_owned(),
                message => message.to_owned(),
            },
        })
        .collect()
}

fn text_of<'a>(check: &'a Value, member: &str) -> &'a str {
    check
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
