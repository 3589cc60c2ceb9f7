//! Compares a parsed file with the configuration's JSON Schema, so that every unknown key and every
//! value of the wrong kind is found at once, and named in the file's own terms.
//!
//! Reads the part of JSON Schema that this configuration's schema uses. What it does not read is
//! found when the values are deserialized; it never decides that a file is good.

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Path, Value};
use super::mistakes::{Mistake, all, either, nearest};
use super::secrets::Hidden;

/// Keys that other programs' configurations use, and what stands for them here.
const ELSEWHERE: [(&str, &str); 12] = [
    (
        "mcpServers",
        "servers are tables of their own: `[servers.NAME]`",
    ),
    (
        "mcp_servers",
        "servers are tables of their own: `[servers.NAME]`",
    ),
    (
        "args",
        "`command` holds the program and its arguments: `command = [\"npx\", \"-y\", \"…\"]`",
    ),
    ("environment", "did you mean `env`?"),
    ("env_vars", "did you mean `pass_env`?"),
    ("type", "did you mean `transport`?"),
    ("serverUrl", "did you mean `url`?"),
    ("httpUrl", "did you mean `url`?"),
    ("http_headers", "did you mean `headers`?"),
    (
        "bearer_token",
        "write `headers = { Authorization = \"Bearer ${NAME}\" }`",
    ),
    (
        "port",
        "`address` holds the port too: `address = \"127.0.0.1:8420\"`",
    ),
    ("host", "did you mean `address` or `hosts`?"),
];

/// The key that tells the alternatives of a table apart.
const TAG: &str = "kind";

/// A schema and what the file's strings may not show.
#[derive(Debug)]
pub(crate) struct Shape<'s> {
    root: &'s Json,
    hidden: &'s Hidden,
}

/// A schema whose references were followed.
#[derive(Clone, Copy, Debug)]
struct Node<'s> {
    schema: &'s Map<String, Json>,
    definition: Option<&'s str>,
    about: Option<&'s str>,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// A mistake was noted; what is left must be read without it.
    Remove,
}

impl<'s> Shape<'s> {
    /// Checks against `root`, whose references all lead to its own `$defs`.
    pub(crate) fn new(root: &'s Json, hidden: &'s Hidden) -> Self {
        Self { root, hidden }
    }

    /// Notes what is wrong with `table` and takes it out, so that the rest can still be read.
    pub(crate) fn check(&self, table: &mut Spanned<DeTable<'_>>, mistakes: &mut Vec<Mistake>) {
        let span = table.span();
        if let Some(node) = self.node(self.root) {
            self.table(node, span, table.get_mut(), &Path::default(), mistakes);
        }
    }

    fn node(&self, schema: &'s Json) -> Option<Node<'s>> {
        let mut schema = schema.as_object()?;
        let about = schema.get("description").and_then(Json::as_str);
        let mut definition = None;
        // INVARIANT: generated definitions do not refer to themselves, so few steps suffice.
        for _ in 0..8 {
            if let Some(Json::String(reference)) = schema.get("$ref") {
                let name = reference.strip_prefix("#/$defs/")?;
                definition = Some(name);
                schema = self.root.get("$defs")?.get(name)?.as_object()?;
            } else if let Some(inner) = only_non_null(schema) {
                schema = inner;
            } else {
                break;
            }
        }
        let about = about.or_else(|| schema.get("description").and_then(Json::as_str));
        Some(Node {
            schema,
            definition,
            about,
        })
    }

    fn value(
        &self,
        node: Node<'s>,
        value: &mut Value<'_>,
        path: &Path,
        mistakes: &mut Vec<Mistake>,
    ) -> Verdict {
        let span = value.span();
        let hidden = self.hidden.contains(&span);
        if !node.accepts(value.get_ref()) {
            let message = format!(
                "`{path}` must be {}, not {}",
                node.expected(),
                kind(value.get_ref())
            );
            let mistake = Mistake::error("wrong-type", span, message, "of the wrong kind");
            mistakes.push(mistake.hint(node.wrong_type_hint(value.get_ref(), hidden)));
            return Verdict::Remove;
        }
        match value.get_mut() {
            DeValue::Table(table) => self.table(node, span, table, path, mistakes),
            DeValue::Array(array) => {
                let Some(items) = node.schema.get("items").and_then(|s| self.node(s)) else {
                    return Verdict::Keep;
                };
                let mut verdict = Verdict::Keep;
                for (i, inner) in array.iter_mut().enumerate() {
                    if self.value(items, inner, &path.index(i), mistakes) == Verdict::Remove {
                        verdict = Verdict::Remove;
                    }
                }
                verdict
            }
            DeValue::Integer(number) if node.is_below_least(number.as_str()) => {
                let message = format!("`{path}` cannot be less than 0");
                mistakes.push(
                    Mistake::error("bad-value", span, message, "too small").hint(node.about()),
                );
                Verdict::Remove
            }
            DeValue::String(text) => {
                let Some((message, hint)) = node.refuse(text, path, hidden) else {
                    return Verdict::Keep;
                };
                let mistake = Mistake::error("bad-value", span, message, "not understood");
                mistakes.push(Mistake { hint, ..mistake });
                Verdict::Remove
            }
            _ => Verdict::Keep,
        }
    }

    /// The alternative that a table names by its `kind`, where the schema has several. `None`: a mistake was noted.
    fn alternative(
        &self,
        node: Node<'s>,
        span: &std::ops::Range<usize>,
        table: &DeTable<'_>,
        path: &Path,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Node<'s>> {
        let alternatives = alternatives(node.schema);
        if alternatives.is_empty() {
            return Some(node);
        }
        let kinds = || alternatives.iter().map(|(kind, _)| *kind);
        let here = path.key(TAG);
        let Some(kind) = table.get(TAG) else {
            let message = format!("`{here}` is missing");
            let mistake = Mistake::error("missing-key", span.clone(), message, "needed here");
            mistakes.push(mistake.hint(format!("it is {}", either(kinds()))));
            return None;
        };
        let named = match kind.get_ref() {
            DeValue::String(text) => Some(&**text),
            _ => None,
        };
        let found = alternatives.iter().find(|(kind, _)| named == Some(*kind));
        if let Some((_, schema)) = found {
            return self.node(schema);
        }
        let message = format!("`{here}` is {}", either(kinds()));
        let mistake = Mistake::error("bad-value", kind.span(), message, "not understood");
        let meant = named
            .filter(|_| !self.hidden.contains(&kind.span()))
            .and_then(|named| nearest(named, kinds()));
        let hint = meant.map(|name| format!("did you mean `{name}`?"));
        mistakes.push(Mistake { hint, ..mistake });
        None
    }

    fn table(
        &self,
        node: Node<'s>,
        span: std::ops::Range<usize>,
        table: &mut DeTable<'_>,
        path: &Path,
        mistakes: &mut Vec<Mistake>,
    ) -> Verdict {
        let Some(node) = self.alternative(node, &span, table, path, mistakes) else {
            return Verdict::Remove;
        };
        let empty = Map::new();
        let properties = node.schema.get("properties").and_then(Json::as_object);
        let properties = properties.unwrap_or(&empty);
        let others = node.schema.get("additionalProperties");
        let required: Vec<&str> = match node.schema.get("required") {
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        let mut verdict = Verdict::Keep;
        for name in &required {
            if !table.contains_key(*name) {
                let message = format!("`{}` is missing", path.key(name));
                let mistake = Mistake::error("missing-key", span.clone(), message, "needed here");
                let about = properties
                    .get(*name)
                    .and_then(|s| self.node(s))
                    .and_then(|n| n.about);
                mistakes.push(Mistake {
                    hint: about.map(str::to_owned),
                    ..mistake
                });
                verdict = Verdict::Remove;
            }
        }
        let mut removed = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            let here = path.key(name);
            // The schema lives as long as `self`; `properties` may be the empty one above.
            let known = node.schema.get("properties").and_then(|p| p.get(name));
            let inner = match (known, others) {
                (Some(schema), _) | (None, Some(schema @ Json::Object(_))) => self.node(schema),
                (None, Some(Json::Bool(false))) => {
                    mistakes.push(unknown(name, &here, key.span(), properties));
                    removed.push(name.to_owned());
                    continue;
                }
                _ => None,
            };
            let Some(inner) = inner else { continue };
            if self.value(inner, value, &here, mistakes) == Verdict::Remove {
                removed.push(name.to_owned());
            }
        }
        for name in &removed {
            table.remove(name.as_str());
            if required.contains(&name.as_str()) {
                verdict = Verdict::Remove;
            }
        }
        verdict
    }
}

/// The values of `kind` that tell the alternatives of a schema apart, each with its alternative.
fn alternatives(schema: &Map<String, Json>) -> Vec<(&str, &Json)> {
    let Some(Json::Array(listed)) = schema.get("oneOf") else {
        return Vec::new();
    };
    let tagged = |one| {
        let kind: &Json = Json::get(one, "properties")?.get(TAG)?.get("const")?;
        Some((kind.as_str()?, one))
    };
    listed.iter().filter_map(tagged).collect()
}

fn unknown(
    name: &str,
    path: &Path,
    span: std::ops::Range<usize>,
    properties: &Map<String, Json>,
) -> Mistake {
    let elsewhere = ELSEWHERE
        .iter()
        .find(|(key, hint)| *key == name && names_one_of(hint, properties))
        .map(|(_, hint)| (*hint).to_owned());
    let meant = nearest(name, properties.keys().map(String::as_str));
    let hint = meant
        .map(|key| format!("did you mean `{key}`?"))
        .or(elsewhere)
        .unwrap_or_else(|| {
            format!(
                "the keys here are {}",
                all(properties.keys().map(String::as_str))
            )
        });
    let message = format!("there is no setting `{path}`");
    Mistake::error("unknown-key", span, message, "unknown key").hint(hint)
}

/// Whether the hint speaks of a key that exists at this place.
fn names_one_of(hint: &str, properties: &Map<String, Json>) -> bool {
    properties.keys().any(|key| {
        hint.contains(&format!("`{key}`"))
            || hint.contains(&format!("`{key} = "))
            || hint.contains(&format!("[{key}."))
    })
}

impl<'s> Node<'s> {
    fn types(&self) -> Vec<&'s str> {
        match self.schema.get("type") {
            Some(Json::String(one)) => vec![one.as_str()],
            Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn choices(&self) -> Option<Vec<&'s str>> {
        if let Some(Json::Array(listed)) = self.schema.get("enum") {
            return listed.iter().map(Json::as_str).collect();
        }
        let Some(Json::Array(listed)) = self.schema.get("oneOf") else {
            return None;
        };
        let mut choices = Vec::new();
        for one in listed {
            match (one.get("const"), one.get("enum")) {
                (Some(name), _) => choices.push(name.as_str()?),
                (None, Some(Json::Array(names))) => {
                    choices.extend(names.iter().filter_map(Json::as_str));
                }
                _ => return None,
            }
        }
        Some(choices)
    }

    fn accepts(&self, value: &DeValue<'_>) -> bool {
        if self.definition == Some("Bytes") {
            return matches!(value, DeValue::String(_) | DeValue::Integer(_));
        }
        if self.choices().is_some() {
            return matches!(value, DeValue::String(_));
        }
        let types = self.types();
        types.is_empty()
            || types.iter().any(|name| match value {
                DeValue::String(_) => *name == "string",
                DeValue::Integer(_) => matches!(*name, "integer" | "number"),
                DeValue::Float(_) => *name == "number",
                DeValue::Boolean(_) => *name == "boolean",
                DeValue::Datetime(_) => false,
                DeValue::Array(_) => *name == "array",
                DeValue::Table(_) => *name == "object",
            })
    }

    /// Whether `number`, as TOML writes it, is negative where nothing may be.
    fn is_below_least(&self, number: &str) -> bool {
        let least = self.schema.get("minimum").and_then(Json::as_u64);
        number.starts_with('-') && (least.is_some() || self.definition == Some("Bytes"))
    }

    fn expected(&self) -> String {
        match self.definition {
            Some("Duration") => return "a length of time such as `\"30s\"`".to_owned(),
            Some("Bytes") => return "a size such as `\"4MiB\"`".to_owned(),
            _ => {}
        }
        if let Some(choices) = self.choices() {
            return either(choices);
        }
        let words = self.types().into_iter().filter_map(|name| match name {
            "string" => Some("a string"),
            "integer" => Some("a whole number"),
            "number" => Some("a number"),
            "boolean" => Some("`true` or `false`"),
            "array" => Some("an array"),
            "object" => Some("a table"),
            _ => None,
        });
        words.collect::<Vec<_>>().join(" or ")
    }

    fn wrong_type_hint(&self, value: &DeValue<'_>, hidden: bool) -> String {
        let types = self.types();
        match value {
            DeValue::Integer(n) if self.definition == Some("Duration") => {
                format!("for seconds write `\"{n}s\"`, for milliseconds `\"{n}ms\"`")
            }
            DeValue::String(text) if types.contains(&"array") && !hidden => {
                let words: Vec<String> = text
                    .split_whitespace()
                    .map(|word| format!("{word:?}"))
                    .collect();
                format!("write an array: `[{}]`", words.join(", "))
            }
            DeValue::String(text) if types.contains(&"integer") && !hidden => {
                if text.parse::<u64>().is_ok() {
                    format!("write it without quotes: `{text}`")
                } else {
                    self.about().to_owned()
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
                if types.contains(&"string") && self.definition.is_none() =>
            {
                "put it in quotes".to_owned()
            }
            _ => self.about().to_owned(),
        }
    }

    fn about(&self) -> &'s str {
        self.about
            .unwrap_or("see the reference of the configuration")
    }

    /// What is wrong with `text`, which stands where this node asks for a string, and a hint.
    fn refuse(&self, text: &str, path: &Path, hidden: bool) -> Option<(String, Option<String>)> {
        use portcullis_proxy::units::{Bytes, Duration};
        let shown = if hidden {
            "what the reference stands for".to_owned()
        } else {
            format!("`{text}`")
        };
        let (what, hint) = match self.definition {
            Some("Duration") => {
                text.parse::<Duration>().err()?;
                (
                    "a length of time",
                    "write a whole number and a unit: `250ms`, `30s`, `5m` or `1h`",
                )
            }
            Some("Bytes") => {
                text.parse::<Bytes>().err()?;
                (
                    "a size",
                    "write a whole number of bytes, or one with a unit: `64KiB` or `4MiB`",
                )
            }
            _ => {
                let choices = self.choices()?;
                if choices.contains(&text) {
                    return None;
                }
                let message = format!(
                    "`{path}` cannot be {shown}; it is {}",
                    either(choices.iter().copied())
                );
                let meant = nearest(text, choices).filter(|_| !hidden);
                return Some((message, meant.map(|name| format!("did you mean `{name}`?"))));
            }
        };
        Some((format!("{shown} is not {what}"), Some(hint.to_owned())))
    }
}

/// The one of `anyOf`'s schemas that is not `null`, if there is exactly one.
fn only_non_null(schema: &Map<String, Json>) -> Option<&Map<String, Json>> {
    let Some(Json::Array(listed)) = schema.get("anyOf") else {
        return None;
    };
    let is_null = |one: &&Json| one.get("type").and_then(Json::as_str) == Some("null");
    match listed
        .iter()
        .filter(|one| !is_null(one))
        .collect::<Vec<_>>()
        .as_slice()
    {
        [one] => one.as_object(),
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
