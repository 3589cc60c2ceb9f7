//! The tool definitions, in the order in which they are listed.
//!
//! The first one takes no arguments: the suite calls it to see a call accepted.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

/// Tools without arguments: name, description.
const BARE: [(&str, &str); 26] = [
    ("test_simple_text", "Answers with one text."),
    ("test_image_content", "Answers with an image."),
    ("test_audio_content", "Answers with a sound."),
    ("test_embedded_resource", "Answers with a resource inside."),
    (
        "test_multiple_content_types",
        "Answers with text, image and resource.",
    ),
    ("test_tool_with_logging", "Logs three messages on its way."),
    (
        "test_logging_tool",
        "Logs a message if the request asks for logs.",
    ),
    ("test_error_handling", "Fails, as a tool does."),
    ("test_tool_with_progress", "Reports progress three times."),
    (
        "test_reconnection",
        "Has its stream cut, and answers on the next.",
    ),
    (
        "test_elicitation_sep1034_defaults",
        "Asks with a form of defaults.",
    ),
    (
        "test_elicitation_sep1330_enums",
        "Asks with a form of choices.",
    ),
    ("test_missing_capability", "Cannot do without sampling."),
    ("test_streaming_elicitation", "Asks for a value."),
    (
        "test_trigger_tool_change",
        "Tells all listeners that the tools changed.",
    ),
    (
        "test_trigger_prompt_change",
        "Tells all listeners that the prompts changed.",
    ),
    (
        "test_trigger_resource_change",
        "Tells all listeners that the resources changed.",
    ),
    (
        "test_trigger_resource_update",
        "Tells the subscribers of test://watched-resource.",
    ),
    ("test_input_required_result_elicitation", "Asks for a name."),
    (
        "test_input_required_result_sampling",
        "Asks for a sampled message.",
    ),
    (
        "test_input_required_result_list_roots",
        "Asks for the roots.",
    ),
    (
        "test_input_required_result_request_state",
        "Asks, and keeps its state with the client.",
    ),
    (
        "test_input_required_result_multiple_inputs",
        "Asks for three things at once.",
    ),
    ("test_input_required_result_multi_round", "Asks twice."),
    (
        "test_input_required_result_tampered_state",
        "Asks, and checks its state.",
    ),
    (
        "test_input_required_result_capabilities",
        "Asks for what the client declared.",
    ),
];

/// Every tool definition.
pub(crate) fn tools() -> Vec<Tool> {
    let bare = BARE
        .iter()
        .map(|(name, text)| tool(name, text, json!({ "type": "object" })));
    bare.chain([
        takes("test_sampling", "Asks for a sampled message.", "prompt"),
        takes(
            "test_elicitation",
            "Asks for a user's name and address.",
            "message",
        ),
        takes("greet", "Greets at once.", "name"),
        header(),
        dialect(),
        structured(),
    ])
    .collect()
}

/// The definition whose argument is mirrored in a header (SEP-2243).
pub(crate) fn header() -> Tool {
    let schema = json!({
        "type": "object",
        "properties": { "value": { "type": "string", "x-mcp-header": "Value" } },
        "required": ["value"],
    });
    tool(
        "test_custom_header",
        "Answers with its argument, which a header repeats.",
        schema,
    )
}

/// A definition of this server.
pub(crate) fn tool(name: &str, description: &str, schema: Value) -> Tool {
    Tool::new(name.to_owned(), description.to_owned(), object(schema))
}

fn takes(name: &str, description: &str, argument: &str) -> Tool {
    let schema = json!({
        "type": "object",
        "properties": { argument: { "type": "string" } },
        "required": [argument],
    });
    tool(name, description, schema)
}

/// The keywords of JSON Schema 2020-12 that SEP-1613 and SEP-2106 want kept.
fn dialect() -> Tool {
    let text = json!({ "type": "string" });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": text, "city": text },
            },
        },
        "properties": {
            "name": text,
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": text,
            "email": text,
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"],
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    });
    tool(
        "json_schema_2020_12_tool",
        "Has a schema with every keyword.",
        schema,
    )
}

/// A definition with an output schema, whose results fit it.
fn structured() -> Tool {
    let output = json!({
        "type": "object",
        "properties": { "sum": { "type": "integer" } },
        "required": ["sum"],
    });
    let input = json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
        "required": ["a", "b"],
    });
    let sum = tool("test_structured_content", "Adds two numbers.", input);
    sum.with_raw_output_schema(Arc::new(object(output)))
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}
