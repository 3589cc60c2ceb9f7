//! Patterns of JSON Schema (ECMA-262 with the `u` flag), run in bounded time.
//!
//! A pattern is translated and given to an engine that is linear in the text. One that the linear
//! engine lacks (look-around, back-references) runs by backtracking with a bound on its steps.

use std::fmt::Write as _;

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// The largest compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// The most steps back of one match by backtracking.
const BACKTRACKS_MAX: usize = 5_000;
/// What a match by backtracking costs at least, in steps of evaluation.
const BACKTRACKING_COST: usize = 250;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) enum Pattern {
    Linear(regex::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// Compiles a pattern; `None` when it is no pattern, or one too large.
    pub(crate) fn compile(pattern: &str) -> Option<Self> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return None;
        }
        let pattern = translate(pattern)?;
        let linear = regex::RegexBuilder::new(&pattern)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        match linear {
            Ok(regex) => Some(Self::Linear(regex)),
            Err(regex::Error::CompiledTooBig(_)) => None,
            Err(_) if !needs_backtracking(&pattern) => None,
            Err(_) => fancy_regex::RegexBuilder::new(&pattern)
                .backtrack_limit(BACKTRACKS_MAX)
                .delegate_size_limit(COMPILED_BYTES_MAX)
                .delegate_dfa_size_limit(COMPILED_BYTES_MAX)
                .build()
                .ok()
                .map(|regex| Self::Backtracking(Box::new(regex))),
        }
    }

    /// Whether the pattern occurs in `text`; `None` when that took too many steps.
    pub(crate) fn occurs_in(&self, text: &str) -> Option<bool> {
        match self {
            Self::Linear(regex) => Some(regex.is_match(text)),
            Self::Backtracking(regex) => regex.is_match(text).ok(),
        }
    }

    /// What a match in `text` costs, in steps of evaluation.
    pub(crate) fn cost(&self, text: &str) -> usize {
        match self {
            Self::Linear(_) => text.len().wrapping_shr(4),
            Self::Backtracking(_) => text.len().saturating_add(BACKTRACKING_COST),
        }
    }
}

/// Whether a pattern has what the linear engine lacks. Any other that it refuses is no pattern: the
/// second engine must not give it a meaning of its own.
fn needs_backtracking(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!", "\\k<"]
        .iter()
        .any(|part| pattern.contains(part))
        || pattern
            .as_bytes()
            .windows(2)
            .any(|pair| matches!(pair, [b'\\', b'1'..=b'9']))
}

/// Writes an ECMA-262 pattern in the engines' own syntax, where the two differ: the classes `\d`,
/// `\w`, `\s` and `\b` are ASCII (but for white space), `\/` and `\c` exist, `[` within a class is
/// itself, and a class has no operators.
fn translate(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len().saturating_add(16));
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(char) = chars.next() {
        match char {
            '\\' => escape(&mut chars, in_class, &mut out)?,
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                let negated = chars.next_if_eq(&'^').is_some();
                if chars.next_if_eq(&']').is_some() {
                    // `[]` is nothing, `[^]` is anything.
                    out.pop();
                    out.push_str(if negated { "(?s:.)" } else { "[^\\s\\S]" });
                    in_class = false;
                } else if negated {
                    out.push('^');
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | '-' if in_class && chars.peek() == Some(&char) => {
                out.push('\\');
                out.push(char);
            }
            '{' if !in_class && !is_repetition(chars.clone()) => out.push_str("\\{"),
            _ => out.push(char),
        }
    }
    (!in_class).then_some(out)
}

fn is_repetition(rest: impl Iterator<Item = char>) -> bool {
    let mut digits = false;
    for char in rest {
        match char {
            '0'..='9' => digits = true,
            ',' if digits => {}
            '}' => return digits,
            _ => return false,
        }
    }
    false
}

fn escape(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    in_class: bool,
    out: &mut String,
) -> Option<()> {
    const SPACE: &str = "\\t\\n\\x0B\\f\\r \\x{A0}\\x{FEFF}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";
    let char = chars.next()?;
    match (char, in_class) {
        ('d', true) => out.push_str("0-9"),
        ('d', false) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', true) => out.push_str(SPACE),
        ('s', false) => write!(out, "[{SPACE}]").ok()?,
        ('S', _) => write!(out, "[^{SPACE}]").ok()?,
        ('b', true) => out.push_str("\\x08"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('B', false) => out.push_str("(?:(?-u:\\B))"),
        ('c', _) => {
            let letter = chars.next_if(char::is_ascii_alphabetic)?;
            write!(out, "\\x{{{:x}}}", u32::from(letter) & 0x1f).ok()?;
        }
        ('0', _) if !chars.peek().is_some_and(char::is_ascii_digit) => out.push_str("\\x00"),
        ('v', _) => out.push_str("\\x0B"),
        ('/', _) => out.push('/'),
        // Anchors and classes of the engines that ECMA-262 does not have.
        ('A' | 'z' | 'Z' | 'G' | 'K' | 'h' | 'H' | 'a' | 'X' | 'R' | 'Q' | 'E', _) => return None,
        ('u', _) if chars.peek() != Some(&'{') => {
            let unit = hex4(chars)?;
            let code = if (0xd800..0xdc00).contains(&unit) {
                chars.next_if_eq(&'\\')?;
                chars.next_if_eq(&'u')?;
                let low = hex4(chars)?;
                let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
                u32::from(char::decode_utf16(pair).next()?.ok()?)
            } else {
                unit
            };
            write!(out, "\\x{{{code:x}}}").ok()?;
        }
        ('p' | 'P' | 'u', _) => {
            out.push('\\');
            out.push(char);
            if chars.peek() == Some(&'{') {
                out.extend(chars.by_ref().take_while(|it| *it != '}'));
                out.push('}');
            }
        }
        _ => {
            out.push('\\');
            out.push(char);
        }
    }
    Some(())
}

fn hex4(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<u32> {
    let mut value = 0_u32;
    for _ in 0..4 {
        let digit = chars.next()?.to_digit(16)?;
        value = value.wrapping_shl(4) | digit;
    }
    Some(value)
}

#[cfg(test)]
mod tests;
