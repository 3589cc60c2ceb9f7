//! JSON Schema: arguments against `inputSchema`, `structuredContent` against `outputSchema`.
//!
//! Two dialects, 2020-12 (also when a schema names none) and draft 7. References stay within the
//! document, and nothing is ever fetched. Evaluation is bounded in steps and in depth, whatever the
//! schema: what cannot be decided within them is denied. Numbers are compared by their digits.
//!
//! A *closed* validator refuses properties that the schema does not declare; which those are, is in
//! `docs/decisions/undeclared-properties.md`.

mod compile;
mod evaluate;
mod format;
mod number;
mod pattern;
mod value;

use std::fmt;

use portcullis_mcp::{Object, method};

use crate::{Denial, Request, ResultBody, ResultKind};
use compile::Schema;
use value::Value;

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

/// A dialect of JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Draft 2020-12.
    #[default]
    Draft202012,
    /// Draft 7.
    Draft7,
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

/// A compiled schema.
#[derive(Debug)]
pub struct Validator {
    schema: Schema,
}

impl Validator {
    /// Compiles a schema. Returns for any input, in time bounded by its size.
    pub fn compile(schema: &[u8], options: Options) -> Result<Self, Unusable> {
        if schema.len() > SCHEMA_BYTES_MAX {
            return Err(Unusable::TooLarge);
        }
        let value = Value::parse(schema, SCHEMA_DEPTH_MAX).ok_or(Unusable::Json)?;
        Ok(Self {
            schema: compile::compile(&value, options)?,
        })
    }

    /// Checks JSON against the schema. Returns for any input, in time bounded by its size.
    pub fn validate(&self, json: &[u8]) -> Result<(), Invalid> {
        let value = Value::parse(json, INSTANCE_DEPTH_MAX).ok_or(Invalid::Json)?;
        evaluate::evaluate(&self.schema, &value, json.len())
    }
}

/// Checks the arguments of a tool call; other methods have no schema.
pub(crate) fn check(request: &Request, params: &Object<'_>) -> Result<(), Denial> {
    if &*request.method != method::TOOLS_CALL {
        return Ok(());
    }
    let tool = request.tool.as_ref().ok_or(Denial::UnknownTool)?;
    let validator = tool
        .input()
        .map_err(|unusable| Denial::UnusableTool(unusable.clone()))?;
    let arguments = params.get("arguments").unwrap_or(b"{}");
    validator
        .validate(arguments)
        .map_err(|invalid| match invalid {
            Invalid::Json => Denial::MalformedParams {
                member: "arguments",
            },
            Invalid::Faults(faults) => Denial::InvalidArguments(faults),
            Invalid::Undecided => Denial::UndecidedArguments,
        })
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
