//! What is JSON and what is not, by classes of mistakes that parsers are known to make.

use portcullis_mcp::{FaultKind, Limits, scan};

#[track_caller]
fn check(json: &[u8], expected: Result<(), FaultKind>) {
    let judged = scan(json, &Limits::default()).map_err(|fault| fault.kind);
    assert_eq!(judged, expected, "{}", String::from_utf8_lossy(json));
}

#[test]
fn what_the_grammar_allows_is_accepted() {
    let cases: &[&str] = &[
        // Values alone, and space around them.
        "null",
        "true",
        "false",
        "0",
        "-0",
        "17",
        "-4.25",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        " \t\r\n[]\n\r\t ",
        "\n7\n",
        " \"a\" ",
        // Numbers.
        "[0]",
        "[-0.0]",
        "[0e0]",
        "[0E-0]",
        "[1e5]",
        "[1E+5]",
        "[1e-5]",
        "[10.01e+02]",
        "[0.00000001]",
        "[-9.75E-12]",
        "[9007199254740993]",
        "[18446744073709551616]",
        "[-9223372036854775809]",
        "[123456789012345678901234567890]",
        "[1e-400]",
        "[4.9e-324]",
        "[1.7976931348623157e308]",
        "[0e99999]",
        // Strings.
        r#"["\"\\\/\b\f\n\r\t"]"#,
        r#"["\u0000\u001f\u007f"]"#,
        r#"["\uABCD\uabcd\uAbCd"]"#,
        r#"["\ud83d\ude00"]"#,
        r#"["\uD800\uDC00\uDBFF\uDFFF"]"#,
        r#"["\uFFFE\uFFFF\uFDD0"]"#,
        r#"["\\u0041"]"#,
        r#"["\\\\"]"#,
        "[\"\u{7f}\"]",
        "[\"\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\"]",
        "[\"\u{2028}\u{2029}\u{200b}\u{202e}\"]",
        "[\"a/*b*/c//d\"]",
        "[\"'\"]",
        // Arrays and objects.
        "[[]]",
        "[[],[]]",
        "[ 1 , 2 ]",
        "[null,1,\"1\",{},[]]",
        r#"{"":0}"#,
        r#"{"":{"":{"":0}}}"#,
        r#"{"a":1,"b":2}"#,
        r#" { "a" : [ ] , "b" : { } } "#,
        r#"{"a":{"b":1},"b":{"a":1}}"#,
        r#"[{"a":1},{"a":1}]"#,
        r#"{"a":"a"}"#,
        r#"{"a\u0000b":1,"a":2}"#,
        r#"{"A":1,"a":2}"#,
        "{\"\u{e9}\":1,\"e\u{301}\":2}",
        r#"{"__proto__":1,"constructor":2}"#,
    ];
    for json in cases {
        check(json.as_bytes(), Ok(()));
        assert!(
            serde_json::from_str::<serde_json::Value>(json).is_ok(),
            "{json}"
        );
    }
}

#[test]
fn what_the_grammar_forbids_is_refused() {
    let cases: &[&str] = &[
        // Nothing where a value belongs.
        "[",
        "{",
        "]",
        "}",
        "[,]",
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[1",
        "[1,",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{,}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\":}",
        "{:1}",
        "[:]",
        "{\"a\"}",
        ",",
        ":",
        // Brackets that do not match.
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "[[1]",
        "{\"a\":{}",
        "[{]}",
        // Separators.
        "[1 2]",
        "[1;2]",
        "[1:2]",
        "[\"a\":1]",
        "{\"a\",1}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1:2}",
        "[[] []]",
        "[\"a\"\"b\"]",
        "[{}{}]",
        // Names that are no strings.
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{null:1}",
        "{[]:1}",
        "{{}:1}",
        "{\u{e9}:1}",
        // Literals.
        "[nul]",
        "[nulll]",
        "[tru]",
        "[True]",
        "[TRUE]",
        "[fals]",
        "[undefined]",
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[+Infinity]",
        "[Nan]",
        "n",
        "truefalse",
        "nullnull",
        // Numbers.
        "[+1]",
        "[01]",
        "[-01]",
        "[00]",
        "[1.]",
        "[.5]",
        "[-.5]",
        "[-]",
        "[--1]",
        "[1e]",
        "[1e+]",
        "[1E-]",
        "[1.e3]",
        "[1ee3]",
        "[1e3.5]",
        "[0x1F]",
        "[0b1]",
        "[1_000]",
        "[1,000.0.0]",
        "[1.2.3]",
        "[- 1]",
        "[1 .5]",
        "[1f]",
        "[1L]",
        "[\u{ff11}]",
        "[\u{663}]",
        "[1e\u{663}]",
        "[0.]",
        "[2e 3]",
        "[+]",
        "[1-2]",
        // Strings.
        "[\"a]",
        "[\"",
        "\"",
        "[\"\\\"]",
        "[\"\\a\"]",
        "[\"\\x41\"]",
        "[\"\\u\"]",
        "[\"\\u1\"]",
        "[\"\\u12\"]",
        "[\"\\u123\"]",
        "[\"\\u123G\"]",
        "[\"\\U0041\"]",
        "[\"\\u+041\"]",
        "[\"\\u 041\"]",
        "[\"\\0\"]",
        "[\"\\'\"]",
        "[\"\\\u{e9}\"]",
        "['a']",
        "[\u{201c}a\u{201d}]",
        "[a]",
        "[\\n]",
        "[\\u0022a\"]",
        "[\"\\ud800\\u\"]",
        "[\"\\ud800\\udc0\"]",
        "[\"\\",
        "[\"\\u00",
        // Comments and space that is none.
        "/**/1",
        "//\n1",
        "[1/**/]",
        "[1]//",
        "#1",
        "[\u{b}]",
        "[\u{c}1]",
        "[\u{a0}1]",
        "[\u{2060}]",
        "[\u{85}1]",
        "[\u{200b}]",
        "<1>",
        "*",
    ];
    for json in cases {
        let judged = scan(json.as_bytes(), &Limits::default()).map_err(|fault| fault.kind);
        let is_refused = matches!(judged, Err(FaultKind::Syntax | FaultKind::TrailingBytes));
        assert!(is_refused, "{json}: {judged:?}");
        assert!(
            serde_json::from_str::<serde_json::Value>(json).is_err(),
            "{json}"
        );
    }
}

#[test]
fn every_class_has_its_kind() {
    check(b"", Err(FaultKind::Empty));
    check(b" \n\t\r ", Err(FaultKind::Empty));
    for json in [
        "1 2",
        "{}{}",
        "[]]",
        "{}}",
        "[]x",
        "\"\"\"",
        "1\u{b}",
        "null,",
        "[1]\0",
        "{}\u{feff}",
        "{}//",
    ] {
        check(json.as_bytes(), Err(FaultKind::TrailingBytes));
    }
    for json in [
        &b"\xef\xbb\xbf{}"[..],
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf1",
    ] {
        check(json, Err(FaultKind::ByteOrderMark));
    }
    // A byte order mark elsewhere is a character: allowed in a string, no space outside.
    check("\"\u{feff}\"".as_bytes(), Ok(()));
    check(" \u{feff}1".as_bytes(), Err(FaultKind::Syntax));
    for json in [
        &b"\xff\xfe[\0]\0"[..], // UTF-16
        b"[\"\x80\"]",          // a continuation alone
        b"[\"\xc3\"]",          // cut short
        b"[\"\xc0\xaf\"]",      // longer than needed
        b"[\"\xe0\x80\xaf\"]",
        b"[\"\xf0\x80\x80\xaf\"]",
        b"[\"\xed\xa0\x80\"]",             // a surrogate
        b"[\"\xed\xa0\xbd\xed\xb8\x80\"]", // CESU-8
        b"[\"\xf4\x90\x80\x80\"]",         // beyond U+10FFFF
        b"[\"\xf8\x88\x80\x80\x80\"]",
        b"[\"\xe9\"]", // Latin-1
        b"{\"\xb9\":1}",
        b"\xe5",
    ] {
        check(json, Err(FaultKind::Utf8));
    }
    for byte in 0..0x20_u8 {
        check(&[b'"', byte, b'"'], Err(FaultKind::ControlCharacter));
        check(&[b'"', b'\\', byte, b'"'], Err(FaultKind::Syntax));
        check(
            &[b'{', b'"', byte, b'"', b':', b'1', b'}'],
            Err(FaultKind::ControlCharacter),
        );
    }
    for json in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\udbff""#,
        r#""\udfff""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#""\udc00\ud800""#,
        r#""\uD83D\\uDE00""#,
        r#"{"\ud800":1}"#,
        r#""\ud83d\ude00\ud83d""#,
    ] {
        check(json.as_bytes(), Err(FaultKind::LoneSurrogate));
    }
    for json in [
        "1e309",
        "-1e309",
        "[1.8e308]",
        "1e99999999999999999999",
        "123456789e301",
        "0.1e310",
    ] {
        check(json.as_bytes(), Err(FaultKind::Number));
    }
}

#[test]
fn bounds_are_inclusive() {
    let limits = Limits {
        bytes_max: 40,
        depth_max: 3,
        members_max: 3,
        number_chars_max: 5,
    };
    let kind = |json: &str| scan(json.as_bytes(), &limits).map_err(|fault| fault.kind);
    assert_eq!(kind("[[[1]]]"), Ok(()));
    assert_eq!(kind("[[[[1]]]]"), Err(FaultKind::Depth));
    assert_eq!(kind(r#"[{"a":[]}]"#), Ok(()));
    assert_eq!(kind(r#"[{"a":[{}]}]"#), Err(FaultKind::Depth));
    assert_eq!(kind("[[[],[]],[[]]]"), Ok(()), "depth is not a count");
    assert_eq!(kind(r#"[{"a":1},{"a":1,"b":2}]"#), Ok(()));
    assert_eq!(
        kind(r#"[{"a":1},{"a":1,"b":2,"c":3}]"#),
        Err(FaultKind::Members)
    );
    assert_eq!(kind("[12345]"), Ok(()));
    assert_eq!(kind("[123456]"), Err(FaultKind::Number));
    assert_eq!(kind("[-1e01]"), Ok(()));
    assert_eq!(kind(&format!("\"{}\"", "x".repeat(38))), Ok(()));
    assert_eq!(
        kind(&format!("\"{}\"", "x".repeat(39))),
        Err(FaultKind::Size)
    );
    let nothing = Limits {
        bytes_max: 0,
        depth_max: 0,
        members_max: 0,
        number_chars_max: 0,
    };
    assert!(scan(b"1", &nothing).is_err());
}

#[test]
fn depth_and_brackets_without_end_cost_neither_stack_nor_time() {
    let deep = Limits {
        depth_max: usize::MAX,
        ..Limits::default()
    };
    for unit in ["[", "{\"\":", "[{\"\":", "[[],", "{\"a\":[{\"b\":"] {
        let open = unit.repeat(200_000);
        assert_eq!(
            scan(open.as_bytes(), &Limits::default()).unwrap_err().kind,
            FaultKind::Depth
        );
        assert!(scan(open.as_bytes(), &deep).is_err());
    }
    let nested = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    assert_eq!(scan(nested.as_bytes(), &deep), Ok(()));
    let numbers = format!("[{}]", "9".repeat(1_000_000));
    assert_eq!(
        scan(numbers.as_bytes(), &deep).unwrap_err().kind,
        FaultKind::Number
    );
    let digits = Limits {
        number_chars_max: usize::MAX,
        ..Limits::default()
    };
    assert_eq!(
        scan(numbers.as_bytes(), &digits).unwrap_err().kind,
        FaultKind::Number
    );
}
