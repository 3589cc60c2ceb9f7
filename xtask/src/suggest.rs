//! What `policy suggest` makes of an hour's work with two public servers: it admits all of that work, and hardly any attack.
//!
//! The work and the attacks are in `peers/suggest.py`; this module starts what they need and holds the outcome to its figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{Command, Log};
use crate::conformance::fresh_dir;
use crate::gateway;
use crate::service::Service;
use crate::step::{Outcome, Step};
use crate::tools::{self, Npm};
use crate::workspace::Workspace;

/// Longest time for one run of the script.
const RUN_MAX: Duration = Duration::from_mins(3);
/// Lines of both files together, comments and empty ones included, that are too many.
const LINES_END: usize = 60;
/// Attacks that are made.
const ATTACKS: usize = 25;
/// The attack that is not refused: what was committed once can be shown as any other file of the past can.
const ADMITTED: &[&str] = &["a password from the past"];
/// Attacks that succeed against the bare servers. The other four they refuse themselves: a file of the system, options in
/// place of a target and a branch, and a file of another project.
const BARE: usize = 21;

/// The step.
pub(crate) fn steps() -> Vec<Step> {
    vec![Step::new(
        "policy-suggest",
        "suggested policies admit an hour's work and refuse attacks",
        work,
    )]
}

/// The two servers, each with its command.
struct Servers {
    files: Vec<String>,
    git: Vec<String>,
    script: Script,
}

/// The script that uses them.
struct Script {
    python: PathBuf,
    file: PathBuf,
    files: PathBuf,
}

fn work(workspace: &Workspace, log: &mut Log) -> Result<Outcome> {
    let npm = Npm::install(workspace, log)?;
    let venv = tools::venv(workspace, log)?;
    let dir = fresh_dir(workspace, "policy-suggest")?;
    let servers = Servers::new(workspace, &npm, &venv, &dir);
    servers.script.run(log, &["prepare"], None)?;

    let observing = dir.join("observe");
    fs::create_dir_all(&observing)?;
    fs::write(
        observing.join("open.cedar"),
        "permit (principal, action, resource);\n",
    )?;
    let config = servers.config("[\"open.cedar\"]", "observe");
    let gateway = gateway::start(workspace, log, &observing, &config)?;
    servers
        .script
        .run(log, &["hour"], Some(&through(&gateway)))?;
    gateway.stop().context("the gateway after the hour")?;

    let out = dir.join("suggested");
    let words = ["policy", "suggest", "--out", &out.to_string_lossy()];
    gateway::administer(workspace, log, &observing, &words)?;
    let lines = lines(&out)?;
    let replay = [
        "policy",
        "replay",
        "--json",
        "--policies",
        &out.to_string_lossy(),
    ];
    let replayed = gateway::administer(workspace, log, &observing, &replay)?;
    let replayed: Value = serde_json::from_str(&replayed).context("what `replay` prints")?;
    let calls = replayed.get("calls").and_then(Value::as_u64);
    let changes = replayed.get("changes").and_then(Value::as_array);
    let (Some(calls), Some(changes)) = (calls, changes.map(Vec::len)) else {
        bail!("`replay` printed {replayed}");
    };

    let enforcing = dir.join("enforce");
    fs::create_dir_all(&enforcing)?;
    let config = servers.config(&format!("[{}]", json!(out)), "enforce");
    let gateway = gateway::start(workspace, log, &enforcing, &config)?;
    let guarded = servers
        .script
        .attack(log, &dir, "guarded", &through(&gateway))?;
    gateway.stop().context("the gateway after the attacks")?;
    let endpoints = [
        json!(servers.files).to_string(),
        json!(servers.git).to_string(),
    ];
    let bare = servers.script.attack(log, &dir, "bare", &endpoints)?;

    let with = |attacks: &[Attack], outcome: &str| {
        let count = attacks.iter().filter(|attack| attack.outcome == outcome);
        count.count()
    };
    for (guarded, bare) in guarded.iter().zip(&bare) {
        log.note(&format!(
            "{:<36} bare: {:<7} with the suggestion: {} {}",
            guarded.name, bare.outcome, guarded.outcome, guarded.text
        ))?;
    }
    let is_admitted = |attack: &&Attack| attack.outcome != "denied";
    let admitted: Vec<&str> = guarded
        .iter()
        .filter(is_admitted)
        .map(|attack| attack.name.as_str())
        .collect();
    let (denied, done) = (with(&guarded, "denied"), with(&bare, "done"));
    let figures = format!(
        "{calls} calls, {lines} lines, {changes} changed on replay; of {} attacks {done} succeed bare, {denied} are refused",
        guarded.len()
    );
    log.note(&figures)?;
    let is_right = calls >= 200
        && lines < LINES_END
        && changes == 0
        && guarded.len() == ATTACKS
        && done == BARE
        && admitted == ADMITTED;
    if is_right {
        Ok(Outcome::Passed(figures))
    } else {
        bail!("{figures}")
    }
}

/// The endpoints of both servers at a gateway.
fn through(gateway: &Service) -> [String; 2] {
    ["files", "git"].map(|server| gateway::server_url(gateway, server))
}

/// How many lines the suggestion has.
fn lines(out: &Path) -> Result<usize> {
    let mut lines = 0;
    for name in ["suggested.cedar", "suggested.toml"] {
        let file = out.join(name);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("`{}` can't be read", file.display()))?;
        lines += text.lines().count();
    }
    Ok(lines)
}

impl Servers {
    /// The first is told of a directory that is wider than the work, the second of none, as both often are.
    fn new(workspace: &Workspace, npm: &Npm, venv: &Path, dir: &Path) -> Self {
        let word = |path: &Path| path.to_string_lossy().into_owned();
        let files = dir.join("files");
        let server = "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js";
        Self {
            files: vec![word(&npm.node), word(&npm.dir.join(server)), word(&files)],
            git: vec![word(&venv.join("bin/mcp-server-git"))],
            script: Script {
                python: venv.join("bin/python3"),
                file: workspace.peers().join("suggest.py"),
                files,
            },
        }
    }

    fn config(&self, policies: &str, mode: &str) -> String {
        format!(
            "[servers.files]\ncommand = {}\n\n[servers.git]\ncommand = {}\nsandbox = {{ write = [{}] }}\n\n\
             [policy]\nfiles = {policies}\n\n\
             [policy.servers.files]\nmode = \"{mode}\"\n\n[policy.servers.git]\nmode = \"{mode}\"\n",
            json!(self.files),
            json!(self.git),
            json!(self.script.files)
        )
    }
}

/// What became of one attack.
struct Attack {
    name: String,
    outcome: String,
    text: String,
}

impl Script {
    fn run(&self, log: &mut Log, words: &[&str], endpoints: Option<&[String; 2]>) -> Result<()> {
        let mut command = Command::new(&self.python)
            .args(["-W", "ignore"])
            .arg(&self.file)
            .args(words)
            .arg("--dir")
            .arg(&self.files);
        if let Some([files, git]) = endpoints {
            command = command.args(["--files", files, "--git", git]);
        }
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .within(RUN_MAX)
            .run(log)
    }

    fn attack(
        &self,
        log: &mut Log,
        dir: &Path,
        name: &str,
        endpoints: &[String; 2],
    ) -> Result<Vec<Attack>> {
        let out = dir.join(format!("{name}.json"));
        let words = ["attack", "--out", &out.to_string_lossy()];
        self.run(log, &words, Some(endpoints))?;
        let text = fs::read_to_string(&out)
            .with_context(|| format!("`{}` can't be read", out.display()))?;
        let found: Vec<Value> = serde_json::from_str(&text)?;
        let word = |value: &Value, member: &str| {
            let word = value.get(member).and_then(Value::as_str);
            word.unwrap_or_default().to_owned()
        };
        let attacks = found.iter().map(|value| Attack {
            name: word(value, "name"),
            outcome: word(value, "outcome"),
            text: word(value, "text"),
        });
        Ok(attacks.collect())
    }
}
