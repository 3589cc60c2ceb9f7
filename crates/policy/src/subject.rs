//! A query's action and resource as Cedar's entities.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cedar_policy::{Entities, Entity, EntityUid};
use portcullis_mcp::ServerName;

use crate::arguments::Arguments;
use crate::index::{Index, Rules};
use crate::names::{CALL, uid};
use crate::query::{ActionRef, Who};
use crate::world::{Tool, World};

/// Action and resource, each with what it is in.
#[derive(Debug)]
pub(crate) struct Subject<'w> {
    world: &'w World,
    /// The tool, when one is called.
    pub(crate) tool: Option<&'w Tool>,
    action: Cow<'w, EntityUid>,
    resource: Resource<'w>,
}

#[derive(Debug)]
enum Resource<'w> {
    Tool(&'w Tool),
    /// A prompt or resource, its name and its server's.
    Of(Box<Entity>, EntityUid, EntityUid),
    Server(EntityUid),
}

impl<'w> Subject<'w> {
    /// `None` for a tool whose definition is not known, and for a resource that is no URI.
    pub(crate) fn new(
        world: &'w World,
        server: &ServerName,
        action: ActionRef<'_>,
    ) -> Option<Self> {
        let types = &world.types;
        let of = server.as_str();
        let (name, entity) = match action {
            ActionRef::CallTool(name) => return Some(Self::call(world, world.tool(of, name)?)),
            ActionRef::ReadResource(uri) => ("read", Some(world.resource(of, uri)?)),
            ActionRef::Subscribe(uri) => ("subscribe", Some(world.resource(of, uri)?)),
            ActionRef::CompleteResource { uri, .. } => ("complete", Some(world.resource(of, uri)?)),
            ActionRef::GetPrompt(name) => ("prompt", Some(world.prompt(of, name)?)),
            ActionRef::CompletePrompt { prompt, .. } => {
                ("complete", Some(world.prompt(of, prompt)?))
            }
            ActionRef::List(_) => ("list", None),
            ActionRef::Task(_) => ("task", None),
            ActionRef::Sample => ("sample", None),
            ActionRef::Elicit => ("elicit", None),
            ActionRef::Other(_) => ("other", None),
        };
        let server = uid(&types.server, of);
        Some(Self {
            world,
            tool: None,
            action: Cow::Owned(uid(&types.action, name)),
            resource: match entity {
                Some(entity) => {
                    let uid = entity.uid();
                    Resource::Of(Box::new(entity), uid, server)
                }
                None => Resource::Server(server),
            },
        })
    }

    /// The call of a tool.
    fn call(world: &'w World, tool: &'w Tool) -> Self {
        Self {
            world,
            tool: Some(tool),
            action: Cow::Borrowed(&tool.action),
            resource: Resource::Tool(tool),
        }
    }

    pub(crate) fn action(&self) -> &EntityUid {
        &self.action
    }

    pub(crate) fn resource(&self) -> &EntityUid {
        match &self.resource {
            Resource::Tool(tool) => &tool.uid,
            Resource::Of(_, uid, _) | Resource::Server(uid) => uid,
        }
    }

    /// The types of a tool's arguments.
    pub(crate) fn arguments(&self) -> Option<&'w Arguments> {
        self.tool.map(|tool| &tool.arguments)
    }

    /// The policies whose action and resource fit.
    pub(crate) fn find<'i>(&self, index: &'i Index) -> Vec<&'i Rules> {
        let group = uid(&self.world.types.action, CALL);
        let (group, server) = match &self.resource {
            Resource::Tool(tool) => (Some(&group), Some(&tool.server)),
            Resource::Of(_, _, server) => (None, Some(server)),
            Resource::Server(_) => (None, None),
        };
        index.find((self.action(), group), (self.resource(), server))
    }

    fn principal(&self, who: &Who<'_>) -> Entity {
        let types = &self.world.types;
        let groups = who.groups.iter().map(|group| uid(&types.group, group));
        let client = (!who.client.is_empty()).then(|| uid(&types.client, who.client));
        let parents = groups.chain(client).collect();
        Entity::new_no_attrs(self.user(who), parents)
    }

    /// A principal's name as an entity's.
    pub(crate) fn user(&self, who: &Who<'_>) -> EntityUid {
        uid(&self.world.types.user, who.name)
    }

    /// The principal with what it is in, and nothing else.
    pub(crate) fn alone(&self, who: &Who<'_>) -> Option<Entities> {
        Entities::from_entities([self.principal(who)], None).ok()
    }

    /// All entities that an evaluation may look at; `literals` are those that its policies name.
    /// `None` cannot be, but for a fault in Cedar.
    pub(crate) fn entities<'l>(
        &self,
        literals: impl IntoIterator<Item = &'l EntityUid>,
        who: Option<&Who<'_>>,
    ) -> Option<Entities> {
        let principal = who.map(|who| self.principal(who));
        let mut more = BTreeMap::new();
        let own = self.tool.map(|tool| &tool.entities);
        for literal in literals {
            if own.is_some_and(|own| own.get(literal).is_some()) {
                continue;
            }
            let tool = self.world.tool_by_id(literal.id().unescaped());
            if let Some(entity) = tool.and_then(|tool| tool.entities.get(literal)) {
                more.insert(literal, entity.clone());
            }
        }
        let more = more.into_values().chain(principal);
        let (server, entity) = match &self.resource {
            Resource::Tool(tool) => return tool.entities.clone().add_entities(more, None).ok(),
            Resource::Of(entity, _, server) => (server, Some(entity.as_ref().clone())),
            Resource::Server(server) => (server, None),
        };
        let fixed = [
            Entity::with_uid(self.action().clone()),
            Entity::with_uid(server.clone()),
        ];
        let all = fixed.into_iter().chain(entity).chain(more);
        Entities::from_entities(all, None).ok()
    }
}
