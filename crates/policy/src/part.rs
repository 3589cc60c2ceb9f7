//! Policies by the actions they are about. Cedar checks a policy's types once for each action of the
//! schema, also where its scope excludes the action; with schemas of a few tools each, a thousand
//! policies over a hundred tools take a tenth of the time.

use std::collections::BTreeMap;

use cedar_policy::{ActionConstraint, Schema, SchemaError};

use crate::names::CALL;
use crate::schema::schema;
use crate::source::Source;
use crate::world::World;

/// How many tools a part has.
const TOOLS: usize = 4;

/// Actions that are checked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// All.
    All,
    /// Those that call no tool.
    Fixed,
    /// Those that call the tools of one portion, counted from zero.
    Tools(usize),
}

/// Sorts policies by the part that has every action they name.
pub(crate) fn parts<'s>(sources: &[&'s Source], world: &World) -> BTreeMap<Part, Vec<&'s Source>> {
    let ids = world.tools().enumerate();
    let portions: BTreeMap<String, usize> = ids
        .map(|(at, (_, _, tool))| (tool.action.id().unescaped().to_owned(), at / TOOLS))
        .collect();
    let mut parts: BTreeMap<Part, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        let part = part_of(source, world, &portions).unwrap_or(Part::All);
        parts.entry(part).or_default().push(source);
    }
    parts
}

/// `None` when it takes more than one part.
fn part_of(source: &Source, world: &World, portions: &BTreeMap<String, usize>) -> Option<Part> {
    if source.policy.action_constraint() == ActionConstraint::Any {
        return None;
    }
    let actions = source.literals.iter();
    let actions = actions.filter(|entity| *entity.type_name() == world.types.action);
    let mut parts = actions.map(|action| match action.id().unescaped() {
        CALL => Part::All,
        id => portions.get(id).map_or(Part::Fixed, |at| Part::Tools(*at)),
    });
    let first = parts.next()?;
    parts.all(|part| part == first).then_some(first)
}

impl Part {
    /// The schema of a part.
    ///
    /// # Errors
    ///
    /// As [`schema`].
    pub(crate) fn schema(self, world: &World) -> Result<Schema, Box<SchemaError>> {
        let tools = world
            .tools()
            .map(|(server, name, tool)| (server, name, &tool.arguments));
        match self {
            Self::All => schema(true, tools),
            Self::Fixed => schema(true, []),
            Self::Tools(at) => schema(false, tools.skip(at.saturating_mul(TOOLS)).take(TOOLS)),
        }
    }
}
