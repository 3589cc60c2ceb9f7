//! The configuration file `portcullis.toml`: what may stand in it, and how it is read.
//!
//! Each crate with settings describes its own; this module composes them, reads the file and the
//! environment once, and hands out one [`Config`]. Nothing reads it after the runtime is built.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_proxy::config as proxy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) mod document;
pub(crate) mod load;
pub(crate) mod mistakes;
pub(crate) mod oauth;
pub(crate) mod policy;
pub(crate) mod rules;
pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod shape;
pub(crate) mod surroundings;

/// Everything that `portcullis.toml` may say.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "portcullis.toml")]
pub(crate) struct Config {
    /// The file that it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Where and how the gateway listens.
    pub listen: proxy::Listen,
    /// Clients that authenticate by a bearer token of this file, by name.
    pub clients: BTreeMap<String, proxy::Client>,
    /// Who may enter by an access token, and how clients come by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<oauth::OAuth>,
    /// Names for sets of tools, prompts and resources, which access tokens are granted. One for each server, called the same,
    /// when there are none.
    pub scopes: BTreeMap<String, oauth::Scope>,
    /// The servers, by name: `[a-z][a-z0-9-]*`, at most 32 characters.
    pub servers: BTreeMap<String, proxy::Server>,
    /// Who the gateway is where it asks for credentials toward its servers.
    pub credentials: proxy::auth::Credentials,
    /// What may be done, by whom, with which arguments, and after whose yes.
    pub policy: policy::Policy,
    /// How local servers are confined, where their entries do not say otherwise.
    pub sandbox: Sandbox,
    /// Where packages come from that servers are configured as.
    pub packages: Packages,
    /// How the gateway gets out.
    pub egress: Egress,
    /// Bounds on everything that grows.
    pub limits: proxy::Limits,
    /// Where the gateway keeps what outlives it.
    pub state: State,
    /// How the record of calls is written.
    pub record: Record,
    /// What is logged, and how.
    pub log: Log,
}

/// How local servers are confined, where their entries do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sandbox {
    /// By what they are confined.
    pub tier: proxy::sandbox::Tier,
    /// Why the gateway does not confine them; needed with `external` and `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where packages come from that servers are configured as, by `npx PACKAGE` and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Packages {
    /// Hosts that files of packages come from, such as `files.example.com` or `files.example.com:8443`, besides the registries that
    /// npm, pip and uv are configured for.
    pub hosts: Vec<String>,
}

/// How the gateway gets out, to servers and to whatever they and clients name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Egress {
    /// Name servers that are asked for the address of every host, such as `"192.0.2.53:53"`, in the order of preference.
    /// Neither the system's resolver and its hosts file nor a search list is used then. The system's resolver when empty.
    pub name_servers: Vec<SocketAddr>,
}

/// Where the gateway keeps what outlives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct State {
    /// Directory of the database, used by one gateway at a time. `$XDG_STATE_HOME/portcullis`, or
    /// `~/.local/state/portcullis`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
}

/// How the record of calls is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Record {
    /// What a record survives once its call has been let through.
    pub durability: Durability,
}

/// What a record survives once its call has been let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// The end of the process, however sudden.
    #[default]
    Process,
    /// The loss of power as well; each call waits for the disk.
    Power,
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// The form of a log line.
    pub format: LogFormat,
    /// The least severe level that is logged; `info` for `run`, `warn` for `wrap` and `stdio` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
}

/// The form of a log line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severe level that is logged.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What could not be done.
    Error,
    /// What somebody should look at.
    Warn,
    /// What the gateway does.
    Info,
    /// How it does it.
    Debug,
    /// Everything.
    Trace,
}

impl Egress {
    /// Everything that leaves the gateway leaves it by this.
    pub(crate) fn build(&self) -> anyhow::Result<portcullis_egress::Egress> {
        let resolver = portcullis_egress::Resolver::by(&self.name_servers)?;
        let settings = portcullis_egress::Settings::default();
        Ok(portcullis_egress::Egress::with_resolver(
            &settings, &resolver,
        )?)
    }
}

impl Config {
    /// The part that the message path is built from.
    pub(crate) fn proxy(&self) -> proxy::Config {
        proxy::Config {
            listen: self.listen.clone(),
            clients: self.clients.clone(),
            servers: self.servers.clone(),
            limits: self.limits.clone(),
        }
    }
}

/// The JSON Schema of [`Config`], which editors read and which every file is checked against.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

#[cfg(test)]
mod tests;
