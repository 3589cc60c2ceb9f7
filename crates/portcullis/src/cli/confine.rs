//! Options of the commands about how local servers are confined.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigFile;
use super::admin::{Listing, Place};
use super::span::Moment;

/// Options of `sandbox`.
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// What to do.
    #[command(subcommand)]
    pub action: SandboxAction,
}

/// What to do about confinements.
#[derive(Debug, Subcommand)]
pub(crate) enum SandboxAction {
    /// Prints what a local server is granted, and why.
    ///
    /// With `--toml` as lines for the configuration, to be edited.
    Plan(Plan),
}

/// Options of `sandbox plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print it as lines for the configuration.
    #[arg(long, conflicts_with = "json")]
    pub toml: bool,
    /// Print it as one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// The server.
    pub name: String,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print it as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `packages`.
#[derive(Debug, Args)]
pub(crate) struct Packages {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: PackagesAction,
}

/// What to do about the packages of servers.
#[derive(Debug, Subcommand)]
pub(crate) enum PackagesAction {
    /// Lists the packages that were accepted.
    List(Listing),
    /// Accepts what was installed last: from its next start on, the server runs from that.
    ///
    /// Prints what is different. Exits with 1 if nothing but what was accepted is installed.
    Accept {
        /// The server.
        server: String,
    },
    /// Forgets what was accepted: the next start of the server installs its package anew, and accepts it.
    ///
    /// Exits with 1 if nothing was accepted.
    Forget {
        /// The server.
        server: String,
    },
    /// Installs the newest that the server's command asks for, and prints what is different.
    ///
    /// What was accepted stays so, and the server runs from it, until the new one is accepted.
    Update(Update),
}

/// Options of `packages update`.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Accept it at once.
    #[arg(long)]
    pub yes: bool,
    /// The server.
    pub server: String,
    /// Its command, where no configuration says it.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Options of `connections`.
#[derive(Debug, Args)]
pub(crate) struct Connections {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// Those of this server.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Those that became this; all when absent.
    #[arg(long, value_name = "VERDICT", value_parser = ["allowed", "denied", "failed", "cut"])]
    pub verdict: Option<String>,
    /// Earliest time: an RFC 3339 time, or a span such as `90m` or `7d` before now.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// How they are printed.
    #[command(flatten)]
    pub listing: Listing,
}
