//! A JSON reader as forgiving as those of everyday languages: the last of two equal members wins,
//! a member's case is ignored, a byte order mark is skipped, lone surrogates and endless numbers
//! pass, nesting has no bound, and what follows a message is read as another one.
//!
//! The sample servers read with it, so that an attack on parsing has the effect on them that it has
//! on real servers. Nothing else may use it.

use serde_json::{Map, Number, Value};

/// Whether members that differ only in case are one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// Members are folded to lower case.
    Ignored,
    /// Members keep their case.
    Kept,
}

/// Reads all JSON values in `bytes`, one after the other; `None` when they are not JSON at all.
pub(super) fn read_all(bytes: &[u8], case: Case) -> Option<Vec<Value>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = Reader { bytes, at: 0, case };
    let mut values = Vec::new();
    reader.blank();
    while reader.at < bytes.len() {
        match reader.value() {
            Some(value) => values.push(value),
            None if values.is_empty() => return None,
            None => break,
        }
        reader.blank();
    }
    Some(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    case: Case,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        let end = self.at.checked_add(word.len())?;
        (self.bytes.get(self.at..end)? == word.as_bytes()).then(|| {
            self.at = end;
            value
        })
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(Value::String),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self) -> Option<Value> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            self.blank();
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Some(Value::Object(members));
                }
                b',' => self.at += 1,
                b'"' => {
                    let mut key = self.string()?;
                    if self.case == Case::Ignored {
                        key.make_ascii_lowercase();
                    }
                    self.blank();
                    if self.take()? != b':' {
                        return None;
                    }
                    let value = self.value()?;
                    members.insert(key, value);
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blank();
            match self.peek()? {
                b']' => {
                    self.at += 1;
                    return Some(Value::Array(items));
                }
                b',' => self.at += 1,
                _ => items.push(self.value()?),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.take()? {
                b'"' => return Some(String::from_utf8_lossy(&text).into_owned()),
                b'\\' => {
                    let letter = match self.take()? {
                        b'n' => '\n',
                        b't' => '\t',
                        b'r' => '\r',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'u' => self.escape()?,
                        other => char::from(other),
                    };
                    text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                byte => text.push(byte),
            }
        }
    }

    /// The character of a `\u` escape; half a pair becomes the replacement character.
    fn escape(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        if self.take() == Some(b'\\') && self.take() == Some(b'u') {
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                return char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
        }
        self.at = before;
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let end = self.at.checked_add(4)?;
        let digits = std::str::from_utf8(self.bytes.get(self.at..end)?).ok()?;
        self.at = end;
        u32::from_str_radix(digits, 16).ok()
    }

    /// A number; one beyond the range becomes null, as it does in a round trip through JavaScript.
    fn number(&mut self) -> Option<Value> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
            .count();
        let text = std::str::from_utf8(rest.get(..length)?).ok()?;
        self.at += length;
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Value::from(whole));
        }
        let number = text.parse::<f64>().ok()?;
        Some(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }
}

#[cfg(test)]
mod tests;
