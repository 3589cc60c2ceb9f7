//! A JSON value that keeps numbers as they were written.
//!
//! A number is compared by its digits and never becomes a float: what is validated is what the
//! server will read, whichever number type it reads it into.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::number::Decimal;

/// A JSON value. Members are ordered by name, and names are unique.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads JSON that is nested no deeper than `depth_max`.
    ///
    /// It relies on an earlier scan for nothing: what is no JSON, or holds a member twice, is `None`.
    pub(crate) fn parse(json: &'a [u8], depth_max: usize) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(depth_max)?;
        parser.blank();
        (parser.at == text.len()).then_some(value)
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Value<'a>> {
        let Self::Object(members) = self else {
            return None;
        };
        find(members, name)
            .and_then(|at| members.get(at))
            .map(|(_, value)| value)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Value<'a>]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    pub(crate) fn as_object(&self) -> Option<&[(Cow<'a, str>, Value<'a>)]> {
        if let Self::Object(members) = self {
            Some(members)
        } else {
            None
        }
    }

    /// How many values it holds, itself included.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => 1,
            Self::Array(items) => items
                .iter()
                .map(Self::count)
                .sum::<usize>()
                .saturating_add(1),
            Self::Object(members) => members
                .iter()
                .map(|(_, it)| it.count())
                .sum::<usize>()
                .saturating_add(1),
        }
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(it) => Value::Bool(it),
            Self::Number(it) => Value::Number(Cow::Owned(it.into_owned())),
            Self::String(it) => Value::String(Cow::Owned(it.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                    .collect(),
            ),
        }
    }

    /// A total order in which equal means equal as JSON Schema understands it: numbers by value,
    /// objects whatever the order of their members (2020-12 core, section 4.2.2).
    pub(crate) fn compare(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Self::Null, Value::Null) => Ordering::Equal,
            (Self::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Self::Number(a), Value::Number(b)) => Decimal::parse(a).cmp(&Decimal::parse(b)),
            (Self::String(a), Value::String(b)) => a.as_ref().cmp(b.as_ref()),
            (Self::Array(a), Value::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                let orders = a.iter().zip(b).map(|(a, b)| a.compare(b));
                first_difference(orders)
            }),
            (Self::Object(a), Value::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                let orders = a.iter().zip(b).map(|((name, a), (other, b))| {
                    name.as_ref().cmp(other.as_ref()).then_with(|| a.compare(b))
                });
                first_difference(orders)
            }),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::String(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }
}

/// The place of a member among members that are ordered by name.
pub(crate) fn find<T>(members: &[(Cow<'_, str>, T)], name: &str) -> Option<usize> {
    members
        .binary_search_by(|(it, _)| it.as_ref().cmp(name))
        .ok()
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at = self.at.saturating_add(1))
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word)
            .then(|| self.at = self.at.saturating_add(word.len()))
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        self.blank();
        match self.peek()? {
            b'n' => self.word("null").map(|()| Value::Null),
            b't' => self.word("true").map(|()| Value::Bool(true)),
            b'f' => self.word("false").map(|()| Value::Bool(false)),
            b'"' => self.string().map(Value::String),
            b'[' => self.array(depth.checked_sub(1)?),
            b'{' => self.object(depth.checked_sub(1)?),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value<'a>> {
        self.take(b'[')?;
        self.blank();
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.blank();
            if self.take(b']').is_some() {
                return Some(Value::Array(items));
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        self.take(b'{')?;
        self.blank();
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        if self.take(b'}').is_some() {
            return Some(Value::Object(members));
        }
        loop {
            self.blank();
            let name = self.string()?;
            self.blank();
            self.take(b':')?;
            members.push((name, self.value(depth)?));
            self.blank();
            if self.take(b'}').is_some() {
                break;
            }
            self.take(b',')?;
        }
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let unique = members.windows(2).all(|pair| match pair {
            [(a, _), (b, _)] => a != b,
            _ => true,
        });
        unique.then_some(Value::Object(members))
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let rest = self.text.get(self.at..)?;
        let end = rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let raw = rest.get(..end)?;
        Decimal::parse(raw)?;
        self.at = self.at.saturating_add(end);
        Some(Value::Number(Cow::Borrowed(raw)))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let rest = self.text.get(self.at..)?;
        let end = rest
            .bytes()
            .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        let plain = rest.get(..end)?;
        self.at = self.at.saturating_add(end);
        if self.take(b'"').is_some() {
            return Some(Cow::Borrowed(plain));
        }
        let mut text = String::from(plain);
        loop {
            let rest = self.text.get(self.at..)?;
            let end = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
            text.push_str(rest.get(..end)?);
            self.at = self.at.saturating_add(end);
            if self.take(b'"').is_some() {
                return Some(Cow::Owned(text));
            }
            self.take(b'\\')?;
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex4()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                self.word("\\u")?;
                let low = self.hex4()?;
                return char::decode_utf16([u16::try_from(unit).ok()?, u16::try_from(low).ok()?])
                    .next()?
                    .ok();
            }
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let end = self.at.saturating_add(4);
        let digits = self.text.get(self.at..end)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at = end;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests;
