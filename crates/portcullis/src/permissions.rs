//! Builds the permission model from the configuration: policies, constraints on arguments, approvals.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_constraint::{Files, HostToResolve, Surroundings, preset};
use portcullis_egress::Egress;
use portcullis_mcp::ServerName;
use portcullis_pipeline::permissions::{
    Approvals, HostCheck, InvalidPermissions, Learnt, Mode, Permissions, ServerRules, Settings,
    ToolRules,
};
use portcullis_policy::PolicyFile;
use portcullis_proxy::config::Server;
use portcullis_store::Store;

use crate::config::mistakes::{self, Mistakes, Weight};
use crate::config::{Config, policy};
use crate::environment::Environment;

/// Policies that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the policies have {} that must be mended", in_words(.0))]
pub(crate) struct RefusedPolicies(pub Vec<Mistakes>);

fn in_words(files: &[Mistakes]) -> String {
    match files.iter().map(|file| file.count(Weight::Error)).sum() {
        1_usize => "a mistake".to_owned(),
        several => format!("{several} mistakes"),
    }
}

/// What servers defined when they were last seen.
pub(crate) async fn learnt(store: &Store) -> anyhow::Result<Learnt> {
    let mut servers: BTreeMap<String, BTreeMap<Box<str>, Bytes>> = BTreeMap::new();
    for row in store.definitions().all().await? {
        let tools = servers.entry(row.server).or_default();
        tools.insert(row.tool.into(), row.definition.into());
    }
    let learnt = Learnt::default();
    for (server, tools) in servers {
        learnt.remember(server.parse()?, tools);
    }
    Ok(learnt)
}

/// The permission model of a configuration with these policies.
pub(crate) fn build(
    config: &Config,
    files: &[PolicyFile],
    environment: &Environment,
    egress: &Egress,
    learnt: Arc<Learnt>,
) -> anyhow::Result<Permissions> {
    let mut settings = settings(config, files, environment)?;
    settings.host_check = Some(host_check(egress));
    Permissions::build(settings, learnt).map_err(|invalid| refused(files, invalid))
}

/// A permission model that cannot be used, with its mistakes drawn in these files.
pub(crate) fn refused(files: &[PolicyFile], invalid: InvalidPermissions) -> anyhow::Error {
    match invalid {
        InvalidPermissions::Policies(mistakes) => {
            RefusedPolicies(drawn(files, &mistakes, Weight::Error)).into()
        }
        InvalidPermissions::Rule { .. } => invalid.into(),
    }
}

/// What the permission model is made of, less who says where a host is: without, none may be reached.
pub(crate) fn settings(
    config: &Config,
    files: &[PolicyFile],
    environment: &Environment,
) -> anyhow::Result<Settings> {
    let mut servers = BTreeMap::new();
    for (name, server) in &config.servers {
        let name: ServerName = name.parse()?;
        let of_server = config.policy.servers.get(name.as_str());
        servers.insert(name, rules(server, of_server, environment));
    }
    let approvals = &config.policy.approvals;
    Ok(Settings {
        files: files.to_vec(),
        servers,
        approvals: Approvals {
            life: approvals.life.get(),
            asks_max: approvals.asks_max,
            window: approvals.window.get(),
            no_stands: approvals.no_stands.get(),
        },
        host_check: None,
    })
}

/// Says whether all addresses of a host are public, or in a network that the constraint names.
fn host_check(egress: &Egress) -> HostCheck {
    let egress = egress.clone();
    Arc::new(move |host: HostToResolve| {
        let egress = egress.clone();
        Box::pin(async move {
            let is_allowed = |address| host.networks.iter().any(|net| net.contains(&address));
            egress.may_reach(&host.host.to_string(), is_allowed).await
        })
    })
}

/// Says the same of addresses, and believes that every name has a public one: for decisions on what might be called, which
/// ask no name server.
pub(crate) fn check_without_network() -> HostCheck {
    Arc::new(|host: HostToResolve| {
        Box::pin(async move {
            let is_allowed = |address| host.networks.iter().any(|net| net.contains(&address));
            match host.host.to_string().trim_matches(['[', ']']).parse() {
                Ok(address) => portcullis_egress::is_public(address) || is_allowed(address),
                Err(_a_name) => true,
            }
        })
    })
}

/// What holds for one server: what the configuration says, before what is known of the public server that it is.
fn rules(
    server: &Server,
    of_server: Option<&policy::Server>,
    environment: &Environment,
) -> ServerRules {
    let nothing = policy::Server::default();
    let of_server = of_server.unwrap_or(&nothing);
    let mut tools = known_tools(server, of_server);
    if let Some(all) = of_server.tools.get("*") {
        // What an operator says of all tools counts before what is only known of one.
        for tool in tools.values_mut() {
            tool.arguments
                .retain(|pointer, _| !all.arguments.contains_key(pointer));
        }
    }
    for (name, tool) in &of_server.tools {
        let rules = tools.entry(name.clone()).or_default();
        rules.classes.extend(tool.classes.iter().cloned());
        rules.labels.extend(tool.labels.iter().cloned());
        rules.arguments.extend(tool.arguments.clone());
    }
    let mode = match of_server.mode {
        policy::Mode::Enforce => Mode::Enforce,
        policy::Mode::Observe => Mode::Observe,
    };
    ServerRules {
        mode,
        keeps_arguments: of_server.keep_arguments || mode == Mode::Observe,
        tools,
        surroundings: surroundings(server, environment),
    }
}

/// What is known of the tools of a public server, by the directories that it is meant to work in.
fn known_tools(server: &Server, of_server: &policy::Server) -> BTreeMap<String, ToolRules> {
    let named = match (&of_server.preset, server.command.split_first()) {
        (Some(name), _) => Some(name.as_str()),
        (None, Some((program, arguments))) => preset::recognise(program, arguments),
        (None, None) => None,
    };
    let Some(known) = named.and_then(|name| preset::load(name).ok()) else {
        return BTreeMap::new();
    };
    let roots: Vec<String> = if of_server.roots.is_empty() {
        let directories = server.command.iter().skip(1);
        directories
            .filter(|word| Path::new(word).is_absolute() && Path::new(word).is_dir())
            .cloned()
            .collect()
    } else {
        let roots = of_server.roots.iter();
        roots
            .map(|root| root.to_string_lossy().into_owned())
            .collect()
    };
    let rules_of = |(name, tool): (&String, &preset::Tool)| {
        let mut arguments = known.rules(name, &roots).unwrap_or_default();
        // Where nobody knows the directories, the server's own check has to do.
        arguments.retain(|_, rule| !preset::lacks_roots(rule));
        let rules = ToolRules {
            classes: tool.class.iter().map(ToString::to_string).collect(),
            arguments,
            ..ToolRules::default()
        };
        (name.clone(), rules)
    };
    known.tools.iter().map(rules_of).collect()
}

fn surroundings(server: &Server, environment: &Environment) -> Surroundings {
    if server.command.is_empty() {
        return Surroundings {
            directory: None,
            home: None,
            files: Files::Elsewhere,
        };
    }
    Surroundings {
        directory: server.cwd.clone().or_else(|| std::env::current_dir().ok()),
        home: environment.get("HOME").map(Into::into),
        files: Files::Here,
    }
}

/// Mistakes in policies as they are drawn: by file, with its text.
pub(crate) fn drawn(
    files: &[PolicyFile],
    found: &[portcullis_policy::Mistake],
    weight: Weight,
) -> Vec<Mistakes> {
    let mut by_file: BTreeMap<&str, Vec<mistakes::Mistake>> = BTreeMap::new();
    for mistake in found {
        let drawn = mistakes::Mistake {
            weight,
            code: "policy",
            message: mistake.message.clone(),
            span: mistake.span.clone(),
            label: "here".to_owned(),
            hint: mistake.hint.clone(),
        };
        by_file.entry(&mistake.file).or_default().push(drawn);
    }
    by_file
        .into_iter()
        .map(|(name, list)| {
            let file = files.iter().find(|file| *file.name == *name);
            let text = file.map(|file| file.text.to_string()).unwrap_or_default();
            Mistakes::new(name.to_owned(), text, list)
        })
        .collect()
}
