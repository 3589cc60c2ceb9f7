use super::*;

#[test]
fn a_sentence_passes_and_a_trace_does_not() {
    let passes = [
        "the issue 12 does not exist",
        "no such file: notes.txt",
        "see https://example.com/help?mail=a@example.com",
        "expected `a` at position 3",
        "le dépôt n'existe pas",
        "file.rs: not found",
    ];
    for message in passes {
        assert!(!is_unsafe(message), "{message}");
    }
    assert!(!is_unsafe(&"é".repeat(MESSAGE_CHARS_MAX)));
    let refused = [
        "first\nsecond",
        "a\u{1b}[31mb",
        "cannot reach postgres://app:hunter2@db/prod",
        "GET https://token@example.com/x failed",
        "Traceback (most recent call last)",
        r#"File "/srv/app/server.py", line 3"#,
        "Error: boom at /srv/app/index",
        "thread 'main' panicked at src/main.rs:12:5",
        "failed in db.rs:41",
        "TypeError in handler.js:10:22",
        "TypeError in handler.ts:10",
        "NullPointerException (Tool.java:41)",
        "-----BEGIN PRIVATE KEY-----",
        "401 for Authorization: Bearer abc",
        "connect failed: host=db password=hunter2",
    ];
    for message in refused {
        assert!(is_unsafe(message), "{message}");
    }
    assert!(is_unsafe(&"a".repeat(MESSAGE_CHARS_MAX + 1)));
}

#[track_caller]
fn check_data(code: i64, data: &'static str, is_kept: bool) {
    let error = RpcError {
        data: Some(data.into()),
        ..RpcError::new(code, "no")
    };
    let (safe, changed) = safe_error(error.clone());
    assert_eq!(safe.code, code);
    assert_eq!(safe.data.is_some(), is_kept, "{code} {data}");
    assert_eq!(changed, !is_kept, "{code} {data}");
}

#[test]
fn data_passes_where_the_protocol_defines_it() {
    for code in [-32002, -32042, -32020, -32021, -32022] {
        check_data(code, r#"{"anything":[1]}"#, true);
    }
    check_data(-32602, r#"{"uri":"file:///a"}"#, true);
    check_data(-32602, r#"{"uri":"file:///a","stack":"x"}"#, false);
    check_data(-32602, r#"{"uri":{"stack":"x"}}"#, false);
    check_data(-32602, r#""file:///a""#, false);
    check_data(-32603, r#"{"stack":"x"}"#, false);
    check_data(-32000, r#"{"uri":"file:///a"}"#, false);
}

#[test]
fn the_code_stays_and_other_members_go() {
    let error = RpcError {
        rest: vec![("stack".into(), "1".into())],
        ..RpcError::new(-32603, "boom\n  at handler")
    };
    let (safe, changed) = safe_error(error);
    assert!(changed);
    assert_eq!(safe, RpcError::new(-32603, REPLACEMENT));
    let sentence = RpcError::new(-32000, "no such issue");
    assert_eq!(safe_error(sentence.clone()), (sentence, false));
}

#[test]
fn what_is_logged_is_bounded_and_on_one_line() {
    assert_eq!(logged(b"a\nb\x1b"), "a\\nb\\u{1b}");
    assert_eq!(logged(&vec![b'a'; 1 << 20]).len(), LOGGED_BYTES_MAX / 2);
}
