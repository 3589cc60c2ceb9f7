use serde_json::{Value, json};

use super::{Case, read_all};

#[track_caller]
fn check(input: &[u8], expected: &[Value]) {
    assert_eq!(read_all(input, Case::Ignored).as_deref(), Some(expected));
}

#[test]
fn reads_what_strict_readers_refuse() {
    check(br#"{"a":1,"a":2}"#, &[json!({"a": 2})]);
    check(br#"{"a":1,"\u0061":2}"#, &[json!({"a": 2})]);
    check(br#"{"a":1,"A":2}"#, &[json!({"a": 2})]);
    check(br#"["\ud83d"]"#, &[json!(["\u{FFFD}"])]);
    check(b"[1e999]", &[json!([null])]);
    check(b"\xEF\xBB\xBF{}", &[json!({})]);
    check(b"{} {}", &[json!({}), json!({})]);
    check(b"[\"\xFF\"]", &[json!(["\u{FFFD}"])]);
}

#[test]
fn reads_what_everyone_reads() {
    check(
        br#" {"a":[true,false,null,-1.5,"\n\u00e9\ud83d\ude00"]} "#,
        &[json!({"a": [true, false, null, -1.5, "\n\u{e9}\u{1F600}"]})],
    );
    assert_eq!(read_all(b"nonsense", Case::Kept), None);
}

#[test]
fn keeps_the_case_when_told_to() {
    assert_eq!(
        read_all(br#"{"aB":1}"#, Case::Kept),
        Some(vec![json!({"aB": 1})])
    );
}
