//! Proposes rules for tools that nobody has written any for.
//!
//! A tool definition is a server's word. So what is read from it here only adds rules: a name or
//! format can make an argument a path or a URL, nothing can make one less than that.

mod words;

use serde_json::Value;

use crate::pointer::escape;
use crate::rule::command::CommandRule;
use crate::rule::domain::DomainRule;
use crate::rule::email::EmailRule;
use crate::rule::number::NumberRule;
use crate::rule::path::{Access, PathRule};
use crate::rule::sql::{SqlDialect, SqlRule, StatementKind};
use crate::rule::text::{Alphabet, TextRule};
use crate::rule::url::UrlRule;
use crate::rule::{Rule, Rules};
use words::Words;

/// How deep schemas are followed.
const DEPTH_MAX: usize = 8;
/// Most schemas that are looked at: references and alternatives can multiply at each level.
const VISITS_MAX: usize = 10_000;
/// Most arguments that are proposed for.
const PROPOSALS_MAX: usize = 500;

/// What is known of a tool besides its schema.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The tool's description.
    pub description: String,
    /// Its `readOnlyHint`, if it has one. A hint of the server's, which makes proposals for SQL and
    /// paths no looser: what is proposed is read by a person.
    pub read_only: Option<bool>,
    /// Directories that the server is meant to work in.
    pub roots: Vec<String>,
}

/// A rule for a person to review.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Which argument, as in [`Rules`].
    pub pointer: String,
    /// What it should be.
    pub rule: Rule,
    /// What speaks for it, in a few words.
    pub why: String,
}

/// Proposes rules from the names, formats and types in a tool's input schema. Arguments of which
/// nothing can be said get none.
pub fn infer(tool: &str, input_schema: &Value, hints: &Hints) -> Vec<Proposal> {
    let mut inference = Inference {
        document: input_schema,
        tool: Words::of(tool),
        hints,
        visits: 0,
        proposals: Vec::new(),
    };
    inference.object(input_schema, "", 0);
    // By place, in whichever order the schema names its properties.
    inference
        .proposals
        .sort_by(|a, b| a.pointer.cmp(&b.pointer));
    inference.proposals
}

/// The rules that hold even where none are configured: an argument that is a URL leads to no local
/// network, and one that is a path leads to no secrets.
pub fn defaults(tool: &str, input_schema: &Value) -> Rules {
    let proposals = infer(tool, input_schema, &Hints::default()).into_iter();
    proposals
        .filter_map(|Proposal { pointer, rule, .. }| match rule {
            Rule::Path(rule) => {
                let rule = PathRule {
                    roots: Vec::new(),
                    hidden: true,
                    file_urls: true,
                    ..rule
                };
                Some((pointer, Rule::Path(rule)))
            }
            Rule::Url(_) => {
                let schemes = vec!["https".to_owned(), "http".to_owned()];
                let rule = UrlRule {
                    schemes,
                    international: true,
                    ..UrlRule::default()
                };
                Some((pointer, Rule::Url(rule)))
            }
            Rule::Command(_)
            | Rule::Sql(_)
            | Rule::Text(_)
            | Rule::Number(_)
            | Rule::Email(_)
            | Rule::Domain(_)
            | Rule::Enum(_) => None,
        })
        .collect()
}

struct Inference<'a> {
    document: &'a Value,
    tool: Words,
    hints: &'a Hints,
    visits: usize,
    proposals: Vec<Proposal>,
}

impl<'a> Inference<'a> {
    /// Looks at the members of an object's schema.
    fn object(&mut self, schema: &'a Value, pointer: &str, depth: usize) {
        let Some(schema) = self.settled(schema, depth) else {
            return;
        };
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let siblings: Vec<&str> = properties.keys().map(String::as_str).collect();
            for (name, property) in properties {
                let pointer = format!("{pointer}/{}", escape(name));
                self.argument(name, property, &siblings, &pointer, depth.saturating_add(1));
            }
        }
        if let Some(others @ Value::Object(_)) = schema.get("additionalProperties") {
            let pointer = format!("{pointer}/*");
            self.object(others, &pointer, depth.saturating_add(1));
        }
        for branch in branches(schema) {
            self.object(branch, pointer, depth.saturating_add(1));
        }
    }

    fn argument(
        &mut self,
        name: &str,
        schema: &'a Value,
        siblings: &[&str],
        pointer: &str,
        depth: usize,
    ) {
        let Some(schema) = self.settled(schema, depth) else {
            return;
        };
        for branch in branches(schema) {
            self.argument(name, branch, siblings, pointer, depth.saturating_add(1));
        }
        if has_type(schema, "object") || schema.get("properties").is_some() {
            self.object(schema, pointer, depth);
        }
        if has_type(schema, "array") {
            // A command may be one array: it is its words together that make it.
            if let Some((rule @ Rule::Command(_), why)) = self.rule(name, schema, siblings) {
                return self.propose(pointer, rule, why);
            }
            if let Some(items) = schema.get("items") {
                let pointer = format!("{pointer}/*");
                self.argument(name, items, siblings, &pointer, depth.saturating_add(1));
            }
            return;
        }
        let is_open = schema.get("type").is_none() && branches(schema).next().is_none();
        let is_scalar = ["string", "integer", "number"]
            .iter()
            .any(|kind| has_type(schema, kind));
        let is_listed = schema.get("enum").is_some() || schema.get("const").is_some();
        if (is_scalar || is_open)
            && !is_listed
            && let Some((rule, why)) = self.rule(name, schema, siblings)
        {
            self.propose(pointer, rule, why);
        }
    }

    fn propose(&mut self, pointer: &str, rule: Rule, why: String) {
        let is_known = self
            .proposals
            .iter()
            .any(|proposal| proposal.pointer == pointer);
        if !is_known && self.proposals.len() < PROPOSALS_MAX {
            self.proposals.push(Proposal {
                pointer: pointer.to_owned(),
                rule,
                why,
            });
        }
    }

    /// The schema itself, or what its reference within the document leads to.
    fn settled(&mut self, schema: &'a Value, depth: usize) -> Option<&'a Value> {
        self.visits = self.visits.saturating_add(1);
        if depth > DEPTH_MAX || self.visits > VISITS_MAX || self.proposals.len() >= PROPOSALS_MAX {
            return None;
        }
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.document.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    /// What an argument of one value, or of one command, should be.
    fn rule(&self, name: &str, schema: &Value, siblings: &[&str]) -> Option<(Rule, String)> {
        let words = Words::of(name);
        let is_number = has_type(schema, "integer") || has_type(schema, "number");
        if is_number && !has_type(schema, "string") {
            let rule = number(&words, schema)?;
            return Some((rule, "a count without a bound of its own".to_owned()));
        }
        let format = schema
            .get("format")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let rule = self.by_format(format, siblings);
        if let Some(rule) = rule {
            return Some((rule, format!("its format is `{format}`")));
        }
        let (rule, what) = self.by_name(&words, siblings)?;
        Some((rule, format!("its name is that of {what}")))
    }

    fn by_format(&self, format: &str, siblings: &[&str]) -> Option<Rule> {
        match format {
            "uri" | "url" | "iri" | "uri-reference" | "iri-reference" => {
                Some(Rule::Url(UrlRule::default()))
            }
            "email" | "idn-email" => Some(Rule::Email(EmailRule::default())),
            "hostname" | "idn-hostname" => Some(Rule::Domain(DomainRule::default())),
            "path" | "file-path" | "directory-path" | "file" => Some(self.path(siblings)),
            _ => None,
        }
    }

    fn by_name(&self, words: &Words, siblings: &[&str]) -> Option<(Rule, &'static str)> {
        // What names an object in a store has a scheme of its own, and reaches only the store.
        if words.ends_in(words::URL) && !words.has(words::STORE) {
            return Some((Rule::Url(UrlRule::default()), "a URL"));
        }
        if words.is_one_of(words::COMMAND) {
            return Some((Rule::Command(CommandRule::default()), "a command"));
        }
        if words.is_one_of(words::SQL) || (words.is_one_of(words::QUERY) && self.speaks_sql()) {
            return Some((Rule::Sql(self.sql()), "a statement to a database"));
        }
        let moves = self.tool.has(words::MOVES) && !self.tool.has(words::REMOTE);
        if words.ends_in(words::PATH) || (words.is_one_of(words::ENDS) && moves) {
            return Some((self.path(siblings), "a path"));
        }
        let is_mail = self.tool.has(words::MAIL);
        if words.ends_in(words::EMAIL) || (words.is_one_of(words::RECIPIENT) && is_mail) {
            return Some((Rule::Email(EmailRule::default()), "an email address"));
        }
        if words.ends_in(words::DOMAIN) {
            return Some((Rule::Domain(DomainRule::default()), "a host"));
        }
        if words.ends_in(words::REFERENCE) {
            let rule = TextRule {
                chars_max: 255,
                alphabet: Alphabet::Reference,
                ..TextRule::default()
            };
            return Some((Rule::Text(rule), "a reference"));
        }
        if words.ends_in(words::FREE) {
            let rule = TextRule {
                option_like: true,
                lines: true,
                ..TextRule::default()
            };
            return Some((Rule::Text(rule), "free text"));
        }
        if words.ends_in(words::IDENTIFIER) {
            let rule = TextRule {
                chars_max: 512,
                ..TextRule::default()
            };
            return Some((Rule::Text(rule), "an identifier"));
        }
        None
    }

    fn path(&self, siblings: &[&str]) -> Rule {
        // In somebody's repository elsewhere there is nothing that runs by itself here.
        let is_remote = ["owner", "repo"].iter().all(|name| siblings.contains(name));
        let reads = self.hints.read_only == Some(true) || self.tool.has(words::READS);
        let access = if is_remote || (reads && !self.tool.has(words::WRITES)) {
            Access::Read
        } else {
            Access::Write
        };
        Rule::Path(PathRule {
            roots: self.hints.roots.clone(),
            access,
            ..PathRule::default()
        })
    }

    fn speaks_sql(&self) -> bool {
        self.tool.has(words::DATABASE) || Words::of(&self.hints.description).has(words::DATABASE)
    }

    fn sql(&self) -> SqlRule {
        let about = Words::of(&self.hints.description);
        let says = |word: &[&str]| self.tool.has(word) || about.has(word);
        let dialect = if says(&["postgres", "postgresql"]) {
            SqlDialect::Postgres
        } else if says(&["mysql", "mariadb"]) {
            SqlDialect::Mysql
        } else if says(&["sqlite"]) {
            SqlDialect::Sqlite
        } else if says(&["mssql"]) {
            SqlDialect::Mssql
        } else {
            SqlDialect::Generic
        };
        // Only a tool that says it writes: one that says nothing is proposed to read.
        let statements = if self.hints.read_only == Some(true) {
            vec![StatementKind::Select]
        } else if self.tool.has(&["write"]) {
            vec![
                StatementKind::Insert,
                StatementKind::Update,
                StatementKind::Delete,
            ]
        } else if self.tool.has(&["create"]) {
            vec![StatementKind::CreateTable]
        } else {
            vec![StatementKind::Select]
        };
        SqlRule {
            dialect,
            statements,
            ..SqlRule::default()
        }
    }
}

/// A bound for a count that has none.
fn number(words: &Words, schema: &Value) -> Option<Rule> {
    let is_bounded = ["maximum", "exclusiveMaximum"]
        .iter()
        .any(|key| schema.get(key).is_some());
    if is_bounded || !words.has(words::COUNT) {
        return None;
    }
    let integer = has_type(schema, "integer");
    Some(Rule::Number(NumberRule {
        required: false,
        min: Some(0.0),
        max: Some(100_000.0),
        integer,
    }))
}

fn has_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema.get(key))
        .filter_map(Value::as_array)
        .flatten()
}
