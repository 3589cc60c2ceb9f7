//! Which policies can matter to a request: Cedar evaluates every policy of a set, also those whose
//! scope does not fit, so policies are found by scope. The scope is all decided here: what is found
//! applies if its conditions hold.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint,
};

use crate::condition::Condition;
use crate::names::Types;
use crate::query::Who;
use crate::source::Source;

/// A policy whose action and resource fit.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) is_permit: bool,
    pub(crate) when: When,
}

/// When a policy whose scope fits applies.
#[derive(Clone, Debug)]
pub(crate) enum When {
    /// Nobody can say: it waits for definitions.
    Held,
    /// Always.
    Always,
    /// When its conditions hold.
    If(Arc<Condition>),
}

/// Whom a policy is about.
enum Whose {
    All,
    User(Box<str>),
    Group(Box<str>),
    Client(Box<str>),
    /// No principal is of that type or can be in that.
    Nobody,
}

type ByName = HashMap<Box<str>, Vec<Rule>>;

/// Policies by principal.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    everyone: Vec<Rule>,
    users: ByName,
    groups: ByName,
    clients: ByName,
}

/// A policy's action or resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Any,
    Is(EntityTypeName),
    Equal(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

/// All policies by scope: action, then resource, then principal.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<Key, HashMap<Key, Rules>>);

/// An action or resource, with what it is in.
pub(crate) type Within<'s> = (&'s EntityUid, Option<&'s EntityUid>);

impl Index {
    /// Sorts policies by scope; `held` tells which wait for definitions.
    pub(crate) fn new(sources: &[Source], held: &BTreeSet<Arc<str>>, types: &Types) -> Self {
        let mut index = Self::default();
        for source in sources {
            let resource = match source.policy.resource_constraint() {
                ResourceConstraint::Any => Key::Any,
                ResourceConstraint::Is(kind) => Key::Is(kind),
                ResourceConstraint::Eq(uid) => Key::Equal(uid),
                ResourceConstraint::In(uid) => Key::In(uid),
                ResourceConstraint::IsIn(kind, uid) => Key::IsIn(kind, uid),
            };
            let mut actions = match source.policy.action_constraint() {
                ActionConstraint::Any => vec![Key::Any],
                ActionConstraint::Eq(uid) => vec![Key::Equal(uid)],
                ActionConstraint::In(uids) => uids.into_iter().map(Key::In).collect(),
            };
            distinct(&mut actions);
            for action in actions {
                let rules = index.0.entry(action).or_default();
                let rules = rules.entry(resource.clone()).or_default();
                let whose = whose(source.policy.principal_constraint(), types);
                rules.add(whose, Rule::new(source, held.contains(&source.id)));
            }
        }
        index
    }

    /// The policies whose action and resource fit. A policy that names several actions may be found
    /// more than once.
    pub(crate) fn find(&self, action: Within<'_>, resource: Within<'_>) -> Vec<&Rules> {
        let resources = keys(resource);
        let mut found = Vec::new();
        for by_resource in keys(action).iter().filter_map(|key| self.0.get(key)) {
            found.extend(resources.iter().filter_map(|key| by_resource.get(key)));
        }
        found
    }
}

/// Every key that fits an entity.
fn keys((uid, parent): Within<'_>) -> Vec<Key> {
    let kind = uid.type_name();
    let mut keys = vec![
        Key::Any,
        Key::Is(kind.clone()),
        Key::Equal(uid.clone()),
        Key::In(uid.clone()),
        Key::IsIn(kind.clone(), uid.clone()),
    ];
    let parent = parent.into_iter();
    keys.extend(parent.flat_map(|parent| {
        let is_in = Key::IsIn(kind.clone(), parent.clone());
        [Key::In(parent.clone()), is_in]
    }));
    distinct(&mut keys);
    keys
}

/// Leaves the first of each.
fn distinct(keys: &mut Vec<Key>) {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
}

fn whose(constraint: PrincipalConstraint, types: &Types) -> Whose {
    let is_user = |kind: &EntityTypeName| *kind == types.user;
    let name = |uid: &EntityUid| Box::from(uid.id().unescaped());
    let within = |uid: &EntityUid| match uid.type_name() {
        kind if *kind == types.user => Whose::User(name(uid)),
        kind if *kind == types.group => Whose::Group(name(uid)),
        kind if *kind == types.client => Whose::Client(name(uid)),
        _ => Whose::Nobody,
    };
    // Every principal is a user.
    match constraint {
        PrincipalConstraint::Any => Whose::All,
        PrincipalConstraint::Is(kind) if is_user(&kind) => Whose::All,
        PrincipalConstraint::Eq(uid) if is_user(uid.type_name()) => Whose::User(name(&uid)),
        PrincipalConstraint::In(uid) => within(&uid),
        PrincipalConstraint::IsIn(kind, uid) if is_user(&kind) => within(&uid),
        PrincipalConstraint::Is(_) | PrincipalConstraint::Eq(_) | PrincipalConstraint::IsIn(..) => {
            Whose::Nobody
        }
    }
}

impl Rule {
    fn new(source: &Source, held: bool) -> Self {
        let when = match &source.condition {
            _ if held => When::Held,
            None => When::Always,
            Some(condition) => When::If(Arc::clone(condition)),
        };
        Self {
            id: Arc::clone(&source.id),
            is_permit: source.is_permit(),
            when,
        }
    }
}

impl Rules {
    fn add(&mut self, whose: Whose, rule: Rule) {
        let rules = match whose {
            Whose::All => &mut self.everyone,
            Whose::User(name) => self.users.entry(name).or_default(),
            Whose::Group(name) => self.groups.entry(name).or_default(),
            Whose::Client(name) => self.clients.entry(name).or_default(),
            Whose::Nobody => return,
        };
        rules.push(rule);
    }

    /// Adds what `made` makes of another's.
    pub(crate) fn extend(&mut self, other: &Self, mut made: impl FnMut(&Rule) -> Option<Rule>) {
        self.everyone
            .extend(other.everyone.iter().filter_map(&mut made));
        for (mine, more) in [
            (&mut self.users, &other.users),
            (&mut self.groups, &other.groups),
            (&mut self.clients, &other.clients),
        ] {
            for (name, rules) in more {
                let rules: Vec<Rule> = rules.iter().filter_map(&mut made).collect();
                if !rules.is_empty() {
                    mine.entry(name.clone()).or_default().extend(rules);
                }
            }
        }
    }

    /// Those whose principal fits too.
    pub(crate) fn of<'r>(&'r self, who: &Who<'r>) -> impl Iterator<Item = &'r Rule> {
        let named = |rules: &'r ByName, name: &str| rules.get(name).into_iter().flatten();
        let of_groups = (!self.groups.is_empty()).then_some(who.groups);
        let of_groups = of_groups.into_iter().flatten();
        let client = (!who.client.is_empty()).then_some(who.client);
        self.everyone
            .iter()
            .chain(named(&self.users, who.name))
            .chain(of_groups.flat_map(move |group| named(&self.groups, group)))
            .chain(
                client
                    .into_iter()
                    .flat_map(move |client| named(&self.clients, client)),
            )
    }
}
