use http::Method;

use super::operation;

#[test]
fn an_operation_is_named_by_what_it_is_done_to() {
    for (message, expected) in [
        (
            r#"{"method":"tools/call","params":{"name":"echo","arguments":{}}}"#,
            "tools/call echo",
        ),
        (
            r#"{"method":"resources/read","params":{"uri":"file:///a"}}"#,
            "resources/read file:///a",
        ),
        (r#"{"method":"tools/list"}"#, "tools/list"),
        (r#"{"method":"tools/call","params":[]}"#, "tools/call"),
        ("", "POST"),
        (r#"{"result":{}}"#, "POST"),
    ] {
        assert_eq!(operation(&Method::POST, message.as_bytes()), expected);
    }
    assert_eq!(operation(&Method::GET, b""), "GET");
}
