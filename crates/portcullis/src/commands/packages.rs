//! `portcullis packages`: which packages servers run from, and which other ones they may.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use portcullis_mcp::ServerName;
use portcullis_package::{Accepted, Entry, Installed, Launcher, difference};
use portcullis_proxy::config::Server;
use portcullis_proxy::upstream::Local;
use portcullis_sandbox::Sandbox;
use portcullis_store::Store;
use serde_json::json;

use super::list::{Table, harmless, time};
use super::store::Place;
use super::{No, WrongRequest};
use crate::cli::admin::Listing;
use crate::cli::confine::{self, PackagesAction, Update};
use crate::config::{Config, load};
use crate::environment::Environment;
use crate::packages::{Installer, Packages, Parts};
use crate::reached::Reached;
use crate::wiring::{GUARD, own_binary};
use crate::{clock, output};

/// Does what `args` say.
pub(crate) fn run(args: &confine::Packages, environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = Place::new(&args.place, environment);
    let state = std::path::absolute(place.directory()?)?;
    match &args.action {
        PackagesAction::List(listing) => list(&state, *listing)?,
        PackagesAction::Accept { server } => accept(args, &state, &name(server)?, environment)?,
        PackagesAction::Forget { server } => forget(&state, &name(server)?)?,
        PackagesAction::Update(update) => {
            let server = name(&update.server)?;
            let (config, entry) = entry(args, update, environment)?;
            let work = async |store: &Store| {
                let reached = Reached::begin(store.clone());
                let local = Local {
                    sandbox: Sandbox::new(vec![own_binary()?, OsString::from(GUARD)]),
                    egress: config.egress.build()?,
                    now_ms: clock::now_ms,
                    record: reached.recorder(),
                };
                let base = base(&state, &server);
                let parts = Parts::new(local, &base, &config, environment);
                let outcome = update_with(parts, &server, &entry, update.yes).await;
                reached.end().await;
                outcome
            };
            return place.run(work);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn name(server: &str) -> Result<ServerName, WrongRequest> {
    let invalid = |_invalid| WrongRequest(format!("`{server}` cannot be a server's name"));
    server.parse().map_err(invalid)
}

/// The state directory with the packages of `server`: this one, or that of `portcullis wrap` beneath it.
fn base(state: &Path, server: &ServerName) -> PathBuf {
    let wrapped = state.join("wrap").join(server.as_str());
    let has_packages = |state: &Path| {
        let directory = Packages::of(state).directory;
        directory.join(server.as_str()).exists()
    };
    if !has_packages(state) && has_packages(&wrapped) {
        wrapped
    } else {
        state.to_owned()
    }
}

fn list(state: &Path, listing: Listing) -> anyhow::Result<()> {
    let mut places = vec![state.to_owned()];
    let wrapped = std::fs::read_dir(state.join("wrap"));
    places.extend(wrapped.into_iter().flatten().flatten().map(|it| it.path()));
    places.retain(|place| place.is_dir());
    places.sort();
    let mut rows = Vec::new();
    for place in places {
        let packages = Packages::of(&place);
        for entry in Accepted::load(&packages.record)?.list() {
            let waiting = waiting(&packages, &entry.server, Some(entry), None)?;
            rows.push((entry.clone(), waiting));
        }
    }
    if listing.json {
        let rows: Vec<_> = rows.iter().map(object).collect();
        return Ok(output::print_json(&json!({ "packages": rows }))?);
    }
    let mut table = Table::new([
        "SERVER",
        "PACKAGE",
        "VERSION",
        "ACCEPTED",
        "ASKED FOR",
        "NOT ACCEPTED",
    ]);
    for (entry, waiting) in rows {
        table.row([
            entry.server,
            entry.name,
            entry.version,
            time(entry.accepted_ms),
            entry.spec,
            waiting.map(|it| it.version).unwrap_or_default(),
        ]);
    }
    Ok(table.print("no package was accepted yet: the first start of a server does\n")?)
}

fn object((entry, waiting): &(Entry, Option<Installed>)) -> serde_json::Value {
    json!({
        "server": entry.server,
        "package": entry.name,
        "version": entry.version,
        "spec": entry.spec,
        "integrity": entry.integrity,
        "tree": entry.tree,
        "accepted_ms": entry.accepted_ms,
        "not_accepted": waiting.as_ref().map(|it| json!({ "version": it.version, "tree": it.tree })),
    })
}

/// What was installed last of what is not accepted, if it is newer than what is; and of what `spec` asks for, if that is known and
/// another than what was accepted, whenever it was installed.
fn waiting(
    packages: &Packages,
    server: &str,
    accepted: Option<&Entry>,
    spec: Option<&str>,
) -> anyhow::Result<Option<Installed>> {
    let is_waiting = |it: &Installed| {
        let is_asked_for = spec.is_none_or(|spec| spec == it.spec);
        is_asked_for
            && accepted.is_none_or(|accepted| {
                let is_newer = it.installed_ms >= accepted.accepted_ms;
                let is_asked_anew = spec.is_some_and(|spec| spec != accepted.spec);
                accepted.tree != it.tree && (is_newer || is_asked_anew)
            })
    };
    let installs = packages.shelf(server)?.installs()?;
    let found = installs.into_iter().filter(is_waiting);
    Ok(found.max_by_key(|it| it.installed_ms))
}

/// What the configuration asks for, if there is one that names the server.
fn configured(
    args: &confine::Packages,
    server: &ServerName,
    environment: &Environment,
) -> Option<String> {
    let path = super::config_path(args.place.config.as_deref(), environment).ok()?;
    let loaded = load::load(&path, environment, None, |_, _| Vec::new()).ok()?;
    let entry = loaded.config.servers.get(server.as_str())?;
    let launcher = Launcher::parse(&entry.command).ok()??;
    Some(launcher.spec())
}

fn accept(
    args: &confine::Packages,
    state: &Path,
    server: &ServerName,
    environment: &Environment,
) -> anyhow::Result<()> {
    let base = base(state, server);
    // What `portcullis wrap` runs is in no configuration.
    let spec = if base == state {
        configured(args, server, environment)
    } else {
        None
    };
    let packages = Packages::of(&base);
    let accepted = Accepted::load(&packages.record)?;
    let was = accepted.get(server.as_str());
    let Some(installed) = waiting(&packages, server.as_str(), was, spec.as_deref())? else {
        let message = match was {
            Some(was) => format!(
                "nothing newer is installed for `{server}` than `{}` {}, which was accepted; `portcullis packages update {server}` looks for it",
                was.name, was.version
            ),
            None => format!("nothing is installed for `{server}`: its first start does that"),
        };
        return Err(No(message).into());
    };
    let text = told(&packages, server, was, &installed)?;
    put(&packages, server, &installed)?;
    output::print(&text)?;
    output::tell("accepted: the next start of the server runs from it\n");
    Ok(())
}

/// Accepts `installed`, whose files are looked at once more. What the server may still run from stays.
fn put(packages: &Packages, server: &ServerName, installed: &Installed) -> anyhow::Result<()> {
    let shelf = packages.shelf(server.as_str())?;
    shelf.verify(installed)?;
    let now_ms = clock::now_ms();
    let was = Accepted::change(&packages.record, |accepted| {
        let was = accepted.get(server.as_str()).map(|was| was.tree.clone());
        accepted.accept(server.as_str(), installed, now_ms);
        was
    })?;
    let keep: Vec<&str> = was
        .iter()
        .map(String::as_str)
        .chain([&*installed.tree])
        .collect();
    Ok(shelf.prune(&keep)?)
}

fn forget(state: &Path, server: &ServerName) -> anyhow::Result<()> {
    let packages = Packages::of(&base(state, server));
    let was_there = Accepted::change(&packages.record, |it| it.forget(server.as_str()))?;
    if !was_there {
        let message = format!("no package was accepted for `{server}`");
        return Err(No(message).into());
    }
    output::tell(
        "forgotten: the next start of the server installs its package anew, and accepts it\n",
    );
    Ok(())
}

/// The entry of the server, and the configuration that it stands in.
fn entry(
    args: &confine::Packages,
    update: &Update,
    environment: &Environment,
) -> anyhow::Result<(Config, Server)> {
    if !update.command.is_empty() {
        let server = Server {
            command: update.command.clone(),
            ..serde_json::from_value(json!({}))?
        };
        return Ok((Config::default(), server));
    }
    let path = super::config_path(args.place.config.as_deref(), environment).context(
        "to update the package of a server without a configuration, write its command after `--`",
    )?;
    let config = load::load(&path, environment, None, |_, _| Vec::new())?.config;
    let server = config.servers.get(&update.server).cloned().ok_or_else(|| {
        WrongRequest(format!(
            "no server `{}` in `{}`",
            update.server,
            path.display()
        ))
    })?;
    Ok((config, server))
}

async fn update_with(
    parts: Parts,
    server: &ServerName,
    entry: &Server,
    is_accepted: bool,
) -> anyhow::Result<()> {
    let launcher = Launcher::parse(&entry.command)
        .map_err(|error| WrongRequest(error.to_string()))?
        .ok_or_else(|| {
            No(format!(
                "the command of `{server}` runs no package of a registry"
            ))
        })?;
    let packages = parts.packages.clone();
    let making = Installer::new(parts, server, launcher, entry)?;
    output::tell("installing\n");
    let installed = making.install().await?;
    let accepted = Accepted::load(&packages.record)?;
    let was = accepted.get(server.as_str());
    let is_same = accepted.verify(server.as_str(), &installed).is_ok() && was.is_some();
    if is_same {
        let Installed { name, version, .. } = &installed;
        output::tell(&format!("`{name}` {version} is the newest, and accepted\n"));
        return Ok(());
    }
    output::print(&told(&packages, server, was, &installed)?)?;
    if is_accepted {
        put(&packages, server, &installed)?;
        output::tell("accepted: the next start of the server runs from it\n");
    } else {
        output::tell(&format!(
            "not accepted yet; `portcullis packages accept {server}` does that\n"
        ));
    }
    Ok(())
}

/// What is installed, and what is different from what was accepted.
fn told(
    packages: &Packages,
    server: &ServerName,
    was: Option<&Entry>,
    is: &Installed,
) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{server}: {} {}",
        harmless(&is.name),
        harmless(&is.version)
    )?;
    let Some(was) = was else {
        return Ok(text);
    };
    if was.spec != is.spec {
        writeln!(text, "  asked for as {}, and was as {}", is.spec, was.spec)?;
    }
    let Some(before) = packages.shelf(server.as_str())?.find(&was.tree)? else {
        writeln!(
            text,
            "  was {} {}",
            harmless(&was.name),
            harmless(&was.version)
        )?;
        return Ok(text);
    };
    for change in difference(&before.components, &is.components) {
        writeln!(text, "  {}", harmless(&change.to_string()))?;
    }
    Ok(text)
}
