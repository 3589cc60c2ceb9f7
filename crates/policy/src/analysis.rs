//! What `policy check` tells of policies that load but can never matter. By structure and by Cedar's
//! own validation alone: what is told is so, but not all that is so is told.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

use crate::names::CALL;
use crate::policies::Policies;
use crate::source::Source;

/// Something odd about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// The policy's id.
    pub policy: Arc<str>,
    /// What is odd.
    pub kind: OddityKind,
}

/// What can be odd about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OddityKind {
    /// Its scope fits no tool or server that is known, so it never applies.
    Nothing,
    /// Another policy has the same effect, scope and conditions.
    Duplicate(Arc<str>),
    /// Another policy has the same effect, no conditions, and a scope that includes this one's.
    Included(Arc<str>),
    /// A permit whose whole scope is forbidden without conditions by this policy.
    Forbidden(Arc<str>),
}

impl std::fmt::Display for Oddity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let policy = &self.policy;
        match &self.kind {
            OddityKind::Nothing => write!(f, "`{policy}` applies to no known tool or server"),
            OddityKind::Duplicate(other) => write!(f, "`{policy}` says the same as `{other}`"),
            OddityKind::Included(other) => {
                write!(f, "`{policy}` adds nothing to `{other}`, which covers it")
            }
            OddityKind::Forbidden(other) => {
                write!(f, "`{policy}` permits only what `{other}` forbids")
            }
        }
    }
}

impl Policies {
    /// The policies that can never matter, in the order of the files. Policies that are held back are
    /// left out: nothing can be said of them.
    pub fn oddities(&self) -> Vec<Oddity> {
        let known = self
            .sources
            .iter()
            .filter(|source| !self.held.contains(&source.id));
        let all: Vec<Entry<'_>> = known.map(|source| Entry::new(self, source)).collect();
        let mut oddities = Vec::new();
        for (at, entry) in all.iter().enumerate() {
            let others = || {
                all.iter()
                    .enumerate()
                    .filter(move |(other, _)| *other != at)
            };
            let kind = if entry.scope.is_empty_in(self) {
                Some(OddityKind::Nothing)
            } else {
                let mut same =
                    others().filter(|(other, earlier)| *other < at && entry.says(earlier));
                let duplicate = same
                    .next()
                    .map(|(_, other)| OddityKind::Duplicate(other.id()));
                duplicate
                    .or_else(|| others().find_map(|(_, other)| entry.forbidden_by(other)))
                    .or_else(|| {
                        others().find_map(|(at_of, other)| entry.included_in(other, at_of < at))
                    })
            };
            oddities.extend(kind.map(|kind| Oddity {
                policy: entry.id(),
                kind,
            }));
        }
        oddities
    }
}

struct Entry<'s> {
    source: &'s Source,
    scope: Scope<'s>,
    conditions: Option<Value>,
}

struct Scope<'s> {
    policies: &'s Policies,
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
}

impl<'s> Entry<'s> {
    fn new(policies: &'s Policies, source: &'s Source) -> Self {
        let policy = &source.policy;
        let conditional = policy.has_non_scope_constraint();
        let json = conditional.then(|| policy.to_json().ok()).flatten();
        Self {
            source,
            scope: Scope {
                policies,
                principal: policy.principal_constraint(),
                action: policy.action_constraint(),
                resource: policy.resource_constraint(),
            },
            conditions: json.and_then(|json| json.get("conditions").cloned()),
        }
    }

    fn id(&self) -> Arc<str> {
        Arc::clone(&self.source.id)
    }

    fn is_unconditional(&self) -> bool {
        !self.source.policy.has_non_scope_constraint()
    }

    fn says(&self, other: &Self) -> bool {
        self.source.is_permit() == other.source.is_permit()
            && self.scope.principal == other.scope.principal
            && self.scope.action == other.scope.action
            && self.scope.resource == other.scope.resource
            && self.is_unconditional() == other.is_unconditional()
            && (self.is_unconditional() || self.conditions.is_some())
            && self.conditions == other.conditions
    }

    fn forbidden_by(&self, other: &Self) -> Option<OddityKind> {
        let forbidden = self.source.is_permit()
            && !other.source.is_permit()
            && other.is_unconditional()
            && other.scope.includes(&self.scope);
        forbidden.then(|| OddityKind::Forbidden(other.id()))
    }

    /// Of two that include each other the later is told of.
    fn included_in(&self, other: &Self, other_is_earlier: bool) -> Option<OddityKind> {
        let both = self.is_unconditional() && self.scope.includes(&other.scope);
        let included = self.source.is_permit() == other.source.is_permit()
            && other.is_unconditional()
            && other.scope.includes(&self.scope)
            && (other_is_earlier || !both);
        included.then(|| OddityKind::Included(other.id()))
    }
}

impl Scope<'_> {
    /// Whether everything in another scope is in this one; in doubt, no.
    fn includes(&self, other: &Self) -> bool {
        self.includes_principals(&other.principal)
            && self.includes_actions(&other.action)
            && self.includes_resources(&other.resource)
    }

    fn includes_principals(&self, other: &PrincipalConstraint) -> bool {
        use PrincipalConstraint as P;
        let user = &self.policies.world.types.user;
        match (&self.principal, other) {
            (P::Any, _) => true,
            // There is no other type of principal.
            (P::Is(kind), _) => kind == user,
            (P::In(mine), P::In(theirs) | P::Eq(theirs) | P::IsIn(_, theirs))
            | (P::Eq(mine), P::Eq(theirs)) => mine == theirs,
            (P::IsIn(kind, mine), P::In(theirs) | P::Eq(theirs) | P::IsIn(_, theirs)) => {
                kind == user && mine == theirs
            }
            (P::In(_) | P::Eq(_) | P::IsIn(..), _) => false,
        }
    }

    fn includes_actions(&self, other: &ActionConstraint) -> bool {
        let mine = match &self.action {
            ActionConstraint::Any => return true,
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions.iter().collect(),
        };
        let with_group = matches!(self.action, ActionConstraint::In(_));
        let includes = |action: &EntityUid| {
            mine.contains(&action)
                || (with_group && is_tool(action) && mine.iter().any(|m| is_call(m)))
        };
        match other {
            ActionConstraint::Any => false,
            ActionConstraint::Eq(action) => includes(action),
            ActionConstraint::In(actions) => {
                // The group itself is included by the group, not by naming it with `==`.
                actions
                    .iter()
                    .all(|action| includes(action) && (with_group || !is_call(action)))
            }
        }
    }

    fn includes_resources(&self, other: &ResourceConstraint) -> bool {
        use ResourceConstraint as R;
        match (&self.resource, other) {
            (R::Any, _) => true,
            (R::Is(mine), R::Is(theirs) | R::IsIn(theirs, _)) => mine == theirs,
            (R::Is(mine), R::Eq(theirs)) => mine == theirs.type_name(),
            (R::Eq(mine), R::Eq(theirs)) | (R::In(mine), R::In(theirs) | R::IsIn(_, theirs)) => {
                mine == theirs
            }
            (R::In(mine), R::Eq(theirs)) => mine == theirs || self.is_of(theirs, mine),
            (R::IsIn(kind, mine), R::IsIn(other, theirs)) => kind == other && mine == theirs,
            (R::IsIn(kind, mine), R::Eq(theirs)) => {
                kind == theirs.type_name() && (mine == theirs || self.is_of(theirs, mine))
            }
            (R::Is(_) | R::Eq(_) | R::In(_) | R::IsIn(..), _) => false,
        }
    }

    /// Whether a tool, prompt or resource is one of a server.
    fn is_of(&self, entity: &EntityUid, server: &EntityUid) -> bool {
        let types = &self.policies.world.types;
        let kinds = [&types.tool, &types.prompt, &types.resource];
        let (of, _) = entity.id().unescaped().split_once('/').unwrap_or_default();
        kinds.contains(&entity.type_name())
            && *server.type_name() == types.server
            && of == server.id().unescaped()
    }

    /// Whether an action of one tool and a resource that is another meet in this scope, or a group
    /// of tools in a server that has none.
    fn is_empty_in(&self, policies: &Policies) -> bool {
        let world = &policies.world;
        let actions: Vec<&EntityUid> = match &self.action {
            ActionConstraint::Any => return false,
            ActionConstraint::Eq(action) if is_call(action) => return true,
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions.iter().collect(),
        };
        if !actions
            .iter()
            .all(|action| is_tool(action) || is_call(action))
        {
            return false;
        }
        let named: HashSet<&str> = actions
            .iter()
            .map(|action| action.id().unescaped())
            .collect();
        let mut called = world.tools().filter(|(server, name, _)| {
            named.contains(CALL) || named.contains(crate::names::id_of(server, name).as_str())
        });
        let fits = |(server, _, tool): (&str, &str, &crate::world::Tool)| {
            let of_server = |uid: &EntityUid| {
                *uid == tool.uid
                    || (*uid.type_name() == world.types.server && uid.id().unescaped() == server)
            };
            match &self.resource {
                ResourceConstraint::Any => true,
                ResourceConstraint::Eq(uid) => *uid == tool.uid,
                ResourceConstraint::In(uid) => of_server(uid),
                ResourceConstraint::Is(kind) => *kind == world.types.tool,
                ResourceConstraint::IsIn(kind, uid) => *kind == world.types.tool && of_server(uid),
            }
        };
        // While definitions are awaited, tools may yet come.
        world.awaited.is_empty() && world.tools().next().is_some() && !called.any(fits)
    }
}

fn is_tool(action: &EntityUid) -> bool {
    action.id().unescaped().contains('/')
}

fn is_call(action: &EntityUid) -> bool {
    action.id().unescaped() == CALL
}
