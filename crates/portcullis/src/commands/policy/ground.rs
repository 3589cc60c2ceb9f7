//! What the commands about policies stand on: the configuration, its policies, the tools that servers were last seen to define, and
//! the record.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use portcullis_mcp::{Era, Object, ServerName, member, method, quote};
use portcullis_pipeline::permissions::{Learnt, Permissions};
use portcullis_pipeline::{
    Counts, Granted, Judgement, Pipeline, Principal, PrincipalKind, Request, RequestId, Timestamp,
    ToolDefinition,
};
use portcullis_policy::PolicyFile;
use portcullis_store::{DefinitionRow, Store};

use crate::cli::admin;
use crate::commands::WrongRequest;
use crate::config::Config;
use crate::config::load::load;
use crate::environment::Environment;
use crate::state::{DATABASE, default_directory};
use crate::{access, clock, permissions, state};

/// What the commands stand on.
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) pipeline: Pipeline,
    definitions: Vec<DefinitionRow>,
}

/// A call that somebody might make.
#[derive(Clone, Debug)]
pub(super) struct Hypothesis {
    pub(super) principal: Principal,
    pub(super) server: ServerName,
    pub(super) method: Box<str>,
    pub(super) target: Option<Box<str>>,
    /// The params, a JSON object.
    pub(super) params: Vec<u8>,
    pub(super) counts: Counts,
    pub(super) at: Timestamp,
}

/// The configuration, its policies or those of `candidates` instead, and the store.
pub(super) fn read(
    place: &admin::Place,
    candidates: &[PathBuf],
    environment: &Environment,
) -> anyhow::Result<(Config, Vec<PolicyFile>, Store)> {
    let (mut config, store) = open(place, environment)?;
    if !candidates.is_empty() {
        config.policy.preset = None;
        config.policy.files = candidates.to_vec();
    }
    let is_local = config.listen.address.ip().is_loopback();
    let files = config.read_policies(is_local)?;
    Ok((config, files, store))
}

/// The configuration, without what its policy files say, and the store.
pub(super) fn open(
    place: &admin::Place,
    environment: &Environment,
) -> anyhow::Result<(Config, Store)> {
    let path = crate::commands::config_path(place.config.as_deref(), environment)?;
    let config = load(&path, environment, None, |_, _| Vec::new())?.config;
    let directory = match (&place.state_dir, &config.state.directory) {
        (Some(directory), _) | (None, Some(directory)) => directory.clone(),
        (None, None) => default_directory(environment)?,
    };
    state::make(&directory)?;
    let settings = portcullis_store::Settings::default();
    let store = Store::open_beside(&directory.join(DATABASE), settings)?;
    Ok((config, store))
}

impl Ground {
    /// Opens everything. With `candidates`, these policies stand for those of the configuration.
    pub(super) async fn open(
        place: &admin::Place,
        candidates: &[PathBuf],
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let (config, files, store) = read(place, candidates, environment)?;
        Self::of(config, files, store, environment).await
    }

    /// The same, with a configuration and policies that have been read.
    pub(super) async fn of(
        config: Config,
        files: Vec<PolicyFile>,
        store: Store,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let definitions = store.definitions().all().await?;
        let learnt: Learnt = permissions::learnt(&store).await?;
        let mut settings = permissions::settings(&config, &files, environment)?;
        settings.host_check = Some(permissions::check_without_network());
        let permissions = Permissions::build(settings, Arc::new(learnt))
            .map_err(|invalid| permissions::refused(&files, invalid))?;
        let scopes = access::scope_map(&access::scopes(&config))?;
        let pipeline = Pipeline::new(
            portcullis_pipeline::Settings::default(),
            permissions,
            store.clone(),
        )
        .with_scopes(scopes);
        Ok(Self {
            config,
            store,
            pipeline,
            definitions,
        })
    }

    /// What would be decided on a call.
    pub(super) async fn judge(&self, hypothesis: &Hypothesis) -> anyhow::Result<Judgement> {
        let Hypothesis { server, target, .. } = hypothesis;
        let is_call = &*hypothesis.method == method::TOOLS_CALL;
        let name = target.as_deref().filter(|_| is_call);
        let tool = match name {
            Some(name) => self.definition(server, name)?,
            None => None,
        };
        let request = Request {
            id: RequestId::new(hypothesis.at, 0),
            at: hypothesis.at,
            principal: hypothesis.principal.clone(),
            client: None,
            server: server.clone(),
            method: hypothesis.method.clone(),
            target: target.clone(),
            params: Some(hypothesis.params.clone().into()),
            tool: tool.map(Arc::new),
            era_client: Era::Modern,
            era_server: Era::Modern,
        };
        Ok(self.pipeline.judge(request, hypothesis.counts).await)
    }

    fn definition(
        &self,
        server: &ServerName,
        tool: &str,
    ) -> anyhow::Result<Option<ToolDefinition>> {
        let mut of_server = self
            .definitions
            .iter()
            .filter(|row| row.server == server.as_str())
            .peekable();
        if of_server.peek().is_none() {
            let message = format!(
                "what `{server}` defines is not known; let a client list its tools through the gateway first"
            );
            return Err(WrongRequest(message).into());
        }
        let row = of_server.find(|row| row.tool == tool);
        let definition = row.map(|row| ToolDefinition::compile(row.definition.clone().into()));
        definition
            .transpose()
            .context("the definition kept cannot be used")
    }
}

impl Hypothesis {
    /// A tool call, now, by somebody who has done nothing of late.
    pub(super) fn call(
        principal: Principal,
        server: ServerName,
        tool: &str,
        arguments: &[u8],
    ) -> Self {
        let mut params = Object::new();
        params.set("name", quote(tool));
        params.set("arguments", arguments);
        Self {
            principal,
            server,
            method: method::TOOLS_CALL.into(),
            target: Some(tool.into()),
            params: params.to_vec(),
            counts: Counts::default(),
            at: Timestamp(clock::now_ms()),
        }
    }

    /// The arguments, where it is a tool call that has some.
    pub(super) fn arguments(&self) -> Option<&[u8]> {
        member(&self.params, "arguments")
    }
}

/// A principal, by the words of policies.
pub(super) fn principal(
    name: &str,
    kind: &str,
    client: Option<&str>,
    groups: &[impl AsRef<str>],
    scopes: Option<&[impl AsRef<str>]>,
) -> anyhow::Result<Principal> {
    let kind = PrincipalKind::parse(kind)
        .ok_or_else(|| WrongRequest(format!("`{kind}` is not how a principal is known")))?;
    let granted = match scopes {
        None => Granted::Everything,
        Some(scopes) => Granted::Scopes(scopes.iter().map(|it| it.as_ref().into()).collect()),
    };
    let groups = groups.iter().map(|group| group.as_ref().into()).collect();
    Ok(Principal::acting(name, kind, client.map(Arc::from), granted).in_groups(groups))
}
