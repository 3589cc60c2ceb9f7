use super::*;

#[track_caller]
fn check(json: &str, values: u64, depth: usize, rounds: bool) {
    let found = measure(json.as_bytes());
    assert_eq!(
        (found.depth, found.rounds, found.bytes),
        (depth, rounds, json.len() as u64),
        "{json}"
    );
    // Never fewer than there are.
    assert!(
        found.values >= values && found.values <= 2 * values,
        "{json} {found:?}"
    );
}

#[test]
fn the_shape_is_found_without_parsing() {
    check("1", 1, 0, false);
    check("{}", 1, 1, false);
    check(r#"{"a":[1,2,{"b":null}],"c":"[[[,,\"\\"}"#, 7, 3, false);
    check("[[],[[]]]", 4, 3, false);
    check(r#"["18446744073709551616"]"#, 2, 1, false);
    check("[18446744073709551615,-9223372036854775808]", 3, 1, false);
    check("[18446744073709551616]", 2, 1, true);
    check("[-9223372036854775809]", 2, 1, true);
    check("18446744073709551616.0", 1, 0, false);
    check("1e400", 1, 0, false);
    for broken in ["\"", "\"\\", "[", "-", "]]", "\\\"1"] {
        let _found = measure(broken.as_bytes());
    }
}

#[test]
fn rounded_numbers_are_pointed_at() {
    let json = br#"{"a":99999999999999999999,"b/c":[0,{"d":-99999999999999999999}],"e":99999999999999999999}"#;
    assert_eq!(rounded(json, 3), ["/a", "/b~1c/1/d", "/e"]);
    assert_eq!(rounded(json, 1), ["/a"]);
    assert_eq!(rounded(b"99999999999999999999", 3), [""]);
    assert!(rounded(b"[1,2]", 3).is_empty());
}
