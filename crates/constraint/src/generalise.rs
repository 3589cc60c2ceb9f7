//! Rules from values that were seen: of each kind the narrowest that a person would have written for them.
//!
//! What is drawn from values is checked against all of them before it is given, so that a rule never refuses what it was made
//! from. Nothing here sets an option that is spelt `dangerously`: values that need one have no rule.

mod command;
mod hosts;
mod paths;
mod sql;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::constraints::{Files, Surroundings};
use crate::pointer::escape;
use crate::rule::number::NumberRule;
use crate::rule::path::PathRule;
use crate::rule::url::UrlRule;
use crate::rule::{Rule, Rules};

/// The narrowest rule for an argument that admits all `values`: one for each call, repetitions included. It is of the kind of
/// `proposal`, such as [`crate::infer()`] or a preset gives, and keeps what that says besides; without one, values that look
/// like URLs, paths or numbers are taken for such.
///
/// `None` where nothing admits all: values of several types, or paths to secrets. Reads the file system for paths that are here:
/// roots have to be there.
pub fn generalise(
    proposal: Option<&Rule>,
    values: &[&Value],
    surroundings: &Surroundings,
) -> Option<Rule> {
    let calls = values.len();
    let mut known = BTreeSet::new();
    let distinct: Vec<&Value> = values
        .iter()
        .filter(|value| known.insert(value.to_string()))
        .copied()
        .collect();
    if distinct.is_empty() {
        return None;
    }
    let rule = draw(proposal, &distinct, calls, surroundings)?;
    admits(&rule, &distinct, surroundings).then_some(rule)
}

/// The arguments of a call that rules can be about: each with its pointer, in which `*` stands for elements, and for members
/// that the schema does not name. Where `proposed` has a command, the whole array is one.
pub fn places<'a>(
    input_schema: &Value,
    proposed: &Rules,
    arguments: &'a Value,
) -> Vec<(String, &'a Value)> {
    let mut names = BTreeSet::new();
    collect_names(input_schema, &mut names);
    let mut found = Vec::new();
    collect_places(arguments, "", &names, proposed, &mut found);
    found
}

fn collect_names<'s>(schema: &'s Value, names: &mut BTreeSet<&'s str>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                if let ("properties", Value::Object(properties)) = (name.as_str(), member) {
                    names.extend(properties.keys().map(String::as_str));
                }
                collect_names(member, names);
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| collect_names(element, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect_places<'a>(
    value: &'a Value,
    pointer: &str,
    names: &BTreeSet<&str>,
    proposed: &Rules,
    found: &mut Vec<(String, &'a Value)>,
) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Array(_) if matches!(proposed.get(pointer), Some(Rule::Command(_))) => {
            found.push((pointer.to_owned(), value));
        }
        Value::Array(elements) => {
            for element in elements {
                collect_places(element, &format!("{pointer}/*"), names, proposed, found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let step = if names.contains(name.as_str()) {
                    escape(name)
                } else {
                    "*".to_owned()
                };
                collect_places(member, &format!("{pointer}/{step}"), names, proposed, found);
            }
        }
        Value::Number(_) | Value::String(_) => found.push((pointer.to_owned(), value)),
    }
}

fn admits(rule: &Rule, values: &[&Value], surroundings: &Surroundings) -> bool {
    rule.compile(surroundings)
        .is_ok_and(|compiled| values.iter().all(|value| compiled.check(value).is_ok()))
}

fn draw(
    proposal: Option<&Rule>,
    values: &[&Value],
    calls: usize,
    around: &Surroundings,
) -> Option<Rule> {
    match proposal {
        Some(Rule::Path(rule)) => paths::draw(rule, &texts(values)?, around).map(Rule::Path),
        Some(Rule::Url(rule)) => hosts::urls(rule, &texts(values)?).map(Rule::Url),
        Some(Rule::Email(_)) => hosts::emails(&texts(values)?).map(Rule::Email),
        Some(Rule::Domain(_)) => hosts::domains(&texts(values)?).map(Rule::Domain),
        Some(Rule::Sql(rule)) => sql::draw(rule, &texts(values)?).map(Rule::Sql),
        Some(Rule::Command(rule)) => command::draw(rule, values, around).map(Rule::Command),
        Some(rule @ Rule::Enum(_)) if admits(rule, values, around) => Some(rule.clone()),
        Some(Rule::Text(rule)) => text::draw(Some(rule), &texts(values)?).map(Rule::Text),
        Some(Rule::Number(rule)) => number(Some(rule), values).map(Rule::Number),
        Some(Rule::Enum(_)) | None => by_look(values, calls, around),
    }
}

/// A rule for values of which only their look is known.
fn by_look(values: &[&Value], calls: usize, around: &Surroundings) -> Option<Rule> {
    if let Some(rule) = number(None, values) {
        return Some(Rule::Number(rule));
    }
    let texts = texts(values)?;
    let is_url = |text: &&str| text.starts_with("https://") || text.starts_with("http://");
    if texts.iter().all(is_url)
        && let Some(rule) = hosts::urls(&UrlRule::default(), &texts)
    {
        return Some(Rule::Url(rule));
    }
    let is_path = |text: &&str| {
        let parent = std::path::Path::new(text).parent();
        text.starts_with('/') && parent.is_some_and(std::path::Path::is_dir)
    };
    if around.files == Files::Here && texts.iter().all(is_path) {
        return paths::draw(&PathRule::default(), &texts, around).map(Rule::Path);
    }
    if let Some(rule) = text::vocabulary(&texts, calls) {
        return Some(Rule::Enum(rule));
    }
    text::draw(None, &texts).map(Rule::Text)
}

/// The strings, if all are.
fn texts<'a>(values: &[&'a Value]) -> Option<Vec<&'a str>> {
    values.iter().map(|value| value.as_str()).collect()
}

/// Bounds around numbers, unless the proposal's are nearer.
fn number(proposal: Option<&NumberRule>, values: &[&Value]) -> Option<NumberRule> {
    let numbers = values.iter().map(|value| match value {
        Value::Number(number) => number.as_f64(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    });
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let given = |pick: fn(&NumberRule) -> Option<f64>| proposal.and_then(pick);
    let low = if least < 0.0 { -round_up(-least) } else { 0.0 };
    let high = if greatest > 0.0 {
        round_up(greatest)
    } else {
        0.0
    };
    let nearer_low = given(|rule| rule.min).filter(|min| *min <= least && *min > low);
    let nearer_high = given(|rule| rule.max).filter(|max| *max >= greatest && *max < high);
    Some(NumberRule {
        required: false,
        min: Some(nearer_low.unwrap_or(low)),
        max: Some(nearer_high.unwrap_or(high)),
        integer: values.iter().all(|value| value.is_i64() || value.is_u64()),
    })
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(number: f64) -> f64 {
    let mut unit = 1.0_f64;
    while unit.is_finite() {
        for step in [1.0, 2.0, 5.0] {
            if unit * step >= number {
                return unit * step;
            }
        }
        unit *= 10.0;
    }
    number
}
