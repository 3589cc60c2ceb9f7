//! `portcullis sandbox`: what local servers are granted.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_package::{Accepted, Entry, Launcher};
use portcullis_proxy::config::Server;
use portcullis_proxy::config::sandbox::{EgressRule, Tier};
use serde_json::json;

use super::list::{harmless, time};
use super::{No, WrongRequest};
use crate::cli::confine::{Plan, SandboxAction};
use crate::cli::{self};
use crate::config::{Config, load};
use crate::environment::Environment;
use crate::output;
use crate::packages::Packages;
use crate::profile::{self, Grant, Profile};
use crate::state::default_directory;

/// Answers what `args` ask for.
pub(crate) fn run(
    args: &cli::confine::Sandbox,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    match &args.action {
        SandboxAction::Plan(args) => plan(args, environment),
    }
}

fn plan(args: &Plan, environment: &Environment) -> anyhow::Result<ExitCode> {
    let path = super::config_path(args.config.path.as_deref(), environment)?;
    let config = load::load(&path, environment, None, |_, _| Vec::new())?.config;
    let server = config.servers.get(&args.name).ok_or_else(|| {
        WrongRequest(format!(
            "no server `{}`; the servers are {}",
            args.name,
            names(&config)
        ))
    })?;
    if server.command.is_empty() {
        let message = format!(
            "`{}` is no local server: nothing of it runs here",
            args.name
        );
        return Err(No(message).into());
    }
    let state = state_directory(args.state_dir.as_ref(), &config, environment)?;
    let profile = profile_of(&args.name, server, &config, &state, environment)?;
    let package = package(&args.name, &profile, &state)?;
    if args.json {
        output::print_json(&object(&args.name, &profile, package.as_ref()))?;
    } else if args.toml {
        output::print(&toml(&args.name, &profile)?)?;
    } else {
        output::print(&words(&args.name, &profile, package.as_ref())?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The package that a server is, and which was accepted of it.
struct Package {
    spec: String,
    accepted: Option<Entry>,
}

fn package(name: &str, profile: &Profile, state: &Path) -> anyhow::Result<Option<Package>> {
    let is_installed = matches!(profile.tier, Tier::Full | Tier::Confined);
    let Some(launcher) = Launcher::parse(&profile.command)?.filter(|_| is_installed) else {
        return Ok(None);
    };
    let accepted = Accepted::load(&Packages::of(state).record)?;
    Ok(Some(Package {
        spec: launcher.spec(),
        accepted: accepted.get(name).cloned(),
    }))
}

/// The profile of a local server under this configuration.
pub(super) fn profile_of(
    name: &str,
    server: &Server,
    config: &Config,
    state: &Path,
    environment: &Environment,
) -> anyhow::Result<Profile> {
    let directory = std::env::current_dir();
    let place = profile::Place {
        home: profile::home(environment),
        directory: &directory.context("the working directory cannot be found out")?,
        state,
    };
    Profile::of(name, server, config, place).with_context(|| format!("server `{name}`"))
}

/// The state directory that a gateway of this configuration would use.
pub(super) fn state_directory(
    named: Option<&PathBuf>,
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<PathBuf> {
    let named = named.or(config.state.directory.as_ref()).cloned();
    let directory = match named {
        Some(directory) => directory,
        None => default_directory(environment)?,
    };
    std::path::absolute(directory).context("the working directory cannot be found out")
}

fn names(config: &Config) -> String {
    let names: Vec<_> = config
        .servers
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}

/// The name of a tier as the configuration writes it.
pub(super) const fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Full => "full",
        Tier::Confined => "confined",
        Tier::External => "external",
        Tier::Off => "off",
    }
}

fn words(
    name: &str,
    profile: &Profile,
    package: Option<&Package>,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    write!(text, "{name}: {}", tier(profile.tier))?;
    match (profile.tier, &profile.reason) {
        (Tier::External | Tier::Off, reason) => {
            let reason = reason.as_deref().unwrap_or_default();
            writeln!(text, ", not confined by the gateway: {reason}")?;
            return Ok(text);
        }
        (Tier::Full | Tier::Confined, _) => text.push('\n'),
    }
    writeln!(text, "  command: {}", profile.command.join(" "))?;
    match package {
        None => {}
        Some(Package {
            accepted: Some(entry),
            ..
        }) => writeln!(
            text,
            "  package: {} {}, accepted {}",
            harmless(&entry.name),
            harmless(&entry.version),
            time(entry.accepted_ms)
        )?,
        Some(Package { spec, .. }) => {
            writeln!(
                text,
                "  package: {spec}, to be installed at the first start"
            )?;
        }
    }
    paths(
        &mut text,
        "may read, besides its own program and the system's libraries",
        &profile.reads,
    )?;
    paths(&mut text, "may read and write", &profile.writes)?;
    writeln!(text, "  may reach over the network:")?;
    if profile.egress.is_empty() {
        writeln!(text, "    nothing")?;
    }
    for Grant { what, why } in &profile.egress {
        let EgressRule {
            host,
            private,
            methods,
            tools,
        } = what;
        write!(text, "    {host}")?;
        if *private {
            text.push_str(", also where that is not public");
        }
        if let Some(methods) = methods {
            write!(text, ", by {}", methods.join(", "))?;
        }
        if let Some(tools) = tools {
            write!(text, ", during calls of {}", tools.join(", "))?;
        }
        writeln!(text, " ({why})")?;
    }
    for (variable, value) in &profile.env {
        writeln!(text, "  is told {variable}={value}")?;
    }
    Ok(text)
}

fn paths(text: &mut String, what: &str, grants: &[Grant<PathBuf>]) -> std::fmt::Result {
    writeln!(text, "  {what}:")?;
    if grants.is_empty() {
        writeln!(text, "    nothing")?;
    }
    for Grant { what, why } in grants {
        writeln!(text, "    {} ({why})", what.display())?;
    }
    Ok(())
}

fn strings(grants: &[Grant<PathBuf>]) -> Vec<String> {
    let paths = grants.iter();
    paths
        .map(|grant| grant.what.to_string_lossy().into_owned())
        .collect()
}

fn toml(name: &str, profile: &Profile) -> anyhow::Result<String> {
    let mut table = toml::Table::new();
    table.insert("tier".into(), tier(profile.tier).into());
    if let Some(reason) = &profile.reason {
        table.insert("reason".into(), reason.clone().into());
    }
    if let Tier::Full | Tier::Confined = profile.tier {
        table.insert("read".into(), strings(&profile.reads).into());
        table.insert("write".into(), strings(&profile.writes).into());
        let is_plain =
            |rule: &&EgressRule| !rule.private && rule.methods.is_none() && rule.tools.is_none();
        let rules = || profile.egress.iter().map(|grant| &grant.what);
        let plain: Vec<String> = rules()
            .filter(is_plain)
            .map(|rule| rule.host.clone())
            .collect();
        table.insert("hosts".into(), plain.into());
        let more: Vec<&EgressRule> = rules().filter(|rule| !is_plain(rule)).collect();
        if !more.is_empty() {
            table.insert("egress".into(), toml::Value::try_from(more)?);
        }
    }
    let servers = toml::Table::from_iter([(
        name.to_owned(),
        toml::Value::Table(toml::Table::from_iter([(
            "sandbox".to_owned(),
            toml::Value::Table(table),
        )])),
    )]);
    let all = toml::Table::from_iter([("servers".to_owned(), toml::Value::Table(servers))]);
    Ok(toml::to_string_pretty(&all)?)
}

fn object(name: &str, profile: &Profile, package: Option<&Package>) -> serde_json::Value {
    let paths = |grants: &[Grant<PathBuf>]| -> Vec<_> {
        grants
            .iter()
            .map(|grant| json!({ "path": grant.what, "why": grant.why.to_string() }))
            .collect()
    };
    let egress: Vec<_> = profile
        .egress
        .iter()
        .map(|grant| json!({ "rule": grant.what, "why": grant.why.to_string() }))
        .collect();
    json!({
        "server": name,
        "tier": tier(profile.tier),
        "reason": profile.reason,
        "command": profile.command,
        "package": package.map(|package| json!({
            "spec": package.spec,
            "name": package.accepted.as_ref().map(|entry| &entry.name),
            "version": package.accepted.as_ref().map(|entry| &entry.version),
            "accepted_ms": package.accepted.as_ref().map(|entry| entry.accepted_ms),
        })),
        "read": paths(&profile.reads),
        "write": paths(&profile.writes),
        "egress": egress,
        "env": profile.env.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}
