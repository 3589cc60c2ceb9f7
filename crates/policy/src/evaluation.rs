//! The policies whose scope fits a request, and what comes of evaluating them.

use std::sync::Arc;

use cedar_policy::{Entities, EntityUid, Request, RestrictedExpression};

use crate::circumstances::{attributes, context};
use crate::condition::Condition;
use crate::decision::{Decision, DenyReason, Determined};
use crate::index::{Rule, Rules, When};
use crate::query::{Query, Who};
use crate::subject::Subject;
use crate::uses::Uses;

/// The policies whose scope fits.
#[derive(Debug, Default)]
pub(crate) struct Candidates<'r> {
    /// The ids of those that wait for definitions.
    pub(crate) held: Vec<Arc<str>>,
    always: Vec<&'r Rule>,
    pub(crate) conditional: Vec<(&'r Rule, &'r Condition)>,
}

impl<'r> Candidates<'r> {
    /// Of the policies whose action and resource fit, those whose principal fits too.
    pub(crate) fn new(found: &[&'r Rules], who: &Who<'r>) -> Self {
        let mut candidates = Self::default();
        for rule in found.iter().flat_map(|rules| rules.of(who)) {
            match &rule.when {
                When::Held => candidates.held.push(Arc::clone(&rule.id)),
                When::Always => candidates.always.push(rule),
                When::If(condition) => candidates.conditional.push((rule, condition.as_ref())),
            }
        }
        candidates
    }

    /// Nothing but these.
    pub(crate) fn of(conditional: Vec<(&'r Rule, &'r Condition)>) -> Self {
        Self {
            conditional,
            ..Self::default()
        }
    }

    /// What comes of those without conditions.
    pub(crate) fn sure(&self) -> Outcome {
        let mut outcome = Outcome::default();
        for rule in &self.always {
            outcome.add(rule);
        }
        outcome
    }

    /// The ids of all that have to be evaluated.
    pub(crate) fn conditional_ids(&self) -> Vec<Arc<str>> {
        let rules = self.conditional.iter();
        rules.map(|(rule, _)| Arc::clone(&rule.id)).collect()
    }
}

/// A request that is ready to be evaluated.
pub(crate) struct Evaluation<'e> {
    candidates: &'e Candidates<'e>,
    subject: &'e Subject<'e>,
    principal: EntityUid,
    uses: Uses,
    attributes: Vec<(String, RestrictedExpression)>,
    entities: Entities,
}

impl<'e> Evaluation<'e> {
    /// `None` when a value that a policy reads cannot be made.
    pub(crate) fn new(
        candidates: &'e Candidates<'e>,
        query: &Query<'_>,
        subject: &'e Subject<'e>,
    ) -> Option<Self> {
        let mut uses = Uses::default();
        for (_, condition) in &candidates.conditional {
            uses.merge(&condition.uses);
        }
        Some(Self {
            attributes: attributes(query, &uses, subject.arguments()).ok()?,
            entities: entities(candidates, &uses, subject, &query.who)?,
            principal: subject.user(&query.who),
            candidates,
            subject,
            uses,
        })
    }

    /// Whether an approval may make a difference.
    pub(crate) fn reads_approval(&self) -> bool {
        self.uses.reads("approved")
    }

    /// What comes of all candidates.
    pub(crate) fn run(&self, approved: bool) -> Outcome {
        let mut outcome = self.candidates.sure();
        let Some(request) = self.request(approved) else {
            outcome.undecided = self.candidates.conditional_ids();
            return outcome;
        };
        for (rule, condition) in &self.candidates.conditional {
            match condition.holds(&request, &self.entities) {
                Some(true) => outcome.add(rule),
                Some(false) => {}
                None => outcome.undecided.push(Arc::clone(&rule.id)),
            }
        }
        outcome
    }

    fn request(&self, approved: bool) -> Option<Request> {
        let context = context(&self.attributes, &self.uses, approved).ok()?;
        let (action, resource) = (self.subject.action(), self.subject.resource());
        let principal = self.principal.clone();
        // Without a schema: what the values are made by is what the schema is made by.
        Request::new(principal, action.clone(), resource.clone(), context, None).ok()
    }
}

/// The entities that are looked at.
fn entities(
    candidates: &Candidates<'_>,
    uses: &Uses,
    subject: &Subject<'_>,
    who: &Who<'_>,
) -> Option<Entities> {
    if uses.entities {
        let conditions = candidates.conditional.iter();
        let literals = conditions.flat_map(|(_, condition)| &condition.literals);
        subject.entities(literals, Some(who))
    } else if uses.principal {
        subject.alone(who)
    } else {
        Some(Entities::empty())
    }
}

/// What the policies say of a request.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) permits: Vec<Arc<str>>,
    pub(crate) forbids: Vec<Arc<str>>,
    /// Those that cannot be evaluated.
    undecided: Vec<Arc<str>>,
}

impl Outcome {
    fn add(&mut self, rule: &Rule) {
        let applying = if rule.is_permit {
            &mut self.permits
        } else {
            &mut self.forbids
        };
        applying.push(Arc::clone(&rule.id));
    }

    pub(crate) fn is_undecided(&self) -> bool {
        !self.undecided.is_empty()
    }

    pub(crate) fn is_allowed(&self) -> bool {
        !self.is_undecided() && self.forbids.is_empty() && !self.permits.is_empty()
    }

    pub(crate) fn into_decision(self) -> Decision {
        if self.is_undecided() {
            deny(self.undecided, DenyReason::Undecided)
        } else if !self.forbids.is_empty() {
            deny(self.forbids, DenyReason::Forbidden)
        } else if self.permits.is_empty() {
            deny(Vec::new(), DenyReason::NoPermit)
        } else {
            Decision::Allow(Determined::new(self.permits))
        }
    }
}

pub(crate) fn deny(ids: Vec<Arc<str>>, reason: DenyReason) -> Decision {
    Decision::Deny {
        determined: Determined::new(ids),
        reason,
    }
}
