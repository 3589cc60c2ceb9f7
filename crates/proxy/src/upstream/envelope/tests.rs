use super::*;

fn profile() -> Profile {
    Profile {
        version: None,
        capabilities: Bytes::from_static(br#"{"roots":{}}"#),
        client_info: Bytes::from_static(br#"{"name":"c","version":"1"}"#),
        log_level: Some("debug".into()),
    }
}

#[track_caller]
fn check(
    version: Version,
    progress: Option<i64>,
    params: Option<&'static str>,
    expected: Option<&str>,
) {
    let profile = profile();
    let envelope = Envelope {
        version,
        profile: &profile,
        progress,
    };
    let params = params.map(|params| Bytes::from_static(params.as_bytes()));
    let found = envelope.apply(params.as_ref());
    let found = found
        .as_deref()
        .map(|found| std::str::from_utf8(found).unwrap());
    assert_eq!(found, expected);
}

#[test]
fn legacy_params_without_meta_stay_as_they_are() {
    check(Version::V2025_11_25, None, None, None);
    check(
        Version::V2025_11_25,
        None,
        Some(r#"{ "a" : 1.0 }"#),
        Some(r#"{ "a" : 1.0 }"#),
    );
    let kept = r#"{"_meta": {"com.example/k": [1, 2]}, "a":1}"#;
    check(Version::V2025_11_25, None, Some(kept), Some(kept));
}

#[test]
fn legacy_params_lose_the_modern_keys_and_a_foreign_progress_token() {
    check(
        Version::V2025_11_25,
        None,
        Some(
            r#"{"a":1e2,"_meta":{"io.modelcontextprotocol/protocolVersion":"x","progressToken":"t"}}"#,
        ),
        Some(r#"{"a":1e2}"#),
    );
    check(
        Version::V2025_11_25,
        None,
        Some(
            r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/related-task":{"taskId":"1"}}}"#,
        ),
        Some(r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"}}}"#),
    );
}

#[test]
fn progress_is_asked_for_by_our_own_token() {
    check(
        Version::V2025_11_25,
        Some(7),
        None,
        Some(r#"{"_meta":{"progressToken":7}}"#),
    );
    check(
        Version::V2025_11_25,
        Some(7),
        Some(r#"{"_meta":{"progressToken":"theirs","k":0}}"#),
        Some(r#"{"_meta":{"progressToken":7,"k":0}}"#),
    );
}

#[test]
fn modern_params_say_who_asks() {
    let ours = concat!(
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{"roots":{}},"#,
        r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"#,
        r#""io.modelcontextprotocol/logLevel":"debug""#,
    );
    check(
        Version::V2026_07_28,
        None,
        None,
        Some(&format!(r#"{{"_meta":{{{ours}}}}}"#)),
    );
    check(
        Version::V2026_07_28,
        None,
        Some(
            r#"{"uri":"a","_meta":{"traceparent":"00-1","io.modelcontextprotocol/clientInfo":{"name":"forged"}}}"#,
        ),
        Some(&format!(
            r#"{{"uri":"a","_meta":{{"traceparent":"00-1",{ours}}}}}"#
        )),
    );
}

#[test]
fn progress_notifications_lose_their_token() {
    let (token, rest) = take_progress(br#"{"progressToken":3,"progress":0.5}"#).unwrap();
    assert_eq!((token, &rest[..]), (3, &br#"{"progress":0.5}"#[..]));
    assert!(take_progress(br#"{"progressToken":"3","progress":0.5}"#).is_none());
    assert!(take_progress(br#"{"progress":0.5}"#).is_none());
}

#[test]
fn subscriptions_are_found_by_their_number() {
    let found = subscription(br#"{"_meta":{"io.modelcontextprotocol/subscriptionId":12}}"#);
    assert_eq!(found, Some(12));
    assert_eq!(
        subscription(br#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"12"}}"#),
        None
    );
    assert_eq!(subscription(b"{}"), None);
}
