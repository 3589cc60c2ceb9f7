//! First check of a result: its shape and its bounds, before anything reads further.

use bytes::Bytes;
use portcullis_mcp::{Object, boolean, elements, is_null, is_object, method};

use crate::admit::{INPUTS_MAX, REQUEST_STATE_BYTES_MAX};
use crate::{Denial, Request, Settings, ask};

/// A result that was checked.
#[derive(Debug)]
pub struct ResultBody {
    bytes: Bytes,
    kind: ResultKind,
    structured: Option<Bytes>,
}

/// What a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// The answer.
    Complete,
    /// A tool result that says `isError`.
    ToolError,
    /// The server asks for input before it goes on (`inputRequests`).
    InputRequired,
    /// The server made a task of it.
    Task,
}

impl ResultBody {
    pub(crate) fn new(bytes: Bytes, kind: ResultKind, structured: Option<Bytes>) -> Self {
        Self {
            bytes,
            kind,
            structured,
        }
    }

    /// The result, a JSON object.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it is.
    pub fn kind(&self) -> ResultKind {
        self.kind
    }

    /// The methods of what the server asks of the client before it goes on.
    pub(crate) fn asked(&self) -> Vec<Box<str>> {
        if self.kind != ResultKind::InputRequired {
            return Vec::new();
        }
        let inputs = Object::parse(&self.bytes).unwrap_or_default();
        let inputs = inputs.get("inputRequests").and_then(Object::parse);
        let inputs = inputs.unwrap_or_default();
        let method_of = |input| {
            Object::parse(input)?
                .get_str("method")
                .map(|it| (*it).into())
        };
        inputs
            .iter()
            .filter_map(|(_, input)| method_of(input))
            .collect()
    }

    /// Its `structuredContent`, when it is a tool result that has one.
    pub fn structured(&self) -> Option<&Bytes> {
        self.structured.as_ref()
    }
}

/// The most entries of a list.
const ENTRIES_MAX: usize = 10_000;

/// Bounds a result and finds out what it is. The request's method decides what it may be.
pub(crate) fn check(
    request: &Request,
    result: Bytes,
    settings: &Settings,
) -> Result<ResultBody, Denial> {
    let max = settings.result_bytes_max;
    if result.len() > max {
        return Err(Denial::ResultTooLarge {
            member: "result",
            max,
        });
    }
    let object = Object::parse(&result).ok_or(Denial::MalformedResult { member: "result" })?;
    let mut kind = match object.get("resultType") {
        None => ResultKind::Complete,
        Some(_) => match object.get_str("resultType").as_deref() {
            Some("complete") => ResultKind::Complete,
            Some("input_required") => ResultKind::InputRequired,
            Some("task") => ResultKind::Task,
            Some(_) | None => {
                return Err(Denial::MalformedResult {
                    member: "resultType",
                });
            }
        },
    };
    if kind == ResultKind::Complete
        && &*request.method == method::TOOLS_CALL
        && object.get("task").is_some_and(is_object)
    {
        kind = ResultKind::Task;
    }
    let mut structured = None;
    match kind {
        ResultKind::InputRequired => check_inputs(request, &object, settings)?,
        ResultKind::Task if &*request.method != method::TOOLS_CALL => {
            return Err(Denial::MalformedResult {
                member: "resultType",
            });
        }
        ResultKind::Task | ResultKind::ToolError => {}
        ResultKind::Complete => match &*request.method {
            method::TOOLS_CALL | method::TASKS_RESULT => {
                blocks(&object, "content", settings.blocks_max)?;
                kind = tool_error(&object)?;
                structured = object
                    .get("structuredContent")
                    .map(|it| result.slice_ref(it));
            }
            method::PROMPTS_GET => list(&object, "messages", settings.blocks_max)?,
            method::RESOURCES_READ => list(&object, "contents", settings.blocks_max)?,
            method::TOOLS_LIST => list(&object, "tools", ENTRIES_MAX)?,
            method::PROMPTS_LIST => list(&object, "prompts", ENTRIES_MAX)?,
            method::RESOURCES_LIST => list(&object, "resources", ENTRIES_MAX)?,
            method::RESOURCES_TEMPLATES_LIST => list(&object, "resourceTemplates", ENTRIES_MAX)?,
            method::COMPLETION_COMPLETE => completion(&object, settings.blocks_max)?,
            _ => {}
        },
    }
    drop(object);
    Ok(ResultBody::new(result, kind, structured))
}

fn tool_error(object: &Object<'_>) -> Result<ResultKind, Denial> {
    match object.get("isError") {
        None => Ok(ResultKind::Complete),
        Some(raw) if is_null(raw) => Ok(ResultKind::Complete),
        Some(raw) => match boolean(raw) {
            Some(true) => Ok(ResultKind::ToolError),
            Some(false) => Ok(ResultKind::Complete),
            None => Err(Denial::MalformedResult { member: "isError" }),
        },
    }
}

/// A server asks for input: by the modern revision on three methods alone, and within bounds.
fn check_inputs(request: &Request, object: &Object<'_>, settings: &Settings) -> Result<(), Denial> {
    if !matches!(
        &*request.method,
        method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ
    ) {
        return Err(Denial::MalformedResult {
            member: "resultType",
        });
    }
    let state = object.get("requestState");
    if let Some(state) = state {
        if state.first() != Some(&b'"') {
            return Err(Denial::MalformedResult {
                member: "requestState",
            });
        }
        if state.len() > REQUEST_STATE_BYTES_MAX.saturating_add(2) {
            let max = REQUEST_STATE_BYTES_MAX;
            return Err(Denial::ResultTooLarge {
                member: "requestState",
                max,
            });
        }
    }
    let member = "inputRequests";
    let Some(inputs) = object.get(member) else {
        return if state.is_some() {
            Ok(())
        } else {
            Err(Denial::MalformedResult { member })
        };
    };
    let inputs = Object::parse(inputs).ok_or(Denial::MalformedResult { member })?;
    if inputs.len() > INPUTS_MAX {
        return Err(Denial::ResultTooLarge {
            member,
            max: INPUTS_MAX,
        });
    }
    for (_, input) in inputs.iter() {
        let input = Object::parse(input).ok_or(Denial::MalformedAsk { member })?;
        let asked = input
            .get_str("method")
            .ok_or(Denial::MalformedAsk { member: "method" })?;
        ask::check_parts(&asked, input.get("params"), settings)?;
    }
    Ok(())
}

/// A list of objects, each with a `type`, when it is there.
fn blocks(object: &Object<'_>, member: &'static str, max: usize) -> Result<(), Denial> {
    let Some(raw) = object.get(member) else {
        return Ok(());
    };
    for block in entries(raw, member, max)? {
        let typed = portcullis_mcp::member(block, "type").is_some_and(is_text);
        if !typed {
            return Err(Denial::MalformedResult { member });
        }
    }
    Ok(())
}

fn is_text(json: &[u8]) -> bool {
    json.first() == Some(&b'"')
}

/// A list of objects.
fn list(object: &Object<'_>, member: &'static str, max: usize) -> Result<(), Denial> {
    let raw = object
        .get(member)
        .ok_or(Denial::MalformedResult { member })?;
    let entries = entries(raw, member, max)?;
    if entries.into_iter().all(is_object) {
        Ok(())
    } else {
        Err(Denial::MalformedResult { member })
    }
}

fn completion(object: &Object<'_>, max: usize) -> Result<(), Denial> {
    let member = "completion";
    let completion = object
        .get(member)
        .and_then(Object::parse)
        .ok_or(Denial::MalformedResult { member })?;
    let values = completion
        .get("values")
        .ok_or(Denial::MalformedResult { member: "values" })?;
    entries(values, "values", max).map(drop)
}

fn entries<'a>(raw: &'a [u8], member: &'static str, max: usize) -> Result<Vec<&'a [u8]>, Denial> {
    let entries = elements(raw).ok_or(Denial::MalformedResult { member })?;
    if entries.len() > max {
        return Err(Denial::ResultTooLarge { member, max });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
