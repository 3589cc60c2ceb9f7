use super::*;

#[test]
fn what_is_not_changed_keeps_its_bytes() {
    let json = br#" { "a" : 1.00 , "\u0062" : "x\u0079" , "c":[ 1,  2 ], "/" : {} } "#;
    let mut object = Object::parse(json).unwrap();
    assert_eq!(object.len(), 4);
    assert_eq!(object.get("a"), Some(&b"1.00"[..]));
    assert_eq!(object.get("b"), Some(&br#""x\u0079""#[..]));
    assert_eq!(object.get_str("b").as_deref(), Some("xy"));
    assert_eq!(object.get_str("a"), None);
    assert_eq!(object.get("d"), None);
    let written = br#"{"a":1.00,"\u0062":"x\u0079","c":[ 1,  2 ],"/":{}}"#;
    assert_eq!(object.to_vec(), written);
    object.set("b", b"null".as_slice());
    object.set("new\n", b"true".to_vec());
    assert_eq!(object.remove("a").as_deref(), Some(&b"1.00"[..]));
    assert_eq!(object.remove("a"), None);
    assert!(object.contains("c") && !object.contains("a"));
    assert_eq!(
        object.to_vec(),
        br#"{"\u0062":null,"c":[ 1,  2 ],"/":{},"new\n":true}"#
    );
    let names: Vec<_> = object.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "c", "/", "new\n"]);
}

#[test]
fn empty_objects_and_arrays() {
    assert!(Object::parse(b" { } ").unwrap().is_empty());
    assert_eq!(Object::new().to_vec(), b"{}");
    assert_eq!(elements(b" [ ] ").unwrap().len(), 0);
    let items = elements(br#" [ 1 , "a,]" , [2,[3]] , {"a":[]} , null ] "#).unwrap();
    let items: Vec<_> = items
        .into_iter()
        .map(|item| std::str::from_utf8(item).unwrap())
        .collect();
    assert_eq!(items, ["1", r#""a,]""#, "[2,[3]]", r#"{"a":[]}"#, "null"]);
    assert_eq!(elements(b"{}"), None);
    assert!(Object::parse(b"[]").is_none());
}

#[test]
fn bytes_that_were_never_scanned_do_no_harm() {
    let deep = "[".repeat(100_000);
    let cases = [
        "",
        "{",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":}",
        "{\"a\":,}",
        "{a:1}",
        "{}{}",
        "{}x",
        "[1 2]",
        "[,]",
        "[1,",
        "[\"",
        "[\"\\",
        "{\"\\ud800\":1}",
        "{\"\\u00\":1}",
        "{\"\\x\":1}",
        "]",
        "}",
        "{]",
        "[}",
        "\u{1}",
        "{\"a\u{1}\":1}",
        "[\u{e9}]",
    ];
    for json in cases.into_iter().chain([&*deep]) {
        assert!(Object::parse(json.as_bytes()).is_none(), "{json}");
        let items = elements(json.as_bytes());
        assert!(items.is_none(), "{json}: {items:?}");
        assert_eq!(string(json.as_bytes()), None);
        assert_eq!(number(json.as_bytes()), None);
    }
    assert!(Object::parse(b"{\"\xff\":1}").is_none());
    assert_eq!(string(b"\"\xff\""), None);
}

#[test]
fn strings_are_decoded_and_quoted() {
    let cases = [
        (r#""""#, ""),
        (r#" "a" "#, "a"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (
            r#""\u0041\u00e9\u20ac\ud83d\ude00z""#,
            "A\u{e9}\u{20ac}\u{1f600}z",
        ),
        (r#""\ud83d\ude00\ud83d\ude01""#, "\u{1f600}\u{1f601}"),
        (r#""\\u0041""#, "\\u0041"),
    ];
    for (json, text) in cases {
        assert_eq!(string(json.as_bytes()).as_deref(), Some(text), "{json}");
        assert_eq!(string(&quote(text)).as_deref(), Some(text), "{json}");
    }
    for json in [
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00""#,
        r#""\u12""#,
        r#""\u+123""#,
        r#""\u12é4""#,
        r#""\x""#,
        r#""a"b""#,
        r#""a"#,
        "a",
        "1",
        "null",
        "\"\\\"",
        "\"",
    ] {
        assert_eq!(string(json.as_bytes()), None, "{json}");
    }
    assert_eq!(
        quote("a\"\\\n\r\t\u{0}\u{1f}\u{7f}\u{e9}"),
        "\"a\\\"\\\\\\n\\r\\t\\u0000\\u001f\u{7f}\u{e9}\"".as_bytes()
    );
}

#[test]
fn scalars() {
    assert_eq!(integer(b" -12 "), Some(-12));
    assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
    for json in [
        "9223372036854775808",
        "1.0",
        "1e3",
        "+1",
        "\"1\"",
        "",
        "-",
        "inf",
    ] {
        assert_eq!(integer(json.as_bytes()), None, "{json}");
    }
    assert_eq!(number(b"1e3"), Some(1000.0));
    for json in ["1e999", "nan", "-inf", "infinity", "\"1\"", ""] {
        assert_eq!(number(json.as_bytes()), None, "{json}");
    }
    assert_eq!(
        (boolean(b"true"), boolean(b" false\n"), boolean(b"1")),
        (Some(true), Some(false), None)
    );
    assert!(is_null(b" null ") && !is_null(b"\"null\""));
    assert!(is_object(b"\n{}") && !is_object(b"[]") && !is_object(b""));
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    assert_eq!(&*single_line(b"{\r\n\t\"a\\n\":1}"), b"{  \t\"a\\n\":1}");
    assert!(matches!(single_line(b"{}"), Cow::Borrowed(_)));
}
