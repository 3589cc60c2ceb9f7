//! The kinds and tables of statements.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, visit_relations};
use sqlparser::parser::Parser;

use crate::rule::sql::{Sql, SqlDialect, SqlRule, StatementKind};

const KINDS: [StatementKind; 7] = [
    StatementKind::CreateTable,
    StatementKind::Delete,
    StatementKind::Update,
    StatementKind::Insert,
    StatementKind::Explain,
    StatementKind::Show,
    StatementKind::Select,
];

const DIALECTS: [SqlDialect; 5] = [
    SqlDialect::Generic,
    SqlDialect::Postgres,
    SqlDialect::Mysql,
    SqlDialect::Sqlite,
    SqlDialect::Mssql,
];

/// The fewest kinds of statements and tables. Functions that are not known to be harmless are not added.
pub(super) fn draw(proposal: &SqlRule, texts: &[&str]) -> Option<SqlRule> {
    let dialects = [proposal.dialect].into_iter().chain(DIALECTS);
    let open = dialects.flat_map(|dialect| {
        // With all conditions first, then with fewer.
        [(true, false), (false, false), (true, true), (false, true)].map(
            move |(where_required, several)| SqlRule {
                required: false,
                dialect,
                statements: KINDS.to_vec(),
                tables: Vec::new(),
                where_required,
                several,
                ..proposal.clone()
            },
        )
    });
    let mut rule = open.into_iter().find(|rule| admits(rule, texts))?;
    for kind in KINDS {
        let mut fewer = rule.clone();
        fewer.statements.retain(|known| *known != kind);
        if admits(&fewer, texts) {
            rule = fewer;
        }
    }
    rule.statements.reverse();
    let creates = rule.statements.contains(&StatementKind::CreateTable);
    if let Some(tables) = tables(rule.dialect, texts).filter(|_| !creates) {
        let narrow = SqlRule {
            tables: tables.into_iter().collect(),
            ..rule.clone()
        };
        if admits(&narrow, texts) {
            rule = narrow;
        }
    }
    Some(rule)
}

fn admits(rule: &SqlRule, texts: &[&str]) -> bool {
    Sql::compile(rule).is_ok_and(|check| texts.iter().all(|text| check.check(text).is_ok()))
}

/// The tables that statements name. Those that have passed a check are not too deep to be parsed here.
fn tables(dialect: SqlDialect, texts: &[&str]) -> Option<BTreeSet<String>> {
    let parser = dialect.parser();
    let mut tables = BTreeSet::new();
    for text in texts {
        let statements = Parser::parse_sql(parser.as_ref(), text).ok()?;
        let visited = visit_relations(&statements, |name: &ObjectName| {
            let parts: Option<Vec<String>> = name
                .0
                .iter()
                .map(|part| Some(part.as_ident()?.value.to_lowercase()))
                .collect();
            match parts {
                Some(parts) => {
                    tables.insert(parts.join("."));
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            }
        });
        if visited.is_break() {
            return None;
        }
    }
    let is_plain = |name: &String| {
        name.chars()
            .all(|char| char.is_alphanumeric() || matches!(char, '_' | '.' | '$' | '-'))
    };
    (!tables.is_empty() && tables.iter().all(is_plain)).then_some(tables)
}
