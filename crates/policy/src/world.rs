//! The servers whose definitions are known, as Cedar's entities, made once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use portcullis_mcp::ServerName;
use url::Url;

use crate::arguments::Arguments;
use crate::names::{CALL, Types, id_of, uid};
use crate::shape::{Hints, ServerShape, ToolShape, words};

/// Everything that is known of servers.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) types: Types,
    servers: BTreeMap<ServerName, Server>,
    pub(crate) awaited: BTreeSet<ServerName>,
}

#[derive(Debug)]
struct Server {
    tools: HashMap<Box<str>, Tool>,
    prompts: Option<Vec<Box<str>>>,
}

/// A tool with a definition.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its place among all tools.
    pub(crate) number: usize,
    pub(crate) arguments: Arguments,
    pub(crate) uid: EntityUid,
    pub(crate) action: EntityUid,
    pub(crate) server: EntityUid,
    /// The tool, its action and its server, with what they are in.
    pub(crate) entities: Entities,
}

impl World {
    /// `None` cannot be, but for a fault in Cedar.
    pub(crate) fn new(known: &[ServerShape], awaited: &[ServerName]) -> Option<Self> {
        let types = Types::new()?;
        let mut servers = BTreeMap::new();
        let mut numbers = 0..;
        for shape in known {
            let server = servers.entry(shape.name.clone()).or_insert_with(|| Server {
                tools: HashMap::new(),
                prompts: shape.prompts.clone(),
            });
            for tool in &shape.tools {
                if !server.tools.contains_key(&tool.name) {
                    let made = Tool::new(&types, &shape.name, tool, numbers.next()?)?;
                    server.tools.insert(tool.name.clone(), made);
                }
            }
        }
        let unknown = |name: &&ServerName| !servers.contains_key(name.as_str());
        let awaited = awaited.iter().filter(unknown).cloned().collect();
        Some(Self {
            types,
            servers,
            awaited,
        })
    }

    /// A tool, when its definition is known.
    pub(crate) fn tool(&self, server: &str, name: &str) -> Option<&Tool> {
        self.servers.get(server)?.tools.get(name)
    }

    /// The tool of an entity or action.
    pub(crate) fn tool_by_id(&self, id: &str) -> Option<&Tool> {
        let (server, name) = id.split_once('/')?;
        self.tool(server, name)
    }

    /// All tools: server, name, tool.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&str, &str, &Tool)> {
        self.servers.iter().flat_map(|(server, all)| {
            let tools = all.tools.iter();
            tools.map(|(name, tool)| (server.as_str(), name.as_ref(), tool))
        })
    }

    /// All prompts of a server, when they are known.
    pub(crate) fn prompts(&self, server: &str) -> Option<&[Box<str>]> {
        self.servers.get(server)?.prompts.as_deref()
    }

    /// The names of all servers, known or awaited.
    pub(crate) fn server_names(&self) -> impl Iterator<Item = &str> {
        let known = self.servers.keys().map(ServerName::as_str);
        known.chain(self.awaited.iter().map(ServerName::as_str))
    }

    /// Whether an entity belongs to a server whose definitions are awaited, so that nothing can be
    /// said of it yet.
    pub(crate) fn is_awaited(&self, entity: &EntityUid) -> bool {
        let kind = entity.type_name();
        let types = &self.types;
        let of_server = *kind == types.tool || *kind == types.prompt || *kind == types.action;
        let id = entity.id().unescaped();
        of_server
            && id
                .split_once('/')
                .is_some_and(|(server, _)| self.awaited.contains(server))
    }

    /// The entity of a prompt.
    pub(crate) fn prompt(&self, server: &str, name: &str) -> Option<Entity> {
        let attributes = HashMap::from([("name".to_owned(), text(name))]);
        self.in_server(&self.types.prompt, server, name, attributes)
    }

    /// The entity of a resource, by its URI in the normal form of the URL standard: a policy that
    /// names a folder must not be passed by `..`. `None` when it is no URI.
    pub(crate) fn resource(&self, server: &str, uri: &str) -> Option<Entity> {
        let url = Url::parse(uri).ok()?;
        let attributes = HashMap::from([
            ("uri".to_owned(), text(url.as_str())),
            ("scheme".to_owned(), text(url.scheme())),
        ]);
        self.in_server(&self.types.resource, server, url.as_str(), attributes)
    }

    fn in_server(
        &self,
        kind: &cedar_policy::EntityTypeName,
        server: &str,
        name: &str,
        attributes: HashMap<String, RestrictedExpression>,
    ) -> Option<Entity> {
        let parents = HashSet::from([uid(&self.types.server, server)]);
        Entity::new(uid(kind, &id_of(server, name)), attributes, parents).ok()
    }
}

impl Tool {
    fn new(types: &Types, server: &ServerName, shape: &ToolShape, number: usize) -> Option<Self> {
        let id = id_of(server.as_str(), &shape.name);
        let Hints {
            read_only,
            destructive,
            idempotent,
            open_world,
        } = shape.annotations;
        let is_read_only = read_only.unwrap_or(false);
        let stated = [
            ("readOnly", read_only),
            ("destructive", destructive),
            ("idempotent", idempotent),
            ("openWorld", open_world),
        ];
        let stated = stated
            .into_iter()
            .filter_map(|(name, hint)| hint.map(|_| name));
        let attributes = HashMap::from([
            ("name".to_owned(), text(&shape.name)),
            ("words".to_owned(), texts(words(&shape.name))),
            ("stated".to_owned(), texts(stated)),
            ("readOnly".to_owned(), boolean(is_read_only)),
            (
                "destructive".to_owned(),
                boolean(destructive.unwrap_or(!is_read_only)),
            ),
            (
                "idempotent".to_owned(),
                boolean(idempotent.unwrap_or(false)),
            ),
            ("openWorld".to_owned(), boolean(open_world.unwrap_or(true))),
            ("classes".to_owned(), texts(&shape.classes)),
            ("labels".to_owned(), texts(&shape.labels)),
        ]);
        let server = uid(&types.server, server.as_str());
        let parents = HashSet::from([server.clone()]);
        let groups = HashSet::from([uid(&types.action, CALL)]);
        let (tool, action) = (uid(&types.tool, &id), uid(&types.action, &id));
        let entities = [
            Entity::new(tool.clone(), attributes, parents).ok()?,
            Entity::new_no_attrs(action.clone(), groups),
            Entity::with_uid(server.clone()),
        ];
        Some(Self {
            number,
            server,
            arguments: Arguments::read(&shape.input_schema),
            uid: tool,
            action,
            entities: Entities::from_entities(entities, None).ok()?,
        })
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn boolean(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

fn texts(all: impl IntoIterator<Item: AsRef<str>>) -> RestrictedExpression {
    RestrictedExpression::new_set(all.into_iter().map(|one| text(one.as_ref())))
}
