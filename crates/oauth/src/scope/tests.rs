use super::{InvalidScopes, SCOPES_MAX, Scopes};

#[track_caller]
fn check(text: &str, expected: Result<&str, InvalidScopes>) {
    let read = text.parse::<Scopes>().map(|scopes| scopes.to_string());
    assert_eq!(read, expected.map(str::to_owned));
}

#[test]
fn scopes_are_read_in_a_stable_order() {
    check("", Ok(""));
    check("b a b", Ok("a b"));
    check("files:read  notes", Ok("files:read notes"));
    check("a\"b", Err(InvalidScopes::Character));
    check("a\\b", Err(InvalidScopes::Character));
    check("a\tb", Err(InvalidScopes::Character));
    check("ä", Err(InvalidScopes::Character));
    check(&"x".repeat(129), Err(InvalidScopes::TooLong));
    let many: Vec<String> = (0..=SCOPES_MAX).map(|n| format!("s{n}")).collect();
    check(&many.join(" "), Err(InvalidScopes::TooMany));
}

#[test]
fn sets_are_compared_as_sets() {
    let set = |text: &str| text.parse::<Scopes>().unwrap();
    assert!(set("a b c").contains_all(&set("c a")));
    assert!(!set("a b").contains_all(&set("c")));
    assert_eq!(set("a b").union(&set("b c")), set("a b c"));
    assert_eq!(set("a b").intersection(&set("b c")), set("b"));
}
