//! A mistake in a policy, with its place and what to do about it.

use std::ops::Range;
use std::sync::Arc;

/// A file of policies, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, as the operator knows it.
    pub name: Arc<str>,
    /// Cedar policies.
    pub text: Arc<str>,
}

/// What is wrong with a policy, or, as a warning, what is likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Mistake {
    /// The name of the file; empty when the mistake is in no file.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The place in the file's text, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(file: &PolicyFile, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = file.text.get(..span.start).unwrap_or(&file.text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        Self {
            file: Arc::clone(&file.name),
            line: before.matches('\n').count().saturating_add(1),
            column: column.saturating_add(1),
            span,
            message: message.into(),
            hint: None,
        }
    }

    /// A mistake that lies in no file: the definitions of servers, or a fault of this crate.
    pub(crate) fn nowhere(message: impl Into<String>) -> Self {
        Self {
            file: Arc::from(""),
            line: 0,
            column: 0,
            span: 0..0,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// The name that was most likely meant: the nearest by edits, when it is near at all.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |other: &str| strsim::osa_distance(name, other);
    let (edits, found) = known
        .into_iter()
        .map(|other| (distance(other), other))
        .min()?;
    let near = name.chars().count().div_ceil(3).max(1);
    (edits <= near).then_some(found)
}
