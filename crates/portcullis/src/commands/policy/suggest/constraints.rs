//! The constraints on the arguments that were seen.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_constraint::{
    Access, Constraints, PathRule, Rule, Rules, Surroundings, generalise, places,
};
use serde_json::Value;

use super::seen::{Action, Seen, Tool};
use crate::config::policy::Policy;

/// Stands for all tools of a server.
const ALL: &str = "*";

/// The constraints for one server.
pub(super) struct Draft {
    /// By tool, `*` among them.
    pub(super) tools: BTreeMap<String, Rules>,
    /// The arguments that no rule was found for, with their tools.
    pub(super) unfit: BTreeSet<String>,
    /// The calls that it was made from, of how many tools.
    pub(super) calls: usize,
    pub(super) tools_seen: usize,
}

/// What one tool was given for one argument.
struct Use<'a> {
    tool: &'a str,
    is_reading: bool,
    proposed: Option<&'a Rule>,
    values: Vec<&'a Value>,
}

/// The calls of a server's tools: of each what is known, and the arguments.
type Calls<'a> = BTreeMap<&'a str, (&'a Tool, Vec<&'a Value>)>;

impl Draft {
    /// Drafts constraints for what the configuration itself says nothing of.
    pub(super) fn of(server: &str, seen: &Seen, policy: &Policy, around: &Surroundings) -> Self {
        let mut calls: Calls<'_> = BTreeMap::new();
        for call in seen.meant().filter(|call| call.server == server) {
            if let (Action::Call(name), Some(tool)) = (&call.action, seen.tools.get(&call.tool())) {
                let of_tool = calls.entry(name).or_insert_with(|| (tool, Vec::new()));
                of_tool.1.push(&call.arguments);
            }
        }
        let mut draft = Self {
            tools: BTreeMap::new(),
            unfit: BTreeSet::new(),
            calls: calls.values().map(|(_, calls)| calls.len()).sum(),
            tools_seen: calls.len(),
        };
        for (pointer, uses) in uses(&calls, |tool, pointer| says(policy, server, tool, pointer)) {
            let rules = settle(&uses, around);
            for of_tool in &uses {
                let rule = rules.get(of_tool.tool).or_else(|| rules.get(ALL));
                let holds = rule.is_some_and(|rule| {
                    let calls = calls.get(of_tool.tool).map(|(_, calls)| calls.as_slice());
                    admits(&pointer, rule, calls.unwrap_or_default(), around)
                });
                if !holds {
                    draft.unfit.insert(format!("{}{pointer}", of_tool.tool));
                }
            }
            let is_whole = uses
                .iter()
                .all(|of_tool| !draft.unfit.contains(&format!("{}{pointer}", of_tool.tool)));
            for (tool, rule) in rules {
                // What is for all must hold for all that were seen.
                if is_whole || (tool != ALL && !draft.unfit.contains(&format!("{tool}{pointer}"))) {
                    let of_tool = draft.tools.entry(tool).or_default();
                    of_tool.insert(pointer.clone(), rule);
                }
            }
        }
        draft
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.unfit.is_empty()
    }
}

/// Whether the configuration itself has a rule for an argument.
fn says(policy: &Policy, server: &str, tool: &str, pointer: &str) -> bool {
    let tools = policy.servers.get(server).map(|server| &server.tools);
    let has = |name: &str| {
        tools
            .and_then(|tools| tools.get(name))
            .is_some_and(|tool| tool.arguments.contains_key(pointer))
    };
    has(tool) || has(ALL)
}

/// For each argument, what each tool was given.
fn uses<'a>(
    calls: &Calls<'a>,
    is_said: impl Fn(&str, &str) -> bool,
) -> BTreeMap<String, Vec<Use<'a>>> {
    let mut uses: BTreeMap<String, Vec<Use<'a>>> = BTreeMap::new();
    for (name, (tool, calls)) in calls {
        let mut values: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for arguments in calls {
            for (pointer, value) in places(&tool.schema, &tool.proposed, arguments) {
                values.entry(pointer).or_default().push(value);
            }
        }
        for (pointer, values) in values {
            if !is_said(name, &pointer) {
                let proposed = tool.proposed.get(&pointer);
                uses.entry(pointer).or_default().push(Use {
                    tool: name,
                    is_reading: tool.is_reading,
                    proposed,
                    values,
                });
            }
        }
    }
    uses
}

fn admits(pointer: &str, rule: &Rule, calls: &[&Value], around: &Surroundings) -> bool {
    let rules = Rules::from([(pointer.to_owned(), rule.clone())]);
    Constraints::compile(&rules, around)
        .is_ok_and(|constraints| calls.iter().all(|call| constraints.check(call).is_ok()))
}

/// One rule for all tools where they agree, else one for each. Where tools that read and tools that change reach different
/// directories, one for those that read, and one for each that changes.
fn settle(uses: &[Use<'_>], around: &Surroundings) -> BTreeMap<String, Rule> {
    let of = |reading: bool| -> Vec<&Use<'_>> {
        uses.iter()
            .filter(|of_tool| of_tool.is_reading == reading)
            .collect()
    };
    let is_path = uses
        .iter()
        .all(|of_tool| matches!(of_tool.proposed, Some(Rule::Path(_))));
    let all: Vec<&Use<'_>> = uses.iter().collect();
    let reading = of(true);
    let changing = of(false);
    let together = shared(&all, around);
    if is_path && !reading.is_empty() && !changing.is_empty() {
        let (read, change) = (shared(&reading, around), shared(&changing, around));
        let is_same = roots(read.as_ref()) == roots(change.as_ref());
        if let (Some(read), Some(change)) = (read, change)
            && !(is_same && together.is_some())
        {
            let changing = changing
                .iter()
                .map(|of_tool| (of_tool.tool.to_owned(), change.clone()));
            return changing.chain([(ALL.to_owned(), read)]).collect();
        }
    }
    if let Some(rule) = together {
        return BTreeMap::from([(ALL.to_owned(), rule)]);
    }
    let each = uses.iter().filter_map(|of_tool| {
        let rule = generalise(of_tool.proposed, &of_tool.values, around)?;
        Some((of_tool.tool.to_owned(), rule))
    });
    each.collect()
}

fn roots(rule: Option<&Rule>) -> Option<(&[String], bool)> {
    match rule {
        Some(Rule::Path(PathRule { roots, hidden, .. })) => Some((roots, *hidden)),
        Some(_) | None => None,
    }
}

/// A rule that holds for several tools: of one kind, and as strict as the strictest that is proposed.
fn shared(uses: &[&Use<'_>], around: &Surroundings) -> Option<Rule> {
    let values: Vec<&Value> = uses
        .iter()
        .flat_map(|of_tool| of_tool.values.iter().copied())
        .collect();
    let proposed: Vec<&Rule> = uses.iter().filter_map(|of_tool| of_tool.proposed).collect();
    let kinds: BTreeSet<&str> = proposed.iter().map(|rule| rule.kind()).collect();
    if kinds.len() > 1 {
        return None;
    }
    let writes = |rule: &&&Rule| matches!(rule, Rule::Path(path) if path.access == Access::Write);
    let first = proposed.first().copied();
    let strict = proposed.iter().find(writes).copied().or(first);
    generalise(strict, &values, around)
}
