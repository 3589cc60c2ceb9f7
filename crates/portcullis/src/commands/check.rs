//! `portcullis check`: everything that is wrong in a configuration file.

use std::process::ExitCode;

use serde_json::json;

use super::WRONG;
use crate::cli;
use crate::config::Config;
use crate::config::document::Document;
use crate::config::load::{Unusable, load};
use crate::config::mistakes::{Mistakes, Weight};
use crate::config::surroundings;
use crate::environment::Environment;
use crate::output::{self, Style};

/// Draws the mistakes on standard error and prints the verdict on standard output.
pub(crate) fn run(args: &cli::Check, environment: &Environment) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let also = |config: &Config, document: &Document<'_>| {
        surroundings::check(config, document, environment)
    };
    let (servers, mistakes) = match load(&path, environment, None, also) {
        Ok(loaded) => (Some(loaded.config.servers.len()), loaded.warnings),
        Err(Unusable::Mistakes(mistakes)) => (None, mistakes),
        Err(unreadable @ Unusable::File { .. }) => return Err(unreadable.into()),
    };
    if args.json {
        output::print_json(&json!({
            "ok": servers.is_some(),
            "file": path,
            "servers": servers,
            "mistakes": mistakes.entries(),
        }))?;
    } else {
        let style = Style::of_stderr(environment);
        output::tell(&mistakes.draw(style.width, style.colour));
        output::print_line(&verdict(servers, &mistakes))?;
    }
    Ok(if servers.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    })
}

fn verdict(servers: Option<usize>, mistakes: &Mistakes) -> String {
    let errors = count(mistakes.count(Weight::Error), "mistake");
    let warnings = match mistakes.count(Weight::Warning) {
        0 => String::new(),
        several => format!(", {}", count(several, "warning")),
    };
    match servers {
        Some(servers) => format!("ok: {}{warnings}", count(servers, "server")),
        None => format!("not ok: {errors}{warnings}"),
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
