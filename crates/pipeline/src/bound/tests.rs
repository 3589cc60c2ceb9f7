use portcullis_mcp::Era;

use super::*;
use crate::{Principal, PrincipalKind, RequestId, Timestamp};

#[track_caller]
fn check(name: &str, result: &str, expected: Result<ResultKind, &str>) {
    let request = Request {
        id: RequestId::new(Timestamp(1), 2),
        at: Timestamp(1),
        principal: Principal::new("ada", PrincipalKind::Local),
        client: None,
        server: "files".parse().unwrap(),
        method: name.into(),
        target: None,
        params: None,
        tool: None,
        era_client: Era::Modern,
        era_server: Era::Modern,
    };
    let settings = Settings {
        blocks_max: 3,
        result_bytes_max: 1000,
        ..Settings::default()
    };
    let kind = super::check(
        &request,
        Bytes::copy_from_slice(result.as_bytes()),
        &settings,
    )
    .map(|body| body.kind())
    .map_err(|denial| denial.code());
    assert_eq!(kind, expected, "{name} {result}");
}

#[test]
fn a_tool_result_has_its_shape() {
    let call = "tools/call";
    check(
        call,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
        Ok(ResultKind::Complete),
    );
    check(
        call,
        r#"{"content":[],"isError":true}"#,
        Ok(ResultKind::ToolError),
    );
    check(
        call,
        r#"{"content":[],"isError":"yes"}"#,
        Err("malformed-result"),
    );
    check(call, r#"{"content":{}}"#, Err("malformed-result"));
    check(
        call,
        r#"{"content":[{"text":"x"}]}"#,
        Err("malformed-result"),
    );
    check(call, r#"{"content":["x"]}"#, Err("malformed-result"));
    check(call, "[]", Err("malformed-result"));
    let block = r#"{"type":"text","text":"x"}"#;
    let four = format!(r#"{{"content":[{block},{block},{block},{block}]}}"#);
    check(call, &four, Err("result-too-large"));
    check(
        call,
        &format!(r#"{{"x":"{}"}}"#, "a".repeat(1000)),
        Err("result-too-large"),
    );
    check(call, r#"{"task":{"taskId":"1"}}"#, Ok(ResultKind::Task));
    check(
        call,
        r#"{"resultType":"complete","content":[]}"#,
        Ok(ResultKind::Complete),
    );
    check(
        call,
        r#"{"resultType":"surprise"}"#,
        Err("malformed-result"),
    );
    check(call, r#"{"resultType":5}"#, Err("malformed-result"));
}

#[test]
fn input_is_asked_for_within_the_rules() {
    let ask = |method: &str, params: &str| {
        format!(
            r#"{{"resultType":"input_required","inputRequests":{{"a":{{"method":"{method}","params":{params}}}}}}}"#
        )
    };
    let form = r#"{"message":"x","requestedSchema":{"type":"object","properties":{"n":{"type":"string"}}}}"#;
    let secret = form.replace("\"n\"", "\"password\"");
    check(
        "tools/call",
        &ask("elicitation/create", form),
        Ok(ResultKind::InputRequired),
    );
    check(
        "tools/list",
        &ask("elicitation/create", form),
        Err("malformed-result"),
    );
    check(
        "tools/call",
        &ask("elicitation/create", &secret),
        Err("secret-elicitation"),
    );
    check(
        "tools/call",
        &ask("tools/call", "{}"),
        Err("method-not-allowed"),
    );
    check(
        "tools/call",
        r#"{"resultType":"input_required"}"#,
        Err("malformed-result"),
    );
    check(
        "tools/call",
        r#"{"resultType":"input_required","requestState":"x"}"#,
        Ok(ResultKind::InputRequired),
    );
    check(
        "tools/call",
        r#"{"resultType":"input_required","requestState":5}"#,
        Err("malformed-result"),
    );
}

#[test]
fn lists_are_lists_of_objects() {
    check("tools/list", r#"{"tools":[{}]}"#, Ok(ResultKind::Complete));
    check("tools/list", r#"{"tools":[1]}"#, Err("malformed-result"));
    check("tools/list", "{}", Err("malformed-result"));
    check(
        "resources/read",
        r#"{"contents":[{},{},{},{}]}"#,
        Err("result-too-large"),
    );
    check(
        "completion/complete",
        r#"{"completion":{"values":["a"]}}"#,
        Ok(ResultKind::Complete),
    );
    check(
        "completion/complete",
        r#"{"completion":{}}"#,
        Err("malformed-result"),
    );
    check(
        "prompts/list",
        r#"{"resultType":"task","prompts":[]}"#,
        Err("malformed-result"),
    );
    check("ping", "{}", Ok(ResultKind::Complete));
}
