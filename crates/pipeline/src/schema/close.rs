//! The documents that the library compiles, made from the server's own.
//!
//! One is the schema as it is, less what the gateway gives no meaning. The other is its closed reading:
//! the same in 2020-12, with `unevaluatedProperties: false` at the root and at every place below it
//! that declares properties.

use serde_json::{Map, Value, json};

use super::Dialect;
use super::graph::Graph;

/// The formats that are asserted.
const FORMATS: [&str; 9] = [
    "date-time",
    "date",
    "time",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uuid",
];

/// The keywords of 2020-12 that mean nothing in draft 7.
const UNKNOWN_TO_DRAFT7: [&str; 12] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$vocabulary",
    "contentSchema",
    "dependentRequired",
    "dependentSchemas",
    "maxContains",
    "minContains",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// What the closed reading calls the server's root, when that has no name of its own.
const ROOT_ID: &str = "json-schema:///the-server-s-root";

/// The schema as it is, without what asserts in the library and not here: other formats, and the
/// content of strings.
pub(super) fn plain(document: &Value, dialect: Dialect, graph: &Graph) -> Value {
    let mut plain = document.clone();
    for node in &graph.nodes {
        if let Some(Value::Object(members)) = plain.pointer_mut(&node.pointer) {
            if let Some(Value::String(format)) = members.get("format")
                && !FORMATS.contains(&&**format)
            {
                members.remove("format");
            }
            if members.get("contentEncoding").is_some_and(Value::is_string) {
                members.remove("contentEncoding");
            }
            if members
                .get("contentMediaType")
                .is_some_and(Value::is_string)
            {
                members.remove("contentMediaType");
            }
        }
    }
    if let Some(members) = plain.as_object_mut()
        && members.contains_key("$schema")
    {
        members.insert("$schema".into(), dialect.uri().into());
    }
    plain
}

/// The closed reading of what [`plain`] made.
pub(super) fn closed(plain: &Value, dialect: Dialect, graph: &Graph) -> Value {
    let mut root = plain.clone();
    let mut order: Vec<usize> = (0..graph.nodes.len()).collect();
    // The deepest first: what a translation moves, is then translated, and still found by its pointer.
    let depth = |number: &usize| {
        let node = graph.nodes.get(*number);
        std::cmp::Reverse(node.map_or(0, |node| node.pointer.matches('/').count()))
    };
    order.sort_by_key(depth);
    for number in order {
        let Some(node) = graph.nodes.get(number) else {
            continue;
        };
        let Some(Value::Object(members)) = root.pointer_mut(&node.pointer) else {
            continue;
        };
        if dialect == Dialect::Draft7 {
            modernize(members);
        }
        if graph.is_closed(number) {
            members.insert("unevaluatedProperties".into(), Value::Bool(false));
        }
    }
    let mut closed = Map::new();
    closed.insert("$schema".into(), Dialect::Draft202012.uri().into());
    closed.insert("$ref".into(), "#/$defs/root".into());
    if let Some(members) = root.as_object_mut() {
        members.remove("$schema");
        // References to the root must not lead to this document's.
        let id = members.get("$id").and_then(Value::as_str);
        if id.is_none_or(str::is_empty) {
            members.insert("$id".into(), ROOT_ID.into());
        }
        if !members.contains_key("unevaluatedProperties") {
            closed.insert("unevaluatedProperties".into(), Value::Bool(false));
        }
    }
    closed.insert("$defs".into(), json!({ "root": root }));
    Value::Object(closed)
}

/// Writes one subschema of draft 7 in 2020-12.
fn modernize(members: &mut Map<String, Value>) {
    if members.contains_key("$ref") {
        // Nothing beside `$ref` counts; what is referred to stays where it is.
        members.retain(|keyword, _| {
            matches!(&**keyword, "$ref" | "$schema" | "$defs" | "definitions")
        });
        return;
    }
    members.retain(|keyword, _| !UNKNOWN_TO_DRAFT7.contains(&&**keyword));
    if let Some(Value::String(id)) = members.get("$id")
        && let Some((uri, anchor)) = id.clone().split_once('#')
    {
        if uri.is_empty() {
            members.remove("$id");
        } else {
            members.insert("$id".into(), uri.into());
        }
        if !anchor.is_empty() {
            members.insert("$anchor".into(), anchor.into());
        }
    }
    let rest = members.remove("additionalItems");
    if members.get("items").is_some_and(Value::is_array)
        && let Some(items) = members.remove("items")
    {
        if items.as_array().is_some_and(|items| !items.is_empty()) {
            members.insert("prefixItems".into(), items);
        }
        if let Some(rest) = rest {
            members.insert("items".into(), rest);
        }
    }
    if let Some(Value::Object(dependencies)) = members.remove("dependencies") {
        let (required, schemas): (Map<_, _>, Map<_, _>) = dependencies
            .into_iter()
            .partition(|(_, dependency)| dependency.is_array());
        if !required.is_empty() {
            members.insert("dependentRequired".into(), required.into());
        }
        if !schemas.is_empty() {
            members.insert("dependentSchemas".into(), schemas.into());
        }
    }
}

#[cfg(test)]
mod tests;
