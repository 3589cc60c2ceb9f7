//! Mistakes in a configuration file: what is wrong, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;

/// One thing that is wrong, or that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Whether the file cannot be used.
    pub weight: Weight,
    /// A stable name of this kind of mistake.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// A few words beneath the place.
    pub label: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How much a mistake matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Weight {
    /// The file cannot be used.
    Error,
    /// The file can be used, but somebody should look.
    Warning,
}

impl Mistake {
    /// A mistake because of which the file cannot be used.
    pub(crate) fn error(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            weight: Weight::Error,
            code,
            message: message.into(),
            span,
            label: label.into(),
            hint: None,
        }
    }

    /// Something to look at.
    pub(crate) fn warning(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(code, span, message, label)
        }
    }

    /// The same with a hint.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The mistakes of one file, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Mistakes {
    file: String,
    text: String,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// The mistakes `list` of the file called `file`. `text` is what may be shown of it.
    pub(crate) fn new(file: String, text: String, mut list: Vec<Mistake>) -> Self {
        list.sort_by_key(|mistake| (mistake.span.start, mistake.weight));
        list.dedup();
        Self { file, text, list }
    }

    /// Whether the file cannot be used.
    pub(crate) fn refuse(&self) -> bool {
        self.list.iter().any(|m| m.weight == Weight::Error)
    }

    /// How many there are of `weight`.
    pub(crate) fn count(&self, weight: Weight) -> usize {
        self.list.iter().filter(|m| m.weight == weight).count()
    }

    /// All of them as a person reads them, `width` columns wide.
    pub(crate) fn draw(&self, width: usize, colour: bool) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_links(false)
            .with_width(width);
        let mut out = String::new();
        for mistake in &self.list {
            let drawn = Drawn {
                mistake,
                source: Lines {
                    file: &self.file,
                    text: &self.text,
                },
            };
            if handler.render_report(&mut out, &drawn).is_err() {
                out.push_str(&mistake.message);
            }
            out.push('\n');
        }
        out
    }

    /// One line for each, for a log.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|m| {
            let at = position(&self.text, m.span.start);
            let hint = m
                .hint
                .as_ref()
                .map(|h| format!("; {h}"))
                .unwrap_or_default();
            format!(
                "{}:{}:{}: {}{hint}",
                self.file, at.line, at.column, m.message
            )
        })
    }

    /// All of them for a program.
    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
        self.list
            .iter()
            .map(|mistake| self.entry(mistake))
            .collect()
    }

    fn entry<'a>(&self, mistake: &'a Mistake) -> Entry<'a> {
        let at = position(&self.text, mistake.span.start);
        Entry {
            weight: mistake.weight,
            code: mistake.code,
            message: &mistake.message,
            hint: mistake.hint.as_deref(),
            line: at.line,
            column: at.column,
            offset: mistake.span.start,
            length: mistake.span.len(),
        }
    }
}

/// A mistake as `check --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    #[serde(rename = "severity")]
    weight: Weight,
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    line: usize,
    column: usize,
    offset: usize,
    length: usize,
}

struct Position {
    line: usize,
    column: usize,
}

/// Line and column, in characters, both from 1.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Position { line, column }
}

#[derive(Debug)]
struct Drawn<'a> {
    mistake: &'a Mistake,
    source: Lines<'a>,
}

/// A file of which the lines of a mistake are shown, whole, and no others.
#[derive(Debug)]
struct Lines<'a> {
    file: &'a str,
    text: &'a str,
}

impl SourceCode for Lines<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before_max: usize,
        _after_max: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (before, rest) = self
            .text
            .split_at_checked(span.offset())
            .ok_or(MietteError::OutOfBounds)?;
        let within = rest.get(..span.len()).ok_or(MietteError::OutOfBounds)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = span.offset() + span.len();
        let end = self
            .text
            .get(end..)
            .and_then(|t| t.find('\n'))
            .map_or(self.text.len(), |n| end + n);
        // Without context it is the place alone that is asked for, of which the caller shows line and
        // column; with context, the text, which begins at a line's first column.
        let column = if before_max == 0 {
            position(self.text, span.offset()).column - 1
        } else {
            0
        };
        let shown = self.text.get(start..end).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.to_owned(),
            shown.as_bytes(),
            (start, shown.len()).into(),
            before.matches('\n').count(),
            column,
            within.matches('\n').count() + 1,
        )))
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(match self.mistake.weight {
            Weight::Error => Severity::Error,
            Weight::Warning => Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake
            .hint
            .as_ref()
            .map(|h| -> Box<dyn fmt::Display> { Box::new(h) })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Mistake { span, label, .. } = self.mistake;
        let label = LabeledSpan::new(Some(label.clone()), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The name among `known` that a person most likely meant by `written`.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let distance = |name: &str| strsim::damerau_levenshtein(&written, &plain(name));
    let most = written.chars().count().div_ceil(3);
    known
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `names` as a list in a sentence: "`a`, `b` or `c`".
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    enumerate(names, "or")
}

/// `names` as a list in a sentence: "`a`, `b` and `c`".
pub(crate) fn all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    enumerate(names, "and")
}

fn enumerate<'a>(names: impl IntoIterator<Item = &'a str>, conjunction: &str) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests;
