//! The command line of `portcullis policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portcullis_mcp::ServerName;

use super::admin::{Listing, Place};
use super::span::Moment;

/// Options of `policy`.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// Where the configuration and the state are.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: PolicyAction,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Checks policies and constraints against the tools that servers were last seen to define.
    ///
    /// Exits with 0 if they can be used, else with 2. What can never matter is a warning.
    Check {
        /// How the outcome is printed.
        #[command(flatten)]
        listing: Listing,
    },
    /// Says why a call was, or would be, decided so.
    Explain(Explain),
    /// Writes the least policies and constraints that admit the calls that were kept in the record.
    ///
    /// Prints them, or writes them into a directory, for a person to read before they are used. Then decides on the same calls
    /// by them, and says on standard error which they would refuse. Exits with 1 if no calls were kept.
    Suggest(Suggest),
    /// Decides on the calls in table files, and compares with what they expect.
    ///
    /// Exits with 1 if a decision is another than expected.
    Test {
        /// Table files; those beside the policy files that end in `.test.toml` when absent.
        files: Vec<PathBuf>,
    },
    /// Decides once more on calls that were kept in the record, and shows each decision that would change.
    ///
    /// Exits with 1 if one would.
    Replay(Replay),
}

/// Options of `policy explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A call in the record, by the request id that its caller was told; it was kept whole.
    #[arg(long, value_name = "ID", conflicts_with_all = ["server", "tool"])]
    pub request: Option<String>,
    /// The server that would be called.
    #[arg(long, value_name = "NAME", required_unless_present = "request")]
    pub server: Option<ServerName>,
    /// The tool that would be called.
    #[arg(long, value_name = "NAME", required_unless_present = "request")]
    pub tool: Option<String>,
    /// Its arguments, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub arguments: String,
    /// Who would call.
    #[arg(long = "as", value_name = "NAME", default_value = "somebody")]
    pub principal: String,
    /// How they would be known.
    #[arg(long, value_name = "KIND", default_value = "user", value_parser = ["local", "token", "user", "key", "certificate", "stdio"])]
    pub kind: String,
    /// A group that they would be in; may be given several times.
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// The OAuth client that would act for them.
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// A scope that they would have; may be given several times. Without one, no scope restricts them.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `policy suggest`.
#[derive(Debug, Args)]
pub(crate) struct Suggest {
    /// Calls of this server alone.
    #[arg(long, value_name = "NAME")]
    pub server: Option<ServerName>,
    /// Calls since an RFC 3339 time, or a span such as `90m` or `7d` before now.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Leave out tools that were called no more than so many times.
    #[arg(long, value_name = "CALLS", default_value_t = 1)]
    pub rare: usize,
    /// Write `suggested.cedar` and `suggested.toml` into this directory; neither may be there yet.
    #[arg(long, value_name = "DIRECTORY")]
    pub out: Option<PathBuf>,
}

/// Options of `policy replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Policies and constraints to decide by, files or directories, instead of the configuration's files.
    #[arg(long = "policies", value_name = "PATH")]
    pub policies: Vec<PathBuf>,
    /// Calls of this server alone.
    #[arg(long, value_name = "NAME")]
    pub server: Option<ServerName>,
    /// Calls since an RFC 3339 time, or a span such as `90m` or `7d` before now.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}
