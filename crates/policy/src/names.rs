//! The names of Cedar's entities: their types, and the ids made of a server's name and its own names.

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// The types of entities.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    pub(crate) user: EntityTypeName,
    pub(crate) group: EntityTypeName,
    pub(crate) client: EntityTypeName,
    pub(crate) server: EntityTypeName,
    pub(crate) tool: EntityTypeName,
    pub(crate) prompt: EntityTypeName,
    pub(crate) resource: EntityTypeName,
    pub(crate) action: EntityTypeName,
}

/// The group of the actions that call a tool.
pub(crate) const CALL: &str = "call";

/// The actions that are not a tool's, with the type of their resource.
pub(crate) const ACTIONS: [(&str, &[&str]); 9] = [
    ("complete", &["Prompt", "Resource"]),
    ("elicit", &["Server"]),
    ("list", &["Server"]),
    ("other", &["Server"]),
    ("prompt", &["Prompt"]),
    ("read", &["Resource"]),
    ("sample", &["Server"]),
    ("subscribe", &["Resource"]),
    ("task", &["Server"]),
];

impl Types {
    /// The types; `None` cannot be, but for a fault in Cedar.
    pub(crate) fn new() -> Option<Self> {
        let name = |text: &str| text.parse().ok();
        Some(Self {
            user: name("User")?,
            group: name("Group")?,
            client: name("Client")?,
            server: name("Server")?,
            tool: name("Tool")?,
            prompt: name("Prompt")?,
            resource: name("Resource")?,
            action: name("Action")?,
        })
    }
}

/// The entity of a type with an id.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// The id of what a server calls `name`. A server's name has no slash, so ids of two never meet.
pub(crate) fn id_of(server: &str, name: &str) -> String {
    format!("{server}/{name}")
}
