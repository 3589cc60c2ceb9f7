//! Characters that readers see, or do not see, differently.

use unicode_normalization::{UnicodeNormalization, is_nfkc};
use unicode_script::{Script, UnicodeScript};

/// Whether `char` is a control character other than tab and the ends of lines.
pub(crate) fn is_control(char: char) -> bool {
    char.is_control() && !is_layout(char)
}

/// Tab and the ends of lines.
pub(crate) fn is_layout(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r')
}

/// Whether `text` has characters that are not seen, reorder others, or are no characters at all.
///
/// Joiners and the two presentation selectors pass where writing needs them: between and after
/// characters that are not ASCII, as in emoji and Indic and Persian words.
pub(crate) fn has_invisible(text: &str) -> bool {
    let mut previous = '\0';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied().unwrap_or('\0');
        let visible = |char: char| !char.is_ascii() && !is_invisible(char) && !is_joining(char);
        let hidden = match char {
            '\u{200c}' | '\u{200d}' => {
                !(visible(previous) || is_presentation(previous)) || !visible(next)
            }
            '\u{fe0e}' | '\u{fe0f}' => {
                // The keycaps `0️⃣` to `9️⃣` and `#️⃣` begin with ASCII.
                !visible(previous) && next != '\u{20e3}'
            }
            other => is_invisible(other),
        };
        if hidden {
            return true;
        }
        previous = char;
    }
    false
}

fn is_joining(char: char) -> bool {
    matches!(char, '\u{200c}' | '\u{200d}') || is_presentation(char)
}

fn is_presentation(char: char) -> bool {
    matches!(char, '\u{fe0e}' | '\u{fe0f}')
}

/// Default-ignorable, bidirectional, tag and private-use characters, and line ends that only some
/// readers know.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Whether any of `marks` (ASCII) is in the compatibility form of `text` more often than in
/// `text`, or has a look-alike in it that has no such form.
pub(crate) fn imitates(text: &str, marks: &[char]) -> bool {
    if text.is_ascii() {
        return false;
    }
    let others = |char: char| {
        matches!(
            char,
            '\u{2044}'
                | '\u{2215}'
                | '\u{2216}'
                | '\u{29f5}'
                | '\u{29f8}'
                | '\u{29f9}'
                | '\u{27cb}'
                | '\u{27cd}'
                | '\u{2cc6}'
                | '\u{4e36}'
                | '\u{4e3f}'
                | '\u{3002}'
                | '\u{ff61}'
                | '\u{a789}'
                | '\u{2236}'
                | '\u{1735}'
                | '\u{338}'
                | '\u{337}'
        )
    };
    if text.chars().any(others) {
        return true;
    }
    if is_nfkc(text) {
        return false;
    }
    let count = |chars: &mut dyn Iterator<Item = char>| chars.filter(|c| marks.contains(c)).count();
    count(&mut text.nfkc()) != count(&mut text.chars())
}

/// Whether the letters of each word of `text` are of one script. Japanese and Korean words may use
/// theirs together (Unicode Technical Standard 39 section 5.2, "highly restrictive" without Latin).
pub(crate) fn has_single_scripts(text: &str) -> bool {
    let is_end = |char: char| !char.is_alphanumeric() && char.script() == Script::Common;
    text.split(is_end).all(is_single_script)
}

/// Whether all letters of `word` are of one script.
pub(crate) fn is_single_script(word: &str) -> bool {
    let family = |script: Script| match script {
        Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo => Script::Han,
        other => other,
    };
    let mut scripts = word
        .chars()
        .map(|char| family(char.script()))
        .filter(|script| !matches!(script, Script::Common | Script::Inherited));
    let Some(first) = scripts.next() else {
        return true;
    };
    scripts.all(|script| script == first)
}
