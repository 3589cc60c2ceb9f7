//! What is refused before parsing: what is too large, and what databases read differently.

use sqlparser::tokenizer::{Token, Whitespace};

use crate::characters::{has_invisible, is_control};
use crate::violation::Reason;

/// Most bytes of a statement.
const BYTES_MAX: usize = 64 * 1024;
/// Most tokens besides spaces. A long list of values is no deep tree, so this is generous.
const TOKENS_MAX: usize = 10_000;
/// Most operators and joining words. Each makes the parser's tree one deeper, and the tree is
/// walked, and dropped, by recursion.
const OPERATORS_MAX: usize = 250;

/// Words that make the tree deeper, as operators do.
const JOINING: &[&str] = &[
    "and",
    "or",
    "union",
    "except",
    "intersect",
    "join",
    "xor",
    "not",
    "like",
    "is",
    "in",
    "between",
    "case",
    "collate",
    "at",
];

/// Comments that some databases run, hints, and quotes escaped by backslashes, which only some
/// databases take for part of the string.
const AMBIGUOUS: &[&str] = &["/*!", "/*M!", "/*+", "--+", "\\'", "\\\"", "\\`", "\\\\"];

pub(super) fn check_text(text: &str) -> Result<(), Reason> {
    if text.trim().is_empty() {
        return Err(Reason::Empty);
    }
    if text.len() > BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    if text.contains(is_control) || has_invisible(text) {
        return Err(Reason::Invisible);
    }
    let is_other_space = |char: char| char.is_whitespace() && !char.is_ascii();
    // Names and strings with escapes of their own.
    let lower = text.to_ascii_lowercase();
    if lower.contains("u&'") || lower.contains("u&\"") {
        return Err(Reason::Encoded);
    }
    if text.contains(is_other_space) || AMBIGUOUS.iter().any(|mark| text.contains(mark)) {
        return Err(Reason::Ambiguous);
    }
    // A bare carriage return ends a comment for some databases only.
    if text.replace("\r\n", "\n").contains('\r') {
        return Err(Reason::Ambiguous);
    }
    Ok(())
}

pub(super) fn check_tokens(tokens: &[Token]) -> Result<(), Reason> {
    let mut words = 0_usize;
    let mut operators = 0_usize;
    for token in tokens {
        match token {
            Token::Whitespace(space) => check_comment(space)?,
            // Strings in forms that not all databases know.
            Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::QuoteDelimitedStringLiteral(_)
            | Token::NationalQuoteDelimitedStringLiteral(_)
            | Token::Backslash => return Err(Reason::Ambiguous),
            Token::Comma | Token::SemiColon | Token::Number(..) | Token::SingleQuotedString(_) => {
                words = words.saturating_add(1);
            }
            Token::Word(word) => {
                words = words.saturating_add(1);
                if is_one_of(JOINING, &word.value) {
                    operators = operators.saturating_add(1);
                }
            }
            // Parentheses nest, which the parser bounds; a list of rows has many side by side.
            Token::LParen | Token::RParen | Token::Period => words = words.saturating_add(1),
            _ => operators = operators.saturating_add(1),
        }
    }
    if words > TOKENS_MAX || operators > OPERATORS_MAX {
        Err(Reason::TooLarge)
    } else {
        Ok(())
    }
}

fn is_one_of(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Plain comments pass. `MySQL` wants a space behind `--`, ends at `#`, and nothing nests there.
fn check_comment(space: &Whitespace) -> Result<(), Reason> {
    let is_plain = match space {
        Whitespace::Space | Whitespace::Newline | Whitespace::Tab => true,
        Whitespace::SingleLineComment { comment, prefix } => {
            prefix == "--" && comment.starts_with([' ', '\n', '\t'])
        }
        Whitespace::MultiLineComment(comment) => !comment.contains("/*") && !comment.contains("*/"),
    };
    if is_plain {
        Ok(())
    } else {
        Err(Reason::Ambiguous)
    }
}
