//! Profiles put into force: the entries of local servers as they are started, and what each is granted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcullis_egress::{Allowance, Caps};
use portcullis_mcp::ServerName;
use portcullis_package::Launcher;
use portcullis_proxy::config::Server;
use portcullis_proxy::config::sandbox::{Sandbox, Tier};
use portcullis_proxy::units::Bytes;
use portcullis_proxy::upstream::{Grants, Preparation};
use portcullis_sandbox::{Confinement, Limits, Network, Tier as Means};

use super::{Place, Profile, egress_rule, hidden};
use crate::config::Config;
use crate::packages::{Installer, Parts};

/// The servers of a configuration, as they are started.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Their entries, with the words of commands settled.
    pub servers: BTreeMap<String, Server>,
    /// What each local one is granted.
    pub grants: BTreeMap<ServerName, Grants>,
}

/// Settles all servers of `config`, whose packages are installed by `parts`. Makes the directories in which servers keep files
/// of their own.
pub(crate) fn settle(config: &Config, place: Place<'_>, parts: &Parts) -> anyhow::Result<Settled> {
    let config_file = config.file.as_deref();
    let mut settled = Settled {
        servers: BTreeMap::new(),
        grants: BTreeMap::new(),
    };
    for (name, server) in &config.servers {
        let mut server = server.clone();
        if !server.command.is_empty() {
            let profile = Profile::of(name, &server, config, place)
                .with_context(|| format!("server `{name}`"))?;
            if let Some(own) = &profile.own {
                std::fs::create_dir_all(own)
                    .with_context(|| format!("the directory `{}` cannot be made", own.display()))?;
            }
            let mut grants = grants(&profile, &server.sandbox, config_file, place)
                .with_context(|| format!("server `{name}`"))?;
            let server_name: ServerName = name.parse()?;
            if let Tier::Full | Tier::Confined = profile.tier {
                let others = parts.packages.of_others(name);
                grants.confinement.hidden.extend(others);
                grants.preparation = preparation(&server_name, &profile, &server, parts)
                    .with_context(|| format!("server `{name}`"))?;
            }
            settled.grants.insert(server_name, grants);
            server.command = profile.command;
            server.env.extend(profile.env);
        }
        settled.servers.insert(name.clone(), server);
    }
    Ok(settled)
}

/// What is done before a server is started that is configured as a package.
fn preparation(
    name: &ServerName,
    profile: &Profile,
    server: &Server,
    parts: &Parts,
) -> anyhow::Result<Option<Preparation>> {
    let Some(launcher) = Launcher::parse(&profile.command)? else {
        return Ok(None);
    };
    let installer = Installer::new(parts.clone(), name, launcher, server)?;
    Ok(Some(installer.preparation()))
}

/// What a profile comes to.
pub(crate) fn grants(
    profile: &Profile,
    settings: &Sandbox,
    config_file: Option<&Path>,
    place: Place<'_>,
) -> anyhow::Result<Grants> {
    let rules = profile.egress.iter().map(|grant| egress_rule(&grant.what));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let network = if rules.is_empty() {
        Network::None
    } else {
        Network::Guarded
    };
    let paths = |grants: &[super::Grant<PathBuf>]| {
        let paths = grants.iter().map(|grant| grant.what.clone());
        paths.collect::<Vec<_>>()
    };
    let writes = paths(&profile.writes);
    Ok(Grants {
        confinement: Confinement {
            tier: match profile.tier {
                Tier::Full => Means::Full,
                Tier::Confined => Means::Confined,
                Tier::External => Means::External,
                Tier::Off => Means::Off,
            },
            reads: paths(&profile.reads),
            hidden: hidden(place, config_file, profile.own.as_deref(), &writes),
            writes,
            network,
            local_sockets: profile.local_sockets,
            limits: limits(settings),
            uid: None,
        },
        allowance: Allowance::new(rules, Caps::default()),
        preparation: None,
    })
}

fn limits(settings: &Sandbox) -> Limits {
    let usual = Limits::default();
    let bytes = |set: Option<Bytes>, usual| set.map_or(usual, |bytes| bytes.get() as u64);
    Limits {
        memory_bytes: bytes(settings.memory, usual.memory_bytes),
        processes: settings.processes.map_or(usual.processes, u64::from),
        file_bytes: bytes(settings.file_size, usual.file_bytes),
        scratch_bytes: bytes(settings.scratch, usual.scratch_bytes),
        ..usual
    }
}
