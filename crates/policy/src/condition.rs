//! The conditions of a policy, without its scope: the index has looked at that. Cedar builds the
//! expression of a policy anew for each evaluation, its scope included, which costs more than to
//! evaluate it; here it is made once.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cedar_policy::pst::{self, Clause};
use cedar_policy::{
    Entities, EntityUid, EvalResult, Expression, Policy, PolicySet, Request, eval_expression,
};

use crate::uses::Uses;

/// What has to hold for a policy to apply, once its scope fits.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) uses: Uses,
    /// The entities that it names, when it reads any but the principal.
    pub(crate) literals: BTreeSet<EntityUid>,
    policy: Policy,
    /// Made when it is first needed; `None` when it cannot be.
    expression: OnceLock<Option<Expression>>,
}

impl Condition {
    /// The conditions of a policy, which has some; `uses` is what they read.
    pub(crate) fn new(policy: Policy, uses: Uses) -> Self {
        let literals = uses.entities.then(|| policy.entity_literals());
        Self {
            uses,
            literals: literals.into_iter().flatten().collect(),
            policy,
            expression: OnceLock::new(),
        }
    }

    /// Whether it holds; `None` when that cannot be evaluated.
    pub(crate) fn holds(&self, request: &Request, entities: &Entities) -> Option<bool> {
        let made = self.expression.get_or_init(|| self.expression());
        let answer = eval_expression(request, entities, made.as_ref()?);
        if let Ok(EvalResult::Bool(holds)) = answer {
            Some(holds)
        } else {
            None
        }
    }

    fn expression(&self) -> Option<Expression> {
        self.text()?.parse().ok()
    }

    /// All clauses as one expression.
    fn text(&self) -> Option<String> {
        let structure = self.structure()?;
        let clauses = structure.body().clauses().iter();
        let clauses = clauses.map(|clause| match clause {
            Clause::When(expr) => format!("({expr})"),
            Clause::Unless(expr) => format!("!({expr})"),
        });
        let text: Vec<String> = clauses.collect();
        Some(text.join(" && "))
    }

    /// The policy that has these conditions.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The structure of that policy.
    pub(crate) fn structure(&self) -> Option<pst::Policy> {
        structure(&self.policy)
    }

    /// A set of one policy that has these conditions and no scope.
    pub(crate) fn without_scope(&self) -> Option<PolicySet> {
        let structure = self.structure()?;
        let body = structure.body();
        let open = pst::Template::new(
            body.id.clone(),
            body.effect,
            pst::PrincipalConstraint::Any,
            pst::ActionConstraint::Any,
            pst::ResourceConstraint::Any,
        );
        let open = open.try_with_clauses(body.clauses().clone()).ok()?;
        let policy = pst::StaticPolicy::try_from(open).ok()?;
        let policy = Policy::from_pst(pst::Policy::Static(policy)).ok()?;
        PolicySet::from_policies([policy]).ok()
    }
}

/// A policy's structure. `Policy::to_pst` would parse its text once more, a third of a reload, so it
/// is made of what is parsed already.
pub(crate) fn structure(policy: &Policy) -> Option<pst::Policy> {
    pst::Policy::try_from(policy.as_ref().clone()).ok()
}

#[cfg(test)]
mod tests;
