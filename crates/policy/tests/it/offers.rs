//! Which tools are worth showing.

use portcullis_policy::Who;

use crate::support::{ALICE, name, policies};

#[track_caller]
fn check(text: &str, tool: &str, who: Who<'_>, expected: bool) {
    let offered = policies(text).is_offered(&who, &name("files"), tool);
    assert_eq!(offered, expected, "{text}");
}

#[test]
fn a_tool_is_offered_when_some_call_of_it_could_be_allowed_or_asked() {
    let all = "permit(principal, action, resource);";
    for (text, expected) in [
        ("", false),
        (all, true),
        (
            r#"permit(principal, action == Action::"files/read_file", resource);"#,
            false,
        ),
        (
            r#"permit(principal, action == Action::"files/write_file", resource) when { context.arguments.path like "a*" };"#,
            true,
        ),
        (
            r#"permit(principal in Group::"admins", action == Action::"files/write_file", resource) when { context.arguments.path like "a*" };"#,
            false,
        ),
        (
            "permit(principal, action, resource) when { context.approved };",
            true,
        ),
        (
            r#"permit(principal, action in Action::"call", resource) when { resource.readOnly };"#,
            false,
        ),
        (
            r#"permit(principal, action in Action::"call", resource) when { resource.name like "write*" };"#,
            true,
        ),
        (
            r"permit(principal, action, resource); forbid(principal, action, resource) unless { context.approved };",
            true,
        ),
        (
            r"permit(principal, action, resource); forbid(principal, action, resource is Tool) when { !resource.readOnly };",
            false,
        ),
        (
            r#"permit(principal, action, resource); forbid(principal, action, resource in Server::"files");"#,
            false,
        ),
        (
            r#"permit(principal, action, resource); forbid(principal, action, resource in Server::"mail");"#,
            true,
        ),
        (
            r"permit(principal, action, resource) when { context.history.calls < 3 };",
            true,
        ),
    ] {
        check(text, "write_file", ALICE, expected);
    }
    check(all, "unknown", ALICE, false);
}

#[test]
fn what_comes_with_the_credential_is_known() {
    let strangers = r#"permit(principal, action, resource); forbid(principal, action, resource) when { ["local", "nobody"].contains(context.kind) };"#;
    check(strangers, "write_file", ALICE, true);
    check(
        strangers,
        "write_file",
        Who {
            kind: "nobody",
            ..ALICE
        },
        false,
    );
    let client = r#"permit(principal, action, resource) when { context.client == "desk" && context.history.calls < 3 };"#;
    check(client, "write_file", ALICE, true);
    check(
        client,
        "write_file",
        Who {
            client: "other",
            ..ALICE
        },
        false,
    );
    let scope = r#"permit(principal, action, resource) when { context.scopes.containsAny(["files:read", "files:write"]) };"#;
    check(scope, "write_file", ALICE, true);
    check(
        scope,
        "write_file",
        Who {
            scopes: &[],
            ..ALICE
        },
        false,
    );
    let none = "permit(principal, action, resource) when { context.scopes.isEmpty() };";
    check(
        none,
        "write_file",
        Who {
            scopes: &[],
            ..ALICE
        },
        true,
    );
}
