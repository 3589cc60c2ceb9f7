//! Text.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{Mistake, Passed};
use crate::characters::{has_invisible, has_single_scripts, is_control, is_layout};
use crate::violation::Reason;

/// Most memory that a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Characters permitted where a rule says nothing.
const CHARS_MAX: usize = 100_000;

/// Text. It is checked and sent in Unicode normalization form C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own in the configuration"
)]
pub struct TextRule {
    /// The argument must be given.
    pub required: bool,
    /// Most characters (Unicode scalar values); 100 000 unless set.
    pub chars_max: usize,
    /// A regular expression that the whole text has to match, as the `regex` crate reads it.
    pub pattern: Option<String>,
    /// Which characters.
    pub alphabet: Alphabet,
    /// Text that begins with `-` or `+`, and so may be taken for an option, is permitted.
    pub option_like: bool,
    /// Tabs and ends of lines are permitted.
    pub lines: bool,
    /// Control, invisible, bidirectional and tag characters are permitted.
    pub invisible: bool,
    /// The letters of each word have to be of one script.
    pub single_script: bool,
}

impl Default for TextRule {
    fn default() -> Self {
        Self {
            required: false,
            chars_max: CHARS_MAX,
            pattern: None,
            alphabet: Alphabet::Any,
            option_like: false,
            lines: false,
            invisible: false,
            single_script: false,
        }
    }
}

/// A set of characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    /// All characters.
    #[default]
    Any,
    /// ASCII.
    Ascii,
    /// Letters and digits of ASCII.
    Alphanumeric,
    /// Letters, digits, `_`, `-` and `.` of ASCII.
    Identifier,
    /// What names of branches, tags, packages and the like are made of: those of `identifier`, and
    /// `/`, `@`, `+`, `:`, `~`, `^`.
    Reference,
    /// ASCII digits.
    Digits,
    /// Hexadecimal digits.
    Hexadecimal,
}

#[derive(Debug)]
pub(crate) struct Text {
    rule: TextRule,
    pattern: Option<Regex>,
}

impl Text {
    pub(crate) fn compile(rule: &TextRule) -> Result<Self, Mistake> {
        let compile = |pattern: &String| {
            RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .and_then(|whole| {
                    // Only what is an expression by itself is one within the parentheses.
                    RegexBuilder::new(pattern)
                        .size_limit(PATTERN_BYTES_MAX)
                        .build()?;
                    Ok(whole)
                })
                .map_err(|source| Mistake::Pattern {
                    pattern: pattern.clone(),
                    source: Box::new(source),
                })
        };
        Ok(Self {
            rule: rule.clone(),
            pattern: rule.pattern.as_ref().map(compile).transpose()?,
        })
    }

    pub(crate) fn check(&self, text: &str) -> Result<Passed, Reason> {
        let rule = &self.rule;
        // Four bytes are the most that a character has.
        if text.len() > rule.chars_max.saturating_mul(4) || text.chars().count() > rule.chars_max {
            return Err(Reason::TooLarge);
        }
        let normal: String = text.nfc().collect();
        // A few characters become more by composing.
        if normal.chars().count() > rule.chars_max {
            return Err(Reason::TooLarge);
        }
        if !rule.lines && normal.contains(is_layout) {
            return Err(Reason::Invisible);
        }
        if !rule.invisible && (normal.contains(is_control) || has_invisible(&normal)) {
            return Err(Reason::Invisible);
        }
        if !rule.option_like && is_option_like(&normal) {
            return Err(Reason::OptionLike);
        }
        if rule.single_script && !has_single_scripts(&normal) {
            return Err(Reason::LookAlike);
        }
        if !normal
            .chars()
            .all(|char| rule.alphabet.has(char) || (rule.lines && is_layout(char)))
        {
            return Err(Reason::Pattern);
        }
        if self
            .pattern
            .as_ref()
            .is_some_and(|pattern| !pattern.is_match(&normal))
        {
            return Err(Reason::Pattern);
        }
        Ok(Passed::text(text, normal))
    }
}

/// Whether a program could take the text for an option, also once it is trimmed. The dashes besides
/// `-` are those that software replaces by it.
fn is_option_like(text: &str) -> bool {
    let dashes = |char: char| {
        matches!(
            char,
            '-' | '+' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff0b}'
        )
    };
    text.trim_start().starts_with(dashes)
}

impl Alphabet {
    fn has(self, char: char) -> bool {
        match self {
            Self::Any => true,
            Self::Ascii => char.is_ascii(),
            Self::Alphanumeric => char.is_ascii_alphanumeric(),
            Self::Identifier => is_identifier(char),
            Self::Reference => {
                is_identifier(char) || matches!(char, '/' | '@' | '+' | ':' | '~' | '^')
            }
            Self::Digits => char.is_ascii_digit(),
            Self::Hexadecimal => char.is_ascii_hexdigit(),
        }
    }
}

fn is_identifier(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.')
}
