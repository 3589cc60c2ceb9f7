//! The suite as server, the gateway as its client.
//!
//! The suite starts a client of our choice for each scenario. That client is this program again, as
//! a [`shim`]: it starts a gateway with the scenario's server behind it, then the conformance client
//! in front of it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::{Command, Log};
use crate::conformance::{Revision, authorization, binary, fresh_dir, results, suite};
use crate::gateway;
use crate::step::{Outcome, Step};
use crate::tools::Npm;
use crate::workspace::Workspace;

/// The scenarios without authorization, by the revision they run at. Those of the skills extension
/// belong to none, and need `--force`.
const SCENARIOS: &[(Revision, &[&str])] = &[
    (
        Revision::V2025_11_25,
        &[
            "initialize",
            "tools_call",
            "elicitation-sep1034-client-defaults",
            "sse-retry",
            "json-schema-2020-12-preservation",
        ],
    ),
    (
        Revision::V2026_07_28,
        &[
            "tools_call",
            "request-metadata",
            "sep-2322-client-request-state",
            "http-standard-headers",
            "http-custom-headers",
            "http-invalid-tool-headers",
            "json-schema-ref-no-deref",
            "json-schema-2020-12-preservation",
            "sep-2640-client-no-prefetch",
            "sep-2640-client-verify-digest",
            "sep-2640-client-verify-size",
            "sep-2640-client-verify-frontmatter",
        ],
    ),
];

/// Longest time for one scenario.
const SCENARIO_MAX: Duration = Duration::from_mins(2);

/// The step.
pub(crate) fn step() -> Step {
    Step::new(
        "conformance-client",
        "the official suite's client scenarios, with the gateway as the client",
        |workspace, log| {
            // By its place, not by what runs now: the build step may have put a new one there.
            let program = binary(workspace, "xtask")?;
            work(
                workspace,
                log,
                "conformance-client",
                &format!("{} conformance-shim", program.display()),
                SCENARIOS,
            )
        },
    )
}

/// The same scenarios with the conformance client alone.
pub(crate) fn baseline() -> Step {
    Step::new(
        "baseline-conformance-client",
        "the conformance client itself, without the gateway",
        |workspace, log| {
            let program = binary(workspace, "conformance-client")?;
            work(
                workspace,
                log,
                "baseline-conformance-client",
                &program.display().to_string(),
                SCENARIOS,
            )
        },
    )
}

/// Runs each scenario with a client of its own, and judges what the suite found.
pub(super) fn work(
    workspace: &Workspace,
    log: &mut Log,
    name: &str,
    command: &str,
    scenarios: &[(Revision, &[&str])],
) -> Result<Outcome> {
    let npm = Npm::install(workspace, log)?;
    let dir = fresh_dir(workspace, name)?;
    let (mut ran, mut checks, mut faults) = (0, 0, Vec::new());
    for (revision, scenarios) in scenarios {
        for scenario in *scenarios {
            let out = dir.join(revision.name()).join(scenario.replace('/', "-"));
            let status = suite(&npm)
                .args([
                    "client",
                    "--command",
                    command,
                    "--scenario",
                    scenario,
                    "--timeout",
                    "60000",
                ])
                .args(["--spec-version", revision.name(), "--force", "--output-dir"])
                .arg(&out)
                .within(SCENARIO_MAX)
                .status(log)?;
            ran += 1;
            // The suite makes a folder of what stands before a scenario's last slash.
            let found = match scenario.rsplit_once('/') {
                Some((folder, _)) => out.join(folder),
                None => out,
            };
            match results::judge(&format!("{name}-{}", revision.name()), &found, 1, log) {
                // The suite also fails a client that ends badly where it should not, and knows no exceptions.
                Ok(verdict) if verdict.excused == 0 && !status.success() => {
                    faults.push(format!(
                        "{scenario} at {}: the suite: {status}",
                        revision.name()
                    ));
                }
                Ok(verdict) => checks += verdict.checks,
                Err(error) => {
                    faults.push(format!("{scenario} at {}: {error:#}", revision.name()));
                }
            }
        }
    }
    if faults.is_empty() {
        return Ok(Outcome::Passed(format!("{ran} scenarios, {checks} checks")));
    }
    for fault in &faults {
        log.note(fault)?;
    }
    bail!("{} of {ran} scenarios: {}", faults.len(), faults.join("; "))
}

/// Starts the gateway in front of `server_url` and the conformance client in front of the gateway;
/// ends as the client ends.
pub(crate) fn shim(server_url: &str) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let dir = fresh_dir(
        &workspace,
        &format!("conformance-client/shim-{}", std::process::id()),
    )?;
    let mut log = Log::create(dir.join("log"))?;
    let config = authorization::config(&dir, server_url)?;
    let gateway = gateway::start(&workspace, &mut log, &dir, &config)?;
    let person = authorization::person(&workspace, &dir, &gateway.url)?;
    let status = Command::new(binary(&workspace, "conformance-client")?)
        .env("CONFORMANCE_CONNECT", person)
        .arg(gateway::server_url(&gateway, "scenario"))
        .within(SCENARIO_MAX)
        .status(&mut log)?;
    gateway.stop()?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
