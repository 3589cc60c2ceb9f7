//! The table: what each attack did to a bare server, and what it did to the gateway.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};

use super::attacks::{Row, Verdict};
use crate::environment::Environment;

/// How the table is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// The width of the terminal, in columns.
    pub(super) width: usize,
    /// Whether colours may be used.
    pub(super) colour: bool,
}

const HEADINGS: [&str; 3] = ["ATTACK", "BARE SERVER", "THROUGH THE GATEWAY"];
const NARROWEST: usize = 72;
const WIDEST: usize = 180;
const VERDICT: usize = 11;

/// Writes all rows, grouped by boundary.
pub(super) fn write(out: &mut dyn Write, rows: &[Row], style: Style) -> io::Result<()> {
    let columns = columns(style.width);
    let titles = [
        (
            1,
            "1  client -> gateway: who is calling, and is this one message?",
        ),
        (2, "2  model -> tool: is this a call that the tool offers?"),
        (
            3,
            "3  server -> gateway: what comes back, and what else it does",
        ),
    ];
    for (number, title) in titles {
        let of_it = rows.iter().filter(|row| row.boundary.number() == number);
        writeln!(out, "\n{}", style.paint("1", title))?;
        let [attack, bare, gateway] = HEADINGS;
        line(out, columns, [attack, bare, gateway], "", style)?;
        writeln!(
            out,
            "{}",
            "-".repeat(columns.iter().sum::<usize>() + 2 * 3 + VERDICT)
        )?;
        for row in of_it {
            let cells = [row.attack, row.bare.did.as_str(), &gateway_cell(row)];
            line(out, columns, cells, &row.verdict().to_string(), style)?;
        }
    }
    Ok(())
}

/// The summary below the table.
pub(super) fn summary(out: &mut dyn Write, rows: &[Row], style: Style) -> io::Result<()> {
    let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
    let mut text = format!(
        "{} of {} attacks stopped",
        count(Verdict::Stopped),
        rows.len()
    );
    for (verdict, what) in [
        (Verdict::GotThrough, "got through"),
        (Verdict::Unclear, "without a clean answer"),
        (
            Verdict::NotShown,
            "that did nothing to the bare server either",
        ),
    ] {
        match count(verdict) {
            0 => {}
            // Writing to a string does not fail.
            number => drop(write!(text, ", {number} {what}")),
        }
    }
    let colour = if count(Verdict::Stopped) == rows.len() {
        "32"
    } else {
        "31"
    };
    writeln!(out, "\n{}", style.paint(colour, &text))
}

/// The answer in short: status, code, denial, and what it says.
fn gateway_cell(row: &Row) -> String {
    let seen = &row.gateway;
    let mut facts = Vec::new();
    facts.extend(seen.status.map(|status| status.to_string()));
    facts.extend(seen.code.map(|code| code.to_string()));
    facts.extend(seen.denial.clone());
    if facts.is_empty() {
        seen.did.clone()
    } else {
        format!("{}: {}", facts.join(" "), seen.did)
    }
}

fn columns(width: usize) -> [usize; 3] {
    let room = width.clamp(NARROWEST, WIDEST) - VERDICT - 2 * 3;
    let attack = room / 4;
    let bare = (room - attack) / 2;
    [attack, bare, room - attack - bare]
}

fn line(
    out: &mut dyn Write,
    columns: [usize; 3],
    cells: [&str; 3],
    verdict: &str,
    style: Style,
) -> io::Result<()> {
    let mut wrapped = Vec::new();
    for (cell, width) in cells.iter().zip(columns) {
        wrapped.push(wrap(cell, width));
    }
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut text = String::new();
        for (lines, width) in wrapped.iter().zip(columns) {
            let part = lines.get(at).map_or("", String::as_str);
            text.push_str(part);
            text.push_str(&" ".repeat(width.saturating_sub(part.chars().count()) + 2));
        }
        if at == 0 {
            let colour = if verdict == Verdict::Stopped.to_string() {
                "32"
            } else {
                "1;31"
            };
            text.push_str(&style.paint(colour, verdict));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let text = text
        .chars()
        .map(|each| if each.is_control() { ' ' } else { each });
    for word in text.collect::<String>().split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let Some(last) = lines.last_mut() else { break };
            let gap = usize::from(!last.is_empty());
            let room = width.saturating_sub(last.chars().count() + gap);
            if rest.len() <= room {
                if gap == 1 {
                    last.push(' ');
                }
                last.extend(rest.drain(..));
            } else if last.is_empty() {
                last.extend(rest.drain(..width.min(rest.len())));
            } else {
                lines.push(String::new());
            }
        }
    }
    lines
}

impl Style {
    /// The style for standard output: its terminal's width, and colours only on a terminal that
    /// can show them, unless `NO_COLOR` is set.
    pub(super) fn of_stdout(environment: &Environment) -> Self {
        let set = |name| environment.get(name).filter(|value| !value.is_empty());
        let columns = || set("COLUMNS")?.to_str()?.parse().ok();
        let terminal = terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        Self {
            width: terminal.or_else(columns).unwrap_or(120),
            colour: io::stdout().is_terminal() && !plain,
        }
    }

    /// `text` in a colour, where colours may be used.
    pub(super) fn paint(self, colour: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
