use super::*;

#[track_caller]
fn check_nearest(written: &str, expected: Option<&str>) {
    let known = [
        "timeout",
        "timeout_max",
        "url",
        "command",
        "pass_env",
        "env",
    ];
    assert_eq!(nearest(written, known), expected);
}

#[test]
fn a_near_name_is_found() {
    check_nearest("tiemout", Some("timeout"));
    check_nearest("timeoutmax", Some("timeout_max"));
    check_nearest("Timeout-Max", Some("timeout_max"));
    check_nearest("comand", Some("command"));
    check_nearest("uri", Some("url"));
    check_nearest("passenv", Some("pass_env"));
}

#[test]
fn a_far_name_is_not() {
    check_nearest("port", None);
    check_nearest("x", None);
    check_nearest("", None);
}

#[test]
fn lists_read_as_sentences() {
    assert_eq!(either([]), "");
    assert_eq!(either(["a"]), "`a`");
    assert_eq!(either(["a", "b"]), "`a` or `b`");
    assert_eq!(all(["a", "b", "c"]), "`a`, `b` and `c`");
}

#[test]
fn mistakes_come_in_the_order_of_the_file() {
    let text = "first\nsecönd = 1\n".to_owned();
    let list = vec![
        Mistake::warning("later", 15..16, "later", ""),
        Mistake::error("sooner", 0..5, "sooner", "").hint("mend it"),
        Mistake::error("sooner", 0..5, "sooner", "").hint("mend it"),
    ];
    let mistakes = Mistakes::new("f.toml".to_owned(), text, list);
    assert!(mistakes.refuse());
    assert_eq!(mistakes.count(Weight::Error), 1);
    assert_eq!(mistakes.count(Weight::Warning), 1);
    let lines: Vec<_> = mistakes.lines().collect();
    assert_eq!(lines, ["f.toml:1:1: sooner; mend it", "f.toml:2:9: later"]);
}

#[test]
fn a_place_beyond_the_text_is_still_drawn() {
    let mistake = Mistake::error("odd", 90..95, "odd", "here");
    let mistakes = Mistakes::new("f.toml".to_owned(), "short".to_owned(), vec![mistake]);
    assert!(mistakes.draw(80, false).contains("odd"));
}
