//! The official SDKs' clients come by access tokens: discovery, registration, a person at a real browser, calls, a further
//! scope, and refresh.
//!
//! What they do is in the scripts beneath `peers/oauth`; this module starts what they need.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::browser;
use crate::command::{Command, Log};
use crate::conformance::fresh_dir;
use crate::gateway;
use crate::step::{Outcome, Step};
use crate::tools::{self, Npm};
use crate::workspace::Workspace;

/// Longest time for all applications of an SDK, of which one is spent waiting for the end of a token.
const RUN_MAX: Duration = Duration::from_mins(3);

/// The shortest life of an access token that the gateway takes.
const TOKEN_LIFE: &str = "1m";

/// Seconds after which the gateway accepts such a token no more, for clients that wait to be told.
const ACCEPTED_S: &str = "92";

/// Seconds after which a client that minds the time itself asks for another.
const EXPIRED_S: &str = "62";

/// A step for each SDK.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::new(
            "oauth-ts",
            "the TypeScript SDKs' clients come by tokens, with a person at a browser",
            |workspace, log| {
                work(workspace, log, "oauth-ts", |npm, _, scripts| {
                    Command::new(&npm.node)
                        .arg(scripts.join("sdk.mjs"))
                        .args(["--life", ACCEPTED_S])
                })
            },
        ),
        Step::new(
            "oauth-py",
            "the same, for the Python SDK's client",
            |workspace, log| {
                work(workspace, log, "oauth-py", |_, venv, scripts| {
                    Command::new(venv.join("bin/python3"))
                        .args(["-W", "ignore"])
                        .arg(scripts.join("sdk.py"))
                        .args(["--life", EXPIRED_S])
                        .env("PYTHONDONTWRITEBYTECODE", "1")
                })
            },
        ),
    ]
}

fn work(
    workspace: &Workspace,
    log: &mut Log,
    name: &str,
    script: fn(&Npm, &Path, &Path) -> Command,
) -> Result<Outcome> {
    let chromium = match browser::chromium(log)? {
        Ok(chromium) => chromium,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let npm = Npm::install(workspace, log)?;
    let venv = tools::venv(workspace, log)?;
    let dir = fresh_dir(workspace, name)?;
    let config = config(workspace, &npm, &dir)?;
    let gateway = gateway::start_closed(workspace, log, &dir, &config)?;
    let person = browser::person(workspace, log, &dir, &npm, &chromium, &gateway)?;
    let status = script(&npm, &venv, &workspace.peers().join("oauth"))
        .args(["--gateway", &gateway.url, "--person", &person.url])
        .env("PEERS_NPM", &npm.dir)
        .within(RUN_MAX)
        .status(log)?;
    person.stop().context("the person at the browser")?;
    gateway.stop().context("the gateway after the clients")?;
    let text = log.text()?;
    let count = text.lines().rfind(|line| line.ends_with(" applications"));
    let Some(count) = count.filter(|_| status.success()) else {
        bail!("{}", count.unwrap_or("the script ended early"));
    };
    Ok(Outcome::Passed(format!(
        "{count}; the pages are in {}",
        dir.join("pages").display()
    )))
}

/// A gateway that lets its clients make themselves known in every way, in front of a server with two scopes.
pub(crate) fn config(workspace: &Workspace, npm: &Npm, dir: &Path) -> Result<String> {
    let server = npm
        .dir
        .join("node_modules/@modelcontextprotocol/server-memory/dist/index.js");
    let mut tables = vec![format!(
        "[oauth]\ndefault_scopes = [\"memory:read\"]\n\
         [oauth.server]\n\
         access_token_ttl = \"{TOKEN_LIFE}\"\n\
         registration = [\"metadata-document\", \"dynamic\"]\n\
         dangerously_fetch_from_loopback = true\n\
         [servers.memory]\n\
         command = {}\n\
         env = {{ MEMORY_FILE_PATH = {} }}\n",
        json!([npm.node, server]),
        json!(dir.join("memory.jsonl")),
    )];
    let file = workspace.peers().join("oauth/scopes.json");
    let scopes =
        fs::read_to_string(&file).with_context(|| format!("`{}` can't be read", file.display()))?;
    let scopes: BTreeMap<String, Value> =
        serde_json::from_str(&scopes).with_context(|| format!("`{}`", file.display()))?;
    for (name, scope) in scopes {
        let member = |member: &str| scope.get(member).cloned().unwrap_or_else(|| json!([]));
        tables.push(format!(
            "[scopes.{}]\ndescription = {}\ntools = {}\nneeds = {}\n",
            gateway::quoted(name.as_str()),
            member("words"),
            member("tools"),
            member("needs"),
        ));
    }
    Ok(tables.concat())
}
