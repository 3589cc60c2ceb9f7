//! Programs with their arguments, by lists of what may be.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Compiled, Mistake, Passed, Rule};
use crate::characters::{has_invisible, is_control, is_layout};
use crate::constraints::Surroundings;
use crate::violation::Reason;

/// Most arguments of a command.
const ARGUMENTS_MAX: usize = 256;
/// Most bytes of a command.
const BYTES_MAX: usize = 32 * 1024;

/// A program with its arguments: an array of strings, or a string that is split at spaces and has
/// nothing in it that a shell interprets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommandRule {
    /// The argument must be given.
    pub required: bool,
    /// The argument has only this program's arguments, not its name: another argument has that, or
    /// the tool always runs the same.
    pub program: Option<String>,
    /// What may be run, by bare name. Nothing else may.
    pub programs: BTreeMap<String, ProgramRule>,
    /// What a shell would interpret is permitted within the elements of an array. For servers
    /// that surely start the program without a shell.
    pub dangerously_allow_metacharacters: bool,
}

/// What a program may be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramRule {
    /// The first argument that is no flag has to be one of these. Without any, there are none.
    pub subcommands: Vec<String>,
    /// Flags without a value, spelt out: `--oneline`, `-n`. Neither combined short flags nor
    /// beginnings of long ones are understood.
    pub flags: Vec<String>,
    /// Flags with a value, and what the value has to be. Given as `--flag=value` or in two.
    pub values: BTreeMap<String, Rule>,
    /// What each further argument has to be. Without it there may be none.
    pub operands: Option<Box<Rule>>,
}

#[derive(Debug)]
pub(crate) struct Command {
    program: Option<String>,
    programs: BTreeMap<String, Program>,
    metacharacters: bool,
}

#[derive(Debug)]
struct Program {
    subcommands: Vec<String>,
    flags: Vec<String>,
    values: BTreeMap<String, Compiled>,
    operands: Option<Box<Compiled>>,
}

impl Command {
    pub(crate) fn compile(rule: &CommandRule, around: &Surroundings) -> Result<Self, Mistake> {
        if let Some(program) = &rule.program
            && !rule.programs.contains_key(program)
        {
            return Err(Mistake::Program(program.clone()));
        }
        let programs = rule.programs.iter().map(|(name, program)| {
            if !is_bare_name(name) {
                return Err(Mistake::Program(name.clone()));
            }
            Ok((name.clone(), Program::compile(program, around)?))
        });
        Ok(Self {
            program: rule.program.clone(),
            programs: programs.collect::<Result<_, _>>()?,
            metacharacters: rule.dangerously_allow_metacharacters,
        })
    }

    pub(crate) fn check(&self, value: &Value) -> Result<Passed, Reason> {
        match value {
            Value::String(text) => self.check_line(text),
            Value::Array(elements) => self.check_array(elements),
            _ => Err(Reason::WrongType),
        }
    }

    fn check_line(&self, line: &str) -> Result<Passed, Reason> {
        check_size(line.len(), 0)?;
        check_characters(line, false)?;
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let (mut passed, words, changed) = self.check_words(&words)?;
        if changed {
            // What a rule made of an operand goes back into a line, which is split again.
            for word in &words {
                check_characters(word, false)?;
                if word.is_empty() || word.contains(' ') {
                    return Err(Reason::Ambiguous);
                }
            }
            passed.rewritten = Some(Value::String(words.join(" ")));
        }
        Ok(passed)
    }

    fn check_array(&self, elements: &[Value]) -> Result<Passed, Reason> {
        let words = elements
            .iter()
            .map(|element| element.as_str().ok_or(Reason::WrongType));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        check_size(words.iter().map(|word| word.len()).sum(), words.len())?;
        for word in &words {
            check_characters(word, self.metacharacters)?;
        }
        let (mut passed, words, changed) = self.check_words(&words)?;
        if changed {
            for word in &words {
                check_characters(word, self.metacharacters)?;
            }
            passed.rewritten = Some(words.into_iter().map(Value::String).collect());
        }
        Ok(passed)
    }

    /// What the words bring with them, the words to send, and whether they differ.
    fn check_words(&self, words: &[&str]) -> Result<(Passed, Vec<String>, bool), Reason> {
        check_size(0, words.len())?;
        let mut sent = Sent::default();
        let (name, rest) = if let Some(program) = &self.program {
            (program.as_str(), words)
        } else {
            let (name, rest) = words.split_first().ok_or(Reason::Empty)?;
            sent.words.push((*name).to_owned());
            (*name, rest)
        };
        let program = self.programs.get(name).ok_or(Reason::Program)?;
        program.check(rest, &mut sent)?;
        Ok((sent.passed, sent.words, sent.changed))
    }
}

/// The words so far, as they are to be sent.
#[derive(Default)]
struct Sent {
    passed: Passed,
    words: Vec<String>,
    changed: bool,
}

impl Sent {
    /// Checks `word` by `rule` and takes what is to be sent in its place, behind `before`.
    fn take(&mut self, rule: &Compiled, before: &str, word: &str) -> Result<(), Reason> {
        let passed = rule.check_text(word)?;
        self.passed.hosts.extend(passed.hosts);
        self.passed.paths.extend(passed.paths);
        match passed.rewritten {
            Some(Value::String(new)) => {
                self.words.push(format!("{before}{new}"));
                self.changed = true;
            }
            Some(_) => return Err(Reason::Malformed),
            None => self.words.push(format!("{before}{word}")),
        }
        Ok(())
    }
}

impl Program {
    fn compile(rule: &ProgramRule, around: &Surroundings) -> Result<Self, Mistake> {
        for flag in rule.flags.iter().chain(rule.values.keys()) {
            let named = flag.trim_start_matches('-');
            if !flag.starts_with('-') || named.is_empty() || flag.contains(['=', ' ']) {
                return Err(Mistake::Flag(flag.clone()));
            }
        }
        let compile = |rule: &Rule| match rule {
            Rule::Number(_) | Rule::Command(_) | Rule::Sql(_) => Err(Mistake::Operand),
            Rule::Path(_)
            | Rule::Url(_)
            | Rule::Text(_)
            | Rule::Email(_)
            | Rule::Domain(_)
            | Rule::Enum(_) => rule.compile(around),
        };
        let values = rule
            .values
            .iter()
            .map(|(flag, rule)| Ok((flag.clone(), compile(rule)?)));
        Ok(Self {
            subcommands: rule.subcommands.clone(),
            flags: rule.flags.clone(),
            values: values.collect::<Result<_, _>>()?,
            operands: rule
                .operands
                .as_deref()
                .map(compile)
                .transpose()?
                .map(Box::new),
        })
    }

    fn check(&self, words: &[&str], sent: &mut Sent) -> Result<(), Reason> {
        let mut words = words.iter().copied();
        let mut needs_subcommand = !self.subcommands.is_empty();
        let mut flags_end = false;
        while let Some(word) = words.next() {
            if !flags_end && word == "--" {
                if needs_subcommand {
                    return Err(Reason::Subcommand);
                }
                flags_end = true;
                sent.words.push(word.to_owned());
            } else if !flags_end && (word.starts_with('-') || word.starts_with('+')) {
                self.check_flag(word, &mut words, sent)?;
            } else if needs_subcommand {
                if !self.subcommands.iter().any(|subcommand| subcommand == word) {
                    return Err(Reason::Subcommand);
                }
                needs_subcommand = false;
                sent.words.push(word.to_owned());
            } else {
                let rule = self.operands.as_ref().ok_or(Reason::Operand)?;
                sent.take(rule, "", word)?;
            }
        }
        if needs_subcommand {
            Err(Reason::Subcommand)
        } else {
            Ok(())
        }
    }

    fn check_flag<'a>(
        &self,
        word: &'a str,
        rest: &mut impl Iterator<Item = &'a str>,
        sent: &mut Sent,
    ) -> Result<(), Reason> {
        if self.flags.iter().any(|flag| flag == word) {
            sent.words.push(word.to_owned());
            return Ok(());
        }
        if let Some(rule) = self.values.get(word) {
            sent.words.push(word.to_owned());
            return sent.take(rule, "", rest.next().ok_or(Reason::Flag)?);
        }
        // A short flag takes what follows it as it is, `=` included.
        let (flag, value) = word.split_once('=').ok_or(Reason::Flag)?;
        let rule = self
            .values
            .get(flag)
            .filter(|_| flag.starts_with("--"))
            .ok_or(Reason::Flag)?;
        sent.take(rule, &format!("{flag}="), value)
    }
}

fn check_size(bytes: usize, words: usize) -> Result<(), Reason> {
    if bytes > BYTES_MAX || words > ARGUMENTS_MAX {
        Err(Reason::TooLarge)
    } else {
        Ok(())
    }
}

/// Refuses what a shell interprets: also within an array, since servers are known to join one.
fn check_characters(word: &str, metacharacters: bool) -> Result<(), Reason> {
    if word.chars().any(|char| is_control(char) || is_layout(char)) || has_invisible(word) {
        // A line feed is a shell's end of a command.
        return Err(if word.contains(['\n', '\r']) {
            Reason::Metacharacter
        } else {
            Reason::Invisible
        });
    }
    let is_other_space = |char: char| char.is_whitespace() && char != ' ';
    if word.contains(is_other_space) {
        return Err(Reason::Ambiguous);
    }
    let is_meta = |char: char| {
        matches!(
            char,
            ';' | '&'
                | '|'
                | '$'
                | '`'
                | '<'
                | '>'
                | '('
                | ')'
                | '{'
                | '}'
                | '['
                | ']'
                | '*'
                | '?'
                | '!'
                | '\''
                | '"'
                | '\\'
                | '^'
                | '%'
        )
    };
    // Of these only where a shell looks for them: `HEAD~1` and `a#b` are words like others.
    let begins = |part: &str| part.starts_with(['~', '#']);
    if !metacharacters && (word.contains(is_meta) || word.split([' ', '=', ':']).any(begins)) {
        return Err(Reason::Metacharacter);
    }
    Ok(())
}

/// A program's name without a directory, and without what an assignment or an option has.
fn is_bare_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_-.+".contains(char))
}
