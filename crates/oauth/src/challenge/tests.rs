use super::{Challenge, Problem, Scheme, parameter};
use crate::dpop::Mode;
use crate::resource::ProtectedResource;

const METADATA: &str =
    r#"resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp""#;

#[track_caller]
fn check(problem: Problem, dpop: Mode, used: Scheme, expected: &[&str]) {
    let base = "https://gateway.example".parse().unwrap();
    let challenge = Challenge {
        resource: &ProtectedResource::new(&base, "/mcp"),
        problem,
        scopes: &"tools:read tools:write".parse().unwrap(),
        dpop,
        used,
    };
    let expected: Vec<String> = expected
        .iter()
        .map(|value| value.replace("METADATA", METADATA))
        .collect();
    assert_eq!(challenge.values(), expected);
}

#[test]
fn a_challenge_names_the_metadata_and_all_scopes() {
    check(
        Problem::Missing,
        Mode::Off,
        Scheme::Bearer,
        &[r#"Bearer scope="tools:read tools:write", METADATA"#],
    );
    check(
        Problem::InvalidToken("the access token has expired"),
        Mode::Off,
        Scheme::Bearer,
        &[
            r#"Bearer error="invalid_token", error_description="the access token has expired", scope="tools:read tools:write", METADATA"#,
        ],
    );
    check(
        Problem::InsufficientScope,
        Mode::Off,
        Scheme::Bearer,
        &[
            r#"Bearer error="insufficient_scope", error_description="the access token lacks a scope that this needs", scope="tools:read tools:write", METADATA"#,
        ],
    );
}

#[test]
fn the_error_is_told_in_the_scheme_that_was_used() {
    check(
        Problem::UseDpopNonce,
        Mode::Accepted,
        Scheme::Dpop,
        &[
            r#"Bearer scope="tools:read tools:write", METADATA"#,
            r#"DPoP error="use_dpop_nonce", error_description="the proof has to hold the nonce given", scope="tools:read tools:write", METADATA, algs="ES256 ES384 EdDSA RS256 PS256""#,
        ],
    );
    check(
        Problem::Missing,
        Mode::Required,
        Scheme::Bearer,
        &[r#"DPoP scope="tools:read tools:write", METADATA, algs="ES256 ES384 EdDSA RS256 PS256""#],
    );
}

#[test]
fn nothing_leaves_a_quoted_string() {
    let mut text = String::from("Bearer ");
    parameter(&mut text, "scope", "a\"b\\c\r\nX: y\u{e9}");
    parameter(&mut text, "x", "y");
    assert_eq!(text, r#"Bearer scope="a\"b\\cX: y", x="y""#);
}
