use super::*;

#[track_caller]
fn refused(json: &str) {
    assert!(Value::parse(json.as_bytes(), 8).is_none(), "{json}");
}

#[test]
fn what_is_no_json_is_refused() {
    for json in [
        "",
        " ",
        "nul",
        "tru",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "1 2",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "--1",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "{\"a\":1,\"\\u0061\":2}",
        "[[[[[[[[[]]]]]]]]]",
    ] {
        refused(json);
    }
    assert!(Value::parse(b"\"\xff\"", 8).is_none());
    assert!(Value::parse(b"[[[[[[[[]]]]]]]]", 8).is_some());
}

#[test]
fn strings_are_decoded() {
    let value = Value::parse(br#" "a\"\\\/\b\f\n\r\t\u0041\ud83d\ude00z" "#, 1).unwrap();
    assert_eq!(value.as_str(), Some("a\"\\/\u{8}\u{c}\n\r\tA\u{1f600}z"));
}

#[test]
fn equal_is_by_value() {
    let equal = |a: &str, b: &str| {
        let a = Value::parse(a.as_bytes(), 8).unwrap();
        let b = Value::parse(b.as_bytes(), 8).unwrap();
        a.compare(&b).is_eq()
    };
    assert!(equal("1", "1.0"));
    assert!(equal("100", "1e2"));
    assert!(equal(r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#));
    assert!(!equal("9007199254740993", "9007199254740992"));
    assert!(!equal("1", "true"));
    assert!(!equal("[]", "{}"));
    assert!(!equal(r#""1""#, "1"));
}
