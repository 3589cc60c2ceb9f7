//! `portcullis wrap`: one local server, without a configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use portcullis_mcp::ServerName;
use portcullis_proxy::config::Server;
use portcullis_proxy::config::sandbox::{Sandbox, Tier};
use portcullis_proxy::{Route, Terminal};
use serde_json::json;

use super::WrongRequest;
use crate::cli;
use crate::config::policy::{self, Mode, Policy};
use crate::config::{Config, Log, LogLevel};
use crate::environment::Environment;
use crate::state::{IfTaken, StateDirectory, default_directory};

/// Programs that run another, which says more of what is run.
const RUNNERS: [&str; 12] = [
    "npx", "bunx", "bun", "uvx", "uv", "pnpm", "node", "deno", "python", "python3", "docker",
    "podman",
];

/// The terminal of whoever started this, whatever standard input and output are.
const TERMINAL: &str = "/dev/tty";

/// Serves one client until it closes standard input.
pub(crate) fn run(
    args: &cli::Wrap,
    log: &cli::Log,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    super::start_logging(log, &Log::default(), LogLevel::Warn, environment)?;
    let name: ServerName = match &args.name {
        Some(name) => name.parse().map_err(|_invalid| {
            let message = format!(
                "`{name}` cannot be a server's name; start with a small letter, then small letters, digits and `-`, at most 32 characters"
            );
            WrongRequest(message)
        })?,
        None => name_of(&args.command).parse()?,
    };
    let mut env = BTreeMap::new();
    for pair in &args.env {
        let (variable, value) = pair
            .split_once('=')
            .filter(|(v, _)| !v.is_empty())
            .ok_or_else(|| {
                WrongRequest(
                    "`--env` takes `NAME=VALUE`; to hand a variable on use `--pass-env NAME`"
                        .to_owned(),
                )
            })?;
        env.insert(variable.to_owned(), value.to_owned());
    }
    let server = Server {
        command: args.command.clone(),
        env,
        pass_env: args.pass_env.clone(),
        cwd: args.cwd.clone(),
        sandbox: sandbox(args)?,
        ..serde_json::from_value(json!({}))?
    };
    let mode = if args.observe {
        Mode::Observe
    } else {
        Mode::Enforce
    };
    let of_server = policy::Server {
        mode,
        ..policy::Server::default()
    };
    let config = Config {
        servers: BTreeMap::from([(name.to_string(), server)]),
        policy: Policy {
            preset: Some(args.preset),
            files: args.policies.clone(),
            servers: BTreeMap::from([(name.to_string(), of_server)]),
            ..Policy::default()
        },
        ..Config::default()
    };
    let directory = match &args.state_dir {
        Some(directory) => directory.clone(),
        None => default_directory(environment)?
            .join("wrap")
            .join(name.to_string()),
    };
    let state = StateDirectory::open(&directory, IfTaken::Beneath)?;
    let terminal = Terminal::at(Path::new(TERMINAL));
    let route = Route::Server(name);
    super::serve_stdio(
        &config,
        route,
        state,
        environment,
        args.ask.into(),
        terminal,
    )
}

/// What is said of the server's confinement.
fn sandbox(args: &cli::Wrap) -> Result<Sandbox, WrongRequest> {
    for host in &args.hosts {
        host.parse::<portcullis_egress::Rule>()
            .map_err(|error| WrongRequest(format!("`--host`: {error}")))?;
    }
    if args
        .unconfined
        .as_deref()
        .is_some_and(|why| why.trim().is_empty())
    {
        let message = "`--unconfined` needs a reason, which is recorded";
        return Err(WrongRequest(message.to_owned()));
    }
    let named = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    Ok(Sandbox {
        tier: args.unconfined.as_ref().map(|_| Tier::Off),
        reason: args.unconfined.clone(),
        read: named(&args.read),
        write: named(&args.write),
        hosts: named(&args.hosts),
        ..Sandbox::default()
    })
}

/// A server's name made from its command: `mcp-server-git` for `uvx mcp-server-git --repository .`.
fn name_of(command: &[String]) -> String {
    let stem = |word: &str| {
        let path = Path::new(word);
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let Some((program, arguments)) = command.split_first() else {
        return "server".to_owned();
    };
    let program = stem(program);
    let packaged = || {
        let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
        let word =
            words.find(|word| !matches!(word.as_str(), "run" | "exec" | "dlx" | "tool" | "x"))?;
        // A version or a tag is no part of the name; a scope ends at the last slash.
        let last = word.rsplit('/').next().unwrap_or(word);
        let bare = last.split(['@', ':', '=']).next().unwrap_or(last);
        Some(stem(bare))
    };
    let chosen = if RUNNERS.contains(&program.as_str()) {
        packaged()
    } else {
        None
    };
    tidy(&chosen.unwrap_or(program))
}

/// `text` with what a server's name may not have left out.
fn tidy(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => name.push(c),
            '0'..='9' if !name.is_empty() => name.push(c),
            '-' | '_' | '.' | ' ' if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(32);
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "server".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests;
