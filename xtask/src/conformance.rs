//! The official conformance suite, through the gateway.
//!
//! The suite drives the gateway as its server, with a fixture of our own behind it; in
//! [`client`] and [`authorization`], the suite is the server and the gateway its client; in
//! [`authorization_server`], it asks the gateway's authorization server. Expected counts and
//! exceptions are in [`expected`], the reading of results in [`results`].

mod authorization;
mod authorization_server;
pub(crate) mod client;
mod expected;
mod results;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{Command, Log};
use crate::gateway;
use crate::service::Service;
use crate::step::{Outcome, Step};
use crate::tools::Npm;
use crate::workspace::Workspace;

/// Longest time for one run of the suite.
const RUN_MAX: Duration = Duration::from_mins(8);

/// How the gateway reaches the fixture.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Upstream {
    /// By HTTP.
    Http,
    /// As a process of its own.
    Stdio,
    /// Not at all: the suite talks to the fixture.
    Direct,
}

/// The revisions of which the suite asks.
#[derive(Clone, Copy)]
pub(crate) enum Revision {
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Revision {
    /// The revision as the protocol writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }
}

/// Which of the suite's scenarios run against a server.
#[derive(Clone, Copy)]
pub(crate) enum Scenarios {
    /// All of a revision.
    Revision(Revision),
    /// Those of the skills extension, which belongs to no revision.
    Skills,
}

/// The scenarios of the skills extension.
const SKILLS: [&str; 3] = [
    "sep-2640-skills-enumeration",
    "sep-2640-skills-manifest",
    "sep-2640-skills-directory",
];

impl Scenarios {
    /// The arguments of each invocation of the suite.
    fn invocations(self) -> Vec<Vec<&'static str>> {
        match self {
            // The oldest revision has no frozen list of requirements.
            Self::Revision(revision @ Revision::V2025_06_18) => {
                vec![vec!["--suite", "all", "--spec-version", revision.name()]]
            }
            Self::Revision(revision) => vec![vec!["--requirements", revision.name()]],
            Self::Skills => SKILLS
                .map(|scenario| vec!["--scenario", scenario, "--force"])
                .to_vec(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Revision(revision) => revision.name(),
            Self::Skills => "skills",
        }
    }
}

/// All of them.
const ALL: [Scenarios; 4] = [
    Scenarios::Revision(Revision::V2025_06_18),
    Scenarios::Revision(Revision::V2025_11_25),
    Scenarios::Revision(Revision::V2026_07_28),
    Scenarios::Skills,
];

/// One run of the suite against a server.
struct Run {
    name: String,
    scenarios: Scenarios,
    upstream: Upstream,
    /// The eras that the fixture speaks: `both`, `legacy` or `modern`.
    fixture_eras: &'static str,
    /// The era that the gateway's configuration names.
    era: &'static str,
    /// Whether the gateway lets nobody in without a credential, so that the suite has one.
    credential: bool,
}

/// A step for each run.
pub(crate) fn steps() -> Vec<Step> {
    let mut runs = Vec::new();
    for (way, upstream) in [("http", Upstream::Http), ("stdio", Upstream::Stdio)] {
        for scenarios in ALL {
            let name = format!("conformance-{way}-{}", scenarios.name());
            runs.push(Run {
                name,
                scenarios,
                upstream,
                fixture_eras: "both",
                era: "auto",
                credential: false,
            });
        }
    }
    let bridge = |name: &str, revision, fixture_eras, era| Run {
        name: format!("conformance-{name}"),
        scenarios: Scenarios::Revision(revision),
        upstream: Upstream::Http,
        fixture_eras,
        era,
        credential: false,
    };
    runs.push(bridge("bridge-a", Revision::V2026_07_28, "legacy", "auto"));
    runs.push(bridge(
        "bridge-b",
        Revision::V2025_11_25,
        "modern",
        "modern",
    ));
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        runs.push(Run {
            name: format!("conformance-http-{}-auth", revision.name()),
            scenarios: Scenarios::Revision(revision),
            upstream: Upstream::Http,
            fixture_eras: "both",
            era: "auto",
            credential: true,
        });
    }
    for scenarios in ALL {
        let name = format!("baseline-conformance-{}", scenarios.name());
        runs.push(Run {
            name,
            scenarios,
            upstream: Upstream::Direct,
            fixture_eras: "both",
            era: "auto",
            credential: false,
        });
    }

    let mut steps: Vec<Step> = runs.into_iter().map(Run::into_step).collect();
    steps.push(client::step());
    steps.push(authorization::step());
    steps.push(authorization_server::step());
    steps.push(client::baseline());
    steps
}

impl Run {
    fn into_step(self) -> Step {
        let about = match (self.upstream, self.fixture_eras) {
            (Upstream::Direct, _) => "the fixture itself, without the gateway",
            (_, "legacy") => "a modern client reaches a legacy server",
            (_, "modern") => "a legacy client reaches a modern server",
            _ if self.credential => {
                "the official suite, with a credential where none is let in without"
            }
            (Upstream::Http, _) => "the official suite, with a server reached by HTTP",
            (Upstream::Stdio, _) => "the official suite, with a local server",
        };
        Step::new(self.name.clone(), about, move |workspace, log| {
            self.work(workspace, log)
        })
    }

    fn work(&self, workspace: &Workspace, log: &mut Log) -> Result<Outcome> {
        let npm = Npm::install(workspace, log)?;
        let dir = fresh_dir(workspace, &self.name)?;

        // Dropped in the order gateway, fixture.
        let fixture = match self.upstream {
            Upstream::Http | Upstream::Direct => Some(self.start_fixture(workspace, log)?),
            Upstream::Stdio => None,
        };
        let (url, gateway) = match (&fixture, self.upstream) {
            (Some(fixture), Upstream::Direct) => (fixture.url.clone(), None),
            (fixture, _) => {
                let reached = match fixture {
                    Some(fixture) => format!("url = {}", gateway::quoted(fixture.url.as_str())),
                    None => self.stdio_fixture(workspace)?,
                };
                let config = format!("[servers.fixture]\n{reached}\nera = \"{}\"\n", self.era);
                let gateway = if self.credential {
                    gateway::start_closed(
                        workspace,
                        log,
                        &dir,
                        &format!("[oauth.server]\n{config}"),
                    )?
                } else {
                    gateway::start(workspace, log, &dir, &config)?
                };
                (gateway::server_url(&gateway, "fixture"), Some(gateway))
            }
        };

        let bearer = match &gateway {
            Some(gateway) if self.credential => Some(Bearer::new(workspace, log, &dir, gateway)?),
            _ => None,
        };
        let out = dir.join("results");
        // The verdict is read from the results, since the suite's own ignores unscored scenarios.
        for arguments in self.scenarios.invocations() {
            let suite = match &bearer {
                Some(bearer) => bearer.given(suite(&npm), workspace, &npm),
                None => suite(&npm),
            };
            suite
                .args(["server", "--url", &url])
                .args(arguments)
                .arg("--output-dir")
                .arg(&out)
                .status(log)?;
        }
        let verdict = results::judge(&self.name, &out, expected::scenarios(self.scenarios), log);
        if let Some(gateway) = gateway {
            gateway.stop().context("the gateway after the suite")?;
        }
        Ok(Outcome::Passed(verdict?.to_string()))
    }

    fn start_fixture(&self, workspace: &Workspace, log: &mut Log) -> Result<Service> {
        let command = Command::new(binary(workspace, "conformance-server")?).args([
            "--listen",
            "127.0.0.1:0",
            "--eras",
            self.fixture_eras,
        ]);
        Service::start(command, log, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })
        .context("the fixture server")
    }

    fn stdio_fixture(&self, workspace: &Workspace) -> Result<String> {
        let program = binary(workspace, "conformance-server")?;
        let words = [
            program.to_string_lossy().as_ref(),
            "--stdio",
            "--eras",
            self.fixture_eras,
        ]
        .map(gateway::quoted)
        .join(", ");
        Ok(format!("command = [{words}]"))
    }
}

/// A credential for a program that has no way of being told one.
struct Bearer {
    token: String,
    host: String,
}

impl Bearer {
    fn new(workspace: &Workspace, log: &mut Log, dir: &Path, gateway: &Service) -> Result<Self> {
        let words = ["token", "create", "conformance", "--expires", "1h"];
        let token = gateway::administer(workspace, log, dir, &words)?;
        let host = gateway.url.strip_prefix("http://");
        Ok(Self {
            token: token.trim().to_owned(),
            host: host
                .context("the gateway's address is not http")?
                .to_owned(),
        })
    }

    /// A Node.js program whose requests to the gateway have it.
    fn given(&self, program: Command, workspace: &Workspace, npm: &Npm) -> Command {
        let preload = workspace.peers().join("oauth/bearer.mjs");
        program
            .env("NODE_OPTIONS", format!("--import={}", preload.display()))
            .env("PEERS_NPM", &npm.dir)
            .env("BEARER", &self.token)
            .env("BEARER_HOST", &self.host)
    }
}

/// The suite's command.
fn suite(npm: &Npm) -> Command {
    Command::new(&npm.node)
        .arg(
            npm.dir
                .join("node_modules/@modelcontextprotocol/conformance/dist/index.js"),
        )
        .env("PATH", npm.path())
        .within(RUN_MAX)
}

fn binary(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.binary(name);
    if !path.exists() {
        bail!(
            "`{}` is missing; run the step `build` first",
            path.display()
        );
    }
    Ok(path)
}

pub(crate) fn fresh_dir(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let dir = workspace.target("xtask").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)
            .with_context(|| format!("`{}` can't be removed", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("`{}` can't be made", dir.display()))?;
    Ok(dir)
}
