//! The walk over all that a statement has in it.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, Ident, Insert, ObjectName, OnConflictAction, OnInsert,
    Query, Select, SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update, Visitor,
    With, visit_expressions, visit_relations,
};

use super::{Sql, StatementKind, functions};
use crate::violation::Reason;

/// The walk. `ctes` has, for each query around the current place, the names that its `with` gives.
pub(super) struct Walk<'a> {
    sql: &'a Sql,
    ctes: Vec<Vec<String>>,
    /// Names of functions that stand where tables do.
    functions: Vec<*const ObjectName>,
}

type Step = ControlFlow<Reason>;

fn step(result: Result<(), Reason>) -> Step {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(reason) => ControlFlow::Break(reason),
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(sql: &'a Sql) -> Self {
        Self {
            sql,
            ctes: Vec::new(),
            functions: Vec::new(),
        }
    }

    fn permits(&self, kind: StatementKind) -> Result<(), Reason> {
        if self.sql.statements.contains(&kind) {
            Ok(())
        } else {
            Err(Reason::Statement)
        }
    }

    fn check_statement(&self, statement: &Statement) -> Result<(), Reason> {
        match statement {
            Statement::Query(_) => self.permits(StatementKind::Select),
            Statement::Insert(insert) => self.check_insert(insert),
            Statement::Update(update) => self.check_update(update),
            Statement::Delete(delete) => self.check_delete(delete),
            // Whether it is run or not, what is explained is visited as a statement of its own.
            Statement::Explain { .. } | Statement::ExplainTable { .. } => {
                self.permits(StatementKind::Explain)
            }
            Statement::ShowTables { .. }
            | Statement::ShowSchemas { .. }
            | Statement::ShowDatabases { .. } => self.permits(StatementKind::Show),
            Statement::ShowColumns { .. } if self.sql.tables.is_none() => {
                self.permits(StatementKind::Show)
            }
            Statement::CreateTable(table) => {
                let is_plain = !table.external
                    && table.location.is_none()
                    && table.file_format.is_none()
                    && table.clone.is_none()
                    && !table.or_replace
                    && table.on_cluster.is_none();
                self.permits(StatementKind::CreateTable)?;
                if table.query.is_some() {
                    self.permits(StatementKind::Select)?;
                }
                if is_plain {
                    Ok(())
                } else {
                    Err(Reason::Statement)
                }
            }
            _ => Err(Reason::Statement),
        }
    }

    fn check_insert(&self, insert: &Insert) -> Result<(), Reason> {
        self.permits(StatementKind::Insert)?;
        let changes = match &insert.on {
            None => false,
            Some(OnInsert::OnConflict(conflict)) => {
                !matches!(conflict.action, OnConflictAction::DoNothing)
            }
            Some(_) => true,
        };
        if changes || insert.replace_into || insert.or.is_some() {
            self.permits(StatementKind::Update)?;
        }
        let is_plain = !insert.overwrite
            && insert.output.is_none()
            && insert.partitioned.is_none()
            && insert.settings.is_none()
            && insert.format_clause.is_none()
            && insert.multi_table_insert_type.is_none()
            && insert.optimizer_hints.is_empty();
        if !is_plain {
            return Err(Reason::Statement);
        }
        match &insert.table {
            TableObject::TableName(name) => self.check_table(name),
            TableObject::TableFunction(_) | TableObject::TableQuery(_) => Err(Reason::Table),
        }
    }

    fn check_update(&self, update: &Update) -> Result<(), Reason> {
        self.permits(StatementKind::Update)?;
        if update.output.is_some() || !update.optimizer_hints.is_empty() {
            return Err(Reason::Statement);
        }
        self.check_targets(std::slice::from_ref(&update.table))?;
        self.check_condition(update.selection.as_ref())
    }

    fn check_delete(&self, delete: &Delete) -> Result<(), Reason> {
        self.permits(StatementKind::Delete)?;
        // With several tables, their names are aliases.
        if delete.output.is_some()
            || !delete.tables.is_empty()
            || !delete.optimizer_hints.is_empty()
        {
            return Err(Reason::Statement);
        }
        match &delete.from {
            FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => {
                self.check_targets(from)?;
            }
        }
        self.check_condition(delete.selection.as_ref())
    }

    /// Checks what is changed: always a table, even where a `with` gives the same name.
    fn check_targets(&self, targets: &[TableWithJoins]) -> Result<(), Reason> {
        for target in targets {
            let factors =
                std::iter::once(&target.relation).chain(target.joins.iter().map(|j| &j.relation));
            for factor in factors {
                match factor {
                    TableFactor::Table {
                        name, args: None, ..
                    } => self.check_table(name)?,
                    _ => return Err(Reason::Table),
                }
            }
        }
        Ok(())
    }

    fn check_condition(&self, selection: Option<&Expr>) -> Result<(), Reason> {
        if !self.sql.where_required || selection.is_some_and(selects) {
            Ok(())
        } else {
            Err(Reason::NoCondition)
        }
    }

    fn check_table(&self, name: &ObjectName) -> Result<(), Reason> {
        let parts = idents(name).ok_or(Reason::Table)?;
        // A quoted file name, and a name that would read as one with a schema.
        let is_odd = |ident: &&Ident| {
            ident.quote_style == Some('\'') || ident.value.contains(['.', '/', '\\'])
        };
        if parts.len() > 3 || parts.iter().any(is_odd) {
            return Err(Reason::Table);
        }
        let parts: Vec<_> = parts
            .iter()
            .map(|ident| ident.value.to_lowercase())
            .collect();
        let permitted = match &self.sql.tables {
            Some(tables) => tables.is_match(parts.join("/")),
            None => !functions::is_secret_table(&parts),
        };
        if permitted {
            Ok(())
        } else {
            Err(Reason::Table)
        }
    }

    fn check_function(&self, name: &ObjectName) -> Result<(), Reason> {
        let parts = idents(name).ok_or(Reason::Function)?;
        let parts: Vec<_> = parts
            .iter()
            .map(|ident| ident.value.to_lowercase())
            .collect();
        let is_harmless = match parts.as_slice() {
            [function] => functions::is_harmless(function),
            [schema, function] => schema == "pg_catalog" && functions::is_harmless(function),
            _ => false,
        };
        if is_harmless || self.sql.functions.contains(&parts.join(".")) {
            Ok(())
        } else {
            Err(Reason::Function)
        }
    }

    fn check_query(&self, query: &Query) -> Result<(), Reason> {
        if !query.locks.is_empty() {
            self.permits(StatementKind::Update)?;
        }
        let is_plain = query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        if !is_plain || has_table_clause(&query.body) {
            return Err(Reason::Statement);
        }
        query.with.as_ref().map_or(Ok(()), check_with)
    }

    fn check_factor(&mut self, factor: &TableFactor) -> Result<(), Reason> {
        match factor {
            TableFactor::Table {
                name,
                args: Some(_),
                ..
            } => {
                self.functions.push(std::ptr::from_ref(name));
                self.check_function(name)
            }
            TableFactor::Function { name, .. } => self.check_function(name),
            TableFactor::Table {
                version: None,
                json_path: None,
                ..
            }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::TableFunction {
                expr: Expr::Function(_),
                ..
            } => Ok(()),
            _ => Err(Reason::Statement),
        }
    }

    fn check_relation(&self, name: &ObjectName) -> Result<(), Reason> {
        if self
            .functions
            .iter()
            .any(|function| std::ptr::eq(*function, name))
        {
            return Ok(());
        }
        if let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident()
            && self.ctes.iter().flatten().any(|cte| *cte == ident.value)
        {
            return Ok(());
        }
        self.check_table(name)
    }

    fn check_expr(&self, expr: &Expr) -> Result<(), Reason> {
        match expr {
            Expr::Function(function) => self.check_function(&function.name),
            // An operator may be anybody's function, and an assignment changes a variable.
            Expr::BinaryOp { op, .. }
            | Expr::AnyOp { compare_op: op, .. }
            | Expr::AllOp { compare_op: op, .. } => match op {
                BinaryOperator::Custom(_)
                | BinaryOperator::PGCustomBinaryOperator(_)
                | BinaryOperator::Assignment => Err(Reason::Function),
                _ => Ok(()),
            },
            // Variables of the server: its version, its directories.
            Expr::Identifier(ident) if ident.value.starts_with("@@") => Err(Reason::Function),
            Expr::CompoundIdentifier(idents)
                if idents
                    .first()
                    .is_some_and(|ident| ident.value.starts_with("@@")) =>
            {
                Err(Reason::Function)
            }
            _ => Ok(()),
        }
    }
}

impl Visitor for Walk<'_> {
    type Break = Reason;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Step {
        step(self.check_statement(statement))
    }

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes
            .push(ctes.map(|cte| cte.alias.name.value.clone()).collect());
        step(self.check_query(query))
    }

    fn post_visit_query(&mut self, _query: &Query) -> Step {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        let is_plain = select.into.is_none()
            && select.optimizer_hints.is_empty()
            && select.lateral_views.is_empty();
        step(if is_plain {
            Ok(())
        } else {
            Err(Reason::Statement)
        })
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        step(self.check_factor(factor))
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> Step {
        step(self.check_relation(name))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Step {
        step(self.check_expr(expr))
    }
}

/// The parts of a name; `None` where one is computed.
fn idents(name: &ObjectName) -> Option<Vec<&Ident>> {
    let idents: Option<Vec<_>> = name.0.iter().map(|part| part.as_ident()).collect();
    idents.filter(|idents| !idents.is_empty())
}

/// `table users` names its table where the walk does not look.
fn has_table_clause(body: &SetExpr) -> bool {
    match body {
        SetExpr::Table(_) => true,
        SetExpr::SetOperation { left, right, .. } => {
            has_table_clause(left) || has_table_clause(right)
        }
        _ => false,
    }
}

/// Refuses a `with` that gives a name which its own or an earlier definition uses: without
/// `recursive` that is the table of that name.
fn check_with(with: &With) -> Result<(), Reason> {
    if with.recursive {
        return Ok(());
    }
    for (index, cte) in with.cte_tables.iter().enumerate() {
        let later = with.cte_tables.get(index..).unwrap_or_default();
        let uses_later = |name: &ObjectName| {
            let [part] = name.0.as_slice() else {
                return ControlFlow::Continue(());
            };
            let ident = part.as_ident();
            let is_later = |ident: &Ident| {
                later
                    .iter()
                    .any(|cte| cte.alias.name.value.eq_ignore_ascii_case(&ident.value))
            };
            if ident.is_some_and(is_later) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        if visit_relations(&cte.query, uses_later).is_break() {
            return Err(Reason::Table);
        }
    }
    Ok(())
}

/// Whether a condition can be false: for that, a column has to be in each of its alternatives,
/// and not be compared with itself.
fn selects(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => selects(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Or | BinaryOperator::Xor,
            right,
        } => selects(left) && selects(right),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => selects(left) || selects(right),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::GtEq | BinaryOperator::LtEq,
            right,
        } if left == right => false,
        Expr::IsNotNull(_) => false,
        other => has_column(other),
    }
}

fn has_column(expr: &Expr) -> bool {
    let is_column = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(expr, is_column).is_break()
}
