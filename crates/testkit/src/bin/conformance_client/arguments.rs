//! Values made to fit a schema.

use serde_json::{Map, Value, json};

/// An object that fits `schema`: every required property, and every one with a default.
pub(crate) fn fitting(schema: &Map<String, Value>) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let wanted = properties.into_iter().flatten().filter(|(name, property)| {
        required.contains(&name.as_str()) || property.get("default").is_some()
    });
    wanted
        .map(|(name, property)| (name.clone(), value(property)))
        .collect()
}

/// The default, the first choice, or a plain value of the type.
pub(crate) fn value(schema: &Value) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(choice) = first_choice(schema) {
        return choice;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => json!(true),
        Some("integer") => json!(1),
        Some("number") => json!(1.5),
        Some("array") => schema.get("items").map(value).into_iter().collect(),
        Some("object") => Value::Object(schema.as_object().map(fitting).unwrap_or_default()),
        _ => json!("text"),
    }
}

fn first_choice(schema: &Value) -> Option<Value> {
    if let Some(choice) = schema.get("enum") {
        return choice.as_array()?.first().cloned();
    }
    let titled = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    titled.as_array()?.first()?.get("const").cloned()
}
