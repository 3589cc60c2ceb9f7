//! How a path may be spelt: so that a server which decodes, expands or normalises reads the same.

use std::sync::LazyLock;

use regex::RegexSet;

use crate::characters::{has_invisible, imitates, is_control, is_layout};
use crate::violation::Reason;

/// The longest path, in bytes (`PATH_MAX`).
const BYTES_MAX: usize = 4096;
/// The longest name, in bytes (`NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;

/// What some reader decodes: `%2e`, `%2f`, `%5c`, `%25`, control characters and all bytes that are
/// not ASCII, doubled or broken percent signs, `%u2216`, `0x2e`, `&#46;`, `\u002e`.
static ENCODED: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        "(?i)%(?:2[5ef]|5c|3a|7e|[01][0-9a-f]|7f|[89a-f][0-9a-f])",
        "(?i)%[89a-f][0-9a-z]",
        "(?i)%u[0-9a-f]",
        "%%",
        "(?i)%(?:[0-9a-f]{2}|[a-z]{2})%[a-z0-9]{2}",
        "(?i)0x(?:2e|2f|5c)",
        "(?i)&(?:#x?[0-9a-f]+|sol|period|bsol);",
    ])
    .ok()
});

/// What a shell or a library expands: `$HOME`, `${HOME}`, `$(id)`, backquotes, `%USERPROFILE%`.
static EXPANDED: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(["\\$[A-Z_{(]", "`", "%[A-Z_()0-9]{3,}%"]).ok());

/// A scheme or a drive letter, and streams of a file (`name::$DATA`).
static PREFIXED: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        "^[A-Za-z]:",
        "^[A-Za-z][A-Za-z0-9+.-]*:/",
        "(?i)^(?:data|file|jar|phar|php|url|view-source|zip|expect|glob|ogg|rar|ssh2):",
        "::",
        "(?i):\\$",
    ])
    .ok()
});

pub(super) fn check(path: &str) -> Result<(), Reason> {
    if path.is_empty() {
        return Err(Reason::Empty);
    }
    if path.len() > BYTES_MAX || path.split('/').any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(Reason::TooLarge);
    }
    if path.chars().any(|char| is_control(char) || is_layout(char)) || has_invisible(path) {
        return Err(Reason::Invisible);
    }
    if imitates(path, &['/', '\\', '.', '%', ':', '~', '$']) {
        return Err(Reason::LookAlike);
    }
    if is_one_of(&ENCODED, path) {
        return Err(Reason::Encoded);
    }
    let is_spaced = path.trim() != path;
    if path.contains('\\') || path.starts_with("//") || is_spaced || is_one_of(&PREFIXED, path) {
        return Err(Reason::Ambiguous);
    }
    if is_one_of(&EXPANDED, path) {
        return Err(Reason::Ambiguous);
    }
    if path.starts_with('-') {
        return Err(Reason::OptionLike);
    }
    if path.split('/').any(is_odd) {
        return Err(Reason::Ambiguous);
    }
    Ok(())
}

/// A set that could not be built matches all.
fn is_one_of(set: &LazyLock<Option<RegexSet>>, path: &str) -> bool {
    set.as_ref().is_none_or(|set| set.is_match(path))
}

/// Names that some systems take for `..` or for a name without its end: `...`, `..;`, `.. `, `.?`,
/// `name.`, `name `.
fn is_odd(name: &str) -> bool {
    if matches!(name, "" | "." | "..") {
        return false;
    }
    name.starts_with("..")
        || name.starts_with(".;")
        || name == ".?"
        || name == ".*"
        || name.ends_with('.')
        || name.ends_with(char::is_whitespace)
        || name.starts_with(char::is_whitespace)
}
