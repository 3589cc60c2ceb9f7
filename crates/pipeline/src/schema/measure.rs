//! One pass over the bytes of JSON, for what is lost once it is parsed: its shape, and whether a number
//! would be rounded.

use portcullis_mcp::{Object, elements};

use super::graph::escaped;

/// The shape of JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// Values in all.
    pub(super) values: u64,
    /// Arrays and objects within each other.
    pub(super) depth: usize,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// Whether an integer is written that fits 64 bits neither signed nor unsigned: parsed, it would be
    /// rounded to a double.
    pub(super) rounds: bool,
}

/// Measures what may be JSON. Linear in the length.
pub(super) fn measure(json: &[u8]) -> Measure {
    let mut measure = Measure {
        values: 1,
        bytes: json.len() as u64,
        ..Measure::default()
    };
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_string(rest),
            b'[' | b'{' => {
                depth += 1;
                measure.values += 1;
                measure.depth = measure.depth.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => measure.values += 1,
            b'0'..=b'9' | b'-' => {
                let length = rest
                    .iter()
                    .position(|byte| {
                        !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
                    })
                    .unwrap_or(rest.len());
                let (more, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
                measure.rounds |= is_rounded(*byte, more);
                rest = after;
            }
            _ => {}
        }
    }
    measure
}

/// What follows a string, of which the opening quote is gone.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
            return b"";
        };
        let skip = if rest.get(at) == Some(&b'"') { 1 } else { 2 };
        let is_end = skip == 1;
        rest = rest.get(at + skip..).unwrap_or_default();
        if is_end {
            return rest;
        }
    }
}

/// Whether the number of these characters is an integer beyond 64 bits.
fn is_rounded(first: u8, more: &[u8]) -> bool {
    // 18 digits always fit.
    if more.len() < 18 || more.iter().any(|byte| !byte.is_ascii_digit()) {
        return false;
    }
    let Ok(digits) = std::str::from_utf8(more) else {
        return true;
    };
    match first {
        b'-' => format!("-{digits}").parse::<i64>().is_err(),
        first => format!("{}{digits}", char::from(first))
            .parse::<u64>()
            .is_err(),
    }
}

/// The pointers of the numbers that would be rounded, at most `max` of them.
pub(super) fn rounded(json: &[u8], max: usize) -> Vec<String> {
    let mut found = Vec::new();
    seek(json, &mut String::new(), max, &mut found);
    found
}

fn seek(json: &[u8], pointer: &mut String, max: usize, found: &mut Vec<String>) {
    if found.len() >= max || !measure(json).rounds {
        return;
    }
    let length = pointer.len();
    let mut enter = |step: &str, value: &[u8], found: &mut Vec<String>| {
        pointer.push('/');
        pointer.push_str(step);
        seek(value, pointer, max, found);
        pointer.truncate(length);
    };
    if let Some(object) = Object::parse(json) {
        for (name, value) in object.iter() {
            enter(&escaped(name), value, found);
        }
    } else if let Some(items) = elements(json) {
        for (at, value) in items.into_iter().enumerate() {
            enter(&at.to_string(), value, found);
        }
    } else {
        found.push(pointer.clone());
    }
}

#[cfg(test)]
mod tests;
