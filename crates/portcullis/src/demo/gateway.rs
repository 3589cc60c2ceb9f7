//! The gateway of the demonstration: the one that `run` starts, with the two sample servers, a
//! loopback port that is free, and a state directory that goes away.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use portcullis_proxy::Drained;
use portcullis_proxy::config::sandbox::Tier;
use portcullis_sandbox::{Confinement, Feature, Got, Part};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::honest::FILES;
use super::stage::{Front, Server, Side, Stage};
use crate::config::{Config, Sandbox};
use crate::environment::Environment;
use crate::output;
use crate::state::{IfTaken, StateDirectory};
use crate::wiring::{GUARD, Wiring, own_binary};

/// How long a server may be silent: short, as the hostile one is silent on purpose.
const TIMEOUT: &str = "2s";

/// A gateway that serves until it is ended.
#[derive(Debug)]
pub(super) struct Gateway {
    address: SocketAddr,
    tokens: Tokens,
    wiring: Wiring,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

impl Gateway {
    /// Starts it in front of the stage's servers.
    pub(super) async fn start(stage: &Stage, environment: &Environment) -> anyhow::Result<Self> {
        let tokens = Tokens::new()?;
        let mut config = config(stage, &tokens)?;
        if let Some(reason) = unconfinable().await? {
            output::tell(&format!(
                "This machine cannot confine local servers: {reason}\nThe sample servers run unconfined. `portcullis doctor` says more.\n"
            ));
            config.sandbox = Sandbox {
                tier: Tier::Off,
                reason: Some(reason),
            };
        }
        let directory = StateDirectory::open(&stage.folder().join("state"), IfTaken::Refuse)?;
        let policies = config.read_policies(true)?;
        let wiring = Wiring::open(&config, directory, environment).await?;
        let bound = portcullis_proxy::Bound::take(&config.listen).await?;
        let address = bound.local_addr();
        let access = wiring.access(&config, address).await?;
        let runtime = wiring.build(&config, &policies, Some(access), None)?;
        let gateway = portcullis_proxy::Gateway::new(bound, Arc::clone(&runtime));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(async {
            // Ended by word, or by the end of whoever could give it.
            stopped.await.ok();
        }));
        Ok(Self {
            address,
            tokens,
            wiring,
            stop,
            serving,
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token of the client that the demonstration does not play itself.
    pub(super) fn visitor(&self) -> &str {
        &self.tokens.visitor
    }

    /// What the scripted clients need to know of it.
    pub(super) fn front(&self) -> Front {
        let endpoint = |server: Server| (self.address, format!("/servers/{}/mcp", server.name()));
        Front {
            honest: endpoint(Server::Honest),
            hostile: endpoint(Server::Hostile),
            alice: self.tokens.alice.clone(),
            mallory: self.tokens.mallory.clone(),
        }
    }

    /// Ends it: requests in progress get their time, servers end, the record is written.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        // Nobody listens when it has ended already, which the next line tells.
        self.stop.send(()).ok();
        self.serving.await.context("the gateway broke down")?;
        self.wiring.close().await;
        Ok(())
    }
}

/// Why this machine cannot confine local servers, if it cannot.
async fn unconfinable() -> anyhow::Result<Option<String>> {
    let sandbox = portcullis_sandbox::Sandbox::new(vec![own_binary()?, GUARD.into()]);
    let report = sandbox.probe(&Confinement::default()).await?;
    // Limits of all processes together are wanted, and had only where control groups are.
    let hinders = |part: &Part| !matches!(part.feature, Feature::Memory | Feature::Tasks);
    let missing = report.parts.iter().filter(|part| hinders(part));
    let why = missing.filter_map(|part| match &part.got {
        Got::Missing(missing) => Some(format!(
            "{}: {}; {}",
            part.feature, missing.cause, missing.remedy
        )),
        Got::Enforced(_) | Got::NotAsked => None,
    });
    Ok(why.reduce(|all, one| format!("{all}; {one}")))
}

fn config(stage: &Stage, tokens: &Tokens) -> anyhow::Result<Config> {
    let mut servers = Map::new();
    let files = stage.directory(Side::Gateway, Server::Honest).join(FILES);
    std::fs::create_dir_all(&files)?;
    for server in [Server::Honest, Server::Hostile] {
        let command = stage.command(Side::Gateway, server).into_iter();
        let command = command
            .map(|part| part.into_string().ok())
            .collect::<Option<Vec<_>>>();
        let command = command.context("the path of this program is not UTF-8")?;
        let own = stage.directory(Side::Gateway, server);
        // The honest one's own paths begin among its files.
        let cwd = (server == Server::Honest).then_some(&files);
        let sandbox = json!({"write": [own]});
        let entry = json!({"command": command, "timeout": TIMEOUT, "cwd": cwd, "sandbox": sandbox});
        servers.insert(server.name().to_owned(), entry);
    }
    let config = json!({
        "listen": {"address": "127.0.0.1:0"},
        "clients": {
            "alice": {"token": tokens.alice},
            "mallory": {"token": tokens.mallory},
            "visitor": {"token": tokens.visitor},
        },
        "servers": Value::Object(servers),
        "policy": {"servers": {"honest": {"tools": {"read_file": {"arguments": {
            "/path": {"kind": "path", "roots": [files]},
        }}}}}},
        "limits": {"response_bytes_max": "1MiB", "shutdown_timeout": "2s"},
    });
    Ok(serde_json::from_value(config)?)
}

/// The bearer tokens of the demonstration's clients.
struct Tokens {
    alice: String,
    mallory: String,
    visitor: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens([hidden])")
    }
}

impl Tokens {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            alice: token()?,
            mallory: token()?,
            visitor: token()?,
        })
    }
}

/// 32 random bytes of the system's, in hexadecimal digits.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("the system gives no random bytes")?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).concat())
}
