use super::*;

#[test]
fn messages_are_written_in_one_form() {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let id = Id::String("a\"b".into());
    assert_eq!(
        text(encode_request(&id, "tools/call", Some(b"{\"name\":\"x\"}"))),
        r#"{"jsonrpc":"2.0","id":"a\"b","method":"tools/call","params":{"name":"x"}}"#
    );
    assert_eq!(
        text(encode_notification("n", None)),
        r#"{"jsonrpc":"2.0","method":"n"}"#
    );
    assert_eq!(
        text(encode_result(&Id::Number(-1), b"{}")),
        r#"{"jsonrpc":"2.0","id":-1,"result":{}}"#
    );
    assert_eq!(
        text(encode_error(None, &RpcError::new(-32700, "Parse error"))),
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#
    );
    let error = RpcError::new(-32022, "no").with_data(b"{\"supported\":[]}".to_vec());
    assert_eq!(
        text(encode_error(Some(&Id::Number(1)), &error)),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":[]}}}"#
    );
}

#[test]
fn ids_of_different_types_differ() {
    assert_ne!(Id::parse(b"1"), Id::parse(b"\"1\""));
    assert_eq!(Id::parse(br#""\u0061""#), Some(Id::String("a".into())));
    assert_eq!(
        Id::parse(b"-9223372036854775808"),
        Some(Id::Number(i64::MIN))
    );
    assert_eq!(Id::parse(b"\"\""), Some(Id::String("".into())));
    assert_eq!(Id::String("x".into()).to_string(), "\"x\"");
}
