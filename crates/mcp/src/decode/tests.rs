use super::*;
use crate::message::encode_error;

fn read(json: &str) -> Result<Message, DecodeError> {
    decode(Bytes::from(json.to_owned()), &Limits::default())
}

#[track_caller]
fn refused(json: &str, fault: DecodeFault, id: impl Into<Option<Id>>) {
    let error = read(json).unwrap_err();
    assert_eq!(
        (error.code, error.fault, error.id),
        (-32600, fault, id.into()),
        "{json}"
    );
}

#[test]
fn a_request_is_read_without_copying() {
    let json = r#" { "params" : { "name":"a" } , "method":"tools/c\u0061ll","id" : 7,"jsonrpc":"2.\u0030" } "#;
    let Message::Request(request) = read(json).unwrap() else {
        panic!("a request")
    };
    assert_eq!(
        (&request.id, &*request.method),
        (&Id::Number(7), "tools/call")
    );
    assert_eq!(request.params(), Some(&br#"{ "name":"a" }"#[..]));
    assert_eq!(request.bytes(), json.as_bytes());
    let params = request.params_bytes().unwrap();
    assert!(request.bytes().as_ptr_range().contains(&params.as_ptr()));
}

#[test]
fn notifications_and_responses() {
    let Message::Notification(notification) =
        read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap()
    else {
        panic!("a notification")
    };
    assert_eq!(
        (&*notification.method, notification.params()),
        ("notifications/initialized", None)
    );
    for (json, id) in [
        (
            r#"{"jsonrpc":"2.0","id":"7","result":{"a":[]}}"#,
            Some(Id::String("7".into())),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":-1,"error":{"code":1,"message":"m"}}"#,
            Some(Id::Number(-1)),
        ),
    ] {
        let Message::Response(response) = read(json).unwrap() else {
            panic!("{json}")
        };
        assert_eq!(response.id, id, "{json}");
    }
}

#[test]
fn unknown_members_of_an_error_survive() {
    let json = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"a\"b","data":{"x":1.0},"extra":[1],"\u0062":2}}"#;
    let Message::Response(response) = read(json).unwrap() else {
        panic!("a response")
    };
    let Outcome::Error(error) = response.outcome else {
        panic!("an error")
    };
    assert_eq!(error.data.as_deref(), Some(&br#"{"x":1.0}"#[..]));
    assert_eq!(
        String::from_utf8(encode_error(response.id.as_ref(), &error)).unwrap(),
        json.replace("\\u0062", "b")
    );
}

#[test]
fn what_is_no_message_is_refused() {
    let one = || Id::Number(1);
    refused(r#"{"id":1,"method":"ping"}"#, DecodeFault::Version, one());
    refused(
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        DecodeFault::Version,
        one(),
    );
    refused(
        r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        DecodeFault::Version,
        one(),
    );
    refused(
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#,
        DecodeFault::Member,
        one(),
    );
    refused(
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":1}"#,
        DecodeFault::Shape,
        one(),
    );
    refused(
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#,
        DecodeFault::Shape,
        one(),
    );
    refused(
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        DecodeFault::Shape,
        one(),
    );
    refused(
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        DecodeFault::Shape,
        one(),
    );
    refused(r#"{"jsonrpc":"2.0","id":1}"#, DecodeFault::Shape, one());
    refused(r#"{"jsonrpc":"2.0"}"#, DecodeFault::Shape, None);
    refused(
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        DecodeFault::Id,
        None,
    );
    refused(
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        DecodeFault::Id,
        None,
    );
    refused(r#"{"jsonrpc":"2.0","result":{}}"#, DecodeFault::Id, None);
    refused(
        r#"{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":""}}"#,
        DecodeFault::Id,
        None,
    );
    for method in ["\"\"", "1", "null", "{}", "[\"ping\"]"] {
        let json = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method}}}"#);
        refused(&json, DecodeFault::Method, one());
    }
    for params in ["[]", "[{\"name\":1}]", "1", "null", "\"{}\"", "true"] {
        let json = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{params}}}"#);
        refused(&json, DecodeFault::Params, one());
    }
    for error in [
        "1",
        "null",
        "[]",
        "{}",
        r#"{"code":1}"#,
        r#"{"message":"m"}"#,
        r#"{"code":1.0,"message":"m"}"#,
        r#"{"code":"1","message":"m"}"#,
        r#"{"code":1,"message":null}"#,
        r#"{"code":1,"message":"m","Data":1}"#,
    ] {
        let json = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
        refused(&json, DecodeFault::Error, one());
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    // The params are seen before the method, the cased member before the id.
    let json = r#"{"params":{"Name":"x"},"id":"a","method":"tools/call","jsonrpc":"2.0"}"#;
    refused(json, DecodeFault::ParamsCase, Some(Id::String("a".into())));
    let json = r#"{"Method":"x","method":"tools/call","jsonrpc":"2.0","id":"a"}"#;
    refused(json, DecodeFault::MemberCase, Some(Id::String("a".into())));
    // Members of a result are not params.
    let json = r#"{"jsonrpc":"2.0","id":1,"result":{"Name":1,"name":2}}"#;
    assert!(read(json).is_ok());
}

#[test]
fn a_refusal_tells_the_peer_nothing_of_the_input() {
    let error = read(r#"{"jsonrpc":"2.0","id":1,"method":"ping","s3cret":1}"#).unwrap_err();
    assert_eq!(error.reply_message(), "Invalid request");
    assert_eq!(error.to_string(), "an unknown member in the envelope");
    let error = read(r#"{"s3cret":1,"s3cret":2}"#).unwrap_err();
    assert_eq!((error.code, error.reply_message()), (-32700, "Parse error"));
    assert_eq!(error.to_string(), "duplicate member at byte 12");
}
