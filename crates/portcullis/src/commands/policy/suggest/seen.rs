//! The calls that were seen, and what is known of the tools that they called.

use std::collections::BTreeMap;

use portcullis_constraint::{Constraints, Files, Hints, Rules, Surroundings, defaults, infer};
use portcullis_mcp::{Object, method};
use portcullis_pipeline::permissions::{ServerRules, Settings};
use portcullis_store::{CallRow, DefinitionRow};
use serde_json::Value;

use crate::commands::policy::ground::Hypothesis;
use crate::commands::policy::replay::kept;

/// Words of names of tools that change something, whatever their servers say.
const CHANGING: &[&str] = &[
    "add", "append", "apply", "commit", "copy", "create", "delete", "drop", "edit", "exec",
    "execute", "insert", "merge", "move", "patch", "post", "publish", "push", "put", "remove",
    "rename", "replace", "reset", "run", "send", "set", "update", "upload", "write",
];

/// Words of names of tools that read, where their servers say nothing.
const READING: &[&str] = &[
    "get", "list", "read", "search", "find", "show", "describe", "fetch", "query", "status", "log",
    "diff", "count", "view",
];

/// Everything that was seen.
pub(super) struct Seen {
    /// The calls, oldest first.
    pub(super) calls: Vec<Call>,
    /// The tools of each server, by server and name.
    pub(super) tools: BTreeMap<(String, String), Tool>,
}

/// A call that was seen.
pub(super) struct Call {
    pub(super) principal: String,
    pub(super) groups: Vec<Box<str>>,
    pub(super) server: String,
    pub(super) action: Action,
    /// The arguments of a tool call.
    pub(super) arguments: Value,
    pub(super) at_ms: u64,
    pub(super) hypothesis: Hypothesis,
    /// Why nothing is suggested for it.
    pub(super) left_out: Option<&'static str>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Call(String),
    List,
    Prompt(String),
    Read(String),
    Subscribe(String),
    Complete,
    Task,
    Other,
}

/// What is known of a tool.
pub(super) struct Tool {
    pub(super) schema: Value,
    /// It changes nothing, by its class, its server's word and its name.
    pub(super) is_reading: bool,
    /// What its arguments likely are.
    pub(super) proposed: Rules,
    /// What holds for its arguments in any case.
    defaults: Option<Constraints>,
}

impl Seen {
    /// Reads the record's rows. Tools that were called at most `rare` times are left out.
    pub(super) fn of(
        rows: &[(CallRow, Vec<u8>)],
        definitions: &[DefinitionRow],
        settings: &Settings,
        rare: usize,
    ) -> anyhow::Result<Self> {
        let mut tools = BTreeMap::new();
        for (server, rules) in &settings.servers {
            for row in definitions
                .iter()
                .filter(|row| row.server == server.as_str())
            {
                if let Some(tool) = Tool::of(row, rules) {
                    tools.insert((row.server.clone(), row.tool.clone()), tool);
                }
            }
        }
        let is_configured = |(row, _): &&(CallRow, Vec<u8>)| {
            let mut servers = settings.servers.keys();
            servers.any(|server| server.as_str() == row.server)
        };
        let mut calls = Vec::new();
        for (row, bytes) in rows.iter().filter(is_configured) {
            let mut call = Call::of(row, bytes)?;
            call.left_out = why_not(row, &call, &tools);
            calls.push(call);
        }
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.left_out.is_none()) {
            *counts.entry(call.tool()).or_default() += 1;
        }
        for call in &mut calls {
            let is_call = matches!(call.action, Action::Call(_));
            let count = counts.get(&call.tool()).copied().unwrap_or_default();
            if is_call && call.left_out.is_none() && count <= rare {
                call.left_out = Some("the tool was called too seldom");
            }
        }
        Ok(Self { calls, tools })
    }

    /// The calls that something is suggested for.
    pub(super) fn meant(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.left_out.is_none())
    }
}

/// Why nothing is to be suggested for a call, rare or not.
fn why_not(
    row: &CallRow,
    call: &Call,
    tools: &BTreeMap<(String, String), Tool>,
) -> Option<&'static str> {
    // Without a decision it failed a check of form, and an approval that was only asked for was not given.
    if !matches!(
        row.decision.as_deref(),
        Some("allow" | "observed" | "approved")
    ) {
        return Some("it was refused when it was made");
    }
    if !matches!(call.action, Action::Call(_)) {
        return None;
    }
    let Some(tool) = tools.get(&call.tool()) else {
        return Some("the server defines no such tool now");
    };
    match &tool.defaults {
        Some(defaults) if defaults.check(&call.arguments).is_ok() => None,
        Some(_) => Some("it leads to secrets or is not a plain path or URL"),
        None => Some("its definition cannot be read"),
    }
}

impl Call {
    fn of(row: &CallRow, bytes: &[u8]) -> anyhow::Result<Self> {
        let hypothesis = kept(row, bytes)?;
        let target = row.target.clone().unwrap_or_default();
        let action = match row.method.as_str() {
            method::TOOLS_CALL => Action::Call(target),
            method::PROMPTS_GET => Action::Prompt(target),
            method::RESOURCES_READ | method::RESOURCES_DIRECTORY_READ => Action::Read(target),
            method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                Action::Subscribe(target)
            }
            method::TOOLS_LIST
            | method::PROMPTS_LIST
            | method::RESOURCES_LIST
            | method::RESOURCES_TEMPLATES_LIST => Action::List,
            method::COMPLETION_COMPLETE => Action::Complete,
            name if name.starts_with("tasks/") => Action::Task,
            _ => Action::Other,
        };
        let arguments = hypothesis.arguments().unwrap_or(b"{}");
        Ok(Self {
            principal: row.principal.clone(),
            groups: hypothesis.principal.groups.to_vec(),
            server: row.server.clone(),
            action,
            arguments: serde_json::from_slice(arguments).unwrap_or_default(),
            at_ms: row.started_ms,
            hypothesis,
            left_out: None,
        })
    }

    /// The server, and the tool if one was called.
    pub(super) fn tool(&self) -> (String, String) {
        let tool = match &self.action {
            Action::Call(tool) => tool.clone(),
            Action::List
            | Action::Prompt(_)
            | Action::Read(_)
            | Action::Subscribe(_)
            | Action::Complete
            | Action::Task
            | Action::Other => String::new(),
        };
        (self.server.clone(), tool)
    }

    /// What was done, for a person.
    pub(super) fn name(&self) -> String {
        let target = self.hypothesis.target.as_deref();
        let what = target.unwrap_or(&self.hypothesis.method);
        format!("{}/{what}", self.server)
    }
}

impl Tool {
    /// `None` for a definition that is none.
    fn of(row: &DefinitionRow, rules: &ServerRules) -> Option<Self> {
        let definition = Object::parse(&row.definition)?;
        let schema: Value = serde_json::from_slice(definition.get("inputSchema")?).ok()?;
        let annotations = definition.get("annotations").and_then(Object::parse);
        let read_only = annotations
            .and_then(|annotations| Some(annotations.get("readOnlyHint")? == b"true".as_slice()));
        let hints = Hints {
            description: definition
                .get_str("description")
                .map(std::borrow::Cow::into_owned)
                .unwrap_or_default(),
            read_only,
            roots: Vec::new(),
        };
        let proposals = infer(&row.tool, &schema, &hints).into_iter();
        let mut proposed: Rules = proposals
            .map(|proposal| (proposal.pointer, proposal.rule))
            .collect();
        let known = rules.tools.get(&row.tool);
        proposed.extend(
            known
                .map(|known| known.arguments.clone())
                .unwrap_or_default(),
        );
        let is_classed = known.is_some_and(|known| known.classes.contains("read-only"));
        let without = Surroundings {
            files: Files::Elsewhere,
            ..rules.surroundings.clone()
        };
        // The rules that always hold are asked where the files are; without them, by the text alone.
        let of_schema = defaults(&row.tool, &schema);
        let defaults = Constraints::compile(&of_schema, &rules.surroundings)
            .or_else(|_unusable| Constraints::compile(&of_schema, &without));
        Some(Self {
            is_reading: is_classed || is_reading(&row.tool, read_only),
            schema,
            proposed,
            defaults: defaults.ok(),
        })
    }
}

fn is_reading(name: &str, read_only: Option<bool>) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |list: &[&str]| name.split(['_', '-', '.']).any(|word| list.contains(&word));
    !has(CHANGING) && read_only.unwrap_or_else(|| has(READING))
}
