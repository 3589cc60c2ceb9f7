//! The security gateway for the Model Context Protocol: commands, the configuration file, wiring.

mod access;
mod cli;
mod clock;
mod commands;
mod config;
mod demo;
mod environment;
mod logging;
mod output;
mod packages;
mod permissions;
mod profile;
mod reached;
mod reload;
mod shutdown;
mod state;
mod wiring;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::environment::Environment;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    // A guard is this program too, and must be one before anything else has been started. The
    // sample servers are no commands for people either.
    match args.nth(1).as_deref().and_then(OsStr::to_str) {
        Some(wiring::GUARD) => return portcullis_sandbox::guard_main(args),
        Some(demo::SERVER) => return demo::server_main(args),
        _ => {}
    }
    let Cli { command, log } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return commands::refuse(&error),
    };
    let environment = Environment::read();
    let outcome = match &command {
        Command::Demo(args) => demo::run(args, &log, &environment),
        Command::Run(args) => commands::run::run(args, &log, &environment),
        Command::Wrap(args) => commands::wrap::run(args, &log, &environment),
        Command::Stdio(args) => commands::stdio::run(args, &log, &environment),
        Command::Check(args) => commands::check::run(args, &environment),
        Command::Policy(args) => commands::policy::run(args, &environment),
        Command::Sandbox(args) => commands::sandbox::run(args, &environment),
        Command::Doctor(args) => commands::doctor::run(args, &environment),
        Command::Packages(args) => commands::packages::run(args, &environment),
        Command::Connections(args) => commands::connections::run(args, &environment),
        Command::Approvals(args) => commands::approvals::run(args, &environment),
        Command::Token(args) => commands::token::run(args, &environment),
        Command::User(args) => commands::user::run(args, &environment),
        Command::Secret(args) => commands::secret::run(args, &environment),
        Command::Scopes(args) => commands::scopes::run(args, &environment),
        Command::Keys(args) => commands::keys::run(args, &environment),
        Command::Events(args) => commands::events::run(args, &environment),
        Command::Connect(args) => commands::connect::run(args, &environment),
        Command::Completions(args) => commands::completions::run(args),
    };
    outcome.unwrap_or_else(|error| commands::failed(&error, &environment))
}
