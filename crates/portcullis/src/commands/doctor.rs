//! `portcullis doctor`: whether this machine can confine each local server as its entry asks, found out by trying.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_sandbox::{Got, Report, Sandbox};
use serde_json::json;

use super::NO;
use super::sandbox::{profile_of, state_directory};
use crate::cli::confine::Doctor;
use crate::config::load;
use crate::environment::Environment;
use crate::wiring::{GUARD, own_binary};
use crate::{output, profile};

/// What was found out about one server.
struct Finding {
    server: String,
    outcome: Result<Report, String>,
}

impl Finding {
    fn is_well(&self) -> bool {
        let is_missing = |got: &Got| matches!(got, Got::Missing(_));
        self.outcome
            .as_ref()
            .is_ok_and(|report| !report.parts.iter().any(|part| is_missing(&part.got)))
    }
}

/// Tries the confinement of each local server. Exits with 1 if one cannot be had.
pub(crate) fn run(args: &Doctor, environment: &Environment) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let config = load::load(&path, environment, None, |_, _| Vec::new())?.config;
    let state = state_directory(args.state_dir.as_ref(), &config, environment)?;
    let sandbox = Sandbox::new(vec![own_binary()?, OsString::from(GUARD)]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let directory = std::env::current_dir();
    let place = profile::Place {
        home: profile::home(environment),
        directory: &directory.context("the working directory cannot be found out")?,
        state: &state,
    };
    let mut findings = Vec::new();
    for (name, server) in &config.servers {
        if server.command.is_empty() {
            continue;
        }
        let tried = profile_of(name, server, &config, &state, environment).and_then(|profile| {
            if let Some(own) = &profile.own {
                std::fs::create_dir_all(own)?;
            }
            let file = config.file.as_deref();
            let grants = profile::grants(&profile, &server.sandbox, file, place)?;
            Ok(runtime.block_on(sandbox.probe(&grants.confinement))?)
        });
        findings.push(Finding {
            server: name.clone(),
            outcome: tried.map_err(|error| format!("{error:#}")),
        });
    }
    if args.json {
        let findings: Vec<_> = findings.iter().map(object).collect();
        output::print_json(&json!({ "servers": findings }))?;
    } else {
        let mut text = String::new();
        for finding in &findings {
            words(&mut text, finding)?;
        }
        if findings.is_empty() {
            output::tell("no local servers\n");
        }
        output::print(&text)?;
    }
    Ok(if findings.iter().all(Finding::is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    })
}

fn words(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let Finding { server, outcome } = finding;
    match outcome {
        Err(why) => writeln!(text, "{server}: cannot be confined: {why}"),
        Ok(report) => {
            writeln!(text, "{server}: {}", report.tier.name())?;
            for part in &report.parts {
                match &part.got {
                    Got::Enforced(by) => writeln!(text, "  {}: {by}", part.feature)?,
                    Got::NotAsked => writeln!(text, "  {}: not asked for", part.feature)?,
                    Got::Missing(missing) => writeln!(
                        text,
                        "  {}: MISSING: {}; {}",
                        part.feature, missing.cause, missing.remedy
                    )?,
                }
            }
            Ok(())
        }
    }
}

fn object(finding: &Finding) -> serde_json::Value {
    let Finding { server, outcome } = finding;
    match outcome {
        Err(why) => json!({ "server": server, "error": why }),
        Ok(report) => {
            let parts: Vec<_> = report
                .parts
                .iter()
                .map(|part| {
                    let feature = part.feature.to_string();
                    match &part.got {
                        Got::Enforced(by) => json!({ "part": feature, "enforced": by }),
                        Got::NotAsked => json!({ "part": feature, "asked": false }),
                        Got::Missing(missing) => json!({
                            "part": feature,
                            "missing": missing.cause,
                            "remedy": missing.remedy,
                        }),
                    }
                })
                .collect();
            json!({ "server": server, "tier": report.tier.name(), "parts": parts })
        }
    }
}
