use super::*;

#[test]
fn only_a_yes_is_a_yes() {
    for (typed, expected) in [
        ("y\n", true),
        ("Y\n", true),
        (" yes \n", true),
        ("", false),
        ("\n", false),
        ("n\n", false),
        ("yy\n", false),
        ("y n\n", false),
        ("y\ny\n", false),
        ("\u{1b}[Ay\n", false),
    ] {
        assert_eq!(is_yes(typed.as_bytes()), expected, "{typed:?}");
    }
}

#[test]
fn what_is_no_terminal_is_not_asked_at() {
    assert!(Terminal::at(Path::new("/nonexistent/tty")).is_none());
}
