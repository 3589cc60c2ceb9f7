//! What may be done: the policies, and the constraints on arguments, both typed by what the servers define.
//!
//! A server's definitions are learnt when it lists its tools, and may change. Policies and constraints are compiled
//! anew then. A server whose definitions the policies do not fit is as one that is not known: what policies say of it is
//! undecided, which is denied; the other servers go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use portcullis_constraint::{
    Constraints, Files, HostToResolve, InvalidRule, Rules, Surroundings, defaults,
};
use portcullis_mcp::{Object, ServerName};
use portcullis_policy::{Hints, Mistake, Policies, PolicyFile, ServerShape, ToolShape};

use crate::history::Past;
use crate::{Catalog, Denial, History, Principal, Request};

/// The permission model, as an operator configured it.
#[derive(Clone, Default)]
pub struct Settings {
    /// The policies.
    pub files: Vec<PolicyFile>,
    /// What is said of each configured server.
    pub servers: BTreeMap<ServerName, ServerRules>,
    /// How people are asked.
    pub approvals: Approvals,
    /// Who says where a host is.
    pub host_check: Option<HostCheck>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// Resolves a host that an argument names, and says whether all its addresses may be reached.
pub type HostCheck =
    Arc<dyn Fn(HostToResolve) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What an operator says of one server.
#[derive(Clone, Debug)]
pub struct ServerRules {
    /// Whether denials of the permission model are enforced.
    pub mode: Mode,
    /// Whether the arguments of calls are kept in the record.
    pub keeps_arguments: bool,
    /// Its tools, by name; what stands under `*` is for all.
    pub tools: BTreeMap<String, ToolRules>,
    /// Where paths lead.
    pub surroundings: Surroundings,
}

impl Default for ServerRules {
    /// Of a server that nothing is said of, nothing is known of its files either.
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            keeps_arguments: false,
            tools: BTreeMap::new(),
            surroundings: Surroundings {
                directory: None,
                home: None,
                files: Files::Elsewhere,
            },
        }
    }
}

/// What an operator says of one tool.
#[derive(Clone, Debug, Default)]
pub struct ToolRules {
    /// Sets that policies may speak of.
    pub classes: BTreeSet<String>,
    /// Labels of data.
    pub labels: BTreeSet<String>,
    /// The constraints on arguments, by JSON pointer.
    pub arguments: Rules,
}

/// Whether denials are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are recorded, and the call goes on. What establishes who calls, and that messages are whole, is enforced.
    Observe,
}

/// How people are asked about calls.
#[derive(Clone, Copy, Debug)]
pub struct Approvals {
    /// How long a question may be answered and its answer used.
    pub life: Duration,
    /// How many questions one caller may raise within [`Approvals::window`], and how often each is put before somebody.
    pub asks_max: u32,
    /// The time in which questions are counted.
    pub window: Duration,
    /// How long a no stands for the same call.
    pub no_stands: Duration,
}

impl Default for Approvals {
    fn default() -> Self {
        Self {
            life: Duration::from_mins(5),
            asks_max: 10,
            window: Duration::from_mins(10),
            no_stands: Duration::from_mins(10),
        }
    }
}

/// What was learnt while running, and outlives a reload of the configuration.
#[derive(Debug, Default)]
pub struct Learnt {
    /// What principals have done of late.
    pub(crate) history: History,
    definitions: Mutex<BTreeMap<ServerName, Arc<Defined>>>,
}

/// The definitions of one server, by tool.
type Defined = BTreeMap<Box<str>, Bytes>;

impl Learnt {
    /// Takes over what a server defined when it was last seen: each tool's name and definition.
    pub fn remember(&self, server: ServerName, tools: BTreeMap<Box<str>, Bytes>) {
        self.definitions.lock().insert(server, Arc::new(tools));
    }
}

/// A configuration of the permission model that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPermissions {
    /// Policies have mistakes.
    #[error("{} in the policies; the first: {}", count(.0), first(.0))]
    Policies(Vec<Mistake>),
    /// A constraint cannot be compiled.
    #[error("server `{server}`, tool `{tool}`")]
    Rule {
        /// The server.
        server: ServerName,
        /// The tool.
        tool: String,
        /// What is wrong.
        source: Box<InvalidRule>,
    },
}

fn count(mistakes: &[Mistake]) -> String {
    match mistakes.len() {
        1 => "a mistake".to_owned(),
        several => format!("{several} mistakes"),
    }
}

fn first(mistakes: &[Mistake]) -> String {
    mistakes
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The permission model in force.
#[derive(Debug)]
pub struct Permissions {
    settings: Settings,
    learnt: Arc<Learnt>,
    state: RwLock<Arc<State>>,
    /// One compiles at a time.
    compiling: Mutex<()>,
}

/// How much a permission model speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its policies.
    pub policies: usize,
    /// The servers whose definitions are known.
    pub servers: usize,
    /// Their tools.
    pub tools: usize,
}

/// Policies and constraints, for the definitions known at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policies: Policies,
    /// The version of the policies.
    pub(crate) version: Arc<str>,
    /// What is likely not meant.
    warnings: Vec<Mistake>,
    servers: BTreeMap<ServerName, HashMap<Box<str>, Arc<Tool>>>,
    /// Servers that the policies do not fit.
    unfit: BTreeSet<ServerName>,
}

/// What is in force for one tool.
#[derive(Debug)]
pub(crate) struct Tool {
    raw: Bytes,
    /// An error when a constraint does not fit: the tool cannot be called.
    pub(crate) constraints: Result<Constraints, InvalidRule>,
}

impl State {
    /// What is in force for the tool that a request calls, as it is defined now; `None` for a request that calls none.
    pub(crate) fn tool_of(&self, request: &Request) -> Result<Option<&Tool>, Denial> {
        let Some(called) = &request.tool else {
            return Ok(None);
        };
        let known = self.tool(&request.server, &called.name);
        let known = known.filter(|known| known.raw == called.raw);
        known.map(Some).ok_or(Denial::UndecidedPolicy)
    }

    fn tool(&self, server: &ServerName, name: &str) -> Option<&Tool> {
        self.servers.get(server)?.get(name).map(AsRef::as_ref)
    }
}

impl Permissions {
    /// Compiles everything for the definitions that are known.
    pub fn build(settings: Settings, learnt: Arc<Learnt>) -> Result<Self, InvalidPermissions> {
        for (server, rules) in &settings.servers {
            for (tool, of_tool) in &rules.tools {
                Constraints::compile(&of_tool.arguments, &rules.surroundings).map_err(
                    |source| InvalidPermissions::Rule {
                        server: server.clone(),
                        tool: tool.clone(),
                        source: Box::new(source),
                    },
                )?;
            }
        }
        let definitions = learnt.definitions.lock().clone();
        let state = compile(&settings, &definitions, None, &BTreeSet::new())
            .map_err(InvalidPermissions::Policies)?;
        Ok(Self {
            settings,
            learnt,
            state: RwLock::new(Arc::new(state)),
            compiling: Mutex::new(()),
        })
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    pub(crate) fn host_check(&self) -> Option<&HostCheck> {
        self.settings.host_check.as_ref()
    }

    pub(crate) fn approvals(&self) -> Approvals {
        self.settings.approvals
    }

    pub(crate) fn mode(&self, server: &ServerName) -> Mode {
        self.rules(server)
            .map(|rules| rules.mode)
            .unwrap_or_default()
    }

    pub(crate) fn keeps_arguments(&self, server: &ServerName) -> bool {
        self.rules(server)
            .is_some_and(|rules| rules.keeps_arguments)
    }

    /// What a principal has done of late.
    pub(crate) fn past(&self, principal: &Principal) -> Past {
        self.learnt.history.of(principal.identity())
    }

    fn rules(&self, server: &ServerName) -> Option<&ServerRules> {
        self.settings.servers.get(server)
    }

    /// What is odd about the policies: what is likely not meant, and what can never matter.
    pub fn findings(&self) -> Vec<Mistake> {
        let state = self.state();
        let mut findings = state.warnings.clone();
        findings.extend(state.policies.oddities().iter().map(|oddity| {
            let place = state.policies.place(&oddity.policy);
            Mistake {
                message: oddity.to_string(),
                ..place
            }
        }));
        findings
    }

    /// How much the model speaks of.
    pub fn known(&self) -> Known {
        let state = self.state();
        Known {
            policies: state.policies.ids().count(),
            servers: state.servers.len(),
            tools: state.servers.values().map(HashMap::len).sum(),
        }
    }

    /// The version of the policies.
    pub fn version(&self) -> Arc<str> {
        Arc::clone(&self.state().version)
    }

    /// Takes note of what a server defines now. Tells whether that is new.
    pub(crate) fn learn(&self, server: &ServerName, catalog: &Catalog) -> bool {
        let defined: Defined = catalog
            .iter()
            .map(|tool| (tool.name.clone(), tool.raw.clone()))
            .collect();
        let is_new = {
            let mut definitions = self.learnt.definitions.lock();
            let known = definitions.get(server);
            let is_new = known.is_none_or(|known| **known != defined);
            if is_new {
                definitions.insert(server.clone(), Arc::new(defined));
            }
            is_new
        };
        if is_new || !self.state.read().servers.contains_key(server) {
            self.refresh(server);
        }
        is_new
    }

    /// The state in which the definition of the tool that is called is known.
    pub(crate) fn state_for(&self, request: &Request) -> Arc<State> {
        let state = self.state();
        let Some(tool) = &request.tool else {
            return state;
        };
        if state.tool_of(request).is_ok() {
            return state;
        }
        let server = &request.server;
        {
            let mut definitions = self.learnt.definitions.lock();
            let known = definitions.entry(server.clone()).or_default();
            Arc::make_mut(known).insert(tool.name.clone(), tool.raw.clone());
        }
        self.refresh(server);
        self.state()
    }

    /// Compiles anew, because of what `server` defines.
    fn refresh(&self, server: &ServerName) {
        let _one_at_a_time = self.compiling.lock();
        let previous = self.state();
        let definitions = self.learnt.definitions.lock().clone();
        let mut unfit = previous.unfit.clone();
        unfit.remove(server);
        let state = match compile(&self.settings, &definitions, Some(&previous), &unfit) {
            Ok(state) => state,
            Err(mistakes) => {
                for mistake in &mistakes {
                    tracing::error!(%server, %mistake, "the policies do not fit what the server defines");
                }
                unfit.insert(server.clone());
                match compile(&self.settings, &definitions, Some(&previous), &unfit) {
                    Ok(state) => state,
                    // They fitted without the server before. What is in force stays, and knows nothing of the new definitions, whose calls are
                    // undecided.
                    Err(_same) => return,
                }
            }
        };
        *self.state.write() = Arc::new(state);
    }
}

fn compile(
    settings: &Settings,
    definitions: &BTreeMap<ServerName, Arc<Defined>>,
    previous: Option<&State>,
    unfit: &BTreeSet<ServerName>,
) -> Result<State, Vec<Mistake>> {
    let nothing = ServerRules::default();
    let rules_of = |server| settings.servers.get(server).unwrap_or(&nothing);
    let is_known =
        |server: &ServerName| definitions.contains_key(server) && !unfit.contains(server);
    let awaited: Vec<ServerName> = settings
        .servers
        .keys()
        .chain(unfit)
        .filter(|server| !is_known(server))
        .cloned()
        .collect();
    let known: Vec<ServerShape> = definitions
        .iter()
        .filter(|(server, _)| is_known(server) && settings.servers.contains_key(*server))
        .map(|(server, defined)| shape(server, defined, rules_of(server)))
        .collect();
    let compiled = Policies::compile(&settings.files, &known, &awaited, None)?;
    let servers = definitions
        .iter()
        .map(|(server, defined)| {
            let rules = rules_of(server);
            let before = previous.and_then(|previous| previous.servers.get(server));
            let tools = defined.iter().map(|(name, raw)| {
                let same = before
                    .and_then(|before| before.get(name))
                    .filter(|tool| tool.raw == *raw);
                let tool = same.map_or_else(|| Arc::new(tool(name, raw, rules)), Arc::clone);
                (name.clone(), tool)
            });
            (server.clone(), tools.collect())
        })
        .collect();
    Ok(State {
        version: version_of(&compiled.policies),
        warnings: compiled.warnings,
        policies: compiled.policies,
        servers,
        unfit: unfit.clone(),
    })
}

/// The version of policies: of their files, and of the definitions that they are typed by.
fn version_of(policies: &Policies) -> Arc<str> {
    format!(
        "{:.16}-{:.16}",
        policies.digest(),
        policies.definitions_digest()
    )
    .into()
}

/// The rules of a tool: what stands under its name, then under `*`.
fn rules_of<'a>(rules: &'a ServerRules, tool: &str) -> impl Iterator<Item = &'a ToolRules> {
    [rules.tools.get(tool), rules.tools.get("*")]
        .into_iter()
        .flatten()
}

fn shape(server: &ServerName, defined: &Defined, rules: &ServerRules) -> ServerShape {
    let tools = defined.iter().filter_map(|(name, raw)| {
        let object = Object::parse(raw)?;
        let annotations = object.get("annotations").and_then(Object::parse);
        let hint = |name| annotations.as_ref()?.get(name).map(|it| it == b"true");
        let of = |pick: fn(&ToolRules) -> &BTreeSet<String>| {
            let all: BTreeSet<String> = rules_of(rules, name).flat_map(pick).cloned().collect();
            all.into_iter().collect()
        };
        Some(ToolShape {
            name: name.clone(),
            input_schema: object.get("inputSchema")?.into(),
            annotations: Hints {
                read_only: hint("readOnlyHint"),
                destructive: hint("destructiveHint"),
                idempotent: hint("idempotentHint"),
                open_world: hint("openWorldHint"),
            },
            classes: of(|rules| &rules.classes),
            labels: of(|rules| &rules.labels),
        })
    });
    ServerShape {
        name: server.clone(),
        tools: tools.collect(),
        prompts: None,
    }
}

fn tool(name: &str, raw: &Bytes, rules: &ServerRules) -> Tool {
    let schema = Object::parse(raw)
        .and_then(|object| serde_json::from_slice(object.get("inputSchema")?).ok());
    let mut arguments = schema
        .as_ref()
        .map(|schema| defaults(name, schema))
        .unwrap_or_default();
    // The nearest word counts: of the tool, then of all tools of the server, then ours.
    for of_tool in rules_of(rules, name).collect::<Vec<_>>().into_iter().rev() {
        arguments.extend(of_tool.arguments.clone());
    }
    Tool {
        raw: raw.clone(),
        constraints: Constraints::compile(&arguments, &rules.surroundings),
    }
}
