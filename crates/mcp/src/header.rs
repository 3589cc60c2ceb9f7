//! HTTP headers of the protocol, and the parts of a message that modern requests mirror into them.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::object::{self, Object};

/// The revision of a message.
pub const MCP_PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// Mirrors `method`.
pub const MCP_METHOD: &str = "mcp-method";
/// Mirrors the params member that [`name_param`](crate::method::name_param) names.
pub const MCP_NAME: &str = "mcp-name";
/// Begins the headers that mirror arguments annotated with `x-mcp-header`.
pub const MCP_PARAM_PREFIX: &str = "mcp-param-";
/// A legacy session.
pub const MCP_SESSION_ID: &str = "mcp-session-id";
/// Where a legacy client resumes a stream.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Tells reverse proxies not to hold an event stream back.
pub const X_ACCEL_BUFFERING: &str = "x-accel-buffering";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// Keyword of the annotation in a tool's input schema.
const ANNOTATION: &str = "x-mcp-header";

/// A schema nested deeper than this is not searched.
const SCHEMA_DEPTH_MAX: usize = 64;

/// Writes text as the value of `Mcp-Name` or `Mcp-Param-*`: as it is when it is printable ASCII
/// without spaces around it, and as `=?base64?…?=` otherwise, or when it looks like that.
pub fn encode_value(text: &str) -> String {
    let is_padded = text.starts_with(' ') || text.ends_with(' ');
    let is_printable = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    let looks_encoded = text.starts_with(SENTINEL_START) && text.ends_with(SENTINEL_END);
    if is_printable && !is_padded && !looks_encoded {
        return text.to_owned();
    }
    format!("{SENTINEL_START}{}{SENTINEL_END}", STANDARD.encode(text))
}

/// Reads the value of `Mcp-Name` or `Mcp-Param-*`; spaces and tabs around it do not count. `None`
/// when it has other than printable ASCII, or a sentinel around what is not canonical base64 (with
/// padding) of UTF-8. The sentinel is lower-case; without both its ends a value is literal.
pub fn decode_value(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.trim_matches([' ', '\t']);
    if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return None;
    }
    let inside = text
        .strip_prefix(SENTINEL_START)
        .and_then(|rest| rest.strip_suffix(SENTINEL_END));
    match inside {
        None => Some(Cow::Borrowed(text)),
        Some(base64) => {
            let bytes = STANDARD.decode(base64).ok()?;
            String::from_utf8(bytes).ok().map(Cow::Owned)
        }
    }
}

/// An argument that a tool's schema wants mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// The name as annotated; the header is `Mcp-Param-` and this.
    pub name: String,
    /// The property names that lead from the arguments to the value.
    pub path: Vec<String>,
    /// The type that the schema gives it.
    pub kind: HeaderKind,
}

impl ParamHeader {
    /// The whole header name, in lower case.
    pub fn header_name(&self) -> String {
        format!("{MCP_PARAM_PREFIX}{}", self.name.to_ascii_lowercase())
    }
}

/// The type of an argument that is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// `"type": "string"`.
    String,
    /// `"type": "integer"`.
    Integer,
    /// `"type": "boolean"`.
    Boolean,
}

/// Why a tool's annotations are invalid; such a tool is left out of lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// Not a JSON object that can be searched.
    #[error("the schema is not an object, or nested deeper than {SCHEMA_DEPTH_MAX} levels")]
    Schema,
    /// The annotation is not a string.
    #[error("`x-mcp-header` is not a string")]
    NotString,
    /// The annotation is empty or not a token (RFC 9110 §5.6.2).
    #[error("`x-mcp-header` is not a header name")]
    NotToken,
    /// Two annotations are equal when case is ignored.
    #[error("`x-mcp-header` repeats the name `{0}`")]
    Duplicate(String),
    /// The property is not a string, an integer or a boolean.
    #[error("`x-mcp-header` `{0}` is not on a string, an integer or a boolean")]
    Type(String),
    /// The annotation is at the root, or where other keywords than `properties` lead.
    #[error("`x-mcp-header` `{0}` is not on a property that `properties` alone leads to")]
    Unreachable(String),
}

/// The arguments that a tool's `inputSchema` wants mirrored, in the order of the schema.
///
/// All annotations are checked, wherever a subschema may stand; a property that is called
/// `x-mcp-header` is none, nor is what `default`, `const`, `enum` and `examples` hold.
pub fn param_headers(input_schema: &[u8]) -> Result<Vec<ParamHeader>, InvalidAnnotation> {
    if memchr::memchr(b'\\', input_schema).is_none()
        && memchr::memmem::find(input_schema, ANNOTATION.as_bytes()).is_none()
    {
        return Ok(Vec::new()); // nearly every schema
    }
    let mut headers = Vec::new();
    let mut names = HashSet::new();
    let mut open = vec![Place {
        schema: input_schema,
        path: Vec::new(),
        is_reachable: true,
        depth: 0,
    }];
    while let Some(place) = open.pop() {
        if place.depth > SCHEMA_DEPTH_MAX {
            return Err(InvalidAnnotation::Schema);
        }
        let Some(schema) = Object::parse(place.schema) else {
            if place.depth == 0 {
                return Err(InvalidAnnotation::Schema);
            }
            continue; // `true` and `false` are schemas, too
        };
        if let Some(annotation) = schema.get(ANNOTATION) {
            let header = annotated(annotation, &schema, &place)?;
            if !names.insert(header.name.to_ascii_lowercase()) {
                return Err(InvalidAnnotation::Duplicate(header.name));
            }
            headers.push(header);
        }
        // What is pushed last is taken first: reversed, so that the order is the schema's.
        let mut inside = Vec::new();
        for (keyword, value) in place.keywords() {
            subschemas(&keyword, value, &place, &mut inside)?;
        }
        open.extend(inside.into_iter().rev());
    }
    Ok(headers)
}

/// A schema inside a schema.
struct Place<'a> {
    schema: &'a [u8],
    path: Vec<String>,
    is_reachable: bool,
    depth: usize,
}

impl<'a> Place<'a> {
    /// The decoded keywords and raw values of the schema.
    fn keywords(&self) -> Vec<(Cow<'a, str>, &'a [u8])> {
        object::raw_members(self.schema).unwrap_or_default()
    }

    fn inside(&self, schema: &'a [u8], property: Option<&str>) -> Self {
        let mut path = self.path.clone();
        path.extend(property.map(str::to_owned));
        Place {
            schema,
            path,
            is_reachable: self.is_reachable && property.is_some(),
            depth: self.depth.saturating_add(1),
        }
    }
}

/// Adds the schemas that a keyword holds (JSON Schema 2020-12 §10 and §11, and `definitions`,
/// `dependencies` and `additionalItems` of earlier drafts).
fn subschemas<'a>(
    keyword: &str,
    value: &'a [u8],
    place: &Place<'a>,
    out: &mut Vec<Place<'a>>,
) -> Result<(), InvalidAnnotation> {
    match keyword {
        "properties" => {
            for (name, schema) in object::raw_members(value).ok_or(InvalidAnnotation::Schema)? {
                out.push(place.inside(schema, Some(&name)));
            }
        }
        "patternProperties" | "dependentSchemas" | "dependencies" | "$defs" | "definitions" => {
            for (_, schema) in object::raw_members(value).unwrap_or_default() {
                out.push(place.inside(schema, None));
            }
        }
        "allOf"
        | "anyOf"
        | "oneOf"
        | "prefixItems"
        | "items"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "additionalProperties"
        | "additionalItems"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => {
            for schema in object::elements(value).unwrap_or_else(|| vec![value]) {
                out.push(place.inside(schema, None));
            }
        }
        _ => {}
    }
    Ok(())
}

fn annotated(
    annotation: &[u8],
    schema: &Object<'_>,
    place: &Place<'_>,
) -> Result<ParamHeader, InvalidAnnotation> {
    let name = object::string(annotation).ok_or(InvalidAnnotation::NotString)?;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(InvalidAnnotation::NotToken);
    }
    let name = name.into_owned();
    if !place.is_reachable || place.path.is_empty() {
        return Err(InvalidAnnotation::Unreachable(name));
    }
    let kind = match schema.get_str("type").as_deref() {
        Some("string") => HeaderKind::String,
        Some("integer") => HeaderKind::Integer,
        Some("boolean") => HeaderKind::Boolean,
        _ => return Err(InvalidAnnotation::Type(name)),
    };
    Ok(ParamHeader {
        name,
        path: place.path.clone(),
        kind,
    })
}

/// Bytes of a token (RFC 9110 §5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The text of the argument that `header` mirrors, not yet encoded; `None` when it is absent, `null`,
/// an array or an object.
///
/// A value that is not of the annotated type is mirrored as it is written: it is for the server to
/// refuse it.
pub fn param_value(header: &ParamHeader, arguments: &[u8]) -> Option<String> {
    let mut value = arguments;
    for property in &header.path {
        value = object::member(value, property)?;
    }
    if let Some(text) = object::string(value) {
        return Some(text.into_owned());
    }
    if let Some(value) = object::boolean(value) {
        return Some(value.to_string());
    }
    let number = object::number(value)?;
    if header.kind == HeaderKind::Integer
        && let Some(text) = integer_text(number)
    {
        return Some(text);
    }
    String::from_utf8(value.trim_ascii().to_vec()).ok()
}

/// The decimal form of an integer that a double holds exactly, however it was written: `1`, for
/// `1.0` and for `10e-1`.
fn integer_text(number: f64) -> Option<String> {
    const SAFE_MAX: f64 = 9_007_199_254_740_991.0;
    let is_integer = number.abs() <= SAFE_MAX && number.fract() == 0.0;
    // `+ 0.0` makes of -0 a 0.
    is_integer.then(|| format!("{:.0}", number + 0.0))
}

/// Whether the header field that was received (`None`: it was not) says the same as the arguments:
/// both absent, or equal after decoding; integers are compared as numbers.
pub fn param_agrees(header: &ParamHeader, field: Option<&[u8]>, arguments: &[u8]) -> bool {
    match (field, param_value(header, arguments)) {
        (None, None) => true,
        (Some(field), Some(value)) => match decode_value(field) {
            Some(text) if text == value => true,
            Some(text) if header.kind == HeaderKind::Integer => {
                let as_integer =
                    |text: &str| object::number(text.as_bytes()).and_then(integer_text);
                as_integer(&text).is_some_and(|text| as_integer(&value) == Some(text))
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
