//! The rules as a configuration writes them, and their compiled forms.

pub(crate) mod command;
pub(crate) mod domain;
pub(crate) mod email;
pub(crate) mod enumeration;
pub(crate) mod number;
pub(crate) mod path;
pub(crate) mod sql;
pub(crate) mod text;
pub(crate) mod url;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::constraints::{HostToResolve, Surroundings};
use crate::violation::Reason;

/// The rules for one tool: which argument, by JSON pointer (RFC 6901) into the arguments, and what
/// it has to be. In a pointer, `*` stands for any element or member: `/edits/*/newText`.
pub type Rules = BTreeMap<String, Rule>;

/// What an argument has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// A file or directory beneath one of some roots.
    Path(path::PathRule),
    /// A URL.
    Url(url::UrlRule),
    /// A program with its arguments.
    Command(command::CommandRule),
    /// A statement to a database.
    Sql(sql::SqlRule),
    /// Text.
    Text(text::TextRule),
    /// A number.
    Number(number::NumberRule),
    /// One email address.
    Email(email::EmailRule),
    /// A domain name.
    Domain(domain::DomainRule),
    /// One of some values.
    Enum(enumeration::EnumRule),
}

/// What is wrong with a rule itself.
#[derive(Debug, Error)]
pub enum Mistake {
    /// The pointer is not one.
    #[error("the pointer has to be empty or begin with `/`, with `~` only in `~0` and `~1`")]
    Pointer,
    /// A path in the rule cannot be used.
    #[error(
        "`{0}` has to be an absolute path or begin with `~/`, and lead to something that exists"
    )]
    Root(String),
    /// The directory that relative paths begin in cannot be used.
    #[error("the directory for relative paths has to be absolute and exist")]
    Directory,
    /// A pattern of files or tables.
    #[error("`{pattern}` is not a glob; mend or remove it")]
    Glob {
        /// The pattern as written.
        pattern: String,
        /// What the glob parser says.
        #[source]
        source: globset::Error,
    },
    /// A regular expression.
    #[error("`{pattern}` is not a usable regular expression; mend or shorten it")]
    Pattern {
        /// The expression as written.
        pattern: String,
        /// What the regex parser says.
        #[source]
        source: Box<regex::Error>,
    },
    /// A host pattern.
    #[error(
        "`{0}` is not a usable host; write `host`, `*.domain` or `registrable:domain`, and no \
         public suffix"
    )]
    Host(String),
    /// A scheme whose hosts cannot be read reliably.
    #[error("the scheme `{0}` is not supported; use `https`, `http`, `wss`, `ws` or `ftp`")]
    Scheme(String),
    /// A path prefix of URLs.
    #[error("`{0}` has to begin with `/`, and be without `.` and `..` segments and encoding")]
    Prefix(String),
    /// A program that is not a bare name, or a fixed one that is not described.
    #[error("the program `{0}` has to be a bare name that `programs` describes")]
    Program(String),
    /// A flag that does not look like one.
    #[error("`{0}` is not a flag; begin it with `-`, and leave out `=`")]
    Flag(String),
    /// A rule for operands that does not fit strings.
    #[error("operands and values of flags can be held to path, url, text, email, domain or enum")]
    Operand,
    /// Bounds that nothing meets.
    #[error("nothing meets the bounds; make `min` at most `max`, both finite")]
    Bounds,
    /// A list that must have something in it.
    #[error("`values` is empty, so nothing would be permitted; list some")]
    NoValues,
    /// Tables cannot be held to a list for this kind of statement.
    #[error("`create-table` cannot be combined with `tables`; remove one of them")]
    CreateTable,
}

/// A rule ready to be asked.
#[derive(Debug)]
pub(crate) enum Compiled {
    Path(path::Path),
    Url(url::UrlCheck),
    Command(command::Command),
    Sql(sql::Sql),
    Text(text::Text),
    Number(number::Number),
    Email(email::Email),
    Domain(domain::Domain),
    Enum(enumeration::Enumeration),
}

/// What a value that passes brings with it.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// What is to be sent in its place, if not the value itself.
    pub(crate) rewritten: Option<Value>,
    /// The pointers in these are for the caller to fill in.
    pub(crate) hosts: Vec<HostToResolve>,
    pub(crate) paths: Vec<path::ResolvedPath>,
}

impl Passed {
    /// What was given, to be sent as `text`.
    pub(crate) fn text(given: &str, text: String) -> Self {
        Self {
            rewritten: (given != text).then_some(Value::String(text)),
            ..Self::default()
        }
    }
}

impl Rule {
    /// The type as a configuration spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Url(_) => "url",
            Self::Command(_) => "command",
            Self::Sql(_) => "sql",
            Self::Text(_) => "text",
            Self::Number(_) => "number",
            Self::Email(_) => "email",
            Self::Domain(_) => "domain",
            Self::Enum(_) => "enum",
        }
    }

    /// Whether an argument that is absent or null is a violation.
    pub fn required(&self) -> bool {
        match self {
            Self::Path(rule) => rule.required,
            Self::Url(rule) => rule.required,
            Self::Command(rule) => rule.required,
            Self::Sql(rule) => rule.required,
            Self::Text(rule) => rule.required,
            Self::Number(rule) => rule.required,
            Self::Email(rule) => rule.required,
            Self::Domain(rule) => rule.required,
            Self::Enum(rule) => rule.required,
        }
    }

    pub(crate) fn compile(&self, surroundings: &Surroundings) -> Result<Compiled, Mistake> {
        Ok(match self {
            Self::Path(rule) => Compiled::Path(path::Path::compile(rule, surroundings)?),
            Self::Url(rule) => Compiled::Url(url::UrlCheck::compile(rule)?),
            Self::Command(rule) => {
                Compiled::Command(command::Command::compile(rule, surroundings)?)
            }
            Self::Sql(rule) => Compiled::Sql(sql::Sql::compile(rule)?),
            Self::Text(rule) => Compiled::Text(text::Text::compile(rule)?),
            Self::Number(rule) => Compiled::Number(number::Number::compile(rule)?),
            Self::Email(rule) => Compiled::Email(email::Email::compile(rule)?),
            Self::Domain(rule) => Compiled::Domain(domain::Domain::compile(rule)?),
            Self::Enum(rule) => Compiled::Enum(enumeration::Enumeration::compile(rule)?),
        })
    }
}

impl Compiled {
    pub(crate) fn check(&self, value: &Value) -> Result<Passed, Reason> {
        match (self, value) {
            (Self::Number(number), value) => number.check(value),
            (Self::Enum(values), value) => values.check(value),
            (Self::Command(command), value) => command.check(value),
            (_, Value::String(text)) => self.check_text(text),
            _ => Err(Reason::WrongType),
        }
    }

    /// For rules that handle strings; also asked for operands within a command.
    pub(crate) fn check_text(&self, text: &str) -> Result<Passed, Reason> {
        match self {
            Self::Path(path) => path.check(text),
            Self::Url(url) => url.check(text),
            Self::Sql(sql) => sql.check(text).map(|()| Passed::default()),
            Self::Text(rule) => rule.check(text),
            Self::Email(email) => email.check(text),
            Self::Domain(domain) => domain.check(text),
            Self::Enum(values) => values.check(&Value::String(text.to_owned())),
            Self::Number(_) | Self::Command(_) => Err(Reason::WrongType),
        }
    }
}
