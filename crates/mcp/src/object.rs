//! JSON values by their raw bytes: the members of an object, the items of an array, and scalars.
//!
//! Every function requires bytes that [`scan`](crate::scan::scan) has accepted. Given others they
//! return `None` or a part of what is there; they never panic, recurse or loop.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::text;

/// The members of a JSON object in their order: names decoded, values as raw JSON.
///
/// What is not changed is written with its original bytes, so that numbers, escapes and unknown
/// members survive exactly. Whitespace between the outer tokens does not.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

#[derive(Clone, Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    /// The name with its quotes as it was written, when it had escapes.
    escaped: Option<Cow<'a, [u8]>>,
    value: Cow<'a, [u8]>,
}

/// Members for which room is made at once.
const MEMBERS_USUAL: usize = 6;

impl<'a> Object<'a> {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The members of the object that `json` is; `None` when it is anything else.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        let mut members = Vec::with_capacity(MEMBERS_USUAL);
        let mut is_valid = true;
        each_member(json, |name, value| match text::unescape(inner(name)) {
            Some(key) => members.push(Member {
                escaped: matches!(key, Cow::Owned(_)).then_some(Cow::Borrowed(name)),
                key,
                value: Cow::Borrowed(value),
            }),
            None => is_valid = false,
        })?;
        is_valid.then_some(Self { members })
    }

    /// The raw value of the member `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(&member.value)
    }

    /// The decoded value of the member `key`, when it is a string.
    pub fn get_str(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).and_then(string)
    }

    /// Whether there is a member `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in their order: decoded name, raw value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.members
            .iter()
            .map(|member| (&*member.key, &*member.value))
    }

    /// Gives the member `key` a value, which must be valid JSON: in its place when there is one, at
    /// the end otherwise.
    pub fn set(&mut self, key: &str, value: impl Into<Cow<'a, [u8]>>) {
        let value = value.into();
        match self.members.iter_mut().find(|member| member.key == key) {
            Some(member) => member.value = value,
            None => self.members.push(Member {
                key: Cow::Owned(key.to_owned()),
                escaped: None,
                value,
            }),
        }
    }

    /// Takes the member `key` out; its raw value.
    pub fn remove(&mut self, key: &str) -> Option<Cow<'a, [u8]>> {
        let at = self.members.iter().position(|member| member.key == key)?;
        Some(self.members.remove(at).value)
    }

    /// Appends the object as JSON, without whitespace between the members.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, member) in self.members.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match &member.escaped {
                Some(raw) => out.extend_from_slice(raw),
                None => text::write_quoted(&member.key, out),
            }
            out.push(b':');
            out.extend_from_slice(&member.value);
        }
        out.push(b'}');
    }

    /// The object as JSON, without whitespace between the members.
    pub fn to_vec(&self) -> Vec<u8> {
        let sizes = self.members.iter().map(|member| {
            let name = member
                .escaped
                .as_ref()
                .map_or(member.key.len(), |raw| raw.len());
            name.saturating_add(member.value.len()).saturating_add(4)
        });
        let mut out = Vec::with_capacity(sizes.fold(2, usize::saturating_add));
        self.write(&mut out);
        out
    }

    /// The same object, with nothing borrowed.
    pub fn into_owned(self) -> Object<'static> {
        let members = self.members.into_iter().map(|member| Member {
            key: Cow::Owned(member.key.into_owned()),
            escaped: member.escaped.map(|raw| Cow::Owned(raw.into_owned())),
            value: Cow::Owned(member.value.into_owned()),
        });
        Object {
            members: members.collect(),
        }
    }
}

/// The raw value of the member `key` of the object that `json` is. For who wants one member: reads no further than it.
pub fn member<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut found = None;
    walk_members(json, |name, value| {
        let name = inner(name);
        let is_it = name == key.as_bytes()
            || (memchr::memchr(b'\\', name).is_some()
                && text::unescape(name).is_some_and(|name| name == key));
        if is_it {
            found = Some(value);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    found
}

/// The raw items of the array that `json` is; `None` when it is anything else.
pub fn elements(json: &[u8]) -> Option<Vec<&[u8]>> {
    let mut at = skip_space(json, 0);
    if json.get(at) != Some(&b'[') {
        return None;
    }
    let mut items = Vec::new();
    at = skip_space(json, at.checked_add(1)?);
    if json.get(at) == Some(&b']') {
        return is_end(json, at.checked_add(1)?).then_some(items);
    }
    loop {
        at = skip_space(json, at);
        let end = value_end(json, at)?;
        items.push(json.get(at..end)?);
        at = skip_space(json, end);
        match json.get(at)? {
            b',' => at = at.checked_add(1)?,
            b']' => return is_end(json, at.checked_add(1)?).then_some(items),
            _ => return None,
        }
    }
}

/// The decoded text of the string that `json` is; `None` when it is anything else.
pub fn string(json: &[u8]) -> Option<Cow<'_, str>> {
    let json = json.trim_ascii();
    if json.first() != Some(&b'"') || text::string_end(json, 0)? != json.len() {
        return None;
    }
    text::unescape(inner(json))
}

/// The JSON string literal of `text`.
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    text::write_quoted(text, &mut out);
    out
}

/// Whether `json` is an object.
pub fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// Whether `json` is `null`.
pub fn is_null(json: &[u8]) -> bool {
    json.trim_ascii() == b"null"
}

/// The value of `json` when it is a number written as an integer that fits; `1.0` and `1e3` do not
/// count as such.
pub fn integer(json: &[u8]) -> Option<i64> {
    number_text(json)?.parse().ok()
}

/// The value of `json` when it is a boolean.
pub fn boolean(json: &[u8]) -> Option<bool> {
    match json.trim_ascii() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// The value of `json` when it is a number, as the nearest double.
pub fn number(json: &[u8]) -> Option<f64> {
    number_text(json)?
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

/// The same value on one line: line breaks, which in JSON stand only between tokens, become spaces.
/// For transports that frame by lines.
pub fn single_line(json: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', json).is_none() {
        return Cow::Borrowed(json);
    }
    let space = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    };
    Cow::Owned(json.iter().map(space).collect())
}

fn number_text(json: &[u8]) -> Option<&str> {
    let json = json.trim_ascii();
    matches!(json.first(), Some(b'-' | b'0'..=b'9')).then_some(())?;
    std::str::from_utf8(json).ok()
}

/// Calls `visit` with the raw name (quotes included) and raw value of each member of an object.
pub(crate) fn each_member<'a>(
    json: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]),
) -> Option<()> {
    walk_members(json, |name, value| {
        visit(name, value);
        ControlFlow::Continue(())
    })
}

/// [`each_member`], until `visit` has seen enough.
#[inline]
fn walk_members<'a>(
    json: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]) -> ControlFlow<()>,
) -> Option<()> {
    let mut at = skip_space(json, 0);
    if json.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_space(json, at.checked_add(1)?);
    if json.get(at) == Some(&b'}') {
        return is_end(json, at.checked_add(1)?).then_some(());
    }
    loop {
        at = skip_space(json, at);
        if json.get(at) != Some(&b'"') {
            return None;
        }
        let name_end = text::string_end(json, at)?;
        let name = json.get(at..name_end)?;
        at = skip_space(json, name_end);
        if json.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(json, at.checked_add(1)?);
        let end = value_end(json, at)?;
        if visit(name, json.get(at..end)?).is_break() {
            return Some(());
        }
        at = skip_space(json, end);
        match json.get(at)? {
            b',' => at = at.checked_add(1)?,
            b'}' => return is_end(json, at.checked_add(1)?).then_some(()),
            _ => return None,
        }
    }
}

/// The decoded names and raw values of an object's members, where these must outlive the [`Object`].
pub(crate) fn raw_members(json: &[u8]) -> Option<Vec<(Cow<'_, str>, &[u8])>> {
    let mut members = Some(Vec::new());
    each_member(json, |name, value| match text::unescape(inner(name)) {
        Some(key) => {
            if let Some(members) = &mut members {
                members.push((key, value));
            }
        }
        None => members = None,
    })?;
    members
}

/// What stands between the quotes of a raw string.
pub(crate) fn inner(raw: &[u8]) -> &[u8] {
    match raw {
        [b'"', inner @ .., b'"'] => inner,
        _ => &[],
    }
}

/// Index behind the value that begins at `at`; brackets are counted, not matched.
fn value_end(json: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    let mut depth = 0_usize;
    loop {
        match json.get(at) {
            Some(b'"') => at = text::string_end(json, at)?,
            Some(b'{' | b'[') => {
                depth = depth.checked_add(1)?;
                at = at.checked_add(1)?;
                continue;
            }
            Some(b'}' | b']') if depth > 0 => {
                depth = depth.checked_sub(1)?;
                at = at.checked_add(1)?;
            }
            Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') if depth > 0 => {
                at = at.checked_add(1)?;
                continue;
            }
            Some(_) => {
                let end = scalar_end(json, at);
                if end == at {
                    return None;
                }
                at = end;
            }
            None => return None,
        }
        if depth == 0 {
            return (at > start).then_some(at);
        }
    }
}

/// Index behind the number or literal that begins at `at`.
fn scalar_end(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    let is_scalar =
        |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E');
    let length = rest.iter().position(|byte| !is_scalar(byte));
    at.saturating_add(length.unwrap_or(rest.len()))
}

fn skip_space(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = json.get(at) {
        at = at.saturating_add(1);
    }
    at
}

fn is_end(json: &[u8], at: usize) -> bool {
    skip_space(json, at) == json.len()
}

#[cfg(test)]
mod tests;
