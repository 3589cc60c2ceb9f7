//! The command line of what an administrator does, beside a running gateway or without one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use portcullis_mcp::ServerName;
use portcullis_oauth::account::AccountName;
use portcullis_oauth::scope::{InvalidScopes, check_scope};
use portcullis_oauth::secrets::SecretName;
use portcullis_store::AuthEventKind;
use url::Url;

use super::span::{Moment, Span};

/// Where the gateway's state is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Configuration file that names the state directory [default: `./portcullis.toml`, else
    /// `$XDG_CONFIG_HOME/portcullis/portcullis.toml`, if there is one]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// State directory, instead of the configuration's.
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
}

/// Where people find the gateway.
#[derive(Debug, Args)]
pub(crate) struct Base {
    /// Address at which people open the gateway, such as `https://gateway.example`, instead of the
    /// configuration's.
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
}

/// Options of `approvals`.
#[derive(Debug, Args)]
pub(crate) struct Approvals {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: ApprovalsAction,
}

/// What to do with calls that wait for a person.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsAction {
    /// Lists the calls that wait, newest first.
    List(ApprovalsList),
    /// Shows one call with its arguments, and why it is asked about.
    Show {
        /// Its id.
        id: String,
    },
    /// Lets a call be made, once: this very call, by whoever wanted it, until its time ends.
    ///
    /// Exits with 1 if it no longer waits.
    Allow {
        /// Its id.
        id: String,
    },
    /// Refuses a call. The same call is not asked about again for a while.
    ///
    /// Exits with 1 if it no longer waits.
    Deny {
        /// Its id.
        id: String,
    },
}

/// Options of `approvals list`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsList {
    /// List those that were answered or have expired as well.
    #[arg(long)]
    pub all: bool,
    /// How they are printed.
    #[command(flatten)]
    pub listing: Listing,
}

/// Options of `scopes`.
#[derive(Debug, Args)]
pub(crate) struct Scopes {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// List those that were used as well, with when they last were.
    #[arg(long)]
    pub all: bool,
    /// How they are printed.
    #[command(flatten)]
    pub listing: Listing,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Makes an API key and prints it, once.
    ///
    /// Standard output has the key alone: `TOKEN=$(portcullis token create ci)`. A client sends it
    /// as `Authorization: Bearer KEY`.
    Create(TokenCreate),
    /// Lists API keys, never the keys themselves.
    List(Listing),
    /// Revokes an API key; a running gateway refuses it from the next request on.
    ///
    /// Exits with 1 if there is no such key in force.
    Revoke {
        /// Its id, or its name where no other has the same.
        #[arg(value_name = "ID|NAME")]
        which: String,
    },
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// What the key is called in lists.
    pub name: String,
    /// Scope that the key has; may be given several times. Without one, no scope restricts it.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub scopes: Vec<String>,
    /// Server whose endpoint the key opens; may be given several times. Without one, it opens all.
    #[arg(long = "server", value_name = "NAME")]
    pub servers: Vec<ServerName>,
    /// How long it lives, such as `12h` or `30d`; at most 365 days.
    #[arg(long, value_name = "SPAN", default_value = "90d")]
    pub expires: Span,
    /// As whom its holder acts in policies and records [default: its name]
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// Where the gateway is; only `--server` needs it.
    #[command(flatten)]
    pub base: Base,
}

/// Options of `user`.
#[derive(Debug, Args)]
pub(crate) struct User {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum UserAction {
    /// Makes an account, and prints the page and the code with which its owner chooses a password.
    ///
    /// The code works once and for three days. Send it by a way that nobody else reads.
    Invite(UserInvite),
    /// Lists accounts.
    List(Listing),
    /// Takes an account's password and second factor away, ends its sessions and its tokens, and
    /// prints the page and the code with which its owner begins anew.
    Reset {
        /// The account.
        name: AccountName,
        /// Where the page is.
        #[command(flatten)]
        base: Base,
    },
    /// Forbids an account to log in, and ends its sessions, tokens and API keys.
    Disable {
        /// The account.
        name: AccountName,
    },
    /// Lets a disabled account log in again.
    Enable {
        /// The account.
        name: AccountName,
    },
    /// Removes an account with its sessions, tokens and API keys.
    Remove {
        /// The account.
        name: AccountName,
    },
    /// Lets somebody at a login provider log in to an account.
    Link {
        /// The account.
        name: AccountName,
        /// The provider's name in the configuration.
        provider: String,
        /// The subject there: what its ID tokens say in the claim that the configuration names.
        subject: String,
    },
}

/// Options of `user invite`.
#[derive(Debug, Args)]
pub(crate) struct UserInvite {
    /// The account's name: `a-z0-9._@-`, beginning with a letter or digit. It never changes.
    pub name: AccountName,
    /// What pages call the account [default: its name]
    #[arg(long, value_name = "TEXT")]
    pub display: Option<String>,
    /// Group that it is in; may be given several times.
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Let it administer the gateway.
    #[arg(long)]
    pub admin: bool,
    /// Where the page is.
    #[command(flatten)]
    pub base: Base,
}

/// Options of `secret`.
#[derive(Debug, Args)]
pub(crate) struct Secret {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: SecretAction,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretAction {
    /// Sets or replaces a secret by what standard input says; a line end after it is dropped.
    ///
    /// A running gateway uses the new value from the next request on.
    Set {
        /// Its name: `a-z0-9._-`.
        name: SecretName,
    },
    /// Lists the names of secrets, never their values.
    List(Listing),
    /// Removes a secret.
    Remove {
        /// Its name.
        name: SecretName,
    },
}

/// Options of `keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What to do with signing keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// Makes the next signing key. It is published now and signs in a quarter of an hour, so that no
    /// token is refused for it.
    ///
    /// Exits with 1 if a change is under way already.
    Rotate {
        /// Replace all keys at once, because one may be known to others. Every access token that
        /// was issued until now is refused.
        #[arg(long)]
        compromised: bool,
        /// Where the gateway is, for the record.
        #[command(flatten)]
        base: Base,
    },
    /// Lists the signing keys, never the keys themselves.
    List(Listing),
}

/// Options of `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Where the state is.
    #[command(flatten)]
    pub place: Place,
    /// What happened; everything when absent.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    pub kind: Option<String>,
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

/// How a list is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Listing {
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

fn scope(text: &str) -> Result<String, InvalidScopes> {
    check_scope(text).map(|()| text.to_owned())
}

fn kinds() -> clap::builder::PossibleValuesParser {
    AuthEventKind::ALL.map(AuthEventKind::as_str).into()
}
