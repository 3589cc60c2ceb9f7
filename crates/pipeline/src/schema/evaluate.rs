//! Applies nodes to a value, within a bound of steps and depth.
//!
//! A node answers one of three: it does not fit; it fits; it fits, but somewhere holds a property
//! that is not declared. Whether it fits never depends on the third, so that `not`, `oneOf` and `if`
//! mean what they mean in an open schema.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher};

use smallvec::SmallVec;

use super::compile::{
    ArrayRules, Contains, InPlace, Node, NodeId, NumberRules, ObjectRules, Schema, StringRules,
    Types, Values,
};
use super::number::Decimal;
use super::value::{Value, find};
use super::{FAULTS_MAX, Fault, Faults, Invalid, UNDECLARED, told};

/// How many subschemas may be under evaluation within each other.
const NESTING_MAX: usize = 192;
/// Steps that every evaluation may take, further ones for each byte of the value, and the most.
const STEPS_MIN: usize = 100_000;
const STEPS_PER_BYTE: usize = 16;
const STEPS_MAX: usize = 20_000_000;

type Member<'v> = (Cow<'v, str>, Value<'v>);

/// Evaluates a value of `bytes` bytes against a schema.
pub(crate) fn evaluate(schema: &Schema, value: &Value<'_>, bytes: usize) -> Result<(), Invalid> {
    let mut cx = Context {
        schema,
        steps: bytes
            .saturating_mul(STEPS_PER_BYTE)
            .saturating_add(STEPS_MIN)
            .min(STEPS_MAX),
        nesting: 0,
        undecided: false,
        quiet: 0,
        faults: Vec::new(),
        scope: SmallVec::new(),
    };
    let verdict = cx.place(schema.root, value, &Path::Root);
    if cx.undecided {
        return Err(Invalid::Undecided);
    }
    match verdict {
        Verdict::Fits => Ok(()),
        Verdict::Undeclared | Verdict::Fails => {
            if cx.faults.is_empty() {
                cx.faults.push(Fault {
                    pointer: String::new(),
                    keyword: "schema",
                });
            }
            Err(Invalid::Faults(Faults(cx.faults)))
        }
    }
}

/// What a node says of a value; worse is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Fails,
    /// It fits, and holds a property that is not declared.
    Undeclared,
    Fits,
}

impl Verdict {
    fn fits(self) -> bool {
        match self {
            Self::Fails => false,
            Self::Undeclared | Self::Fits => true,
        }
    }
}

/// Where the evaluation is, as far as it is ever told.
enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Member(parent, name) => {
                parent.write(out);
                out.push('/');
                out.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Self::Item(parent, at) => {
                parent.write(out);
                out.push('/');
                out.push_str(&at.to_string());
            }
        }
    }
}

/// Which members or items have been evaluated, by their place.
#[derive(Clone, Debug, Default)]
struct Seen {
    bits: SmallVec<[u64; 2]>,
}

impl Seen {
    fn add(&mut self, at: usize) {
        let word = at.wrapping_shr(6);
        if self.bits.len() <= word {
            self.bits.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << (at & 63);
        }
    }

    fn has(&self, at: usize) -> bool {
        self.bits
            .get(at.wrapping_shr(6))
            .is_some_and(|bits| bits & (1 << (at & 63)) != 0)
    }

    fn merge(&mut self, other: &Self) {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        for (ours, theirs) in self.bits.iter_mut().zip(&other.bits) {
            *ours |= theirs;
        }
    }
}

struct Context<'s> {
    schema: &'s Schema,
    steps: usize,
    nesting: usize,
    /// Once set the answer is `Undecided`, whatever is found on the way out.
    undecided: bool,
    /// Above zero, faults are not noted: a branch that fails need not make the whole fail.
    quiet: usize,
    faults: Vec<Fault>,
    /// The resources under evaluation, outermost first.
    scope: SmallVec<[usize; 8]>,
}

impl<'s> Context<'s> {
    /// Takes steps; `false` when there are none left.
    fn step(&mut self, count: usize) -> bool {
        match self.steps.checked_sub(count) {
            Some(left) => self.steps = left,
            None => self.undecided = true,
        }
        !self.undecided
    }

    fn fail(&mut self, path: &Path<'_>, keyword: &'static str) -> Verdict {
        self.note(path, keyword);
        Verdict::Fails
    }

    fn note(&mut self, path: &Path<'_>, keyword: &'static str) {
        if self.quiet == 0 && self.faults.len() < FAULTS_MAX {
            let mut pointer = String::new();
            path.write(&mut pointer);
            self.faults.push(Fault {
                pointer: told(&pointer),
                keyword,
            });
        }
    }

    /// Whether nothing is gained by looking further after a failure.
    fn done(&self, verdict: Verdict) -> bool {
        self.undecided
            || (verdict == Verdict::Fails && (self.quiet > 0 || self.faults.len() >= FAULTS_MAX))
    }

    /// Evaluates without noting faults.
    fn quietly(&mut self, id: NodeId, value: &Value<'_>, seen: Option<&mut Seen>) -> Verdict {
        self.quiet = self.quiet.saturating_add(1);
        let verdict = self.node(id, value, &Path::Root, seen);
        self.quiet = self.quiet.saturating_sub(1);
        verdict
    }

    /// Evaluates a place of its own: the root, a member, an item. Here a closed schema looks for
    /// members that nothing has declared.
    fn place(&mut self, id: NodeId, value: &Value<'_>, path: &Path<'_>) -> Verdict {
        let node = self.schema.nodes.get(id.0);
        let watched = self.schema.closed
            && (id == self.schema.root || node.is_some_and(|node| node.declares));
        let Some(members) = value.as_object().filter(|_| watched) else {
            return self.node(id, value, path, None);
        };
        let mut seen = Seen::default();
        let mut verdict = self.node(id, value, path, Some(&mut seen));
        if !verdict.fits() {
            return verdict;
        }
        for (at, (name, _)) in members.iter().enumerate() {
            if !seen.has(at) {
                self.note(&Path::Member(path, name), UNDECLARED);
                verdict = verdict.min(Verdict::Undeclared);
            }
        }
        verdict
    }

    fn node(
        &mut self,
        id: NodeId,
        value: &Value<'_>,
        path: &Path<'_>,
        seen: Option<&mut Seen>,
    ) -> Verdict {
        let Some(node) = self.schema.nodes.get(id.0) else {
            self.undecided = true;
            return Verdict::Fails;
        };
        if self.nesting >= NESTING_MAX {
            self.undecided = true;
        }
        if !self.step(1) {
            return Verdict::Fails;
        }
        self.nesting = self.nesting.saturating_add(1);
        let enters = self.scope.last() != Some(&node.resource);
        if enters {
            self.scope.push(node.resource);
        }
        let verdict = self.watch(node, value, path, seen);
        if enters {
            self.scope.pop();
        }
        self.nesting = self.nesting.saturating_sub(1);
        verdict
    }

    /// Applies the `unevaluated…` keywords after all the others.
    fn watch(
        &mut self,
        node: &'s Node,
        value: &Value<'_>,
        path: &Path<'_>,
        seen: Option<&mut Seen>,
    ) -> Verdict {
        let rest = match value {
            Value::Object(_) => node.unevaluated_properties,
            Value::Array(_) => node.unevaluated_items,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        let Some(rest) = rest else {
            return self.keywords(node, value, path, seen);
        };
        let mut local = Seen::default();
        let mut verdict = self.keywords(node, value, path, Some(&mut local));
        if self.done(verdict) {
            return verdict;
        }
        match value {
            Value::Object(members) => {
                for (at, (name, inner)) in members.iter().enumerate() {
                    if !local.has(at) {
                        let path = Path::Member(path, name);
                        verdict =
                            verdict.min(self.rest(rest, inner, &path, "unevaluatedProperties"));
                        local.add(at);
                    }
                }
            }
            Value::Array(items) => {
                for (at, inner) in items.iter().enumerate() {
                    if !local.has(at) {
                        let path = Path::Item(path, at);
                        verdict = verdict.min(self.rest(rest, inner, &path, "unevaluatedItems"));
                        local.add(at);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if let Some(seen) = seen {
            seen.merge(&local);
        }
        verdict
    }

    /// What is left over: refused under the keyword's name when the keyword is `false`.
    fn rest(
        &mut self,
        id: NodeId,
        value: &Value<'_>,
        path: &Path<'_>,
        keyword: &'static str,
    ) -> Verdict {
        if self.schema.nodes.get(id.0).is_some_and(|node| node.never) {
            return self.fail(path, keyword);
        }
        self.place(id, value, path)
    }

    fn keywords(
        &mut self,
        node: &'s Node,
        value: &Value<'_>,
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        if node.never {
            return self.fail(path, "false");
        }
        let mut verdict = Verdict::Fits;
        if let Some(types) = node.types
            && !has_type(types, value)
        {
            verdict = self.fail(path, "type");
            // The other keywords would only say so again.
            return verdict;
        }
        if let Some(values) = &node.values {
            verdict = verdict.min(self.values(values, value, path));
        }
        let own = match value {
            Value::Number(text) => match &node.number {
                Some(rules) => self.number(rules, text, path),
                None => Verdict::Fits,
            },
            Value::String(text) => match &node.string {
                Some(rules) => self.string(rules, text, path),
                None => Verdict::Fits,
            },
            Value::Array(items) => match &node.array {
                Some(rules) => self.array(rules, items, path, seen.as_deref_mut()),
                None => Verdict::Fits,
            },
            Value::Object(members) => match &node.object {
                Some(rules) => self.object(rules, members, path, seen.as_deref_mut()),
                None => Verdict::Fits,
            },
            Value::Null | Value::Bool(_) => Verdict::Fits,
        };
        verdict = verdict.min(own);
        if let Some(in_place) = &node.in_place
            && !self.done(verdict)
        {
            verdict = verdict.min(self.in_place(in_place, value, path, seen));
        }
        verdict
    }

    fn values(&mut self, values: &Values, value: &Value<'_>, path: &Path<'_>) -> Verdict {
        if !self.step(value.count()) {
            return Verdict::Fails;
        }
        match values
            .allowed
            .binary_search_by(|allowed| allowed.compare(value))
        {
            Ok(_) => Verdict::Fits,
            Err(_) => self.fail(path, values.keyword),
        }
    }

    fn number(&mut self, rules: &NumberRules, text: &str, path: &Path<'_>) -> Verdict {
        let Some(number) = Decimal::parse(text) else {
            return self.fail(path, "type");
        };
        let below = |bound: &Option<Decimal>| bound.as_ref().is_some_and(|bound| number < *bound);
        let above = |bound: &Option<Decimal>| bound.as_ref().is_some_and(|bound| number > *bound);
        let at = |bound: &Option<Decimal>| bound.as_ref().is_some_and(|bound| number == *bound);
        let failures = [
            ("minimum", below(&rules.minimum)),
            ("maximum", above(&rules.maximum)),
            (
                "exclusiveMinimum",
                below(&rules.exclusive_minimum) || at(&rules.exclusive_minimum),
            ),
            (
                "exclusiveMaximum",
                above(&rules.exclusive_maximum) || at(&rules.exclusive_maximum),
            ),
            (
                "multipleOf",
                rules
                    .multiple_of
                    .as_ref()
                    .is_some_and(|factor| !number.is_multiple_of(factor)),
            ),
        ];
        self.failures(&failures, path)
    }

    fn string(&mut self, rules: &StringRules, text: &str, path: &Path<'_>) -> Verdict {
        if !self.step(text.len().wrapping_shr(4)) {
            return Verdict::Fails;
        }
        let chars = if rules.chars_min.is_some() || rules.chars_max.is_some() {
            text.chars().count()
        } else {
            0
        };
        let pattern = match &rules.pattern {
            None => true,
            Some(pattern) => {
                if !self.step(pattern.cost(text)) {
                    return Verdict::Fails;
                }
                let Some(occurs) = pattern.occurs_in(text) else {
                    self.undecided = true;
                    return Verdict::Fails;
                };
                occurs
            }
        };
        let failures = [
            ("minLength", rules.chars_min.is_some_and(|min| chars < min)),
            ("maxLength", rules.chars_max.is_some_and(|max| chars > max)),
            ("pattern", !pattern),
            (
                "format",
                rules.format.is_some_and(|format| !format.holds(text)),
            ),
        ];
        self.failures(&failures, path)
    }

    fn failures(&mut self, failures: &[(&'static str, bool)], path: &Path<'_>) -> Verdict {
        let mut verdict = Verdict::Fits;
        for (keyword, failed) in failures {
            if *failed {
                verdict = self.fail(path, keyword);
            }
        }
        verdict
    }

    fn array(
        &mut self,
        rules: &'s ArrayRules,
        items: &[Value<'_>],
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut verdict = self.failures(
            &[
                (
                    "minItems",
                    rules.items_min.is_some_and(|min| items.len() < min),
                ),
                (
                    "maxItems",
                    rules.items_max.is_some_and(|max| items.len() > max),
                ),
            ],
            path,
        );
        for (at, item) in items.iter().enumerate() {
            let Some(id) = rules.prefix.get(at).copied().or(rules.rest) else {
                break;
            };
            if self.done(verdict) || !self.step(1) {
                return Verdict::Fails;
            }
            let keyword = if rules.prefix.is_empty() {
                "items"
            } else {
                "prefixItems"
            };
            verdict = verdict.min(self.rest(id, item, &Path::Item(path, at), keyword));
            if let Some(seen) = seen.as_deref_mut() {
                seen.add(at);
            }
        }
        if let Some(contains) = &rules.contains {
            verdict = verdict.min(self.contains(contains, items, path, seen));
        }
        if rules.unique && !self.is_unique(items) {
            verdict = self.fail(path, "uniqueItems");
        }
        verdict
    }

    fn contains(
        &mut self,
        contains: &Contains,
        items: &[Value<'_>],
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut count = 0_usize;
        for (at, item) in items.iter().enumerate() {
            if !self.step(1) {
                return Verdict::Fails;
            }
            if self.quietly(contains.node, item, None).fits() {
                count = count.saturating_add(1);
                if let Some(seen) = seen.as_deref_mut().filter(|_| contains.evaluates) {
                    seen.add(at);
                }
            }
        }
        self.failures(
            &[
                (
                    if contains.min == 1 {
                        "contains"
                    } else {
                        "minContains"
                    },
                    count < contains.min,
                ),
                ("maxContains", contains.max.is_some_and(|max| count > max)),
            ],
            path,
        )
    }

    /// Compares by digest first, so that many items cost no square of their number.
    fn is_unique(&mut self, items: &[Value<'_>]) -> bool {
        let mut digests: Vec<(u64, &Value<'_>)> = Vec::with_capacity(items.len());
        for item in items {
            if !self.step(item.count()) {
                return false;
            }
            let mut hasher = DefaultHasher::new();
            digest(item, &mut hasher);
            digests.push((hasher.finish(), item));
        }
        digests.sort_unstable_by_key(|(digest, _)| *digest);
        // Equal items have equal digests; unequal ones of the same digest are ordered by value.
        for group in digests.chunk_by_mut(|(a, _), (b, _)| a == b) {
            if group.len() == 1 {
                continue;
            }
            let cost = group.iter().map(|(_, item)| item.count()).sum::<usize>();
            if !self.step(cost.saturating_mul(16)) {
                return false;
            }
            group.sort_unstable_by(|(_, a), (_, b)| a.compare(b));
            let repeated = group.windows(2).any(|pair| match pair {
                [(_, a), (_, b)] => a.compare(b).is_eq(),
                _ => false,
            });
            if repeated {
                return false;
            }
        }
        true
    }

    fn object(
        &mut self,
        rules: &'s ObjectRules,
        members: &[Member<'_>],
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut verdict = self.counts(rules, members, path);
        for (at, (name, value)) in members.iter().enumerate() {
            if self.done(verdict) || !self.step(1) {
                return Verdict::Fails;
            }
            let path = Path::Member(path, name);
            let mut known = false;
            let found = rules
                .properties
                .binary_search_by(|(it, _)| (**it).cmp(name.as_ref()));
            if let Some((_, id)) = found.ok().and_then(|at| rules.properties.get(at)) {
                known = true;
                verdict = verdict.min(self.place(*id, value, &path));
            }
            for (pattern, id) in &rules.patterns {
                if !self.step(pattern.cost(name).saturating_add(1)) {
                    return Verdict::Fails;
                }
                match pattern.occurs_in(name) {
                    Some(false) => {}
                    Some(true) => {
                        known = true;
                        verdict = verdict.min(self.place(*id, value, &path));
                    }
                    None => {
                        self.undecided = true;
                        return Verdict::Fails;
                    }
                }
            }
            if let Some(id) = rules.additional.filter(|_| !known) {
                known = true;
                verdict = verdict.min(self.rest(id, value, &path, "additionalProperties"));
            }
            if let Some(seen) = seen.as_deref_mut().filter(|_| known) {
                seen.add(at);
            }
            if let Some(id) = rules.names {
                let name = Value::String(Cow::Borrowed(name.as_ref()));
                if !self.quietly(id, &name, None).fits() {
                    verdict = self.fail(&path, "propertyNames");
                }
            }
        }
        verdict
    }

    /// The keywords that look at names and numbers of members alone.
    fn counts(&mut self, rules: &ObjectRules, members: &[Member<'_>], path: &Path<'_>) -> Verdict {
        let mut verdict = self.failures(
            &[
                (
                    "minProperties",
                    rules.properties_min.is_some_and(|min| members.len() < min),
                ),
                (
                    "maxProperties",
                    rules.properties_max.is_some_and(|max| members.len() > max),
                ),
            ],
            path,
        );
        for name in &rules.required {
            if !self.step(1) {
                return Verdict::Fails;
            }
            if find(members, name).is_none() {
                verdict = self.fail(&Path::Member(path, name), "required");
            }
        }
        for (name, needed) in &rules.dependent_required {
            if !self.step(needed.len().saturating_add(1)) {
                return Verdict::Fails;
            }
            if find(members, name).is_some()
                && needed.iter().any(|needed| find(members, needed).is_none())
            {
                verdict = self.fail(path, "dependentRequired");
            }
        }
        verdict
    }

    fn in_place(
        &mut self,
        rules: &'s InPlace,
        value: &Value<'_>,
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut verdict = Verdict::Fits;
        let dynamic = rules
            .dynamic
            .as_ref()
            .map(|(first, name)| self.dynamic(*first, name.as_deref()));
        let all = rules
            .reference
            .into_iter()
            .chain(dynamic)
            .chain(rules.all_of.iter().copied());
        for id in all {
            verdict = verdict.min(self.node(id, value, path, seen.as_deref_mut()));
            if self.done(verdict) {
                return verdict;
            }
        }
        for (name, id) in &rules.dependent {
            if value.member(name).is_some() {
                verdict = verdict.min(self.node(*id, value, path, seen.as_deref_mut()));
            }
        }
        if !rules.any_of.is_empty() {
            verdict = verdict.min(self.any_of(&rules.any_of, value, path, seen.as_deref_mut()));
        }
        if !rules.one_of.is_empty() {
            verdict = verdict.min(self.one_of(&rules.one_of, value, path, seen.as_deref_mut()));
        }
        if let Some(id) = rules.not
            && self.quietly(id, value, None).fits()
        {
            verdict = self.fail(path, "not");
        }
        if let Some((test, yes, no)) = rules.condition {
            let mut tested = Seen::default();
            let branch = if self.quietly(test, value, Some(&mut tested)).fits() {
                if let Some(seen) = seen.as_deref_mut() {
                    seen.merge(&tested);
                }
                yes
            } else {
                no
            };
            if let Some(id) = branch {
                verdict = verdict.min(self.node(id, value, path, seen));
            }
        }
        verdict
    }

    /// The node a `$dynamicRef` leads to: the outermost resource in scope that has the anchor.
    fn dynamic(&self, first: NodeId, name: Option<&str>) -> NodeId {
        let Some(name) = name else { return first };
        self.scope
            .iter()
            .find_map(|resource| self.schema.dynamic_anchors.get(&(*resource, name.into())))
            .copied()
            .unwrap_or(first)
    }

    fn any_of(
        &mut self,
        branches: &[NodeId],
        value: &Value<'_>,
        path: &Path<'_>,
        mut seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut best = (Verdict::Fails, None);
        for id in branches {
            let mut local = Seen::default();
            let verdict = self.quietly(*id, value, seen.is_some().then_some(&mut local));
            if verdict.fits()
                && let Some(seen) = seen.as_deref_mut()
            {
                seen.merge(&local);
            }
            if verdict > best.0 {
                best = (verdict, Some(*id));
            }
            // Without a list to complete, one branch that fits is enough.
            if self.undecided || (best.0 == Verdict::Fits && seen.is_none()) {
                break;
            }
        }
        self.told(best, value, path, "anyOf")
    }

    fn one_of(
        &mut self,
        branches: &[NodeId],
        value: &Value<'_>,
        path: &Path<'_>,
        seen: Option<&mut Seen>,
    ) -> Verdict {
        let mut found = (Verdict::Fails, None);
        let mut evaluated = Seen::default();
        for id in branches {
            let mut local = Seen::default();
            let verdict = self.quietly(*id, value, seen.is_some().then_some(&mut local));
            if self.undecided {
                return Verdict::Fails;
            }
            if verdict.fits() {
                if found.1.is_some() {
                    return self.fail(path, "oneOf");
                }
                found = (verdict, Some(*id));
                evaluated = local;
            }
        }
        if let Some(seen) = seen {
            seen.merge(&evaluated);
        }
        self.told(found, value, path, "oneOf")
    }

    /// Notes why the branches did not fit, or what the best of them does not declare.
    fn told(
        &mut self,
        (verdict, branch): (Verdict, Option<NodeId>),
        value: &Value<'_>,
        path: &Path<'_>,
        keyword: &'static str,
    ) -> Verdict {
        match (verdict, branch) {
            (Verdict::Fails, _) => self.fail(path, keyword),
            (Verdict::Undeclared, Some(id)) if self.quiet == 0 => self.node(id, value, path, None),
            (Verdict::Undeclared | Verdict::Fits, _) => verdict,
        }
    }
}

fn has_type(types: Types, value: &Value<'_>) -> bool {
    match value {
        Value::Null => types.has(Types::NULL),
        Value::Bool(_) => types.has(Types::BOOLEAN),
        Value::Number(text) => {
            types.has(Types::NUMBER)
                || (types.has(Types::INTEGER)
                    && Decimal::parse(text).is_some_and(|it| it.is_integer_64()))
        }
        Value::String(_) => types.has(Types::STRING),
        Value::Array(_) => types.has(Types::ARRAY),
        Value::Object(_) => types.has(Types::OBJECT),
    }
}

/// Feeds what equal values have in common.
fn digest(value: &Value<'_>, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(it) => (1_u8, it).hash(hasher),
        Value::Number(text) => (2_u8, Decimal::parse(text)).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            for item in items {
                digest(item, hasher);
            }
        }
        Value::Object(members) => {
            (5_u8, members.len()).hash(hasher);
            for (name, inner) in members {
                name.hash(hasher);
                digest(inner, hasher);
            }
        }
    }
}
