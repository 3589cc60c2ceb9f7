//! `conformance-client`: the client that the official conformance suite drives.
//!
//! The suite names a scenario in the environment and a server as the last argument. That server
//! may as well be a gateway in front of the suite's own, with or without authorization there: this
//! client never holds a token. Where the gateway wants a person to connect it to the server, the
//! command in `CONFORMANCE_CONNECT`, a JSON array, stands for that person.

mod arguments;
mod connect;
mod handler;
mod scenario;
mod skills;

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::{connect::Person, scenario::Run};

/// The suite gives up after 30 seconds; a client that ends by itself leaves better traces.
const BOUND: Duration = Duration::from_secs(25);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args()
        .next_back()
        .context("the last argument is to be a URL")?;
    let context = variable("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let run = Run {
        url,
        scenario: variable("MCP_CONFORMANCE_SCENARIO").unwrap_or_default(),
        version: variable("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default(),
        context: serde_json::from_str(&context).unwrap_or_default(),
        person: variable("CONFORMANCE_CONNECT")
            .map(|command| Person::parse(&command))
            .transpose()?,
    };
    let told = run.scenario.clone();
    timeout(BOUND, run.play())
        .await
        .with_context(|| format!("`{told}` takes too long"))?
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite speaks to its clients by environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
