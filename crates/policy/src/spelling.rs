//! Names of entities in policies that nothing has, and what was likely meant.

use cedar_policy::EntityUid;

use crate::mistake::{Mistake, nearest};
use crate::names::{ACTIONS, CALL, id_of};
use crate::source::Source;
use crate::world::World;

/// Whether something has the name of an entity. Of users, clients and resources nobody knows.
pub(crate) fn exists(entity: &EntityUid, world: &World, groups: Option<&[Box<str>]>) -> bool {
    let id = entity.id().unescaped();
    let kind = entity.type_name();
    let types = &world.types;
    if *kind == types.action {
        let fixed = || ACTIONS.iter().any(|(name, _)| *name == id);
        id == CALL || fixed() || world.tool_by_id(id).is_some()
    } else if *kind == types.tool {
        world.tool_by_id(id).is_some()
    } else if *kind == types.server {
        world.server_names().any(|name| name == id)
    } else if *kind == types.group {
        groups.is_none_or(|groups| groups.iter().any(|name| **name == *id))
    } else if *kind == types.prompt {
        let (server, name) = id.split_once('/').unwrap_or((id, ""));
        let prompts = world.prompts(server);
        world.server_names().any(|known| known == server)
            && prompts.is_none_or(|prompts| prompts.iter().any(|known| **known == *name))
    } else {
        true
    }
}

/// The mistake of naming what does not exist.
pub(crate) fn misnamed(
    source: &Source,
    entity: &EntityUid,
    world: &World,
    groups: Option<&[Box<str>]>,
) -> Mistake {
    let kind = entity.type_name();
    let (what, known) = known(entity, world, groups);
    let id = entity.id().unescaped();
    let hint = match nearest(id, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{kind}::{near:?}`?"),
        None => "nothing that exists has a similar name".to_owned(),
    };
    let span = source.place_of(&entity.to_string());
    let message = format!("there is no {what} `{id}`");
    Mistake::new(&source.file, span, message).hint(Some(hint))
}

/// What an entity would be, and the names of all of them.
fn known(
    entity: &EntityUid,
    world: &World,
    groups: Option<&[Box<str>]>,
) -> (&'static str, Vec<String>) {
    let kind = entity.type_name();
    let types = &world.types;
    let tools = || world.tools().map(|(server, name, _)| id_of(server, name));
    if *kind == types.action {
        let fixed = ACTIONS.iter().map(|(name, _)| (*name).to_owned());
        let names = fixed.chain([CALL.to_owned()]).chain(tools()).collect();
        ("action or tool", names)
    } else if *kind == types.tool {
        ("tool", tools().collect())
    } else if *kind == types.server {
        ("server", world.server_names().map(str::to_owned).collect())
    } else if *kind == types.group {
        let groups = groups.unwrap_or_default().iter();
        ("group", groups.map(ToString::to_string).collect())
    } else {
        let of = |server| {
            let prompts = world.prompts(server).unwrap_or_default().iter();
            prompts.map(move |name| id_of(server, name))
        };
        ("prompt", world.server_names().flat_map(of).collect())
    }
}
