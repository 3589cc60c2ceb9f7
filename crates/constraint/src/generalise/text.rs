//! Text, and vocabularies of few words.

use unicode_normalization::UnicodeNormalization;

use crate::rule::enumeration::EnumRule;
use crate::rule::text::{Alphabet, Text, TextRule};

/// How many different words are a vocabulary at most.
const WORDS_MAX: usize = 8;
/// In how many calls at least.
const CALLS_MIN: usize = 20;
/// The longest word of a vocabulary, in bytes.
const WORD_BYTES_MAX: usize = 32;
/// The least bound on the length of text, in characters.
const CHARS_MIN: usize = 16;
/// The least for what people write as they like: how long that was so far says nothing of what they mean to write.
const FREE_CHARS_MIN: usize = 4096;

/// What the proposal refuses and a rule may yet have to permit, one bit each.
const LINES: u8 = 1;
const OPTION_LIKE: u8 = 2;
const ALPHABET: u8 = 4;
const INVISIBLE: u8 = 8;

/// Text as long as what was seen, loosened in no more ways than that needs.
pub(super) fn draw(proposal: Option<&TextRule>, texts: &[&str]) -> Option<TextRule> {
    let longest = texts
        .iter()
        .map(|text| text.chars().count().max(text.nfc().count()))
        .max()?;
    let is_free = proposal.is_some_and(|rule| rule.lines && rule.option_like);
    let least = if is_free { FREE_CHARS_MIN } else { CHARS_MIN };
    let rule = TextRule {
        required: false,
        chars_max: longest.checked_next_power_of_two()?.max(least),
        ..proposal.cloned().unwrap_or_default()
    };
    let mut ways: Vec<u8> = (0..16).collect();
    ways.sort_by_key(|way| way.count_ones());
    ways.into_iter()
        .map(|way| loosened(rule.clone(), way))
        .find(|rule| admits(rule, texts))
}

fn loosened(mut rule: TextRule, way: u8) -> TextRule {
    rule.lines |= way & LINES != 0;
    rule.option_like |= way & OPTION_LIKE != 0;
    rule.invisible |= way & INVISIBLE != 0;
    if way & ALPHABET != 0 {
        rule.alphabet = Alphabet::Any;
        rule.pattern = None;
        rule.single_script = false;
    }
    rule
}

fn admits(rule: &TextRule, texts: &[&str]) -> bool {
    Text::compile(rule).is_ok_and(|check| texts.iter().all(|text| check.check(text).is_ok()))
}

/// The words themselves, where they are few, recur, and are such as programs choose, not people.
pub(super) fn vocabulary(texts: &[&str], calls: usize) -> Option<EnumRule> {
    let is_closed = calls >= CALLS_MIN && texts.len() <= WORDS_MAX;
    if !is_closed || !texts.iter().all(|text| is_word(text)) {
        return None;
    }
    let mut words: Vec<&str> = texts.to_vec();
    words.sort_unstable();
    Some(EnumRule {
        required: false,
        values: words.into_iter().map(Into::into).collect(),
    })
}

/// Whether a text is such as programs choose names from.
pub(super) fn is_word(text: &str) -> bool {
    text.len() <= WORD_BYTES_MAX
        && text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
