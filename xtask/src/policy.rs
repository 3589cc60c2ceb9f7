//! Attempts to get around constraints, at real servers bare and behind the gateway, and people who are asked about calls by the
//! official SDKs' clients.
//!
//! What is tried is in the tables beneath `peers/policy`; this module starts what they need.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::command::Command;
use crate::conformance::fresh_dir;
use crate::gateway;
use crate::step::{Outcome, Step};
use crate::tools::{self, Npm};

/// Longest time for all attempts.
const RUN_MAX: Duration = Duration::from_mins(10);
/// Longest time for the questions to people.
const ASK_MAX: Duration = Duration::from_mins(2);

/// The step.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new(
        "policy-servers",
        "attempts to get around constraints fail at the gateway and succeed at the bare servers",
        |workspace, log| {
            if gateway::own_mounts().is_none() {
                let why = "the system gives a command no mounts of its own, for names of its own";
                return Ok(Outcome::Skipped(why.to_owned()));
            }
            let npm = Npm::install(workspace, log)?;
            let venv = tools::venv(workspace, log)?;
            let scripts = workspace.peers().join("policy");
            // The server for SQLite is of the SDK's first generation, and cannot live with the others.
            let sqlite = workspace.target("policy/venv");
            tools::venv_of(log, &sqlite, &scripts.join("requirements.txt"))?;
            let dir = fresh_dir(workspace, "policy-servers")?;
            let files = dir.join("places");
            let modules = npm.dir.join("node_modules");
            let places: [(&str, &Path); 5] = [
                ("dir", &files),
                ("node", &npm.node),
                ("npm", &modules),
                ("venv", &venv),
                ("sqlite", &sqlite),
            ];
            let hosts = scripts.join("hosts");
            let drive = |action: &str| {
                let command = gateway::among(&hosts)
                    .arg(venv.join("bin/python3"))
                    .args(["-W", "ignore"])
                    .arg(scripts.join("drive.py"))
                    .arg(action)
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                places.iter().fold(command, |command, (name, path)| {
                    command.arg(format!("--{name}")).arg(path)
                })
            };
            drive("prepare").run(log)?;
            let template = scripts.join("portcullis.toml");
            let mut config = fs::read_to_string(&template)
                .with_context(|| format!("`{}` can't be read", template.display()))?
                .replace("{here}", &scripts.to_string_lossy());
            for (name, path) in places {
                config = config.replace(&format!("{{{name}}}"), &path.to_string_lossy());
            }
            let gateway = gateway::start_among(workspace, log, &dir, &config, &hosts)?;
            let asked = Command::new(&npm.node)
                .arg(scripts.join("approve.mjs"))
                .args(["--gateway", &gateway.url])
                .env("PEERS_NPM", &npm.dir)
                .within(ASK_MAX)
                .status(log)?;
            let tried = drive("run")
                .args(["--gateway", &gateway.url])
                .within(RUN_MAX)
                .status(log)?;
            gateway.stop().context("the gateway after the attempts")?;
            let text = log.text()?;
            let count = text
                .lines()
                .rfind(|line| line.ends_with(" on bare servers"));
            let count = count.unwrap_or("the script ended early");
            if !asked.success() {
                bail!("an approval by the TypeScript SDK went wrong; {count}");
            }
            if !tried.success() {
                bail!("{count}");
            }
            Ok(Outcome::Passed(count.to_owned()))
        },
    )]
}
