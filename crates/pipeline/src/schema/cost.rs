//! What an evaluation costs, known before it is begun.
//!
//! The library neither counts its steps nor bounds them, so the bound is found here, from the graph of
//! the schema and the shape of the JSON. At one place a schema applies no more than [`HERE_MAX`]
//! subschemas, counted with their repetitions, or it is refused. For JSON, that number is multiplied
//! along its members and items; what exceeds [`STEPS_MAX`] or [`NESTING_MAX`] is undecided.

use std::collections::BTreeMap;

use serde_json::Value;

use super::graph::{Graph, Node};
use super::measure::Measure;
use super::{Unusable, told};

/// The most steps at one place.
pub(super) const HERE_MAX: u64 = 10_000;
/// How many subschemas deep one place may be.
pub(super) const HERE_DEPTH_MAX: usize = 192;
/// The most steps in all that `unevaluatedProperties` and `unevaluatedItems` repeat.
const ASKED_MAX: u64 = 50_000;
/// The most steps of one evaluation.
pub(super) const STEPS_MAX: u64 = 20_000_000;
/// How deep one evaluation may be, in subschemas within each other.
pub(super) const NESTING_MAX: usize = 256;
/// How often the library evaluates the same subschema against the same array or object before it
/// remembers the answer: it does so where references recur, once an answer took 16 visits.
const REPEATED_MAX: u64 = 64;
/// How many bytes of a string count as a step of each subschema.
const BYTES_PER_STEP: u64 = 16;

/// The costs of a schema.
#[derive(Debug)]
pub(super) struct Cost {
    graph: Graph,
    /// The nodes in an order in which each comes before those that it applies in place.
    rank: Vec<usize>,
    by_rank: Vec<usize>,
    /// Whether the node repeats what it applies in place, to learn what was evaluated.
    asks: Vec<bool>,
    /// The steps of one application at one place.
    here: Vec<u64>,
    /// How deep the deepest place is.
    depth: usize,
    /// The steps of the whole schema at once; `None` when it recurs.
    whole: Option<u64>,
    /// Whether the library remembers answers where the schema recurs. It does so only for whether a
    /// value is valid, never for what was evaluated.
    remembers: bool,
}

impl Cost {
    /// Finds the costs; with `closed`, of the schema as it is closed.
    pub(super) fn of(graph: Graph, closed: bool) -> Result<Self, Unusable> {
        let count = graph.nodes.len();
        let by_rank = sorted(&graph.nodes, |node| {
            node.in_place.iter().map(|used| used.node).collect()
        });
        let mut rank = vec![usize::MAX; count];
        for (at, number) in by_rank.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*number) {
                *rank = at;
            }
        }
        if let Some(stuck) = rank.iter().position(|rank| *rank == usize::MAX) {
            let pointer = graph.nodes.get(stuck).map_or("", |node| &node.pointer);
            return Err(Unusable::Circular(told(pointer)));
        }
        let asks: Vec<bool> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| node.asks || (closed && (at == 0 || graph.is_closed(at))))
            .collect();
        let mut cost = Self {
            graph,
            rank,
            by_rank,
            asks,
            here: vec![0; count],
            depth: 0,
            whole: None,
            remembers: false,
        };
        cost.remembers = !cost.asks.contains(&true);
        cost.weigh_places()?;
        cost.weigh_whole();
        Ok(cost)
    }

    fn asks(&self, number: usize) -> bool {
        self.asks.get(number).copied().unwrap_or_default()
    }

    /// Fills `here` and `depth`, from the last applied to the first.
    fn weigh_places(&mut self) -> Result<(), Unusable> {
        let count = self.here.len();
        let mut asked = vec![0_u64; count];
        let mut depth = vec![0_usize; count];
        let mut asked_in_all = 0_u64;
        for number in self.by_rank.iter().rev().copied() {
            let Some(node) = self.graph.nodes.get(number) else {
                continue;
            };
            let (mut steps, mut repeated, mut deepest) = (node.weight, 1_u64, 0);
            for used in &node.in_place {
                let of = |list: &[u64]| list.get(used.node).copied().unwrap_or_default();
                steps = steps.saturating_add(of(&self.here));
                repeated = repeated.saturating_add(of(&asked));
                if used.repeats {
                    repeated = repeated.saturating_add(of(&self.here));
                }
                deepest = deepest.max(depth.get(used.node).copied().unwrap_or_default() + 1);
            }
            if self.asks(number) {
                steps = steps.saturating_add(repeated);
                asked_in_all = asked_in_all.saturating_add(repeated);
            }
            if steps > HERE_MAX || asked_in_all > ASKED_MAX || deepest > HERE_DEPTH_MAX {
                return Err(Unusable::TooIntricate(told(&node.pointer)));
            }
            for (list, value) in [(&mut self.here, steps), (&mut asked, repeated)] {
                if let Some(slot) = list.get_mut(number) {
                    *slot = value;
                }
            }
            if let Some(slot) = depth.get_mut(number) {
                *slot = deepest;
            }
            self.depth = self.depth.max(deepest);
        }
        Ok(())
    }

    /// Fills `whole`: every subschema as often as there are ways to it.
    fn weigh_whole(&mut self) {
        let below = |node: &Node| {
            let in_place = node.in_place.iter().map(|used| used.node);
            in_place.chain(node.below()).collect()
        };
        let order = sorted(&self.graph.nodes, below);
        if order.len() < self.graph.nodes.len() {
            return;
        }
        let (mut steps, mut asked) = (vec![0_u64; order.len()], vec![0_u64; order.len()]);
        for number in order.into_iter().rev() {
            let Some(node) = self.graph.nodes.get(number) else {
                continue;
            };
            let of = |list: &[u64], used: usize| list.get(used).copied().unwrap_or_default();
            let mut own = node.weight;
            let mut repeated = 1_u64;
            for used in node.below() {
                own = own.saturating_add(of(&steps, used));
            }
            for used in &node.in_place {
                own = own.saturating_add(of(&steps, used.node));
                repeated = repeated.saturating_add(of(&asked, used.node));
                if used.repeats {
                    repeated = repeated.saturating_add(of(&steps, used.node));
                }
            }
            if let Some(used) = node.unevaluated_members {
                repeated = repeated.saturating_add(of(&steps, used));
            }
            if self.asks(number) {
                own = own.saturating_add(repeated);
            }
            for (list, value) in [(&mut steps, own), (&mut asked, repeated)] {
                if let Some(slot) = list.get_mut(number) {
                    *slot = value;
                }
            }
        }
        self.whole = steps.first().copied();
    }

    /// The most steps that evaluating `value` takes; `None` when that is not within the bounds.
    pub(super) fn steps(&self, value: &Value, measure: &Measure) -> Option<u64> {
        if self.graph.nodes.is_empty() {
            // The schema `true` or `false`.
            return Some(1);
        }
        let size = measure
            .values
            .saturating_add(measure.bytes / BYTES_PER_STEP);
        let nesting = (self.depth + 2).saturating_mul(measure.depth + 1);
        if let Some(whole) = self.whole
            && nesting <= NESTING_MAX
        {
            let steps = whole.saturating_mul(size);
            if steps <= STEPS_MAX {
                return Some(steps);
            }
        }
        let mut walk = Walk {
            cost: self,
            steps: 0,
        };
        let root = Applied { count: 1, depth: 1 };
        walk.visit(value, &BTreeMap::from([(0, root)]))?;
        Some(walk.steps)
    }
}

/// The nodes so that each comes before those that it uses; those in a circle are missing.
fn sorted(nodes: &[Node], used_by: impl Fn(&Node) -> Vec<usize>) -> Vec<usize> {
    let mut waiting = vec![0_usize; nodes.len()];
    for node in nodes {
        for used in used_by(node) {
            if let Some(count) = waiting.get_mut(used) {
                *count += 1;
            }
        }
    }
    let mut order: Vec<usize> = waiting
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(at, _)| at)
        .collect();
    let mut next = 0;
    while let Some(node) = order.get(next).and_then(|at| nodes.get(*at)) {
        next += 1;
        for used in used_by(node) {
            if let Some(count) = waiting.get_mut(used) {
                *count -= 1;
                if *count == 0 {
                    order.push(used);
                }
            }
        }
    }
    order
}

/// How a node is applied at a place: how often, and within how many others.
#[derive(Clone, Copy, Default)]
struct Applied {
    count: u64,
    depth: usize,
}

impl Applied {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.depth = self.depth.max(other.depth);
    }
}

/// Goes through JSON and counts what applies at each place, without evaluating any of it.
struct Walk<'c> {
    cost: &'c Cost,
    steps: u64,
}

impl Walk<'_> {
    fn spend(&mut self, steps: u64) -> Option<()> {
        self.steps = self.steps.saturating_add(steps);
        (self.steps <= STEPS_MAX).then_some(())
    }

    /// `applied` is by the number of the node.
    fn visit(&mut self, value: &Value, applied: &BTreeMap<usize, Applied>) -> Option<()> {
        let cost = self.cost;
        let bytes = value.as_str().map_or(0, |text| text.len() as u64);
        let is_container = value.is_object() || value.is_array();
        // By rank, so that each node is complete when its turn comes; beside it, how often it is asked
        // what was evaluated.
        let mut open: BTreeMap<usize, (Applied, u64)> = BTreeMap::new();
        for (number, applied) in applied {
            let rank = cost.rank.get(*number).copied()?;
            let mut applied = *applied;
            if is_container && cost.remembers {
                applied.count = applied.count.min(REPEATED_MAX);
            }
            open.entry(rank).or_default().0.add(applied);
        }
        let mut here: Vec<(&Node, Applied, u64)> = Vec::new();
        while let Some((rank, (applied, asked))) = open.pop_first() {
            let number = cost.by_rank.get(rank).copied()?;
            let node = cost.graph.nodes.get(number)?;
            let weight = node.weight.saturating_add(bytes / BYTES_PER_STEP);
            self.spend(applied.count.saturating_mul(weight).saturating_add(asked))?;
            if applied.depth > NESTING_MAX {
                return None;
            }
            let asked = if cost.asks(number) {
                asked.saturating_add(applied.count)
            } else {
                asked
            };
            for used in &node.in_place {
                let rank = cost.rank.get(used.node).copied()?;
                let (there, asked_there) = open.entry(rank).or_default();
                let again = if used.repeats { asked } else { 0 };
                there.add(Applied {
                    count: applied.count.saturating_add(again),
                    depth: applied.depth + 1,
                });
                *asked_there = asked_there.saturating_add(asked);
            }
            let below = Applied {
                depth: applied.depth + 1,
                ..applied
            };
            here.push((node, below, asked));
        }
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let mut below = BTreeMap::new();
                    for (node, applied, asked) in &here {
                        self.member(node, name, (*applied, *asked), &mut below)?;
                    }
                    self.visit(value, &below)?;
                }
            }
            Value::Array(items) => {
                for (at, value) in items.iter().enumerate() {
                    let mut below = BTreeMap::<usize, Applied>::new();
                    for (node, applied, _) in &here {
                        let prefix = node.prefix.get(&at);
                        for number in prefix.into_iter().chain(&node.items).chain(&node.rest) {
                            below.entry(*number).or_default().add(*applied);
                        }
                    }
                    self.visit(value, &below)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(())
    }

    /// Adds what a node applies to a member.
    fn member(
        &mut self,
        node: &Node,
        name: &str,
        (applied, asked): (Applied, u64),
        below: &mut BTreeMap<usize, Applied>,
    ) -> Option<()> {
        let mut add = |number: &usize, applied: Applied| {
            below.entry(*number).or_default().add(applied);
        };
        match (node.members.get(name), &node.others) {
            (Some(number), _) | (None, Some(number)) => add(number, applied),
            (None, None) => {}
        }
        for number in &node.patterns {
            add(number, applied);
        }
        if let Some(number) = &node.unevaluated_members {
            let count = applied.count.saturating_add(asked);
            add(number, Applied { count, ..applied });
        }
        let patterns = node.patterns.len() as u64;
        let text = (name.len() as u64 / BYTES_PER_STEP).saturating_add(1);
        let names = node
            .names
            .and_then(|number| self.cost.here.get(number))
            .copied()
            .unwrap_or_default();
        let steps = patterns.saturating_add(names).saturating_mul(text);
        self.spend(applied.count.saturating_mul(steps.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests;
