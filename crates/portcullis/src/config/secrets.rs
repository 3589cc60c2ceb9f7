//! References in the configuration to what is kept elsewhere: `${NAME}` and `${file:PATH}`.
//!
//! A reference may stand anywhere in any string value. It is replaced after the file was parsed,
//! so that what it stands for is never read as TOML. `$${` is a `${` that is no reference.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path as FilePath;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Path, each_string};
use super::mistakes::Mistake;
use crate::environment::Environment;

/// The code of a mistake in a reference.
pub(crate) const UNRESOLVED: &str = "unresolved-reference";

/// Largest file that a reference may name.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where strings stand that a reference was put into; what they hold is never shown.
#[derive(Debug, Default)]
pub(crate) struct Hidden(BTreeSet<(usize, usize)>);

impl Hidden {
    /// Whether the value at `span` holds something that must not be shown.
    pub(crate) fn contains(&self, span: &Range<usize>) -> bool {
        self.0.contains(&(span.start, span.end))
    }
}

/// A reference that could not be followed. None of the texts holds what a reference stands for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    /// `${` without its end.
    #[error("`${{` has no closing `}}`")]
    Open,
    /// What stands between the braces names nothing.
    #[error("`{0}` names neither an environment variable nor a file")]
    Name(String),
    /// The environment has no such variable.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    /// The variable is not text.
    #[error("the environment variable `{0}` is not UTF-8 text")]
    VariableText(String),
    /// The file is not text.
    #[error("the file `{0}` is not UTF-8 text")]
    FileText(String),
    /// The file is too large to be a secret.
    #[error("the file `{0}` is larger than 64 KiB")]
    FileSize(String),
    /// The file cannot be read.
    #[error("the file `{path}` cannot be read: {cause}")]
    File {
        /// As written.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl Unresolved {
    fn hint(&self) -> String {
        match self {
            Self::Open | Self::Name(_) => {
                "write `${NAME}` or `${file:PATH}`; for the characters themselves write `$${`"
                    .into()
            }
            Self::Unset(name) => {
                format!("set `{name}` in the gateway's environment, or write `${{file:PATH}}`")
            }
            Self::VariableText(_) | Self::FileText(_) | Self::FileSize(_) => {
                "a reference stands for a short text, such as a token".into()
            }
            Self::File { .. } => {
                "a relative path starts at the configuration file's directory".into()
            }
        }
    }
}

/// Replaces every reference in `root`. `base` is the directory that relative paths start at.
pub(crate) fn resolve(
    root: &mut Spanned<DeTable<'_>>,
    source: &str,
    base: &FilePath,
    environment: &Environment,
    mistakes: &mut Vec<Mistake>,
) -> Hidden {
    let mut hidden = Hidden::default();
    for (key, value) in root.get_mut().iter_mut() {
        each_string(
            &Path::default().key(key.get_ref()),
            value,
            &mut |path, value| {
                let span = value.span();
                let DeValue::String(text) = value.get_mut() else {
                    return;
                };
                if !text.contains("${") {
                    return;
                }
                match expand(text, base, environment) {
                    Ok(Expanded {
                        text: new,
                        references,
                    }) => {
                        if references {
                            hidden.0.insert((span.start, span.end));
                        }
                        *text = Cow::Owned(new);
                    }
                    Err((reference, cause)) => {
                        let place = narrow(source, &span, &reference);
                        let label = format!("in `{path}`");
                        let hint = cause.hint();
                        mistakes.push(
                            Mistake::error(UNRESOLVED, place, cause.to_string(), label).hint(hint),
                        );
                        hidden.0.insert((span.start, span.end));
                    }
                }
            },
        );
    }
    hidden
}

/// The part of `span` at which the file itself says `reference`, or all of it.
fn narrow(source: &str, span: &Range<usize>, reference: &str) -> Range<usize> {
    let within = source
        .get(span.clone())
        .and_then(|text| text.find(reference));
    match within {
        Some(offset) => span.start + offset..span.start + offset + reference.len(),
        None => span.clone(),
    }
}

#[derive(Debug)]
struct Expanded {
    text: String,
    references: bool,
}

/// What `text` becomes, or the reference that failed, as written.
fn expand(
    text: &str,
    base: &FilePath,
    environment: &Environment,
) -> Result<Expanded, (String, Unresolved)> {
    let mut out = String::with_capacity(text.len());
    let mut references = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| (format!("${{{after}"), Unresolved::Open))?;
        let value =
            look_up(name, base, environment).map_err(|cause| (format!("${{{name}}}"), cause))?;
        out.push_str(&value);
        references = true;
        rest = after;
    }
    out.push_str(rest);
    Ok(Expanded {
        text: out,
        references,
    })
}

fn look_up(name: &str, base: &FilePath, environment: &Environment) -> Result<String, Unresolved> {
    if let Some(path) = name.strip_prefix("file:") {
        return read(path, base);
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Unresolved::Name(name.to_owned()));
    }
    let value = environment
        .get(name)
        .ok_or_else(|| Unresolved::Unset(name.to_owned()))?;
    let text = value
        .to_str()
        .ok_or_else(|| Unresolved::VariableText(name.to_owned()))?;
    Ok(text.to_owned())
}

fn read(path: &str, base: &FilePath) -> Result<String, Unresolved> {
    if path.is_empty() {
        return Err(Unresolved::Name("file:".to_owned()));
    }
    let failed = |cause| Unresolved::File {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    let file = File::open(base.join(path)).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Unresolved::FileSize(path.to_owned()));
    }
    let Ok(mut text) = String::from_utf8(bytes) else {
        return Err(Unresolved::FileText(path.to_owned()));
    };
    // Editors and `echo` end a file with a newline that is no part of the secret.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
