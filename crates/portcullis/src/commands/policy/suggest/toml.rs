//! Constraints as a file of the configuration has them: a line for each argument.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcullis_constraint::Rule;
use serde_json::{Value, json};

use super::constraints::Draft;
use crate::commands::list::harmless;

/// Writes the drafts of all servers.
pub(super) fn write(heading: &str, drafts: &BTreeMap<&str, Draft>) -> String {
    let mut text = format!("# {heading}\n");
    for (server, draft) in drafts {
        let (calls, tools) = (draft.calls, draft.tools_seen);
        // Text in memory takes everything.
        write!(
            text,
            "\n# `{server}`: {calls} calls of {tools} tools; `*` is each tool that has the argument.\n"
        )
        .ok();
        for unfit in &draft.unfit {
            let unfit = harmless(unfit);
            writeln!(text, "# No one rule fits what was seen for {unfit}.").ok();
        }
        for (tool, rules) in &draft.tools {
            writeln!(text, "[servers.{server}.tools.{}.arguments]", key(tool)).ok();
            for (pointer, rule) in rules {
                writeln!(text, "{} = {}", quoted(pointer), of_rule(rule)).ok();
            }
        }
    }
    text
}

/// A rule without what is so anyway.
fn of_rule(rule: &Rule) -> String {
    let value = serde_json::to_value(rule).unwrap_or_default();
    inline(&value)
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let kind = members.get("kind").and_then(Value::as_str);
            let usual = kind
                .and_then(|kind| serde_json::from_value::<Rule>(json!({ "kind": kind })).ok())
                .and_then(|rule| serde_json::to_value(rule).ok())
                .unwrap_or_default();
            let is_program = kind.is_none();
            let first = kind.map(|kind| format!("kind = {}", quoted(kind)));
            let others = members.iter().filter(|(name, value)| {
                let is_empty = value.is_null()
                    || value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty);
                name.as_str() != "kind"
                    && usual.get(name) != Some(value)
                    && !(is_program && is_empty)
                    && !value.is_null()
            });
            let others = others.map(|(name, value)| format!("{} = {}", key(name), inline(value)));
            let all: Vec<String> = first.into_iter().chain(others).collect();
            format!("{{ {} }}", all.join(", "))
        }
        Value::Array(elements) => {
            let all: Vec<String> = elements.iter().map(inline).collect();
            format!("[{}]", all.join(", "))
        }
        Value::String(text) => quoted(text),
        Value::Number(number) => match number.as_f64() {
            // A bound that is whole is written so.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            Some(_) | None => number.to_string(),
        },
        Value::Bool(flag) => flag.to_string(),
        // Left out above.
        Value::Null => "\"\"".to_owned(),
    }
}

/// A key, bare where it can be.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A basic string: JSON's escapes are TOML's, which wants DEL escaped too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}
