//! What is left of the policies for one tool. Its attributes, its server and its action are known, so
//! type-aware partial evaluation decides what depends on them alone: most policies about hints and
//! classes then apply to a tool always or never.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy::{PartialEntities, PartialEntityUid, PartialRequest, Policy, Schema};

use crate::condition::{Condition, structure};
use crate::index::{Index, Rule, Rules, When};
use crate::subject::Subject;
use crate::uses::Uses;
use crate::world::World;

/// The policies whose action and resource fit a tool's call, less those that never apply to it.
pub(crate) fn tailor(
    index: &Index,
    world: &World,
    schema: Option<&Schema>,
    subject: &Subject<'_>,
) -> Rules {
    let mut rules = Rules::default();
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    for found in subject.find(index) {
        rules.extend(found, |rule| {
            if !seen.insert(Arc::clone(&rule.id)) {
                return None;
            }
            let When::If(condition) = &rule.when else {
                return Some(rule.clone());
            };
            let when = match left(condition, world, schema, subject) {
                Some(Left::Never) => return None,
                Some(Left::Always) => When::Always,
                Some(Left::If(condition)) => When::If(condition),
                None => When::If(Arc::clone(condition)),
            };
            Some(Rule {
                when,
                ..rule.clone()
            })
        });
    }
    rules
}

/// What is left of conditions.
enum Left {
    Never,
    Always,
    If(Arc<Condition>),
}

/// `None` when they stay as they are: nothing in them is about the tool, or it cannot be evaluated.
fn left(
    condition: &Condition,
    world: &World,
    schema: Option<&Schema>,
    subject: &Subject<'_>,
) -> Option<Left> {
    let uses = &condition.uses;
    let is_of_tool = uses.entities || uses.reads_nothing();
    // By its type a required argument is always there, but what is asked is whether it really is.
    if !is_of_tool || uses.asks_for_arguments {
        return None;
    }
    let schema = schema?;
    let set = condition.without_scope()?;
    let request = PartialRequest::new(
        PartialEntityUid::new(world.types.user.clone(), None),
        subject.action().clone(),
        PartialEntityUid::from_concrete(subject.resource().clone()),
        None,
        schema,
    )
    .ok()?;
    let entities = subject.entities(&condition.literals, None)?;
    let entities = PartialEntities::from_concrete(entities, schema).ok()?;
    let response = set.tpe(&request, &entities, schema).ok()?;
    if response
        .true_permits()
        .chain(response.true_forbids())
        .next()
        .is_some()
    {
        return Some(Left::Always);
    }
    if response
        .false_permits()
        .chain(response.false_forbids())
        .next()
        .is_some()
    {
        return Some(Left::Never);
    }
    let policy: Policy = response.residual_policies().next()?;
    let structure = structure(&policy)?;
    let (uses, _) = Uses::of(&structure);
    // What is sure to err somewhere is left to the evaluation.
    (!uses.errs).then(|| Left::If(Arc::new(Condition::new(policy, uses))))
}

#[cfg(test)]
mod tests;
