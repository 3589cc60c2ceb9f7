//! Inputs that two parsers read differently. Each is refused, or has one reading that is forwarded as
//! it is.

use bytes::Bytes;
use portcullis_mcp::{DecodeFault, FaultKind, Limits, Message, Object, decode};

#[derive(Debug, PartialEq)]
enum Judged {
    Json(FaultKind),
    Envelope(DecodeFault),
    Accepted,
}
use Judged::{Accepted, Envelope, Json};

fn judge(json: &str) -> Judged {
    match decode(Bytes::from(json.to_owned()), &Limits::default()) {
        Ok(_) => Accepted,
        Err(error) => match error.fault {
            DecodeFault::Json(fault) => {
                assert_eq!(error.code, -32700, "{json}");
                Json(fault.kind)
            }
            fault => {
                assert_eq!(error.code, -32600, "{json}");
                Envelope(fault)
            }
        },
    }
}

#[track_caller]
fn check(json: &str, expected: &Judged) {
    assert_eq!(judge(json), *expected, "{json}");
}

/// A tools/call with these params.
fn call(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

#[test]
fn duplicate_members_are_refused_at_any_depth() {
    let duplicate = Json(FaultKind::DuplicateMember);
    let cases = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","meth\u006fd":"tools/call"}"#.to_owned(),
        call(r#"{"name":"read","name":"delete"}"#),
        call(r#"{"name":"read","n\u0061me":"delete"}"#),
        call(r#"{"\u006eame":"read","n\u0061me":"delete"}"#),
        call(r#"{"a":1,"\u0061":1}"#),
        call(r#"{"arguments":{"path":"/a","path":"/b"}}"#),
        call(r#"{"arguments":[[{"deep":{"x":1,"\u0078":1}}]]}"#),
        call(r#"{"arguments":{"/":1,"\/":2}}"#),
        call(r#"{"arguments":{"\n":1,"\u000a":2}}"#),
        call(r#"{"arguments":{"😀":1,"\ud83d\ude00":2}}"#),
        call(r#"{"arguments":{"é":1,"\u00E9":2}}"#),
        call(r#"{"arguments":{"":1,"":2}}"#),
        call(r#"{"arguments":{"\u0000":1,"\u0000":2}}"#),
    ];
    for json in cases {
        check(&json, &duplicate);
    }
    for members in [15, 16, 17, 18, 100, 3000] {
        let mut names: Vec<String> = (0..members).map(|n| format!("\"member{n}\":{n}")).collect();
        check(
            &call(&format!("{{\"arguments\":{{{}}}}}", names.join(","))),
            &Accepted,
        );
        names.push("\"m\\u0065mber0\":0".to_owned());
        check(
            &call(&format!("{{\"arguments\":{{{}}}}}", names.join(","))),
            &duplicate,
        );
    }
}

#[test]
fn the_same_name_in_different_objects_is_no_duplicate() {
    check(
        &call(r#"{"name":"a","arguments":{"name":"b","arguments":{"name":"c"}}}"#),
        &Accepted,
    );
    check(
        &call(r#"{"arguments":{"rows":[{"id":1},{"id":2}],"id":3}}"#),
        &Accepted,
    );
    // After a large object inside has ended, the outer names are still known.
    let inner: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
    let inner = inner.join(",");
    check(
        &call(&format!(r#"{{"a":{{{inner}}},"b":{{{inner}}},"k1":0}}"#)),
        &Accepted,
    );
    let json = call(&format!(r#"{{"a":{{{inner}}},"b":{{{inner}}},"a":0}}"#));
    check(&json, &Json(FaultKind::DuplicateMember));
}

#[test]
fn members_in_another_case_are_refused() {
    for json in [
        r#"{"JSONRPC":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","ID":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"Error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"re\u0053ult":{}}"#,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"param\u{17f}\":{}}",
    ] {
        check(json, &Envelope(DecodeFault::MemberCase));
    }
    for params in [
        r#"{"Name":"delete"}"#,
        r#"{"name":"read","NAME":"delete"}"#,
        r#"{"name":"read","N\u0061me":"delete"}"#,
        r#"{"name":"read","Arguments":{}}"#,
        "{\"name\":\"read\",\"argument\u{17f}\":{}}",
        "{\"tas\u{212a}Id\":\"1\"}",
        "{\"ur\u{131}\":\"file:///a\"}",
        "{\"UR\u{130}\":\"file:///a\"}",
        r#"{"URI":"file:///a"}"#,
        r#"{"_META":{}}"#,
        r#"{"requeststate":""}"#,
        r#"{"inputresponses":{}}"#,
        r#"{"TaskID":"1"}"#,
        r#"{"clientinfo":{}}"#,
        r#"{"ProtocolVersion":"2025-11-25"}"#,
        r#"{"Ref":{}}"#,
        r#"{"Argument":{}}"#,
        r#"{"CURSOR":""}"#,
        r#"{"LEVEL":"debug"}"#,
        r#"{"Capabilities":{}}"#,
    ] {
        check(&call(params), &Envelope(DecodeFault::ParamsCase));
        let notification = format!(r#"{{"jsonrpc":"2.0","method":"n","params":{params}}}"#);
        check(&notification, &Envelope(DecodeFault::ParamsCase));
    }
    // Deeper, and for names that nothing is decided on, case is the tool's own business.
    check(
        &call(r#"{"name":"a","arguments":{"Name":1,"name":2,"NAME":3}}"#),
        &Accepted,
    );
    check(&call(r#"{"name":"a","Vendor":1,"vendor":2}"#), &Accepted);
}

#[test]
fn numbers_are_forwarded_as_they_were_written() {
    for number in [
        "9007199254740993",
        "12345678901234567890123",
        "1.0",
        "1e3",
        "-0",
        "0.1000",
        "1E-400",
        "100e-2",
    ] {
        let json = call(&format!(r#"{{"name":"a","arguments":{{"n":{number}}}}}"#));
        let Message::Request(request) = decode(Bytes::from(json), &Limits::default()).unwrap()
        else {
            panic!("a request");
        };
        let params = Object::parse(request.params().unwrap()).unwrap();
        let arguments = Object::parse(params.get("arguments").unwrap()).unwrap();
        assert_eq!(arguments.get("n"), Some(number.as_bytes()));
        assert_eq!(params.to_vec(), request.params().unwrap());
    }
    for number in ["1e999", "-1e999", &"9".repeat(129), "NaN", "0x10"] {
        let json = call(&format!(r#"{{"arguments":{{"n":{number}}}}}"#));
        assert_ne!(judge(&json), Accepted, "{number}");
    }
    for id in [
        "1.0",
        "1e0",
        "-0",
        "9223372036854775808",
        "-9223372036854775809",
        "null",
        "true",
        "[1]",
        "{}",
    ] {
        let json = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        check(&json, &Envelope(DecodeFault::Id));
    }
}

#[test]
fn what_stands_around_the_value_is_judged() {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    check(&format!(" \r\n\t{ping}\n"), &Accepted);
    check(&format!("\u{feff}{ping}"), &Json(FaultKind::ByteOrderMark));
    for behind in [
        "x", "\0", ",", "]", "}", "{}", ping, "\u{feff}", "//", "\u{a0}",
    ] {
        check(&format!("{ping}{behind}"), &Json(FaultKind::TrailingBytes));
    }
    check(&format!("{ping}\n{ping}"), &Json(FaultKind::TrailingBytes));
    check(&format!("[{ping}]"), &Envelope(DecodeFault::Batch));
    check("[]", &Envelope(DecodeFault::Batch));
    for json in ["1", "null", "\"{}\"", "true"] {
        check(json, &Envelope(DecodeFault::NotObject));
    }
}

#[test]
fn text_with_two_readings_is_refused() {
    check(
        &call(r#"{"name":"\ud800"}"#),
        &Json(FaultKind::LoneSurrogate),
    );
    check(
        &call(r#"{"name":"\ud83d\u0065"}"#),
        &Json(FaultKind::LoneSurrogate),
    );
    check(&call(r#"{"\udc00":1}"#), &Json(FaultKind::LoneSurrogate));
    check(
        &call("{\"name\":\"a\tb\"}"),
        &Json(FaultKind::ControlCharacter),
    );
    check(
        &call("{\"name\":\"a\0b\"}"),
        &Json(FaultKind::ControlCharacter),
    );
    check(&call(r#"{"name":"a\0b"}"#), &Json(FaultKind::Syntax));
    check(&call(r#"{"name":'a'}"#), &Json(FaultKind::Syntax));
    check(&call(r#"{"name":"a",}"#), &Json(FaultKind::Syntax));
    check(&call(r#"{"name":"a"/**/}"#), &Json(FaultKind::Syntax));
    check(&call(r#"{"name":"\ud83d\ude00"}"#), &Accepted);
}
