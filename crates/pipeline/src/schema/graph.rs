//! A static look at a schema document: its subschemas, and which of them applies another, where.
//!
//! It validates nothing. It settles, before the library compiles the document, that every reference
//! stays within it and that none leads in a circle, and it is what bounds the work (`cost`) and what
//! says where properties are declared (`close`).

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::resource::Resources;
use super::{Dialect, PATTERNS_MAX, SUBSCHEMAS_MAX, Unusable, told};

/// The subschemas of a document, the root first.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
}

/// One subschema that is an object; the schemas `true` and `false` apply nothing.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts about a subschema that do not exclude each other"
)]
pub(super) struct Node {
    /// Where it is: an escaped JSON pointer.
    pub(super) pointer: String,
    /// What it applies to the same place.
    pub(super) in_place: Vec<InPlace>,
    pub(super) members: BTreeMap<String, usize>,
    pub(super) patterns: Vec<usize>,
    /// `additionalProperties`.
    pub(super) others: Option<usize>,
    /// `unevaluatedProperties`.
    pub(super) unevaluated_members: Option<usize>,
    /// `propertyNames`.
    pub(super) names: Option<usize>,
    /// `prefixItems`, or `items` of draft 7 as a list, by position.
    pub(super) prefix: BTreeMap<usize, usize>,
    /// What applies to every item: `items` and `contains`.
    pub(super) items: Vec<usize>,
    /// `additionalItems` and `unevaluatedItems`.
    pub(super) rest: Vec<usize>,
    /// Whether it has a keyword that asks what others have evaluated.
    pub(super) asks: bool,
    /// Whether it has `unevaluatedProperties`, with whatever value.
    pub(super) settles: bool,
    /// Whether it, or what it applies in place, declares properties.
    pub(super) declares: bool,
    /// Whether a member or an item is held to it as such, and not within `not`, `if`, `contains` or
    /// `propertyNames`.
    pub(super) is_place: bool,
    /// What one application costs by itself, in steps.
    pub(super) weight: u64,
}

/// A subschema that another applies to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InPlace {
    pub(super) node: usize,
    /// Whether what it evaluates counts as evaluated: not within `not`.
    pub(super) counts: bool,
    /// Whether it is evaluated once more to learn what was evaluated.
    pub(super) repeats: bool,
}

impl Node {
    /// What it applies to members and items.
    pub(super) fn below(&self) -> impl Iterator<Item = usize> + '_ {
        self.members
            .values()
            .chain(self.prefix.values())
            .chain(&self.patterns)
            .chain(&self.items)
            .chain(&self.rest)
            .chain(&self.others)
            .chain(&self.unevaluated_members)
            .chain(&self.names)
            .copied()
    }
}

/// How a keyword holds its subschemas.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    One,
    List,
    Map,
}

/// What the subschemas of a keyword are held against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    /// The same place.
    Here,
    /// The same place, and the answer turned round.
    NotHere,
    /// Members or items.
    Below,
    /// Nothing: a container of definitions.
    Nothing,
}

/// What the keyword means to the graph; `None` when it holds no subschemas.
fn applicator(keyword: &str, value: &Value, dialect: Dialect) -> Option<(Holds, Against)> {
    let modern = dialect == Dialect::Draft202012;
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" => (Holds::List, Against::Here),
        "if" | "then" | "else" => (Holds::One, Against::Here),
        "not" => (Holds::One, Against::NotHere),
        "dependencies" => (Holds::Map, Against::Here),
        "dependentSchemas" if modern => (Holds::Map, Against::Here),
        "properties" | "patternProperties" => (Holds::Map, Against::Below),
        "items" if !modern && value.is_array() => (Holds::List, Against::Below),
        "unevaluatedProperties" | "unevaluatedItems" if modern => (Holds::One, Against::Below),
        "additionalProperties" | "propertyNames" | "contains" | "items" => {
            (Holds::One, Against::Below)
        }
        "additionalItems" if !modern => (Holds::One, Against::Below),
        "prefixItems" if modern => (Holds::List, Against::Below),
        "definitions" | "$defs" => (Holds::Map, Against::Nothing),
        "contentSchema" if modern => (Holds::One, Against::Nothing),
        _ => return None,
    })
}

/// The subschemas of a keyword, each with its step in the pointer.
fn held(value: &Value, holds: Holds) -> Vec<(Option<String>, &Value)> {
    match (holds, value) {
        (Holds::One, value) => vec![(None, value)],
        (Holds::List, Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (Some(at.to_string()), value))
            .collect(),
        (Holds::Map, Value::Object(members)) => members
            .iter()
            .map(|(name, value)| (Some(name.clone()), value))
            .collect(),
        // Of the wrong kind: the library refuses it.
        (Holds::List | Holds::Map, _) => Vec::new(),
    }
}

/// A JSON pointer's step (RFC 6901, section 3).
pub(super) fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// Reads the document. Takes time linear in its size, and the square of the number of its references
/// at worst.
pub(super) fn read(document: &Value, dialect: Dialect) -> Result<Graph, Unusable> {
    let mut reader = Reader {
        dialect,
        found: Vec::new(),
        numbers: HashMap::new(),
        resources: Resources::new(dialect, document),
        patterns: 0,
    };
    reader.walk(document, 0, String::new(), false, false)?;
    let mut nodes: Vec<Node> = Vec::new();
    // Linking can find more subschemas: references may lead into keywords unknown.
    while let Some(found) = reader.found.get(nodes.len()).copied() {
        nodes.push(reader.link(found)?);
    }
    let mut graph = Graph { nodes };
    graph.places(&reader);
    graph.spread();
    Ok(graph)
}

/// A subschema that was found.
#[derive(Clone, Copy)]
struct Found<'v> {
    members: &'v Map<String, Value>,
    resource: usize,
}

struct Reader<'v> {
    dialect: Dialect,
    found: Vec<Found<'v>>,
    /// The number, pointer and condition of each subschema, by its address.
    numbers: HashMap<*const Value, (usize, String, bool)>,
    resources: Resources<'v>,
    patterns: usize,
}

impl<'v> Reader<'v> {
    /// Visits a subschema and those within; `conditional` within what is only asked, never required.
    fn walk(
        &mut self,
        value: &'v Value,
        resource: usize,
        pointer: String,
        conditional: bool,
        again: bool,
    ) -> Result<(), Unusable> {
        let Value::Object(members) = value else {
            return Ok(());
        };
        if self.numbers.contains_key(&std::ptr::from_ref(value)) {
            return Ok(());
        }
        if self.found.len() >= SUBSCHEMAS_MAX {
            return Err(Unusable::TooManySubschemas);
        }
        let resource = self
            .resources
            .enter(value, members, resource, &pointer, again)?;
        let number = self.found.len();
        self.found.push(Found { members, resource });
        for (keyword, inner) in members {
            let Some((holds, _against)) = applicator(keyword, inner, self.dialect) else {
                continue;
            };
            let conditional =
                conditional || matches!(&**keyword, "not" | "if" | "contains" | "propertyNames");
            for (step, inner) in held(inner, holds) {
                let mut at = format!("{pointer}/{}", escaped(keyword));
                if let Some(step) = step {
                    at.push('/');
                    at.push_str(&escaped(&step));
                }
                self.walk(inner, resource, at, conditional, again)?;
            }
        }
        self.numbers
            .insert(std::ptr::from_ref(value), (number, pointer, conditional));
        Ok(())
    }

    fn number(&self, value: &Value) -> Option<usize> {
        let (number, _, _) = self.numbers.get(&std::ptr::from_ref(value))?;
        Some(*number)
    }

    /// The node of what was found.
    fn link(&mut self, found: Found<'v>) -> Result<Node, Unusable> {
        let mut node = Node {
            weight: 1,
            ..Node::default()
        };
        let draft7 = self.dialect == Dialect::Draft7;
        if let Some(reference) = found.members.get("$ref") {
            self.refer(&mut node, reference, found, false)?;
            if draft7 {
                // Nothing beside `$ref` counts in draft 7.
                return Ok(node);
            }
        }
        if !draft7 && let Some(reference) = found.members.get("$dynamicRef") {
            self.refer(&mut node, reference, found, true)?;
        }
        for (keyword, value) in found.members {
            self.weigh(&mut node, keyword, value)?;
            let Some((holds, against)) = applicator(keyword, value, self.dialect) else {
                continue;
            };
            for (step, inner) in held(value, holds) {
                let Some(number) = self.number(inner) else {
                    continue;
                };
                match (against, step) {
                    (Against::Nothing, _) => {}
                    (Against::Here | Against::NotHere, _) => node.in_place.push(InPlace {
                        node: number,
                        counts: against == Against::Here,
                        repeats: against == Against::Here,
                    }),
                    (Against::Below, step) => below(&mut node, keyword, step, number),
                }
            }
        }
        Ok(node)
    }

    /// Follows a reference.
    fn refer(
        &mut self,
        node: &mut Node,
        reference: &'v Value,
        found: Found<'v>,
        dynamic: bool,
    ) -> Result<(), Unusable> {
        // Of the wrong kind: the library refuses it.
        let Some(text) = reference.as_str() else {
            return Ok(());
        };
        let keyword = if dynamic { "$dynamicRef" } else { "$ref" };
        let target = self.resources.resolve(text, found.resource);
        let target = target.filter(|it| it.value.is_object() || it.value.is_boolean());
        let Some(target) = target else {
            let own = std::ptr::from_ref(found.members);
            let place = self.numbers.values().find_map(|(number, at, _)| {
                let it = self.found.get(*number)?;
                std::ptr::eq(it.members, own).then(|| format!("{at}/{keyword}"))
            });
            return Err(Unusable::Reference(told(&place.unwrap_or_default())));
        };
        self.walk(target.value, target.resource, target.pointer, false, true)?;
        if let Some(number) = self.number(target.value) {
            node.in_place.push(InPlace {
                node: number,
                counts: true,
                repeats: false,
            });
        }
        if dynamic {
            // Where it leads depends on the way here: every anchor of the name counts.
            let name = text.rsplit_once('#').map_or("", |(_, name)| name);
            let anchors: Vec<&Value> = self.resources.dynamic_anchors(name).collect();
            for value in anchors {
                if let Some(number) = self.number(value)
                    && !node.in_place.iter().any(|it| it.node == number)
                {
                    node.in_place.push(InPlace {
                        node: number,
                        counts: true,
                        repeats: false,
                    });
                }
            }
        }
        Ok(())
    }

    /// What a keyword adds to the node by itself.
    fn weigh(&mut self, node: &mut Node, keyword: &str, value: &Value) -> Result<(), Unusable> {
        let entries = match value {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        } as u64;
        match keyword {
            "enum" | "required" | "const" | "dependentRequired" => node.weight += entries,
            "uniqueItems" => node.weight += UNIQUE_WEIGHT,
            "pattern" => {
                self.patterns += 1;
                node.weight += value.as_str().map_or(0, pattern_weight);
            }
            "format" => node.weight += 1,
            "properties" => node.declares = true,
            "patternProperties" => {
                node.declares = true;
                let patterns = value.as_object().into_iter().flat_map(Map::keys);
                for pattern in patterns {
                    self.patterns += 1;
                    node.weight += pattern_weight(pattern);
                }
            }
            "unevaluatedProperties" if self.dialect == Dialect::Draft202012 => {
                node.settles = true;
                node.asks = true;
            }
            "unevaluatedItems" if self.dialect == Dialect::Draft202012 => node.asks = true,
            _ => {}
        }
        if self.patterns > PATTERNS_MAX {
            return Err(Unusable::TooManyPatterns);
        }
        Ok(())
    }
}

/// What `uniqueItems` costs.
const UNIQUE_WEIGHT: u64 = 4;
/// What a match by backtracking costs.
const BACKTRACKING_WEIGHT: u64 = 250;

fn pattern_weight(pattern: &str) -> u64 {
    if needs_backtracking(pattern) {
        BACKTRACKING_WEIGHT
    } else {
        1
    }
}

/// Whether a pattern has what an engine linear in the text lacks: look-around or back-references.
pub(super) fn needs_backtracking(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!", "\\k<"]
        .iter()
        .any(|part| pattern.contains(part))
        || pattern
            .as_bytes()
            .windows(2)
            .any(|pair| matches!(pair, [b'\\', b'1'..=b'9']))
}

fn below(node: &mut Node, keyword: &str, step: Option<String>, number: usize) {
    match (keyword, step) {
        ("properties", Some(name)) => {
            node.members.insert(name, number);
        }
        ("patternProperties", _) => node.patterns.push(number),
        ("additionalProperties", _) => node.others = Some(number),
        ("unevaluatedProperties", _) => node.unevaluated_members = Some(number),
        ("propertyNames", _) => node.names = Some(number),
        ("additionalItems" | "unevaluatedItems", _) => node.rest.push(number),
        ("prefixItems" | "items", Some(at)) => {
            if let Ok(at) = at.parse() {
                node.prefix.insert(at, number);
            }
        }
        _ => node.items.push(number),
    }
}

impl Graph {
    /// Notes where each node is and whether it is a place.
    fn places(&mut self, reader: &Reader<'_>) {
        let mut conditional = vec![false; self.nodes.len()];
        for (number, pointer, within) in reader.numbers.values() {
            if let Some(node) = self.nodes.get_mut(*number) {
                node.pointer.clone_from(pointer);
            }
            if let Some(flag) = conditional.get_mut(*number) {
                *flag = *within;
            }
        }
        let held: Vec<usize> = self.nodes.iter().flat_map(Node::below).collect();
        for number in held {
            if conditional.get(number) == Some(&false)
                && let Some(node) = self.nodes.get_mut(number)
            {
                node.is_place = true;
            }
        }
    }

    /// Marks every node whose place is declared by what it applies there.
    fn spread(&mut self) {
        let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for used in node.in_place.iter().filter(|it| it.counts) {
                users.entry(used.node).or_default().push(at);
            }
        }
        let declaring = self.nodes.iter().enumerate();
        let mut spread: Vec<usize> = declaring
            .filter(|(_, node)| node.declares)
            .map(|(at, _)| at)
            .collect();
        while let Some(at) = spread.pop() {
            for user in users.remove(&at).unwrap_or_default() {
                if let Some(node) = self.nodes.get_mut(user)
                    && !node.declares
                {
                    node.declares = true;
                    spread.push(user);
                }
            }
        }
    }

    /// Whether the closed reading adds `unevaluatedProperties` to the node.
    pub(super) fn is_closed(&self, number: usize) -> bool {
        self.nodes
            .get(number)
            .is_some_and(|node| node.is_place && node.declares && !node.settles)
    }
}

#[cfg(test)]
mod tests;
