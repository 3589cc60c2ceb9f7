//! A policy with what is known of the principal's credential in place of `context.kind`,
//! `context.client` and questions to `context.scopes`, for partial evaluation, which knows a context
//! only as a whole or not at all.

use std::sync::Arc;

use cedar_policy::Policy;
use cedar_policy::pst::{self, BinaryOp, Clause, Expr, Literal};

use crate::query::Who;
use crate::uses::context_path;

/// The policy for a principal; `None` when Cedar refuses it.
pub(crate) fn assume(policy: &pst::Policy, who: &Who<'_>) -> Option<Policy> {
    let body = policy.body().clone();
    let clauses = body.clauses().iter().map(|clause| match clause {
        Clause::When(expr) => Clause::When(known(expr, who)),
        Clause::Unless(expr) => Clause::Unless(known(expr, who)),
    });
    let clauses: Vec<Clause> = clauses.collect();
    let body = body.try_with_clauses(clauses).ok()?;
    let policy = pst::StaticPolicy::try_from(body).ok()?;
    Policy::from_pst(pst::Policy::Static(policy)).ok()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what the language adds stays as it is, which is always right"
)]
fn known(expr: &Arc<Expr>, who: &Who<'_>) -> Arc<Expr> {
    let text = |text: &str| Arc::new(Expr::Literal(Literal::String(text.into())));
    let go = |expr: &Arc<Expr>| known(expr, who);
    match context_path(expr).as_deref() {
        Some(["kind"]) => return text(who.kind),
        Some(["client"]) => return text(who.client),
        Some(_) => return Arc::clone(expr),
        None => {}
    }
    let made = match &**expr {
        Expr::BinaryOp { op, left, right } => {
            if let Some(answer) = scopes(*op, left, right, who) {
                return Arc::new(Expr::Literal(Literal::Bool(answer)));
            }
            Expr::BinaryOp {
                op: *op,
                left: go(left),
                right: go(right),
            }
        }
        Expr::UnaryOp { op, expr } => Expr::UnaryOp {
            op: *op,
            expr: go(expr),
        },
        Expr::Like { expr, pattern } => Expr::Like {
            expr: go(expr),
            pattern: pattern.clone(),
        },
        Expr::IfThenElse {
            cond,
            then_expr,
            else_expr,
        } => Expr::IfThenElse {
            cond: go(cond),
            then_expr: go(then_expr),
            else_expr: go(else_expr),
        },
        Expr::Set(elements) => Expr::Set(elements.iter().map(go).collect()),
        // What has no place for them stays: it is evaluated without knowing them.
        _ => return Arc::clone(expr),
    };
    Arc::new(made)
}

/// The answer to `context.scopes.contains("a")`, `containsAny` and `containsAll` of strings.
fn scopes(op: BinaryOp, left: &Expr, right: &Expr, who: &Who<'_>) -> Option<bool> {
    if context_path(left).as_deref() != Some(&["scopes"]) {
        return None;
    }
    let has = |scope: &str| who.scopes.contains(&scope);
    match (op, right) {
        (BinaryOp::Contains, Expr::Literal(Literal::String(scope))) => Some(has(scope)),
        (BinaryOp::ContainsAny, Expr::Set(all)) => Some(texts(all)?.into_iter().any(has)),
        (BinaryOp::ContainsAll, Expr::Set(all)) => Some(texts(all)?.into_iter().all(has)),
        _ => None,
    }
}

fn texts(all: &[Arc<Expr>]) -> Option<Vec<&str>> {
    all.iter()
        .map(|expr| {
            if let Expr::Literal(Literal::String(text)) = &**expr {
                Some(text.as_str())
            } else {
                None
            }
        })
        .collect()
}
