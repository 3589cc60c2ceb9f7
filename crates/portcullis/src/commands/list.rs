//! Lists for people: columns of text in which nothing that came from elsewhere can play tricks on a terminal.

use std::fmt::Write as _;
use std::io;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output;

/// A list with a heading for each column.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty one.
    pub(super) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    /// Adds a row. What is empty is shown as `-`.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            text => harmless(text),
        }));
    }

    /// Prints it; `none` to standard error, where there is no row.
    pub(super) fn print(&self, none: &str) -> io::Result<()> {
        if self.rows.len() < 2 {
            output::tell(none);
            return Ok(());
        }
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                write!(line, "{cell:width$}  ").map_err(io::Error::other)?;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        output::print(&text)
    }
}

/// `text` with what a terminal would obey, or hide, written out: names come from clients and providers.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let hides = matches!(
            char,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        );
        if char.is_control() || hides {
            out.extend(char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    out
}

/// A time for people, to the second.
pub(super) fn time(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{ms}ms"))
}

#[cfg(test)]
mod tests;
