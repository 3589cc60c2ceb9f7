//! What is wrong with the credential of a server is named where it stands.

use crate::place::Place;

#[track_caller]
fn check(auth: &str, expected: &str) {
    let config =
        format!("[servers.one]\nurl = \"https://one.example/mcp\"\n[servers.one.auth]\n{auth}\n");
    let ran = Place::with(&config).run(&["check"]);
    assert_eq!(ran.code, Some(2), "{auth}: {}", ran.stderr);
    assert!(ran.stderr.contains(expected), "{auth}: {}", ran.stderr);
}

#[test]
fn mistakes_in_auth_are_named() {
    check("scopes = []", "`servers.one.auth.kind` is missing");
    check("kind = \"oauht\"", "did you mean `oauth`?");
    check("kind = 1", "`servers.one.auth.kind` is");
    check(
        "kind = \"oauth\"\nscoopes = []",
        "there is no setting `servers.one.auth.scoopes`",
    );
    check(
        "kind = \"oauth\"\nscopes = \"a\"",
        "`servers.one.auth.scopes` must be an array",
    );
    check(
        "kind = \"oauth\"\nscopes = [\"a b\"]",
        "has one that is no scope",
    );
    check(
        "kind = \"oauth\"\naccounts = [\"ada\"]",
        "`connection = \"shared\"` only",
    );
    check(
        "kind = \"oauth\"\nauthorization_server = \"http://as.example\"",
        "must be an absolute `https` URL",
    );
    check("kind = \"secret\"", "`servers.one.auth.secret` is missing");
    check(
        "kind = \"secret\"\nsecret = \"A\"",
        "is not the name of a secret",
    );
    check(
        "kind = \"secret\"\nsecret = \"a\"\nvalue = \"Bearer\"",
        "must contain `{secret}` once",
    );
    check(
        "kind = \"client-credentials\"\nclient = { id = \"a\", key = \"none\" }",
        "no private key in PEM",
    );
    check(
        "kind = \"client-credentials\"\nclient = { id = \"a\", secret = \"b\", sealed_secret = \"c\" }",
        "more than one of",
    );
    check(
        "kind = \"workload-identity\"\ntoken_file = \"a\"\naudience = \"b\"",
        "needs `authorization_server`",
    );
    check(
        "kind = \"token-exchange\"\nclient = { id = \"a\" }\nsubject = { kind = \"fiel\" }",
        "did you mean `file`?",
    );
}

#[test]
fn a_local_server_has_no_auth() {
    let config = "[servers.one]\ncommand = [\"true\"]\nauth = { kind = \"oauth\" }\n";
    let ran = Place::with(config).run(&["check"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("means nothing for a server without `url`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_secret_in_the_file_is_noted_and_not_shown() {
    let config = "[servers.one]\nurl = \"https://one.example/mcp\"\n[servers.one.auth]\nkind = \"client-credentials\"\n\
                  client = { id = \"gateway\", secret = \"canary-of-a-secret\" }\n";
    let ran = Place::with(config).run(&["check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("written out in this file"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
}
