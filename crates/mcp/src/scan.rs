//! One strict pass over bytes that claim to be JSON.
//!
//! What is accepted here is read the same way by every JSON parser, so that the bytes a check saw
//! may be forwarded as they are. The grammar is RFC 8259; of what it leaves to implementations the
//! strict side is taken, as I-JSON (RFC 7493) does: UTF-8 without a byte order mark, no member name
//! twice in one object (compared after unescaping, at any depth), no lone surrogates, no number
//! that a double can't hold as a finite one. Depth, size, members and digits are bounded.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use smallvec::SmallVec;

use crate::text;

/// Bounds on one message. Every bound is inclusive: a message that just reaches it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole message.
    pub bytes_max: usize,
    /// Arrays and objects open at the same time.
    pub depth_max: usize,
    /// Members of all objects together.
    pub members_max: usize,
    /// Characters of one number.
    pub number_chars_max: usize,
}

impl Default for Limits {
    /// For messages from clients: 4 MiB, 64 levels, a million members, 128 characters a number.
    fn default() -> Self {
        Self {
            bytes_max: 4 << 20,
            depth_max: 64,
            members_max: 1_000_000,
            number_chars_max: 128,
        }
    }
}

impl Limits {
    /// For messages from servers: like [`Limits::default`], but 16 MiB.
    pub fn for_server() -> Self {
        Self {
            bytes_max: 16 << 20,
            ..Self::default()
        }
    }
}

/// Why bytes were refused, and where. The message never holds any of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Index of the first byte that is wrong, or the length where something is missing.
    pub offset: usize,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// More bytes than `bytes_max`.
    Size,
    /// Nothing, or only whitespace.
    Empty,
    /// A UTF-8 byte order mark in front (RFC 8259 §8.1 forbids to send one).
    ByteOrderMark,
    /// Not UTF-8.
    Utf8,
    /// Not the grammar of RFC 8259.
    Syntax,
    /// A control character inside a string that is not escaped.
    ControlCharacter,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// A number that is too long, or not finite as a double.
    Number,
    /// A member name that the same object already has.
    DuplicateMember,
    /// More members than `members_max`.
    Members,
    /// More open arrays and objects than `depth_max`.
    Depth,
    /// Something other than whitespace after the value.
    TrailingBytes,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "message too long",
            Self::Empty => "no value",
            Self::ByteOrderMark => "byte order mark",
            Self::Utf8 => "invalid UTF-8",
            Self::Syntax => "invalid JSON",
            Self::ControlCharacter => "control character in a string",
            Self::LoneSurrogate => "lone surrogate",
            Self::Number => "number out of range",
            Self::DuplicateMember => "duplicate member",
            Self::Members => "too many members",
            Self::Depth => "nested too deeply",
            Self::TrailingBytes => "bytes after the value",
        })
    }
}

/// Accepts `json` when it is one strict JSON value within `limits`, with whitespace around it.
///
/// Takes time linear in the length and does not recurse. An ordinary message costs no allocation.
pub fn scan(json: &[u8], limits: &Limits) -> Result<(), Fault> {
    scan_with(json, limits, &mut ())
}

/// Sees the outermost members go by, so that who needs them does not read the bytes again.
pub(crate) trait Visit {
    /// A member's name, decoded; `depth` is 1 in the outermost value and 2 in one directly inside.
    /// `start` is the index behind its colon.
    fn name(&mut self, depth: usize, name: &[u8], start: usize);

    /// The index behind the value of the last member named at depth 1, and behind space after it.
    fn value_end(&mut self, end: usize);
}

impl Visit for () {
    #[inline]
    fn name(&mut self, _: usize, _: &[u8], _: usize) {}

    #[inline]
    fn value_end(&mut self, _: usize) {}
}

/// [`scan`], with a visitor. What it has seen means nothing when the bytes are refused.
pub(crate) fn scan_with<V: Visit>(
    json: &[u8],
    limits: &Limits,
    visitor: &mut V,
) -> Result<(), Fault> {
    let fault = |kind, offset| Err(Fault { kind, offset });
    if json.len() > limits.bytes_max {
        return fault(FaultKind::Size, limits.bytes_max);
    }
    if json.starts_with(b"\xef\xbb\xbf") {
        return fault(FaultKind::ByteOrderMark, 0);
    }
    if let Err(utf8) = std::str::from_utf8(json) {
        return fault(FaultKind::Utf8, utf8.valid_up_to());
    }
    let mut scanner = Scanner {
        json,
        at: 0,
        limits,
        members: 0,
        frames: SmallVec::new(),
        keys: SmallVec::new(),
        spare: Vec::new(),
        visitor,
    };
    scanner.message()
}

/// Objects with at most this many members compare names one by one; larger ones hash them.
const LINEAR_MAX: usize = 16;

/// Sets larger than this are not kept for the next large object: clearing takes time in proportion
/// to the capacity, which one huge object must not impose on many small ones.
const SPARE_CAPACITY_MAX: usize = 512;

type Keys<'a> = HashSet<Cow<'a, [u8]>>;

/// An array or object that is open.
struct Frame<'a> {
    is_object: bool,
    /// Where the names of this object begin in `Scanner::keys`.
    keys_from: usize,
    /// All names of this object, once there are more than `LINEAR_MAX`.
    set: Option<Keys<'a>>,
}

struct Scanner<'a, 'l, V> {
    json: &'a [u8],
    at: usize,
    limits: &'l Limits,
    members: usize,
    frames: SmallVec<[Frame<'a>; 12]>,
    keys: SmallVec<[Cow<'a, [u8]>; 24]>,
    spare: Vec<Keys<'a>>,
    visitor: &'l mut V,
}

impl<'a, V: Visit> Scanner<'a, '_, V> {
    fn message(&mut self) -> Result<(), Fault> {
        if self.next_token().is_none() {
            return self.fault(FaultKind::Empty);
        }
        loop {
            if !self.value()? {
                continue;
            }
            if self.after_value()? {
                break;
            }
        }
        match self.next_token() {
            None => Ok(()),
            Some(_) => self.fault(FaultKind::TrailingBytes),
        }
    }

    /// Reads a value that is complete (true), or the opening of an array or object (false), so that
    /// a value is next.
    #[inline]
    fn value(&mut self) -> Result<bool, Fault> {
        match self.next_token() {
            Some(b'"') => self.string().map(|_| true),
            Some(b'{') => {
                self.open(true)?;
                match self.next_token() {
                    Some(b'}') => self.close(),
                    _ => return self.key().map(|()| false),
                }
                Ok(true)
            }
            Some(b'[') => {
                self.open(false)?;
                match self.next_token() {
                    Some(b']') => self.close(),
                    _ => return Ok(false),
                }
                Ok(true)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| true),
            Some(b't') => self.literal(b"true").map(|()| true),
            Some(b'f') => self.literal(b"false").map(|()| true),
            Some(b'n') => self.literal(b"null").map(|()| true),
            _ => self.fault(FaultKind::Syntax),
        }
    }

    /// Reads what follows a value: closings, until a comma says that a value is next (false) or the
    /// outermost value has ended (true).
    #[inline]
    fn after_value(&mut self) -> Result<bool, Fault> {
        loop {
            let Some(frame) = self.frames.last() else {
                return Ok(true);
            };
            let is_object = frame.is_object;
            let token = self.next_token();
            if is_object && self.frames.len() == 1 {
                self.visitor.value_end(self.at);
            }
            match (is_object, token) {
                (true, Some(b',')) => {
                    self.at = self.at.wrapping_add(1);
                    self.next_token();
                    return self.key().map(|()| false);
                }
                (false, Some(b',')) => {
                    self.at = self.at.wrapping_add(1);
                    return Ok(false);
                }
                (true, Some(b'}')) | (false, Some(b']')) => self.close(),
                _ => return self.fault(FaultKind::Syntax),
            }
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), Fault> {
        if self.frames.len() >= self.limits.depth_max {
            return self.fault(FaultKind::Depth);
        }
        self.at = self.at.wrapping_add(1);
        self.frames.push(Frame {
            is_object,
            keys_from: self.keys.len(),
            set: None,
        });
        Ok(())
    }

    fn close(&mut self) {
        self.at = self.at.wrapping_add(1);
        let Some(frame) = self.frames.pop() else {
            return;
        };
        self.keys.truncate(frame.keys_from);
        if let Some(mut set) = frame.set
            && set.capacity() <= SPARE_CAPACITY_MAX
        {
            set.clear();
            self.spare.push(set);
        }
    }

    /// Reads a member's name and its colon.
    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return self.fault(FaultKind::Syntax);
        }
        let start = self.at;
        let escaped = self.string()?;
        if self.members >= self.limits.members_max {
            return Err(Fault {
                kind: FaultKind::Members,
                offset: start,
            });
        }
        self.members = self.members.wrapping_add(1);
        let raw = self
            .json
            .get(start.wrapping_add(1)..self.at.wrapping_sub(1))
            .unwrap_or_default();
        let name = if escaped {
            let decoded = text::unescape(raw).unwrap_or_default();
            Cow::Owned(decoded.into_owned().into_bytes())
        } else {
            Cow::Borrowed(raw)
        };
        if self.next_token() != Some(b':') {
            return self.fault(FaultKind::Syntax);
        }
        self.at = self.at.wrapping_add(1);
        let depth = self.frames.len();
        if depth <= 2 {
            self.visitor.name(depth, &name, self.at);
        }
        if !self.is_new(name) {
            return Err(Fault {
                kind: FaultKind::DuplicateMember,
                offset: start,
            });
        }
        Ok(())
    }

    /// Remembers `name` for the innermost object; false when it was there.
    #[inline]
    fn is_new(&mut self, name: Cow<'a, [u8]>) -> bool {
        let Some(frame) = self.frames.last_mut() else {
            return true;
        };
        if let Some(set) = &mut frame.set {
            return set.insert(name);
        }
        let known = self.keys.get(frame.keys_from..).unwrap_or_default();
        if known.contains(&name) {
            return false;
        }
        if known.len() < LINEAR_MAX {
            self.keys.push(name);
            return true;
        }
        let mut set = self.spare.pop().unwrap_or_default();
        set.extend(self.keys.drain(frame.keys_from..));
        set.insert(name);
        frame.set = Some(set);
        true
    }

    /// Reads a string from its opening to behind its closing quote; says whether it has escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, Fault> {
        let mut at = self.at.wrapping_add(1);
        let mut escaped = false;
        loop {
            at = at.wrapping_add(text::plain(self.json.get(at..).unwrap_or_default()));
            match self.json.get(at) {
                Some(b'"') => {
                    self.at = at.wrapping_add(1);
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    at = match self.json.get(at.wrapping_add(1)) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            at.wrapping_add(2)
                        }
                        Some(b'u') => self.unicode_escape(at)?,
                        _ => {
                            self.at = at;
                            return self.fault(FaultKind::Syntax);
                        }
                    };
                }
                end => {
                    let kind = if end.is_some() {
                        FaultKind::ControlCharacter
                    } else {
                        FaultKind::Syntax
                    };
                    self.at = at;
                    return self.fault(kind);
                }
            }
        }
    }

    /// Index behind the `\uXXXX` at `at`, or behind the pair of them that makes one character.
    fn unicode_escape(&self, at: usize) -> Result<usize, Fault> {
        let unit_at = |at: usize| self.json.get(at..).and_then(text::hex4);
        let fault = |kind| Err(Fault { kind, offset: at });
        let Some(unit) = unit_at(at.wrapping_add(2)) else {
            return fault(FaultKind::Syntax);
        };
        let next = at.wrapping_add(6);
        match unit {
            0xd800..=0xdbff => {
                let rest = self.json.get(next..).unwrap_or_default();
                match rest.strip_prefix(b"\\u").map(text::hex4) {
                    Some(Some(0xdc00..=0xdfff)) => Ok(next.wrapping_add(6)),
                    Some(None) => Err(Fault {
                        kind: FaultKind::Syntax,
                        offset: next,
                    }),
                    _ => fault(FaultKind::LoneSurrogate),
                }
            }
            0xdc00..=0xdfff => fault(FaultKind::LoneSurrogate),
            _ => Ok(next),
        }
    }

    /// Reads a number: `-? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?`.
    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at = self.at.wrapping_add(1);
        }
        if self.peek() == Some(b'0') {
            self.at = self.at.wrapping_add(1);
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at = self.at.wrapping_add(1);
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at = self.at.wrapping_add(1);
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at = self.at.wrapping_add(1);
            }
            self.digits()?;
        }
        let chars = self.at.wrapping_sub(start);
        let too_long = chars > self.limits.number_chars_max;
        // Without an exponent it takes more than 300 digits to leave the range of a double.
        if too_long || ((has_exponent || chars > 300) && !self.is_finite(start)) {
            return Err(Fault {
                kind: FaultKind::Number,
                offset: start,
            });
        }
        Ok(())
    }

    fn is_finite(&self, start: usize) -> bool {
        self.json
            .get(start..self.at)
            .and_then(|raw| std::str::from_utf8(raw).ok())
            .and_then(|text| text.parse::<f64>().ok())
            .is_some_and(f64::is_finite)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at = self.at.wrapping_add(1);
        }
        if self.at == start {
            return self.fault(FaultKind::Syntax);
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.fault(FaultKind::Syntax);
        }
        self.at = self.at.wrapping_add(word.len());
        Ok(())
    }

    /// Skips whitespace and looks at the byte behind it.
    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at = self.at.wrapping_add(1),
                other => return other,
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    #[cold]
    fn fault<T>(&self, kind: FaultKind) -> Result<T, Fault> {
        Err(Fault {
            kind,
            offset: self.at,
        })
    }
}

#[cfg(test)]
mod tests;
