use super::*;

#[track_caller]
fn check(pattern: &str, text: &str, expected: bool) {
    let pattern = Pattern::compile(pattern).expect("a pattern");
    assert_eq!(pattern.occurs_in(text), Some(expected), "{text:?}");
}

#[test]
fn patterns_mean_what_they_mean_in_ecma_262() {
    check("^\\d+$", "123", true);
    check("^\\d+$", "१२३", false);
    check("^\\w$", "é", false);
    check("^[\\w.-]+$", "a.b-c_1", true);
    check("^[\\W]$", "é", true);
    check("^\\s$", "\u{feff}", true);
    check("^a/b\\/c$", "a/b/c", true);
    check("^\\cA$", "\u{1}", true);
    check("^[a[]$", "[", true);
    check("^[a&&b]+$", "&b", true);
    check("^\\u0061\\u{62}$", "ab", true);
    check("^\\ud83d\\ude00$", "\u{1f600}", true);
    check("^\\p{Letter}\\u{1F600}$", "é\u{1f600}", true);
    check("^[\\p{Lu}]$", "a", false);
    check("^{a}$", "{a}", true);
    check("^a{2,3}$", "aaa", true);
    check("^a{2}$", "aa", true);
    check("[^]", "x", true);
    check("x[]", "x", false);
    check("^a$", "a\n", false);
    check("^\\bfoo\\b$", "foo", true);
    check("^(?<name>a)$", "a", true);
}

#[test]
fn what_the_linear_engine_lacks_is_bounded() {
    check("^(?!con$).*$", "con", false);
    check("^(?!con$).*$", "file", true);
    check("^(.)\\1$", "aa", true);
    let bomb = Pattern::compile("^(a|a)*\\1(?=b)$").expect("a pattern");
    assert_eq!(bomb.occurs_in(&"a".repeat(64)), None);
}

#[test]
fn what_is_no_pattern_is_refused() {
    for pattern in [
        "(",
        "[a",
        "\\",
        "\\Z",
        "\\u12",
        "(?P<",
        "a{5,2}",
        "((a{1000}){1000}){1000}",
    ] {
        assert!(Pattern::compile(pattern).is_none(), "{pattern}");
    }
    assert!(Pattern::compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_none());
}
