//! How a local server is confined, in an operator's words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// How one local server is confined. What is not said is inferred from its command: `portcullis sandbox plan NAME` prints all of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// By what it is confined; as in the table `sandbox` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Why the gateway does not confine it; needed with `external` and `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Files and directories that it may read, besides its own program and the system's libraries. Those that the command names
    /// when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<String>>,
    /// Files and directories that it may also write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<String>>,
    /// What it may reach over the network: `api.example.com`, `*.example.com`, `10.0.0.0/8:5432`, `http://intranet.example`,
    /// `tcp://db.example:5432`, or `*` for the public internet. Nothing when it is empty; what is known of a public server when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// More about some of what it may reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<EgressRule>,
    /// Whether its own processes may talk to each other by local sockets, as those of browsers do.
    pub local_sockets: bool,
    /// Whether the npm packages of its command may run their install scripts, confined and with a way to the registry alone.
    pub install_scripts: bool,
    /// Memory of all its processes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// The largest file that it may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Bytes>,
    /// Its `/tmp` and its home directory, each; both are gone when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Bytes>,
}

/// What one rule of egress allows.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    /// The host, as in `hosts`.
    pub host: String,
    /// Whether the name may also lead to addresses of private networks and of this machine.
    #[serde(default)]
    pub private: bool,
    /// The HTTP methods; only for `http://`, where they can be seen. All when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// The tools during whose calls it may be reached. At any time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
}

/// By what a local server is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Namespaces, a file system of its own, Landlock and a filter of system calls; the network only through the gateway.
    #[default]
    Full,
    /// Landlock and a filter of system calls, without any network: for containers that allow no namespaces.
    Confined,
    /// Something around the gateway, as `reason` says. The gateway does nothing.
    External,
    /// Nothing, as `reason` says.
    Off,
}
