//! The command line.

pub(crate) mod admin;
pub(crate) mod confine;
pub(crate) mod policy;
mod span;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use crate::config::LogFormat;
use crate::config::policy::Preset;
use crate::demo;

/// The security gateway for the Model Context Protocol.
///
/// Stands between MCP clients and MCP servers, checks every message in both directions, and keeps
/// a record of every call.
///
/// Exit codes: 0 done, 1 the answer is no, 2 the request was wrong, 3 it could not be done.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What is logged, and how.
    #[command(flatten)]
    pub log: Log,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Least severe level logged (off, error, warn, info, debug, trace), or directives such as
    /// `warn,portcullis_proxy=debug`.
    #[arg(
        long = "log",
        value_name = "LEVEL",
        global = true,
        help_heading = "Logging"
    )]
    pub filter: Option<String>,
    /// Form of a log line on standard error.
    #[arg(
        long = "log-format",
        value_enum,
        global = true,
        help_heading = "Logging"
    )]
    pub format: Option<LogFormat>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows attacks on two sample servers, with the gateway and without it.
    ///
    /// Needs nothing but this program. Exits with 1 if an attack got through.
    Demo(demo::Args),
    /// Runs the gateway from a configuration file.
    ///
    /// Prints one line of JSON to standard output once it listens. Reads the configuration anew
    /// when the file changes or at SIGHUP: a configuration with a mistake changes nothing. Ends at
    /// SIGTERM or SIGINT after the requests in progress; a second signal ends it at once.
    Run(Run),
    /// Protects one local server, without a configuration.
    ///
    /// Is itself a server on standard input and output: put it before the server's command in an
    /// MCP client's configuration.
    Wrap(Wrap),
    /// Serves one client on standard input and output, from a configuration file.
    ///
    /// For clients that start their servers themselves. Without `--server`, all servers are
    /// served as one, with tools named `SERVER__TOOL`.
    Stdio(Stdio),
    /// Checks a configuration file and shows everything that is wrong in it.
    ///
    /// Exits with 0 if the file can be used, else with 2. Programs and files that this machine
    /// lacks are warnings.
    Check(Check),
    /// Checks, explains, tests and replays policies.
    Policy(policy::Policy),
    /// Shows what local servers are granted.
    Sandbox(confine::Sandbox),
    /// Tries whether this machine can confine each local server as its entry asks.
    ///
    /// Exits with 1 if one cannot be confined so: it would not be started.
    Doctor(confine::Doctor),
    /// Shows which packages were accepted for servers, and accepts others.
    ///
    /// A server that is configured as `npx PACKAGE`, `uvx PACKAGE` or `pipx run PACKAGE` runs from what was installed and
    /// accepted, and from nothing else. The first install of a server is accepted.
    Packages(confine::Packages),
    /// Lists what confined servers reached over the network, and what they were kept from.
    Connections(confine::Connections),
    /// Shows calls that wait for a person's yes, and answers them.
    Approvals(admin::Approvals),
    /// Makes, lists and revokes API keys, by which programs enter.
    Token(admin::Token),
    /// Invites people, and changes, lists and removes their accounts.
    User(admin::User),
    /// Sets, lists and removes secrets that servers need, sealed in the state directory.
    Secret(admin::Secret),
    /// Lists scopes that were granted and have never opened anything.
    Scopes(admin::Scopes),
    /// Changes and lists the keys that sign access tokens.
    Keys(admin::Keys),
    /// Prints the record of authentication events, newest first.
    Events(admin::Events),
    /// Connects to a server where the gateway's own pages cannot be used.
    ///
    /// Prints the address to open in a browser on any machine, and reads, from standard input, the
    /// address that it ends at. A running gateway uses the connection from the next request on.
    Connect(Connect),
    /// Prints a script that completes this program's commands in a shell.
    Completions(Completions),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file [default: `./portcullis.toml`, else
    /// `$XDG_CONFIG_HOME/portcullis/portcullis.toml`]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub path: Option<PathBuf>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Address and port to listen on, instead of the configuration's; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Who may enter without a credential, over the loopback interface alone, instead of the configuration's
    /// `listen.without_credential`.
    #[arg(long, value_name = "WHO", value_enum)]
    pub without_credential: Option<WithoutCredential>,
}

/// Who may enter without a credential.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum WithoutCredential {
    /// Nobody.
    Nobody,
    /// Processes of the user that runs the gateway (Linux).
    SameUser,
    /// Every process of this machine.
    DangerouslyAnyone,
}

impl From<WithoutCredential> for portcullis_proxy::config::WithoutCredential {
    fn from(who: WithoutCredential) -> Self {
        match who {
            WithoutCredential::Nobody => Self::Nobody,
            WithoutCredential::SameUser => Self::SameUser,
            WithoutCredential::DangerouslyAnyone => Self::DangerouslyAnyone,
        }
    }
}

/// Options of `wrap`.
#[derive(Debug, Args)]
pub(crate) struct Wrap {
    /// Name of the server in logs and in the record [default: made from the command]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Working directory of the server.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Environment variable of the server; may be given several times.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Environment variable that the server may see as it is; may be given several times.
    #[arg(long = "pass-env", value_name = "NAME")]
    pub pass_env: Vec<String>,
    /// What may be done: the policies to begin from.
    #[arg(long, value_name = "PRESET", value_enum, default_value_t = Preset::DeveloperLaptop)]
    pub preset: Preset,
    /// File or directory of Cedar policies besides; may be given several times.
    #[arg(long = "policies", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Let through what policies and constraints refuse, and record it.
    #[arg(long)]
    pub observe: bool,
    /// File or directory that the server may read, instead of what its command names; may be given several times.
    #[arg(long = "read", value_name = "PATH")]
    pub read: Vec<String>,
    /// File or directory that the server may also write, instead of what is known of it; may be given several times.
    #[arg(long = "write", value_name = "PATH")]
    pub write: Vec<String>,
    /// What the server may reach over the network, such as `api.example.com`, or `*` for the public internet; may be given
    /// several times.
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Do not confine the server, for this reason.
    #[arg(long, value_name = "REASON", conflicts_with_all = ["read", "write", "hosts"])]
    pub unconfined: Option<String>,
    /// Where you are asked about calls that need a yes.
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Ask::Client)]
    pub ask: Ask,
    /// State directory [default: one for each name beneath `$XDG_STATE_HOME/portcullis/wrap`]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The server's program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Where the person at the client is asked about calls.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Ask {
    /// In the client, where it can show a form; else at the terminal, where there is one that no other program uses.
    Client,
    /// At the terminal alone.
    Terminal,
    /// Nowhere: the calls are refused.
    Never,
}

impl From<Ask> for portcullis_proxy::AskAt {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Client => Self::Client,
            Ask::Terminal => Self::Terminal,
            Ask::Never => Self::Never,
        }
    }
}

/// Options of `stdio`.
#[derive(Debug, Args)]
pub(crate) struct Stdio {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Serve this server alone, with its own names.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print the outcome as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `connect`.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Address at which people open the gateway, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
    /// Whose connection it is: an account, or what an answer that asks for this command names.
    #[arg(long = "for", value_name = "HOLDER", default_value = portcullis_pipeline::LOCAL_HOLDER)]
    pub holder: String,
    /// Follow the address without a browser, where the authorization server asks nobody: for tests of
    /// deployments.
    #[arg(long, hide = true)]
    pub dangerously_headless: bool,
    /// The server's name.
    #[arg(value_name = "SERVER")]
    pub server: String,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

#[cfg(test)]
mod tests;
