//! The programs, subcommands and flags of commands.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::generalise;
use super::text::is_word;
use crate::constraints::Surroundings;
use crate::rule::Rule;
use crate::rule::command::{CommandRule, ProgramRule};
use crate::rule::path::PathRule;

/// Most subcommands of a program.
const SUBCOMMANDS_MAX: usize = 16;

/// What one program was given.
#[derive(Default)]
struct Uses<'a> {
    /// For each call, what is no flag, in order.
    operands: Vec<Vec<&'a str>>,
    flags: BTreeSet<&'a str>,
    values: BTreeMap<&'a str, Vec<Value>>,
}

/// The programs that were run, each with what it was given.
pub(super) fn draw(
    proposal: &CommandRule,
    values: &[&Value],
    around: &Surroundings,
) -> Option<CommandRule> {
    let mut uses: BTreeMap<&str, Uses<'_>> = BTreeMap::new();
    for value in values {
        let words = words(value)?;
        let (program, rest) = if let Some(program) = &proposal.program {
            (program.as_str(), words.as_slice())
        } else {
            let (program, rest) = words.split_first()?;
            (*program, rest)
        };
        uses.entry(program).or_default().take(rest);
    }
    let programs = uses
        .into_iter()
        .map(|(name, uses)| Some((name.to_owned(), uses.rule(around)?)));
    Some(CommandRule {
        required: false,
        program: proposal.program.clone(),
        programs: programs.collect::<Option<_>>()?,
        dangerously_allow_metacharacters: false,
    })
}

fn words(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(line) => Some(line.split(' ').filter(|word| !word.is_empty()).collect()),
        Value::Array(elements) => elements.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

impl<'a> Uses<'a> {
    fn take(&mut self, words: &[&'a str]) {
        let mut operands = Vec::new();
        let mut flags_end = false;
        for word in words {
            if !flags_end && *word == "--" {
                flags_end = true;
            } else if !flags_end && word.starts_with(['-', '+']) {
                match word.split_once('=').filter(|_| word.starts_with("--")) {
                    Some((flag, value)) => {
                        self.values.entry(flag).or_default().push(value.into());
                    }
                    None => {
                        self.flags.insert(word);
                    }
                }
            } else {
                operands.push(*word);
            }
        }
        self.operands.push(operands);
    }

    fn rule(self, around: &Surroundings) -> Option<ProgramRule> {
        let firsts: Option<BTreeSet<&str>> = self
            .operands
            .iter()
            .map(|operands| operands.first().copied())
            .collect();
        let is_subcommand = |word: &&str| is_word(word) && !word.contains('.');
        let subcommands = firsts
            .filter(|words| words.len() <= SUBCOMMANDS_MAX && words.iter().all(is_subcommand))
            .unwrap_or_default();
        let skipped = usize::from(!subcommands.is_empty());
        let operands: Vec<Value> = self
            .operands
            .iter()
            .flat_map(|operands| operands.iter().skip(skipped))
            .map(|word| Value::from(*word))
            .collect();
        let values = self.values.into_iter().map(|(flag, values)| {
            let rule = of_words(&values, around)?;
            Some((flag.to_owned(), rule))
        });
        Some(ProgramRule {
            subcommands: subcommands.into_iter().map(str::to_owned).collect(),
            flags: self.flags.into_iter().map(str::to_owned).collect(),
            values: values.collect::<Option<_>>()?,
            operands: match operands.as_slice() {
                [] => None,
                operands => Some(Box::new(of_words(operands, around)?)),
            },
        })
    }
}

/// A rule for words, which are paths if any looks like one.
fn of_words(words: &[Value], around: &Surroundings) -> Option<Rule> {
    let words: Vec<&Value> = words.iter().collect();
    let looks = |word: &&Value| word.as_str().is_some_and(|word| word.contains('/'));
    let is_url = |word: &&Value| word.as_str().is_some_and(|word| word.contains("://"));
    let is_path = words.iter().any(looks) && !words.iter().any(is_url);
    let path = Rule::Path(PathRule::default());
    let as_path = is_path
        .then(|| generalise(Some(&path), &words, around))
        .flatten();
    as_path.or_else(|| generalise(None, &words, around))
}
