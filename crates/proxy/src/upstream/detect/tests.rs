use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Modern,
    Legacy(Vec<Version>),
    Undiscoverable,
    Again,
    Refused,
    NoVersion,
}

#[track_caller]
fn check(http_status: u16, is_http: bool, body: &'static str, expected: &Expected) {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
    let limits = portcullis_mcp::Limits::default();
    let message = portcullis_mcp::decode(body.into(), &limits).unwrap();
    let portcullis_mcp::Message::Response(response) = message else {
        panic!("a response")
    };
    let found = match judge(
        Answer {
            outcome: response.outcome,
            http_status,
        },
        is_http,
    ) {
        Ok(Verdict::Modern(_)) => Expected::Modern,
        Ok(Verdict::Legacy(versions)) => Expected::Legacy(versions),
        Ok(Verdict::Undiscoverable(_)) => Expected::Undiscoverable,
        Ok(Verdict::Again) => Expected::Again,
        Err(UpstreamError::Refused { .. }) => Expected::Refused,
        Err(UpstreamError::Garbage(Garbage::Version(_))) => Expected::NoVersion,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(&found, expected);
}

#[test]
fn replies_to_discover_tell_the_era() {
    use Expected::{Legacy, Modern, NoVersion, Refused, Undiscoverable};
    let modern = r#""result":{"supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{}}"#;
    check(200, true, modern, &Modern);
    check(200, false, modern, &Modern);
    let dual = r#""result":{"supportedVersions":["2025-11-25","2099-01-01"],"capabilities":{}}"#;
    check(200, true, dual, &Legacy(vec![Version::V2025_11_25]));
    let future = r#""result":{"supportedVersions":["2099-01-01"],"capabilities":{}}"#;
    check(200, true, future, &NoVersion);
    check(200, true, r#""result":{}"#, &Legacy(vec![]));
    let unsupported = r#""error":{"code":-32022,"message":"","data":{"supported":["2025-03-26","2025-06-18"],"requested":"2026-07-28"}}"#;
    let both = Legacy(vec![Version::V2025_03_26, Version::V2025_06_18]);
    check(400, true, unsupported, &both);
    let refused_once = r#""error":{"code":-32022,"message":"","data":{"supported":["2026-07-28"],"requested":"2026-07-28"}}"#;
    check(400, true, refused_once, &Expected::Again);
    check(200, false, unsupported, &both);
    check(
        400,
        true,
        r#""error":{"code":-32022,"message":""}"#,
        &Legacy(vec![]),
    );
    check(
        400,
        true,
        r#""error":{"code":-32020,"message":""}"#,
        &Refused,
    );
    check(
        400,
        false,
        r#""error":{"code":-32021,"message":""}"#,
        &Refused,
    );
    let unknown = r#""error":{"code":-32601,"message":"Method not found"}"#;
    check(404, true, unknown, &Undiscoverable);
    check(200, true, unknown, &Legacy(vec![]));
    check(200, false, unknown, &Legacy(vec![]));
    check(
        400,
        true,
        r#""error":{"code":-32000,"message":"Server not initialized"}"#,
        &Legacy(vec![]),
    );
    check(
        400,
        true,
        r#""error":{"code":-32600,"message":"Session id missing"}"#,
        &Legacy(vec![]),
    );
}
