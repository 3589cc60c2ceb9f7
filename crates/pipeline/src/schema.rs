//! JSON Schema: arguments against `inputSchema`, `structuredContent` against `outputSchema`.
//!
//! The `jsonschema` library validates. Around it, this module decides what it is given: two dialects,
//! 2020-12 (also when a schema names none) and draft 7; references within the document and nothing
//! fetched; and only what it can finish, for the library bounds neither its steps nor its depth. What
//! cannot be decided within the bounds is denied.
//!
//! A *closed* validator refuses properties that the schema does not declare; which those are, is in
//! `docs/decisions/undeclared-properties.md`.

mod close;
mod cost;
mod graph;
mod measure;
mod resource;
mod told;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use portcullis_mcp::{Limits, Object, method, quote, scan};
use serde_json::Value;

use crate::{Denial, Request, ResultBody, ResultKind};
use cost::Cost;

/// The largest schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// How deep a schema may be nested.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// The most subschemas.
pub const SUBSCHEMAS_MAX: usize = 10_000;
/// The most patterns.
pub const PATTERNS_MAX: usize = 500;
/// How deep validated JSON may be nested.
pub const INSTANCE_DEPTH_MAX: usize = 64;
/// The most faults that are told.
pub const FAULTS_MAX: usize = 3;

/// The longest pointer that is told, in characters; a longer one is cut.
const POINTER_CHARS_MAX: usize = 200;
/// The largest compiled pattern, in bytes.
const COMPILED_PATTERN_BYTES_MAX: usize = 1 << 20;
/// The most steps back of one match by backtracking.
const BACKTRACKS_MAX: usize = 5_000;
/// The most steps of an evaluation whose faults are told each: to tell them costs memory for each.
const TOLD_STEPS_MAX: u64 = 200_000;

/// A dialect of JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Draft 2020-12.
    #[default]
    Draft202012,
    /// Draft 7.
    Draft7,
}

impl Dialect {
    /// The dialect of this `$schema`.
    fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix('#').unwrap_or(name);
        let name = name
            .strip_prefix("https://")
            .or_else(|| name.strip_prefix("http://"));
        match name {
            Some("json-schema.org/draft/2020-12/schema") => Some(Self::Draft202012),
            Some("json-schema.org/draft-07/schema") => Some(Self::Draft7),
            Some(_) | None => None,
        }
    }

    fn uri(self) -> &'static str {
        match self {
            Self::Draft202012 => "https://json-schema.org/draft/2020-12/schema",
            Self::Draft7 => "http://json-schema.org/draft-07/schema#",
        }
    }

    fn draft(self) -> Draft {
        match self {
            Self::Draft202012 => Draft::Draft202012,
            Self::Draft7 => Draft::Draft7,
        }
    }
}

/// How a schema is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The dialect of a schema without `$schema`.
    pub dialect: Dialect,
    /// Whether properties that the schema does not declare are refused.
    pub closed: bool,
    /// Whether the known values of `format` are asserted.
    pub formats: bool,
}

/// Why a schema cannot be checked against. Pointers are into the schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is no JSON, or nested too deeply.
    #[error("the schema is not JSON nested at most {SCHEMA_DEPTH_MAX} deep")]
    Json,
    /// It exceeds [`SCHEMA_BYTES_MAX`].
    #[error("the schema is larger than {SCHEMA_BYTES_MAX} bytes")]
    TooLarge,
    /// It exceeds [`SUBSCHEMAS_MAX`].
    #[error("the schema has more than {SUBSCHEMAS_MAX} subschemas")]
    TooManySubschemas,
    /// It exceeds [`PATTERNS_MAX`].
    #[error("the schema has more than {PATTERNS_MAX} patterns")]
    TooManyPatterns,
    /// `$schema` names another dialect.
    #[error("`$schema` names a dialect other than 2020-12 and draft 7")]
    Dialect,
    /// A reference leads nowhere within the document.
    #[error("the reference at `{0}` leads out of the schema")]
    Reference(String),
    /// A pattern cannot be compiled, or is too large.
    #[error("the pattern at `{0}` cannot be compiled")]
    Pattern(String),
    /// A keyword has a value of the wrong kind.
    #[error("the keyword at `{0}` has a value of the wrong kind")]
    Keyword(String),
    /// References lead back to where they began, at the same place of the JSON.
    #[error("the subschema at `{0}` refers to itself for the same value")]
    Circular(String),
    /// Too many subschemas apply to one place, or too deep within each other.
    #[error("the subschema at `{0}` applies too many others to one value")]
    TooIntricate(String),
}

/// Where JSON does not fit its schema: at most [`FAULTS_MAX`] places, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

/// One place that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The JSON pointer (RFC 6901) of the place.
    pub pointer: String,
    /// The keyword that refuses it, or `undeclared`.
    pub keyword: &'static str,
}

impl Faults {
    /// The places.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

/// Such as `` `/path` fails `type` ``.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            let place = if fault.pointer.is_empty() {
                "the whole"
            } else {
                &fault.pointer
            };
            match fault.keyword {
                UNDECLARED => write!(f, "`{place}` is not declared")?,
                keyword => write!(f, "`{place}` fails `{keyword}`")?,
            }
        }
        Ok(())
    }
}

/// The keyword of a [`Fault`] at a property that the schema does not declare.
pub const UNDECLARED: &str = "undeclared";

/// Why JSON was not found valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is no JSON, or nested too deeply.
    Json,
    /// It does not fit.
    Faults(Faults),
    /// That could not be decided within the bounds of evaluation.
    Undecided,
}

/// The keyword of a [`Fault`] at an integer that fits 64 bits neither signed nor unsigned. Servers
/// disagree about its value, so that nobody could say what was checked.
pub const NUMBER: &str = "number";

/// A compiled schema.
#[derive(Debug)]
pub struct Validator {
    plain: jsonschema::Validator,
    closed: Option<jsonschema::Validator>,
    cost: Cost,
    /// Whether a pattern runs by backtracking, and so may not be finished.
    backtracks: bool,
    /// The properties of the root that may be left out.
    optional: Vec<String>,
}

impl Validator {
    /// Compiles a schema. Returns for any input, in time bounded by its size.
    pub fn compile(schema: &[u8], options: Options) -> Result<Self, Unusable> {
        if schema.len() > SCHEMA_BYTES_MAX {
            return Err(Unusable::TooLarge);
        }
        let limits = Limits {
            depth_max: SCHEMA_DEPTH_MAX,
            ..Limits::default()
        };
        scan(schema, &limits).map_err(|_fault| Unusable::Json)?;
        let document: Value = serde_json::from_slice(schema).map_err(|_error| Unusable::Json)?;
        let dialect = match document.get("$schema") {
            None => options.dialect,
            Some(name) => name
                .as_str()
                .and_then(Dialect::named)
                .ok_or(Unusable::Dialect)?,
        };
        let graph = graph::read(&document, dialect)?;
        let document = close::plain(&document, dialect, &graph);
        let closed = options
            .closed
            .then(|| close::closed(&document, dialect, &graph));
        let cost = Cost::of(graph, options.closed)?;
        let (plain, backtracks) = build(&document, dialect, options.formats)?;
        let closed = closed
            .map(|closed| build(&closed, Dialect::Draft202012, options.formats))
            .transpose()?
            .map(|(closed, _)| closed);
        Ok(Self {
            plain,
            closed,
            cost,
            backtracks,
            optional: optional(&document),
        })
    }

    /// Checks JSON against the schema. Returns for any input, in time bounded by its size.
    pub fn validate(&self, json: &[u8]) -> Result<(), Invalid> {
        let measure = measure::measure(json);
        if measure.depth > INSTANCE_DEPTH_MAX {
            return Err(Invalid::Json);
        }
        let value: Value = serde_json::from_slice(json).map_err(|_error| Invalid::Json)?;
        if measure.rounds {
            let pointers = measure::rounded(json, FAULTS_MAX).into_iter();
            let faults = pointers.map(|pointer| Fault {
                pointer,
                keyword: NUMBER,
            });
            return Err(Invalid::Faults(Faults::of(faults)));
        }
        let steps = self.cost.steps(&value, &measure);
        let steps = steps.ok_or(Invalid::Undecided)?;
        let errors_of = |validator: &jsonschema::Validator| {
            if steps <= TOLD_STEPS_MAX {
                Ok(validator
                    .iter_errors(&value)
                    .map(ValidationError::to_owned)
                    .collect())
            } else if self.backtracks {
                // Whether a pattern was left unfinished is told by the errors alone.
                Err(Invalid::Undecided)
            } else {
                Ok(Vec::new())
            }
        };
        if !self.plain.is_valid(&value) {
            return Err(told::invalid(&errors_of(&self.plain)?));
        }
        // INVARIANT: closing can only refuse, for the schema itself has accepted.
        match &self.closed {
            Some(closed) if !closed.is_valid(&value) => Err(told::undeclared(&errors_of(closed)?)),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks arguments like [`validate`](Self::validate), and gives them as they are to be sent. A
    /// member of theirs that is null, and that the schema declares, does not require and does not allow
    /// to be null, is the same as none, and taken out: `docs/decisions/null-arguments.md`.
    pub fn validate_arguments<'a>(&self, json: &'a [u8]) -> Result<Cow<'a, [u8]>, Invalid> {
        let invalid = match self.validate(json) {
            Ok(()) => return Ok(Cow::Borrowed(json)),
            Err(invalid @ (Invalid::Json | Invalid::Undecided)) => return Err(invalid),
            Err(invalid @ Invalid::Faults(_)) => invalid,
        };
        let Some(mut arguments) = Object::parse(json) else {
            return Err(invalid);
        };
        let is_none = |name: &&String| arguments.get(name).is_some_and(portcullis_mcp::is_null);
        let nulls: Vec<&String> = self.optional.iter().filter(is_none).collect();
        for name in nulls {
            if !self.allows_null(name) {
                arguments.remove(name);
            }
        }
        let without = arguments.to_vec();
        match self.validate(&without) {
            Ok(()) => Ok(Cow::Owned(without)),
            Err(_still) => Err(invalid),
        }
    }

    /// Whether null is allowed for a property of the root, as far as that property's own schemas say:
    /// an object of it alone has no fault there.
    fn allows_null(&self, name: &str) -> bool {
        let mut json = vec![b'{'];
        json.extend(quote(name));
        json.extend(b":null}");
        let Ok(value) = serde_json::from_slice::<Value>(&json) else {
            return true;
        };
        let pointer = format!("/{}", graph::escaped(name));
        !self
            .plain
            .iter_errors(&value)
            .any(|error| error.instance_path().as_str() == pointer)
    }
}

/// Compiles a document that the graph has passed; beside it, whether it backtracks.
fn build(
    document: &Value,
    dialect: Dialect,
    formats: bool,
) -> Result<(jsonschema::Validator, bool), Unusable> {
    let options = || {
        jsonschema::options()
            .with_draft(dialect.draft())
            .should_validate_formats(formats)
            .should_ignore_unknown_formats(true)
            .offline()
    };
    let linear = PatternOptions::regex()
        .size_limit(COMPILED_PATTERN_BYTES_MAX)
        .dfa_size_limit(COMPILED_PATTERN_BYTES_MAX);
    match options().with_pattern_options(linear).build(document) {
        Ok(validator) => return Ok((validator, false)),
        Err(error) if !has_backtracking(&error) => return Err(unusable(&error)),
        Err(_) => {}
    }
    let backtracking = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKS_MAX)
        .size_limit(COMPILED_PATTERN_BYTES_MAX)
        .dfa_size_limit(COMPILED_PATTERN_BYTES_MAX);
    options()
        .with_pattern_options(backtracking)
        .build(document)
        .map(|validator| (validator, true))
        .map_err(|error| unusable(&error))
}

/// Whether the error is a pattern that a backtracking engine may know.
fn has_backtracking(error: &ValidationError<'_>) -> bool {
    let pattern = error.instance().as_str();
    is_pattern(error) && pattern.is_some_and(graph::needs_backtracking)
}

fn is_pattern(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Format { format } if format == "regex")
}

fn unusable(error: &ValidationError<'_>) -> Unusable {
    // What a keyword's own compilation refuses has its place in the schema path, what the meta-schema
    // refuses in the instance path.
    let place = match error.instance_path().as_str() {
        "" => error.schema_path().as_str(),
        place => place,
    };
    let place = told(place);
    match error.kind() {
        ValidationErrorKind::Referencing(_) => Unusable::Reference(place),
        _ if is_pattern(error) => Unusable::Pattern(place),
        _ => Unusable::Keyword(place),
    }
}

/// The properties that the root itself declares and does not require.
fn optional(document: &Value) -> Vec<String> {
    let properties = document.get("properties").and_then(Value::as_object);
    let required = document.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|required| required.iter().any(|it| it == name));
    properties
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .filter(|name| !is_required(name))
        .cloned()
        .collect()
}

/// Checks the arguments of a tool call; other methods have no schema. Gives the params as they are to
/// be sent, when they must differ.
pub(crate) fn check(request: &Request, params: &Object<'_>) -> Result<Option<Bytes>, Denial> {
    if &*request.method != method::TOOLS_CALL {
        return Ok(None);
    }
    let tool = request.tool.as_ref().ok_or(Denial::UnknownTool)?;
    let validator = tool
        .input()
        .map_err(|unusable| Denial::UnusableTool(unusable.clone()))?;
    let arguments = params.get("arguments").unwrap_or(b"{}");
    let sent = validator
        .validate_arguments(arguments)
        .map_err(|invalid| match invalid {
            Invalid::Json => Denial::MalformedParams {
                member: "arguments",
            },
            Invalid::Faults(faults) => Denial::InvalidArguments(faults),
            Invalid::Undecided => Denial::UndecidedArguments,
        })?;
    match sent {
        Cow::Borrowed(_) => Ok(None),
        Cow::Owned(sent) => {
            let mut params = params.clone();
            params.set("arguments", sent);
            Ok(Some(params.to_vec().into()))
        }
    }
}

/// Checks `structuredContent` of a complete tool result, when the tool has an output schema.
pub(crate) fn check_output(request: &Request, body: &ResultBody) -> Result<(), Denial> {
    match body.kind() {
        ResultKind::Complete => {}
        ResultKind::ToolError | ResultKind::InputRequired | ResultKind::Task => return Ok(()),
    }
    let Some(output) = request.tool.as_ref().and_then(|tool| tool.output()) else {
        return Ok(());
    };
    let validator = output.map_err(|unusable| Denial::UnusableOutput(unusable.clone()))?;
    // A server with an output schema must provide it (2025-06-18 and later, tools, output schema).
    let structured = body.structured().ok_or(Denial::MalformedResult {
        member: "structuredContent",
    })?;
    validator
        .validate(structured)
        .map_err(|invalid| match invalid {
            Invalid::Json => Denial::MalformedResult {
                member: "structuredContent",
            },
            Invalid::Faults(faults) => Denial::InvalidResult(faults),
            Invalid::Undecided => Denial::UndecidedResult,
        })
}

/// A pointer that is safe to tell: of bounded length, without control characters or backticks.
fn told(pointer: &str) -> String {
    pointer
        .chars()
        .map(|char| {
            if char.is_control() || char == '`' {
                '?'
            } else {
                char
            }
        })
        .take(POINTER_CHARS_MAX)
        .collect()
}
