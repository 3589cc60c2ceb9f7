//! One tool as its server defines it.

use std::sync::OnceLock;

use bytes::Bytes;
use portcullis_mcp::{InvalidAnnotation, Object, ParamHeader, param_headers};

use crate::schema::{Dialect, Options, Unusable, Validator};

/// The largest definition, in bytes.
pub(crate) const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// The longest tool name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 128;

/// Why a definition is not offered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionFault {
    /// It is not a JSON object.
    #[error("the definition is not an object")]
    NotAnObject,
    /// It exceeds 1 MiB.
    #[error("the definition is larger than {DEFINITION_BYTES_MAX} bytes")]
    TooLarge,
    /// Its name is missing, empty, too long, or holds a control character.
    #[error(
        "the name is not a string of 1 to {NAME_CHARS_MAX} characters without control characters"
    )]
    Name,
    /// It has no input schema, or one that is not an object.
    #[error("`inputSchema` is missing or not an object")]
    InputSchema,
    /// An earlier definition of the same server has the name.
    #[error("the server defines a tool of this name twice")]
    Duplicate,
}

/// One tool as its server defines it. Schemas are compiled when they are first needed.
#[derive(Debug)]
pub struct ToolDefinition {
    /// The server's own name of it.
    pub name: Box<str>,
    /// The definition as the server sent it.
    pub raw: Bytes,
    input_schema: Bytes,
    output_schema: Option<Bytes>,
    input: OnceLock<Result<Validator, Unusable>>,
    output: OnceLock<Result<Validator, Unusable>>,
    headers: OnceLock<Result<Vec<ParamHeader>, InvalidAnnotation>>,
}

impl ToolDefinition {
    /// Reads a definition whose bytes were scanned. A schema that cannot be used is no fault here: the
    /// tool is listed, and a call to it is denied.
    pub fn compile(raw: Bytes) -> Result<Self, DefinitionFault> {
        if raw.len() > DEFINITION_BYTES_MAX {
            return Err(DefinitionFault::TooLarge);
        }
        let object = Object::parse(&raw).ok_or(DefinitionFault::NotAnObject)?;
        let name = object.get_str("name").ok_or(DefinitionFault::Name)?;
        let chars = name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(DefinitionFault::Name);
        }
        let slice = |key| object.get(key).map(|value| raw.slice_ref(value));
        let input_schema = slice("inputSchema").ok_or(DefinitionFault::InputSchema)?;
        if !portcullis_mcp::is_object(&input_schema) {
            return Err(DefinitionFault::InputSchema);
        }
        let name = name.into();
        let output_schema = slice("outputSchema").filter(|it| !portcullis_mcp::is_null(it));
        drop(object);
        Ok(Self {
            name,
            raw,
            input_schema,
            output_schema,
            input: OnceLock::new(),
            output: OnceLock::new(),
            headers: OnceLock::new(),
        })
    }

    /// The validator of the arguments, which refuses undeclared properties.
    pub fn input(&self) -> Result<&Validator, &Unusable> {
        let options = Options {
            dialect: Dialect::default(),
            closed: true,
            formats: true,
        };
        self.input
            .get_or_init(|| Validator::compile(&self.input_schema, options))
            .as_ref()
    }

    /// The validator of `structuredContent`, when the tool has an output schema.
    pub fn output(&self) -> Option<Result<&Validator, &Unusable>> {
        let schema = self.output_schema.as_ref()?;
        let options = Options {
            dialect: Dialect::default(),
            closed: false,
            formats: true,
        };
        Some(
            self.output
                .get_or_init(|| Validator::compile(schema, options))
                .as_ref(),
        )
    }

    /// The input schema as the server sent it.
    pub fn input_schema(&self) -> &Bytes {
        &self.input_schema
    }

    /// The output schema as the server sent it.
    pub fn output_schema(&self) -> Option<&Bytes> {
        self.output_schema.as_ref()
    }

    /// The arguments that travel as headers as well; an error when an `x-mcp-header` annotation is
    /// invalid, in which case a modern client must not be offered the tool.
    pub fn param_headers(&self) -> Result<&[ParamHeader], &InvalidAnnotation> {
        self.headers
            .get_or_init(|| param_headers(&self.input_schema))
            .as_deref()
    }
}

#[cfg(test)]
mod tests;
