use serde_json::{Value, json};

use super::{Bare, Boundary, Row, Verdict, judge};
use crate::demo::client::Reply;

#[track_caller]
fn check(status: u16, message: &Value, effect: bool, expected: Verdict) {
    let messages = if message.is_null() {
        Vec::new()
    } else {
        vec![message.clone()]
    };
    let body = message.to_string().into_bytes();
    let reply = Reply {
        status,
        session: None,
        messages,
        body,
    };
    let row = Row {
        attack: "an attack",
        boundary: Boundary::Client,
        bare: Bare {
            harmed: true,
            did: String::new(),
        },
        gateway: judge(&reply, effect, false),
    };
    assert_eq!(row.verdict(), expected, "HTTP {status} {message}");
}

#[test]
fn only_a_clean_refusal_without_effect_counts() {
    let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32600, "message": "no"}});
    let result = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": []}});
    let failed = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [], "isError": true}});
    check(400, &error, false, Verdict::Stopped);
    check(200, &error, false, Verdict::Stopped);
    check(200, &failed, false, Verdict::Stopped);
    check(403, &Value::Null, false, Verdict::Stopped);
    check(400, &error, true, Verdict::GotThrough);
    check(200, &result, true, Verdict::GotThrough);
    check(200, &result, false, Verdict::Unclear);
    check(202, &Value::Null, false, Verdict::Unclear);
    check(400, &Value::Null, false, Verdict::Unclear);
    check(500, &error, false, Verdict::Unclear);
}

#[test]
fn an_attack_that_does_nothing_shows_nothing() {
    let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32600, "message": "no"}});
    let body = error.to_string().into_bytes();
    let reply = Reply {
        status: 400,
        session: None,
        messages: vec![error],
        body,
    };
    let row = Row {
        attack: "an attack",
        boundary: Boundary::Client,
        bare: Bare::seen(false, "never"),
        gateway: judge(&reply, false, false),
    };
    assert_eq!(row.verdict(), Verdict::NotShown);
}

#[test]
fn a_refusal_that_reveals_is_no_refusal() {
    let error = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32600, "message": "/tmp/x"}});
    let body = error.to_string().into_bytes();
    let reply = Reply {
        status: 400,
        session: None,
        messages: vec![error],
        body,
    };
    assert!(judge(&reply, false, true).harmed);
}
