use super::*;

#[test]
fn a_name_cannot_move_the_cursor_or_hide() {
    assert_eq!(harmless("ada lovelace é 字"), "ada lovelace é 字");
    assert_eq!(harmless("a\u{1b}[2Jb\nc"), r"a\u{1b}[2Jb\u{a}c");
    assert_eq!(harmless("a\u{202e}b\u{200b}"), r"a\u{202e}b\u{200b}");
    assert_eq!(harmless("\u{9b}1m"), r"\u{9b}1m");
}

#[test]
fn times_are_read_by_people() {
    assert_eq!(time(1_790_000_000_999), "2026-09-21T14:13:20Z");
    assert_eq!(time(u64::MAX), format!("{}ms", u64::MAX));
}
