use super::*;

fn server(announced: bool) -> AuthorizationServer {
    let document = format!(
        r#"{{"issuer":"https://as.example","token_endpoint":"https://as.example/token",
            "authorization_response_iss_parameter_supported":{announced}}}"#
    );
    serde_json::from_str(&document).unwrap()
}

#[track_caller]
fn check(announced: bool, iss: Option<&str>, accepted: bool) {
    let answer = check_issuer(&server(announced), iss);
    assert_eq!(answer.is_ok(), accepted, "{announced} {iss:?}");
}

#[test]
fn the_issuer_of_a_response_is_compared_character_for_character() {
    check(true, Some("https://as.example"), true);
    check(true, None, false);
    check(false, Some("https://as.example"), true);
    check(false, None, true);
    for wrong in [
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "https://evil.example",
        "",
    ] {
        check(true, Some(wrong), false);
        check(false, Some(wrong), false);
    }
}

#[test]
fn a_parameter_that_is_there_twice_spoils_a_response() {
    assert!(CallbackParameters::parse("state=a&code=b&iss=c&x=1&x=2").is_ok());
    for query in [
        "state=a&state=b",
        "code=a&code=a",
        "iss=a&iss=",
        "error=a&error=b",
    ] {
        assert!(CallbackParameters::parse(query).is_err(), "{query}");
    }
}
