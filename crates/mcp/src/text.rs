//! The text of JSON strings: where it ends, what it decodes to, how it is written.

use std::borrow::Cow;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The number of leading bytes that stand for themselves inside a JSON string: all before the first
/// `"`, `\` or control character (RFC 8259 §7), or all of them.
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    let mut at = 0_usize;
    while let Some(word) = word_at(bytes, at) {
        let special = special(word);
        if special != 0 {
            return at.wrapping_add((special.trailing_zeros() / 8) as usize);
        }
        at = at.wrapping_add(8);
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let tail = bytes.get(at..).unwrap_or_default();
    at.wrapping_add(tail.iter().position(ends).unwrap_or(tail.len()))
}

/// The eight bytes at `at`, the first of them lowest; `None` when there are fewer.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// Marks the first zero byte of a word by its high bit. A borrow may mark bytes above it.
#[inline]
fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// Marks bytes of `word` that are `"`, `\` or below 0x20 by their high bit. Only the lowest mark is
/// exact, which is the one that is used.
#[inline]
fn special(word: u64) -> u64 {
    let quote = zero(word ^ (ONES * 0x22));
    let escape = zero(word ^ (ONES * 0x5c));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | escape | control) & HIGHS
}

/// Index just behind the string whose opening quote is at `start`; `None` when it does not end.
///
/// Text with an escape every few bytes is common (JSON within JSON), so that nothing is done for a long stretch that
/// would cost at each escape.
#[inline]
pub(crate) fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start.checked_add(1)?;
    while let Some(word) = word_at(json, at) {
        let marks = special(word);
        if marks == 0 {
            at = at.wrapping_add(8);
            continue;
        }
        let first = marks.trailing_zeros() & !7;
        at = at.wrapping_add((first / 8) as usize);
        match (word >> first) & 0xff {
            0x22 => return Some(at.wrapping_add(1)),
            0x5c => at = at.wrapping_add(2),
            _ => return None,
        }
    }
    loop {
        match json.get(at)? {
            b'"' => return at.checked_add(1),
            b'\\' => at = at.checked_add(2)?,
            0..0x20 => return None,
            _ => at = at.checked_add(1)?,
        }
    }
}

/// Decodes what stands between the quotes of a JSON string; `None` when it is not valid.
pub(crate) fn unescape(inner: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(inner).ok()?;
    if memchr::memchr(b'\\', inner).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        let decoded = match chars.next()? {
            '"' => '"',
            '\\' => '\\',
            '/' => '/',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (decoded, used) = unicode_escape(after.as_bytes().get(1..)?)?;
                out.push(decoded);
                rest = after.get(used.checked_add(1)?..)?;
                continue;
            }
            _ => return None,
        };
        out.push(decoded);
        rest = chars.as_str();
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// Decodes `XXXX` or `XXXX\uXXXX` at the start of `bytes`; the character, and the bytes it took.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = hex4(bytes)?;
    if let Some(single) = char::from_u32(u32::from(unit)) {
        return Some((single, 4));
    }
    let low = bytes.get(4..)?.strip_prefix(b"\\u").and_then(hex4)?;
    let pair = char::decode_utf16([unit, low]).next()?.ok()?;
    Some((pair, 10))
}

/// Reads four hexadecimal digits.
#[inline]
pub(crate) fn hex4(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.first_chunk::<4>()?;
    let mut unit = 0_u32;
    for digit in digits {
        unit = (unit << 4) | char::from(*digit).to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

/// Appends the JSON string literal of `text`.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len().saturating_add(2));
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (before, after) = rest.split_at(plain(rest).min(rest.len()));
        out.extend_from_slice(before);
        let Some((special, after)) = after.split_first() else {
            break;
        };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = after;
    }
    out.push(b'"');
}
