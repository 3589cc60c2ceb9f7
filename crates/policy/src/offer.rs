//! Whether a tool is worth showing: some call of it could be allowed, or allowed once a person says
//! yes. Arguments, history, time and approval are unknown then; how the principal is known, their
//! client and scopes are those of the credential.

use cedar_policy::{PartialEntities, PartialEntityUid, PartialRequest, Policy, PolicySet};
use portcullis_mcp::ServerName;

use crate::assume::assume;
use crate::condition::Condition;
use crate::evaluation::{Candidates, Evaluation};
use crate::policies::Policies;
use crate::query::{ActionRef, History, Query, Who};
use crate::subject::Subject;

impl Policies {
    /// Whether some call of a tool could be allowed or asked for. In doubt it is true: a tool that is
    /// listed can still be denied, one that is not listed is never called.
    pub fn is_offered(&self, who: &Who<'_>, server: &ServerName, tool: &str) -> bool {
        let action = ActionRef::CallTool(tool);
        let Some(subject) = Subject::new(&self.world, server, action) else {
            return false;
        };
        let candidates = Candidates::new(&self.rules(&subject), who);
        let sure = candidates.sure();
        if !candidates.held.is_empty() || !sure.forbids.is_empty() {
            return false;
        }
        let (of_who, others): (Vec<_>, Vec<_>) = candidates
            .conditional
            .into_iter()
            .partition(|(_, condition)| condition.uses.reads_only_who());
        let is_permitted = !sure.permits.is_empty();
        let is_permitted = match known(&Candidates::of(of_who), who, server, &subject, action) {
            Known::Forbidden => return false,
            Known::Permitted => true,
            Known::Nothing => is_permitted,
        };
        // A policy about neither the principal nor the tool applies to some calls and not to others.
        let (about, unknown): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|(_, condition)| condition.uses.reads_who() || condition.uses.entities);
        let is_permitted = is_permitted || unknown.iter().any(|(rule, _)| rule.is_permit);
        let has = |permits: bool| about.iter().any(|(rule, _)| rule.is_permit == permits);
        if !has(false) && (is_permitted || !has(true)) {
            return is_permitted;
        }
        let conditions: Vec<&Condition> = about.iter().map(|(_, condition)| *condition).collect();
        self.could_be(who, &subject, &conditions, is_permitted)
            .unwrap_or(true)
    }

    /// By partial evaluation; `None` when that fails.
    fn could_be(
        &self,
        who: &Who<'_>,
        subject: &Subject<'_>,
        conditions: &[&Condition],
        is_permitted: bool,
    ) -> Option<bool> {
        let schema = self.schema()?;
        let mut set = PolicySet::new();
        for condition in conditions {
            if set.policy(condition.policy().id()).is_none() {
                set.add(assuming(condition, who)).ok()?;
            }
        }
        let request = PartialRequest::new(
            PartialEntityUid::from_concrete(subject.user(who)),
            subject.action().clone(),
            PartialEntityUid::from_concrete(subject.resource().clone()),
            None,
            schema,
        )
        .ok()?;
        let literals = conditions.iter().flat_map(|condition| &condition.literals);
        let entities = subject.entities(literals, Some(who))?;
        let entities = PartialEntities::from_concrete(entities, schema).ok()?;
        let response = set.tpe(&request, &entities, schema).ok()?;
        if response.true_forbids().next().is_some() {
            return Some(false);
        }
        let mut permits = response.true_permits().chain(response.residual_permits());
        Some(is_permitted || permits.next().is_some())
    }
}

/// What policies say that read nothing but the credential.
enum Known {
    Forbidden,
    /// Or in doubt.
    Permitted,
    Nothing,
}

fn known(
    candidates: &Candidates<'_>,
    who: &Who<'_>,
    server: &ServerName,
    subject: &Subject<'_>,
    action: ActionRef<'_>,
) -> Known {
    if candidates.conditional.is_empty() {
        return Known::Nothing;
    }
    let query = any_call(who, server, action);
    let Some(evaluation) = Evaluation::new(candidates, &query, subject) else {
        return Known::Permitted;
    };
    let outcome = evaluation.run(false);
    if !outcome.forbids.is_empty() {
        Known::Forbidden
    } else if outcome.is_undecided() || !outcome.permits.is_empty() {
        Known::Permitted
    } else {
        Known::Nothing
    }
}

/// A call of which nothing is known but who makes it.
fn any_call<'q>(who: &Who<'q>, server: &'q ServerName, action: ActionRef<'q>) -> Query<'q> {
    Query {
        who: *who,
        server,
        action,
        arguments: None,
        labels: &[],
        history: History::default(),
        now_ms: 0,
        approved: false,
    }
}

/// A policy with what the credential says put in its place.
fn assuming(condition: &Condition, who: &Who<'_>) -> Policy {
    let structure = condition.structure();
    structure
        .and_then(|structure| assume(&structure, who))
        .unwrap_or_else(|| condition.policy().clone())
}
