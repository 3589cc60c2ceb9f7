use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::{Principal, PrincipalKind, RequestId, Timestamp, ToolDefinition};

fn request(name: &str, target: Option<&str>, params: &str) -> Request {
    let tool = br#"{"name":"echo","inputSchema":{"type":"object"}}"#;
    Request {
        id: RequestId::new(Timestamp(1), 2),
        at: Timestamp(1),
        principal: Principal::new("ada", PrincipalKind::Local),
        client: None,
        server: "files".parse().unwrap(),
        method: name.into(),
        target: target.map(Box::from),
        params: (!params.is_empty()).then(|| Bytes::copy_from_slice(params.as_bytes())),
        tool: Some(Arc::new(
            ToolDefinition::compile(Bytes::from_static(tool)).unwrap(),
        )),
        era_client: Era::Modern,
        era_server: Era::Legacy,
    }
}

#[track_caller]
fn check(name: &str, target: Option<&str>, params: &str, expected: &str) {
    let request = request(name, target, params);
    let code = match super::check(&request, &Settings::default()) {
        Ok(_) => "ok",
        Err(denial) => denial.code(),
    };
    assert_eq!(
        code,
        expected,
        "{name} {}",
        params.chars().take(80).collect::<String>()
    );
}

#[test]
fn methods_are_those_of_the_servers_era() {
    check("tools/list", None, "", "ok");
    check("logging/setLevel", None, r#"{"level":"info"}"#, "ok");
    check("server/discover", None, "", "method-not-allowed");
    check("tools/Call", None, "", "method-not-allowed");
    check("vendor.example/do", None, "", "method-not-allowed");
    let mut request = request("logging/setLevel", None, "");
    request.era_server = Era::Modern;
    assert!(super::check(&request, &Settings::default()).is_err());
    request.method = "vendor.example/do".into();
    let settings = Settings {
        extension_methods: vec!["vendor.example/".into()],
        ..Settings::default()
    };
    assert!(super::check(&request, &settings).is_ok());
}

#[test]
fn the_target_is_what_the_params_say() {
    check("tools/call", Some("echo"), r#"{"name":"echo"}"#, "ok");
    check("tools/call", None, r#"{"name":"echo"}"#, "ok");
    check(
        "tools/call",
        Some("echo"),
        r#"{"name":"other"}"#,
        "malformed-params",
    );
    check(
        "tools/call",
        Some("other"),
        r#"{"name":"other"}"#,
        "unknown-tool",
    );
    check(
        "tools/call",
        Some("echo"),
        r#"{"name":5}"#,
        "malformed-params",
    );
    check("tools/call", Some("echo"), "", "malformed-params");
    check("tools/call", Some("echo"), "[]", "malformed-params");
    check(
        "resources/read",
        Some("file:///a"),
        r#"{"uri":"file:///b"}"#,
        "malformed-params",
    );
    check(
        "resources/subscribe",
        Some("file:///a"),
        r#"{"uri":"file:///a"}"#,
        "ok",
    );
    check(
        "prompts/get",
        Some("p"),
        r#"{"name":"p","arguments":{"a":"b"}}"#,
        "ok",
    );
    check(
        "prompts/get",
        Some("p"),
        r#"{"name":"p","arguments":{"a":1}}"#,
        "malformed-params",
    );
}

#[test]
fn members_are_bounded() {
    let long = |member: &str, length: usize| format!(r#"{{"{member}":"{}"}}"#, "a".repeat(length));
    check("tools/list", None, &long("cursor", CURSOR_BYTES_MAX), "ok");
    check(
        "tools/list",
        None,
        &long("cursor", CURSOR_BYTES_MAX + 1),
        "too-large",
    );
    check(
        "resources/read",
        None,
        &long("uri", URI_BYTES_MAX + 1),
        "too-large",
    );
    check(
        "tools/list",
        None,
        &long("requestState", REQUEST_STATE_BYTES_MAX + 1),
        "too-large",
    );
    check("tools/list", None, &long("x", 5 << 20), "too-large");
    check("tools/list", None, r#"{"cursor":5}"#, "malformed-params");
    check("tools/list", None, r#"{"_meta":5}"#, "malformed-params");
    let many: Vec<_> = (0..=INPUTS_MAX)
        .map(|number| format!(r#""i{number}":{{}}"#))
        .collect();
    let many = format!(
        r#"{{"name":"echo","inputResponses":{{{}}}}}"#,
        many.join(",")
    );
    check("tools/call", None, &many, "too-large");
}

#[test]
fn notifications_are_known_and_bounded() {
    let code = |name: &str, params: Option<&[u8]>| {
        check_notification(name, params, &Settings::default()).map_err(|denial| denial.code())
    };
    assert_eq!(code("notifications/progress", Some(b"{}")), Ok(()));
    assert_eq!(code("notifications/tools/list_changed", None), Ok(()));
    assert_eq!(
        code("notifications/initialized", None),
        Err("method-not-allowed")
    );
    assert_eq!(
        code("notifications/message", Some(b"[]")),
        Err("malformed-ask")
    );
    let large = format!(r#"{{"data":"{}"}}"#, "a".repeat(2 << 20));
    assert_eq!(
        code("notifications/message", Some(large.as_bytes())),
        Err("ask-too-large")
    );
}
