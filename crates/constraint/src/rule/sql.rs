//! Statements to a database, as a parser for its dialect understands them.
//!
//! The statement is sent as it came: a parser's rendering is not known to mean the same. So what
//! databases are known to read differently from the parser (comments that are run, quotes that
//! backslashes escape, quoting by dollars) is refused before it is parsed.

mod functions;
mod lexical;
mod walk;

use globset::GlobSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlparser::ast::{Statement, Visit};
use sqlparser::dialect::{
    Dialect, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::Mistake;
use super::path::globs;
use crate::violation::Reason;

/// Deepest nesting the parser follows.
const DEPTH_MAX: usize = 40;

/// Stack for parsing, in bytes: without optimisation the parser takes 60 kB of it for each nested
/// statement, too much for a thread that serves requests. What is not used is never committed.
const STACK_BYTES: usize = 16 << 20;

/// A statement to a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SqlRule {
    /// The argument must be given.
    pub required: bool,
    /// What the database speaks.
    pub dialect: SqlDialect,
    /// Which kinds of statements, also within others; `select` unless set.
    pub statements: Vec<StatementKind>,
    /// Which tables, by globs matched without regard to case: `users` for one that is named without
    /// a schema, `sales.*` for those that are named with it. Without any, all but the system's
    /// tables of secrets.
    pub tables: Vec<String>,
    /// Functions besides the harmless ones, with their schema if they are called with it.
    pub functions: Vec<String>,
    /// More than one statement is permitted.
    pub several: bool,
    /// An update or delete needs a condition on a column; so unless set to false.
    pub where_required: bool,
}

impl Default for SqlRule {
    fn default() -> Self {
        Self {
            required: false,
            dialect: SqlDialect::Generic,
            statements: vec![StatementKind::Select],
            tables: Vec::new(),
            functions: Vec::new(),
            several: false,
            where_required: true,
        }
    }
}

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SqlDialect {
    /// None in particular.
    #[default]
    Generic,
    /// `PostgreSQL`.
    Postgres,
    /// `MySQL` and `MariaDB`.
    Mysql,
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    Mssql,
}

/// A kind of statement. What is not listed here is never permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatementKind {
    /// A query: `select`, `values` and combinations of them.
    Select,
    /// `insert`. One that may replace or change rows has to be permitted to `update` too.
    Insert,
    /// `update`.
    Update,
    /// `delete`.
    Delete,
    /// `explain` and `describe`. What is explained has to be permitted too.
    Explain,
    /// `show` of tables, columns, schemas and databases.
    Show,
    /// `create table`; cannot be combined with a list of tables.
    CreateTable,
}

#[derive(Debug)]
pub(crate) struct Sql {
    dialect: SqlDialect,
    statements: Vec<StatementKind>,
    /// Of table names whose parts are separated by `/`.
    tables: Option<GlobSet>,
    functions: BTreeSet<String>,
    several: bool,
    where_required: bool,
}

impl Sql {
    pub(crate) fn compile(rule: &SqlRule) -> Result<Self, Mistake> {
        if !rule.tables.is_empty() && rule.statements.contains(&StatementKind::CreateTable) {
            return Err(Mistake::CreateTable);
        }
        let patterns: Vec<_> = rule
            .tables
            .iter()
            .map(|table| table.replace('.', "/"))
            .collect();
        let tables = globs(patterns.iter().map(String::as_str))?;
        Ok(Self {
            dialect: rule.dialect,
            statements: rule.statements.clone(),
            tables: (!patterns.is_empty()).then_some(tables),
            functions: rule
                .functions
                .iter()
                .map(|name| name.to_lowercase())
                .collect(),
            several: rule.several,
            where_required: rule.where_required,
        })
    }

    /// Parses on a thread of its own, for its stack. A thread that cannot be had, or that fails,
    /// refuses.
    pub(crate) fn check(&self, text: &str) -> Result<(), Reason> {
        lexical::check_text(text)?;
        std::thread::scope(|scope| {
            let parse = || self.check_parsed(text);
            let thread = std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, parse);
            thread.map_or(Err(Reason::Malformed), |thread| {
                thread.join().unwrap_or(Err(Reason::Malformed))
            })
        })
    }

    fn check_parsed(&self, text: &str) -> Result<(), Reason> {
        let dialect = self.dialect.parser();
        let tokens = Tokenizer::new(dialect.as_ref(), text).tokenize();
        let tokens = tokens.map_err(|_invalid| Reason::Malformed)?;
        lexical::check_tokens(&tokens)?;
        let statements = Parser::new(dialect.as_ref())
            .with_recursion_limit(DEPTH_MAX)
            .with_tokens(tokens)
            .parse_statements()
            .map_err(|_invalid| Reason::Malformed)?;
        match statements.len() {
            0 => return Err(Reason::Empty),
            1 => {}
            _ if self.several => {}
            _ => return Err(Reason::StatementCount),
        }
        statements
            .iter()
            .try_for_each(|statement| self.check_statement(statement))
    }

    fn check_statement(&self, statement: &Statement) -> Result<(), Reason> {
        match statement.visit(&mut walk::Walk::new(self)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(reason) => Err(reason),
        }
    }
}

impl SqlDialect {
    pub(crate) fn parser(self) -> Box<dyn Dialect> {
        match self {
            Self::Generic => Box::new(GenericDialect {}),
            Self::Postgres => Box::new(PostgreSqlDialect {}),
            Self::Mysql => Box::new(MySqlDialect {}),
            Self::Sqlite => Box::new(SQLiteDialect {}),
            Self::Mssql => Box::new(MsSqlDialect {}),
        }
    }
}
