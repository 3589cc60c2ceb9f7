use super::*;

#[track_caller]
fn check(name: &str, params: &str, expected: &str) {
    let code = match check_parts(name, Some(params.as_bytes()), &Settings::default()) {
        Ok(()) => "ok",
        Err(denial) => denial.code(),
    };
    assert_eq!(code, expected, "{params}");
}

#[track_caller]
fn field(name: &str, field: &str, expected: &str) {
    let params = format!(
        r#"{{"message":"hello","requestedSchema":{{"type":"object","properties":{{"{name}":{field}}}}}}}"#
    );
    check("elicitation/create", &params, expected);
}

#[test]
fn a_form_does_not_ask_for_secrets() {
    let text = r#"{"type":"string"}"#;
    for name in [
        "password",
        "userPassword",
        "db-password",
        "PASSWD",
        "api_key",
        "apiKey",
        "APIKEY",
        "access_key",
        "secretKey",
        "client_secret",
        "token",
        "authToken",
        "access token",
        "credit_card",
        "creditCardNumber",
        "cardNumber",
        "cvv",
        "ssn",
        "socialSecurityNumber",
        "private-key",
        "seedPhrase",
    ] {
        field(name, text, "secret-elicitation");
    }
    for name in [
        "name",
        "email",
        "max_tokens",
        "tokenCount",
        "secretName",
        "passenger",
        "pinCode2x",
        "keyboard",
        "card",
        "accountName",
        "monkey",
        "tokenizer",
        "address",
    ] {
        field(name, text, "ok");
    }
    field(
        "x",
        r#"{"type":"string","title":"Your Password"}"#,
        "secret-elicitation",
    );
    field(
        "x",
        r#"{"type":"string","format":"password"}"#,
        "secret-elicitation",
    );
    field(
        "x",
        r#"{"type":"object","properties":{"password":{}}}"#,
        "malformed-ask",
    );
    field("remember_password", r#"{"type":"boolean"}"#, "ok");
    field("p\\u0061ssword", text, "secret-elicitation");
}

#[test]
fn an_elicitation_has_its_shape() {
    check("elicitation/create", r#"{"message":"x"}"#, "malformed-ask");
    check(
        "elicitation/create",
        r#"{"requestedSchema":{"properties":{}}}"#,
        "malformed-ask",
    );
    check(
        "elicitation/create",
        r#"{"message":"x","mode":"other"}"#,
        "malformed-ask",
    );
    check(
        "elicitation/create",
        r#"{"message":"x","mode":5}"#,
        "malformed-ask",
    );
    let both = r#"{"message":"x","requestedSchema":{"properties":{}},"url":"http://evil.example"}"#;
    check("elicitation/create", both, "malformed-ask");
    check("elicitation/create", "[]", "malformed-ask");
    check("elicitation/other", "{}", "method-not-allowed");
    check("roots/list", "{}", "ok");
    check("sampling/createMessage", r#"{"messages":[]}"#, "ok");
    check("sampling/createMessage", "{}", "malformed-ask");
    check(
        "ping",
        &format!(r#"{{"x":"{}"}}"#, "a".repeat(2 << 20)),
        "ask-too-large",
    );
}

#[test]
fn an_address_is_safe_to_visit() {
    let check_url = |url: &str, expected: &str| {
        let params = format!(r#"{{"message":"x","mode":"url","elicitationId":"1","url":"{url}"}}"#);
        check("elicitation/create", &params, expected);
    };
    for url in [
        "https://a.example/x?y",
        "http://localhost:1234/x",
        "http://127.0.0.1/",
        "http://[::1]/",
    ] {
        check_url(url, "ok");
    }
    for url in [
        "http://a.example/",
        "ftp://a.example/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "https://good.example@evil.example/",
        "https://u:p@evil.example/",
        "https:///",
        "x",
        "https://a.example\\\\@b.example/",
        "https://a.ex\\nample/",
        " https://a.example/",
        "http://localhost.evil.example/",
        "http://10.0.0.1/",
    ] {
        check_url(url, "unsafe-elicitation-url");
    }
    check_url(
        &format!("https://a.example/{}", "a".repeat(9000)),
        "ask-too-large",
    );
}
