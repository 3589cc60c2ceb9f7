//! Policies for what was done, by whom: a permit for each kind of action and each set of people.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::seen::{Action, Call, Seen};
use crate::commands::list::{harmless, time};

/// How long lines of lists become.
const LINE_CHARS_MAX: usize = 110;
/// Most resources that are listed one by one; beyond, their schemes are.
const RESOURCES_MAX: usize = 8;

/// What is permitted by one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Reading,
    Changing,
    List,
    Prompt,
    Read,
    Subscribe,
    Complete,
    Task,
    Other,
}

/// What was done, and how often.
#[derive(Default)]
struct Uses {
    people: BTreeSet<String>,
    calls: usize,
    first_ms: u64,
    last_ms: u64,
}

/// A permit: what it is for, whom, and on which server where it is about the things of one.
type Key = (Part, BTreeSet<String>, Option<String>);

/// Writes all permits.
pub(super) fn write(heading: &str, seen: &Seen) -> String {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut done: BTreeMap<(Part, Option<String>, String), Uses> = BTreeMap::new();
    for call in seen.meant() {
        for group in &call.groups {
            groups.entry(group).or_default().insert(&call.principal);
        }
        let uses = done.entry(item(call, seen)).or_default();
        uses.take(
            &BTreeSet::from([call.principal.clone()]),
            call.at_ms,
            call.at_ms,
            1,
        );
    }
    let mut permits: BTreeMap<Key, (BTreeSet<String>, Uses)> = BTreeMap::new();
    for ((part, server, thing), uses) in done {
        let key = (part, uses.people.clone(), server);
        let (things, all) = permits.entry(key).or_default();
        things.insert(thing);
        all.take(&uses.people, uses.first_ms, uses.last_ms, uses.calls);
    }
    let mut text = format!("// {heading}\n");
    let mut numbers: BTreeMap<Part, usize> = BTreeMap::new();
    for ((part, people, server), (things, uses)) in &permits {
        let number = numbers.entry(*part).or_default();
        *number += 1;
        let id = match number {
            1 => format!("suggested/{}", part.name()),
            several => format!("suggested/{}-{several}", part.name()),
        };
        text.push_str(&permit(
            *part,
            &id,
            &who(people, &groups),
            server.as_deref(),
            things,
            uses,
        ));
    }
    text
}

impl Uses {
    fn take(&mut self, people: &BTreeSet<String>, first_ms: u64, last_ms: u64, calls: usize) {
        self.first_ms = if self.calls == 0 {
            first_ms
        } else {
            self.first_ms.min(first_ms)
        };
        self.last_ms = self.last_ms.max(last_ms);
        self.calls += calls;
        self.people.extend(people.iter().cloned());
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Changing => "changing",
            Self::List => "lists",
            Self::Prompt => "prompts",
            Self::Read => "resources",
            Self::Subscribe => "subscriptions",
            Self::Complete => "completions",
            Self::Task => "tasks",
            Self::Other => "other",
        }
    }

    /// The action that is not a tool's.
    fn action(self) -> Option<&'static str> {
        match self {
            Self::Reading | Self::Changing => None,
            Self::List => Some("list"),
            Self::Prompt => Some("prompt"),
            Self::Read => Some("read"),
            Self::Subscribe => Some("subscribe"),
            Self::Complete => Some("complete"),
            Self::Task => Some("task"),
            Self::Other => Some("other"),
        }
    }

    /// What it is about, of which there were some.
    fn things(self) -> &'static str {
        match self {
            Self::Reading | Self::Changing => "tools",
            Self::List | Self::Task | Self::Other => "servers",
            Self::Prompt => "prompts",
            Self::Read | Self::Subscribe => "resources",
            Self::Complete => "servers' prompts and templates",
        }
    }
}

/// What a call is counted under: the part, the server where permits are kept apart by it, and the thing.
fn item(call: &Call, seen: &Seen) -> (Part, Option<String>, String) {
    let server = call.server.clone();
    match &call.action {
        Action::Call(tool) => {
            let known = seen.tools.get(&call.tool());
            let part = if known.is_some_and(|tool| tool.is_reading) {
                Part::Reading
            } else {
                Part::Changing
            };
            (part, None, format!("{server}/{tool}"))
        }
        Action::List => (Part::List, None, server),
        Action::Task => (Part::Task, None, server),
        Action::Other => (Part::Other, None, server),
        Action::Prompt(name) => (Part::Prompt, None, format!("{server}/{name}")),
        Action::Read(uri) => (Part::Read, Some(server), uri.clone()),
        Action::Subscribe(uri) => (Part::Subscribe, Some(server), uri.clone()),
        Action::Complete => (Part::Complete, Some(server.clone()), server),
    }
}

/// Whom a permit is for: the scope, and what is left for the condition.
struct Who {
    scope: String,
    condition: Option<String>,
    words: String,
}

/// One person by name; several by a group, if they are all that was seen of it; else by their names.
fn who(people: &BTreeSet<String>, groups: &BTreeMap<&str, BTreeSet<&str>>) -> Who {
    let names: BTreeSet<&str> = people.iter().map(String::as_str).collect();
    let words = || {
        let names: Vec<String> = names.iter().map(|name| harmless(name)).collect();
        names.join(", ")
    };
    if let (1, Some(name)) = (names.len(), names.first()) {
        return Who {
            scope: format!("principal == User::{}", quoted(name)),
            condition: None,
            words: words(),
        };
    }
    if let Some((group, _)) = groups.iter().find(|(_, members)| **members == names) {
        return Who {
            scope: format!("principal in Group::{}", quoted(group)),
            condition: None,
            words: format!("{}, all that was seen of `{}`", words(), harmless(group)),
        };
    }
    let users = entities("User", names.iter().copied());
    Who {
        scope: "principal".to_owned(),
        condition: Some(format!("principal in [{}]", users.join(", "))),
        words: words(),
    }
}

fn permit(
    part: Part,
    id: &str,
    who: &Who,
    server: Option<&str>,
    things: &BTreeSet<String>,
    uses: &Uses,
) -> String {
    let mut text = format!(
        "\n// {} calls of {} {} by {}, {} to {}.\n@id({})\n",
        uses.calls,
        things.len(),
        part.things(),
        who.words,
        time(uses.first_ms),
        time(uses.last_ms),
        quoted(id),
    );
    let action = if let Some(action) = part.action() {
        format!("action == Action::{}", quoted(action))
    } else {
        let actions = entities("Action", things.iter().map(String::as_str));
        format!("action in [\n{}]", wrapped(&actions))
    };
    let (resource, condition) = resource(part, server, things);
    // Text in memory takes everything.
    write!(text, "permit ({}, {action}, {resource})", who.scope).ok();
    let conditions: Vec<String> = [who.condition.clone(), condition]
        .into_iter()
        .flatten()
        .collect();
    if !conditions.is_empty() {
        write!(text, "\nwhen {{ {} }}", conditions.join(" && ")).ok();
    }
    text.push_str(";\n");
    text
}

/// What a permit is about: the scope, and what is left for the condition.
fn resource(
    part: Part,
    server: Option<&str>,
    things: &BTreeSet<String>,
) -> (String, Option<String>) {
    let of = |kind: &str| {
        let all = entities(kind, things.iter().map(String::as_str));
        match all.as_slice() {
            [only] => (format!("resource == {only}"), None),
            several => {
                let several = several.join(", ");
                (
                    "resource".to_owned(),
                    Some(format!("resource in [{several}]")),
                )
            }
        }
    };
    let within = || format!("resource in Server::{}", quoted(server.unwrap_or_default()));
    match part {
        Part::Reading | Part::Changing => ("resource".to_owned(), None),
        Part::List | Part::Task | Part::Other => of("Server"),
        Part::Prompt => of("Prompt"),
        Part::Complete => (within(), None),
        Part::Read | Part::Subscribe if things.len() <= RESOURCES_MAX => {
            let uris: Vec<String> = things.iter().map(|uri| quoted(uri)).collect();
            let condition = format!("[{}].contains(resource.uri)", uris.join(", "));
            (within(), Some(condition))
        }
        Part::Read | Part::Subscribe => {
            let schemes: BTreeSet<String> = things
                .iter()
                .filter_map(|uri| uri.split_once(':'))
                .map(|(scheme, _)| quoted(&scheme.to_ascii_lowercase()))
                .collect();
            let schemes: Vec<String> = schemes.into_iter().collect();
            let condition = format!("[{}].contains(resource.scheme)", schemes.join(", "));
            (within(), Some(condition))
        }
    }
}

fn entities<'n>(kind: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names
        .map(|name| format!("{kind}::{}", quoted(name)))
        .collect()
}

/// A list over several lines, indented.
fn wrapped(items: &[String]) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for item in items {
        if !line.is_empty() && line.len() + item.len() + 4 > LINE_CHARS_MAX {
            writeln!(text, " {line}").ok();
            line.clear();
        }
        write!(line, " {item},").ok();
    }
    if !line.is_empty() {
        writeln!(text, " {line}").ok();
    }
    text
}

/// A Cedar string, whose escapes are Rust's.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}
