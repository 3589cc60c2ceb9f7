use http::HeaderValue;

use super::*;

fn read(values: &[&str]) -> Challenge {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
    }
    Challenge::read(&headers)
}

#[test]
fn the_parameters_of_a_bearer_challenge_are_read() {
    let challenge = read(&[
        r#"Bearer error="insufficient_scope", scope="a b", resource_metadata="https://s/.well-known/x", error_description="say \"hi\", Basic""#,
    ]);
    assert!(challenge.is("insufficient_scope"));
    assert_eq!(challenge.scopes, Some("a b".parse().unwrap()));
    assert_eq!(
        challenge.resource_metadata.as_deref(),
        Some("https://s/.well-known/x")
    );
    assert!(!challenge.dpop);
}

#[test]
fn other_schemes_are_passed_over() {
    let challenge = read(&[
        r#"Basic realm="scope=admin", Negotiate abc==, Bearer scope=x"#,
        r#"Digest realm="y", error="stale""#,
    ]);
    assert_eq!(challenge.scopes, Some("x".parse().unwrap()));
    assert_eq!(challenge.error, None);
}

#[test]
fn dpop_is_asked_for_where_bearer_is_not_offered() {
    assert!(read(&[r#"DPoP error="use_dpop_nonce""#]).dpop);
    assert!(!read(&[r#"DPoP algs="ES256", Bearer scope="x""#]).dpop);
    assert!(!read(&["Bearer", "DPoP"]).dpop);
}

#[test]
fn nonsense_reads_as_no_challenge() {
    for text in [
        "",
        ",,,",
        "=",
        "\"",
        "Bearer scope=\"unterminated",
        "scope=x",
        "Bearer =",
    ] {
        let challenge = read(&[text]);
        assert_eq!(challenge, Challenge::default(), "{text}");
    }
    let long = format!("Bearer scope=\"{}\"", "x".repeat(9000));
    assert_eq!(read(&[&long]), Challenge::default());
    assert_eq!(read(&["Bearer scope=\"a\\\\b\""]).scopes, None);
}
