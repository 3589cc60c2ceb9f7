//! Cedar's schema of everything that policies can name, made of the servers' definitions.

use cedar_policy::{Schema, SchemaError};
use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::names::{ACTIONS, CALL, id_of};

/// The schema for tools, each with its server's name, its own and its arguments, and for the actions
/// that call no tool when `fixed` says so.
///
/// # Errors
///
/// When Cedar refuses a name, which it has no cause to.
pub(crate) fn schema<'t>(
    fixed: bool,
    tools: impl IntoIterator<Item = (&'t str, &'t str, &'t Arguments)>,
) -> Result<Schema, Box<SchemaError>> {
    let mut actions = Map::new();
    actions.insert(CALL.to_owned(), json!({}));
    for (name, resources) in ACTIONS.into_iter().filter(|_| fixed) {
        let extra = match name {
            "list" | "task" | "other" => Some(("what", text())),
            "complete" => Some(("argument", text())),
            _ => None,
        };
        actions.insert(name.to_owned(), action(resources, extra, &[]));
    }
    for (server, tool, arguments) in tools {
        let extra = Some(("arguments", arguments.fields.schema()));
        actions.insert(id_of(server, tool), action(&["Tool"], extra, &[CALL]));
    }
    let schema = json!({"": {"entityTypes": entity_types(), "actions": actions}});
    Schema::from_json_value(schema).map_err(Box::new)
}

fn action(resources: &[&str], extra: Option<(&str, Value)>, groups: &[&str]) -> Value {
    let mut attributes = common();
    attributes.extend(extra.map(|(name, schema)| (name.to_owned(), schema)));
    let groups: Vec<Value> = groups.iter().map(|group| json!({"id": group})).collect();
    json!({
        "appliesTo": {
            "principalTypes": ["User"],
            "resourceTypes": resources,
            "context": {"type": "Record", "attributes": attributes},
        },
        "memberOf": groups,
    })
}

/// What the context has for every action.
fn common() -> Map<String, Value> {
    let long = || json!({"type": "Long"});
    let history = json!({"type": "Record", "attributes": {
        "calls": long(), "calls_of_tool": long(), "denials": long(),
    }});
    Map::from_iter([
        ("approved".to_owned(), boolean()),
        ("scopes".to_owned(), texts()),
        ("client".to_owned(), text()),
        ("labels".to_owned(), texts()),
        ("history".to_owned(), history),
        (
            "now".to_owned(),
            json!({"type": "Extension", "name": "datetime"}),
        ),
        ("kind".to_owned(), text()),
    ])
}

fn entity_types() -> Value {
    let in_server = |attributes: Value| json!({"memberOfTypes": ["Server"], "shape": {"type": "Record", "attributes": attributes}});
    let tool = json!({
        "name": text(), "words": texts(), "stated": texts(),
        "readOnly": boolean(), "destructive": boolean(),
        "idempotent": boolean(), "openWorld": boolean(),
        "classes": texts(), "labels": texts(),
    });
    json!({
        "User": {"memberOfTypes": ["Group", "Client"]},
        "Group": {},
        "Client": {},
        "Server": {},
        "Tool": in_server(tool),
        "Prompt": in_server(json!({"name": text()})),
        "Resource": in_server(json!({"uri": text(), "scheme": text()})),
    })
}

fn text() -> Value {
    json!({"type": "String"})
}

fn boolean() -> Value {
    json!({"type": "Boolean"})
}

fn texts() -> Value {
    json!({"type": "Set", "element": {"type": "String"}})
}
