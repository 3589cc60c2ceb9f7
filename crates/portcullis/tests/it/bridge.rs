//! Clients and servers of different eras, over either transport: whatever the one says, the other
//! hears in its own terms.

mod asks;
mod fields;
mod streams;

use std::fmt;

use portcullis_testkit::raw::Answer;
use serde_json::{Value, json};

use crate::gateway::{AnyClient, Gateway};
use crate::scripted::{Call, Script, Scripted};

/// Who meets whom, and over what.
#[derive(Clone, Copy)]
struct Pair {
    modern_client: bool,
    modern_server: bool,
    over_stdio: bool,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let era = |is_modern| if is_modern { "modern" } else { "legacy" };
        let over = if self.over_stdio { "stdio" } else { "HTTP" };
        let (client, server) = (era(self.modern_client), era(self.modern_server));
        write!(f, "{client} client, {server} server over {over}")
    }
}

/// Every pair that `wanted` lets through.
fn pairs(wanted: impl Fn(Pair) -> bool) -> Vec<Pair> {
    let all = (0..8).map(|n| Pair {
        modern_client: n & 1 == 0,
        modern_server: n & 2 == 0,
        over_stdio: n & 4 == 0,
    });
    all.filter(|pair| wanted(*pair)).collect()
}

/// What a client can be asked for.
fn everything() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} })
}

/// A pair at work.
struct Meeting {
    pair: Pair,
    gateway: Gateway,
    server: Scripted,
    client: AnyClient,
}

impl Meeting {
    async fn of(pair: Pair, script: Script) -> Self {
        Self::by(pair, script, everything(), "").await
    }

    async fn by(pair: Pair, script: Script, capabilities: Value, limits: &str) -> Self {
        let server = script.start().await;
        let config = limits.to_owned() + &server.entry("it", pair.over_stdio, "");
        let gateway = Gateway::start(&config).await;
        let client = AnyClient::at(&gateway.one("it"), pair.modern_client, capabilities).await;
        Self {
            pair,
            gateway,
            server,
            client,
        }
    }

    /// Begins a call of `act`.
    async fn begin(&self, id: u64) -> Answer {
        self.client.send(id, "tools/call", act()).await
    }
}

fn act() -> Value {
    json!({ "name": "act", "arguments": {} })
}

/// A server with the tool `act`.
fn acting<F>(pair: Pair, answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Script
where
    F: Future<Output = ()> + Send + 'static,
{
    Script::of(pair.modern_server)
        .tools(&["act"])
        .on("tools/call", answer)
}

fn said(text: impl Into<String>) -> Value {
    json!({ "content": [{ "type": "text", "text": text.into() }] })
}
