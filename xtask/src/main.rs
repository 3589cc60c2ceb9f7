//! Sets up and runs everything that is checked before a change lands.
//!
//! `cargo xtask test` needs Rust, Python 3.11 or later with `venv`, Node.js with npm, git, and Chromium,
//! which it has the system install if it runs as root. What else it needs it installs beneath
//! `target/`, once, in the versions that the repository names.
//! What it leaves to others: the tests themselves, which are in the crates.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool: it prints, reads its environment and starts programs"
)]

mod arguments;
mod browser;
mod command;
mod conformance;
mod dependencies;
mod gateway;
mod oauth;
mod peers;
mod policy;
mod report;
mod rust;
mod service;
mod step;
mod suggest;
mod tools;
mod workspace;

use std::process::ExitCode;

use crate::arguments::{Arguments, Request};
use crate::workspace::Workspace;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match Arguments::parse(std::env::args().skip(1))? {
        Request::Help => {
            print!("{}", arguments::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Request::ConformanceShim { server_url } => conformance::client::shim(&server_url),
        Request::List => {
            for step in step::all() {
                println!("{:<28} {}", step.name, step.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        Request::Test(choice) => {
            let steps = choice.select(step::all())?;
            let results = report::run_all(&workspace, steps)?;
            Ok(if report::summarise(&results) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
