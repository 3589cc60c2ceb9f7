//! The suite asks the gateway's authorization server, with a person at a browser for the consent page.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::browser;
use crate::command::Command;
use crate::command::Log;
use crate::conformance::expected::AUTHORIZATION_SCENARIOS;
use crate::conformance::{fresh_dir, results, suite};
use crate::gateway;
use crate::oauth;
use crate::service::Service;
use crate::step::{Outcome, Step};
use crate::tools::Npm;
use crate::workspace::Workspace;

const NAME: &str = "conformance-authorization";

/// The client that the suite is.
const CLIENT: &str = "conformance-suite";

/// Longest time for the person, and for the suite after it.
const VISIT_MAX: Duration = Duration::from_mins(1);

/// The suite's scenarios for authorization servers.
pub(crate) fn step() -> Step {
    Step::new(
        NAME,
        "the official suite, with the gateway's authorization server",
        work,
    )
}

fn work(workspace: &Workspace, log: &mut Log) -> Result<Outcome> {
    let chromium = match browser::chromium(log)? {
        Ok(chromium) => chromium,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let npm = Npm::install(workspace, log)?;
    let dir = fresh_dir(workspace, NAME)?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let place = free.context("no free port")?;
    let config = format!(
        "{}[oauth.server.clients.{CLIENT}]\nname = \"The conformance suite\"\nredirect_uris = [{}]\n",
        oauth::config(workspace, &npm, &dir)?,
        gateway::quoted(format!("http://{place}/callback")),
    );
    let gateway = gateway::start_closed(workspace, log, &dir, &config)?;
    let person = browser::person(workspace, log, &dir, &npm, &chromium, &gateway)?;

    let out = dir.join("results");
    let command = suite(&npm)
        .args([
            "authorization",
            "--url",
            &gateway.url,
            "--client-id",
            CLIENT,
        ])
        .args(["--resource", &gateway::server_url(&gateway, "memory")])
        .args(["--port", &place.port().to_string()])
        .arg("--output-dir")
        .arg(&out);
    let issuer = gateway.url.clone();
    let suite = Service::start(command, log, move |line| {
        let is_address = line.starts_with(&format!("{issuer}/oauth/authorize?"));
        is_address.then(|| line.to_owned())
    })
    .context("the suite")?;
    let expect = json!({
        "client": "The conformance suite",
        "host": null,
        "vouched": "operator",
        "redirect": "http://127.0.0.1",
        "local": true,
        "scopes": [{ "name": "memory:read", "words": "look up what is remembered", "tools": [] }],
    });
    Command::new(&npm.node)
        .arg(workspace.peers().join("oauth/visit.mjs"))
        .args(["--person", &person.url, "--url", &suite.url])
        .args(["--shot", "consent", "--expect", &expect.to_string()])
        .within(VISIT_MAX)
        .run(log)?;
    let status = suite.wait(VISIT_MAX)?;
    person.stop().context("the person at the browser")?;
    gateway.stop().context("the gateway after the suite")?;
    let verdict = results::judge(NAME, &out, AUTHORIZATION_SCENARIOS, log)?;
    if !status.success() {
        bail!("the suite: {status}");
    }
    Ok(Outcome::Passed(verdict.to_string()))
}
