//! What is allowed, asked for and denied.

use portcullis_policy::{ActionRef, Query};
use serde_json::json;

use crate::support::{check_call, line, name, policies, query};

const ALL: &str = r#"@id("all") permit(principal, action, resource);"#;

#[test]
fn nothing_is_permitted_by_default() {
    check_call("", "read_file", json!({"path": "a"}), "deny: no permit");
}

#[test]
fn a_permit_allows_within_its_scope() {
    let text = r#"permit(principal, action == Action::"files/read_file", resource);"#;
    check_call(
        text,
        "read_file",
        json!({"path": "a"}),
        "allow by own.cedar#1",
    );
    check_call(text, "delete_file", json!({"path": "a"}), "deny: no permit");
    let text = r#"permit(principal in Group::"staff", action in Action::"call", resource in Server::"files");"#;
    check_call(
        text,
        "delete_file",
        json!({"path": "a"}),
        "allow by own.cedar#1",
    );
    let text = r#"permit(principal in Group::"admins", action in Action::"call", resource);"#;
    check_call(text, "delete_file", json!({"path": "a"}), "deny: no permit");
    let text =
        r#"permit(principal in Client::"desk", action, resource == Tool::"files/read_file");"#;
    check_call(
        text,
        "read_file",
        json!({"path": "a"}),
        "allow by own.cedar#1",
    );
    let text = r#"permit(principal is User in Group::"staff", action, resource is Tool in Server::"files");"#;
    check_call(
        text,
        "read_file",
        json!({"path": "a"}),
        "allow by own.cedar#1",
    );
    let text = r#"permit(principal is User in Group::"staff", action, resource is Tool in Server::"mail");"#;
    check_call(text, "read_file", json!({"path": "a"}), "deny: no permit");
}

#[test]
fn a_forbid_wins() {
    let text = format!(
        r#"{ALL} @id("no") forbid(principal, action, resource == Tool::"files/read_file");"#
    );
    check_call(
        &text,
        "read_file",
        json!({"path": "a"}),
        "deny: forbidden by no",
    );
    check_call(&text, "write_file", json!({"path": "a"}), "allow by all");
}

#[test]
fn conditions_see_typed_arguments() {
    let when = |condition: &str| {
        format!(
            r#"permit(principal, action == Action::"files/write_file", resource) when {{ {condition} }};"#
        )
    };
    let arguments = || {
        json!({"path": "/a/b", "mode": "append", "size": 3, "ratio": 0.5, "tags": ["x"], "owner": {"name": "al"},
            "content": "left out"})
    };
    let allow = "allow by own.cedar#1";
    for condition in [
        r#"context.arguments.path like "/a/*""#,
        r#"context.arguments has mode && context.arguments.mode == "append""#,
        "context.arguments has size && context.arguments.size < 4",
        r#"context.arguments has ratio && context.arguments.ratio.lessThan(decimal("0.6"))"#,
        r#"context.arguments has tags && context.arguments.tags.contains("x")"#,
        r#"context.arguments has owner && context.arguments.owner.name == "al""#,
        r#"context.labels.contains("secret") && context.scopes.contains("files:read")"#,
        r#"context.kind == "account" && context.client == "desk""#,
        "context.history.calls == 7 && context.history.calls_of_tool == 2 && context.history.denials == 1",
        r#"context.now >= datetime("2026-09-21T00:00:00Z") && context.now < datetime("2026-09-22T00:00:00Z")"#,
        r#"resource.name == "write_file" && resource.words.contains("write")"#,
        "!resource.readOnly && resource.destructive && resource.openWorld && resource.stated.isEmpty()",
        r#"Tool::"files/read_file".readOnly && Tool::"mail/send" in Server::"mail""#,
    ] {
        check_call(&when(condition), "write_file", arguments(), allow);
    }
}

#[test]
fn an_optional_argument_that_is_null_is_absent() {
    let text = r#"permit(principal, action == Action::"files/write_file", resource)
        unless { context.arguments has mode };"#;
    check_call(
        text,
        "write_file",
        json!({"path": "a", "mode": null}),
        "allow by own.cedar#1",
    );
}

#[test]
fn a_value_that_does_not_fit_leaves_the_decision_undecided() {
    let text = format!(
        r#"{ALL} @id("small") forbid(principal, action == Action::"files/write_file", resource)
        when {{ context.arguments has size && context.arguments.size > 3 }};"#
    );
    let undecided = "deny: undecided by small";
    check_call(
        &text,
        "write_file",
        json!({"path": "a", "size": "9"}),
        undecided,
    );
    check_call(
        &text,
        "write_file",
        json!({"path": "a", "size": 1e30}),
        undecided,
    );
    check_call(&text, "write_file", json!([]), undecided);
    // A required argument that is not there is no argument that is not there by right.
    let text = format!(
        r#"{ALL} @id("pathless") forbid(principal, action == Action::"files/write_file", resource)
        when {{ resource.destructive }} unless {{ context.arguments has path }};"#
    );
    let pathless = "deny: undecided by pathless";
    check_call(&text, "write_file", json!({"size": 1}), pathless);
    check_call(&text, "write_file", json!({"path": "a"}), "allow by all");
    // What no policy names is not looked at.
    let text = format!(
        r#"{ALL} forbid(principal, action == Action::"files/write_file", resource)
        when {{ context.arguments has size && context.arguments.size > 3 }};"#
    );
    check_call(
        &text,
        "write_file",
        json!({"path": 7, "size": 1}),
        "allow by all",
    );
}

#[test]
fn a_policy_that_errs_leaves_the_decision_undecided_whatever_its_effect() {
    for effect in ["permit", "forbid"] {
        let text = format!(
            r#"{ALL} @id("errs") {effect}(principal, action == Action::"files/write_file", resource)
            when {{ context.arguments has size && context.arguments.size * 2 > 3 }};"#
        );
        let arguments = json!({"path": "a", "size": i64::MAX});
        check_call(&text, "write_file", arguments, "deny: undecided by errs");
        check_call(&text, "read_file", json!({"path": "a"}), "allow by all");
    }
}

#[test]
fn an_approval_is_asked_for_where_it_would_help() {
    let text = format!(
        r#"{ALL} @id("care") @ask("it is gone for good") forbid(principal, action == Action::"files/delete_file", resource)
        unless {{ context.approved }};"#
    );
    let ask = r#"ask ["it is gone for good"] by care"#;
    check_call(&text, "delete_file", json!({"path": "a"}), ask);
    let never = format!(
        r#"{text} @id("never") forbid(principal, action == Action::"files/delete_file", resource);"#
    );
    check_call(
        &never,
        "delete_file",
        json!({"path": "a"}),
        "deny: forbidden by care never",
    );
    let permit = r#"@id("p") @ask("please") permit(principal, action, resource) when { context.approved };
        @id("q") @ask("unused") permit(principal == User::"bob", action, resource) when { context.approved };"#;
    check_call(
        permit,
        "read_file",
        json!({"path": "a"}),
        r#"ask ["please"] by p"#,
    );

    let server = name("files");
    let asked = query(&server, ActionRef::CallTool("delete_file"), None);
    let approved = Query {
        approved: true,
        ..asked
    };
    assert_eq!(line(&policies(&text).decide(&approved)), "allow by all");
    assert_eq!(
        line(&policies(&never).decide(&approved)),
        "deny: forbidden by never"
    );
}

#[track_caller]
fn check(text: &str, action: ActionRef<'_>, expected: &str) {
    let server = name("files");
    let decision = policies(text).decide(&query(&server, action, None));
    assert_eq!(line(&decision), expected, "{action:?}");
}

#[test]
fn what_is_no_tool_is_decided_likewise() {
    let read = r#"permit(principal, action == Action::"read", resource in Server::"files")
        when { resource.scheme == "file" && resource.uri like "file:///open/*" };"#;
    check(
        read,
        ActionRef::ReadResource("file:///open/a"),
        "allow by own.cedar#1",
    );
    check(
        read,
        ActionRef::ReadResource("file:///open/../shut/a"),
        "deny: no permit",
    );
    check(read, ActionRef::ReadResource("no uri"), "deny: undecided");
    check(
        read,
        ActionRef::Subscribe("file:///open/a"),
        "deny: no permit",
    );
    let prompt =
        r#"permit(principal, action == Action::"prompt", resource == Prompt::"files/summary");"#;
    check(
        prompt,
        ActionRef::GetPrompt("summary"),
        "allow by own.cedar#1",
    );
    check(prompt, ActionRef::GetPrompt("other"), "deny: no permit");
    let list = r#"permit(principal, action == Action::"list", resource == Server::"files") when { context.what == "tools" };"#;
    check(list, ActionRef::List("tools"), "allow by own.cedar#1");
    check(list, ActionRef::List("prompts"), "deny: no permit");
    let complete = r#"permit(principal, action == Action::"complete", resource) when { context.argument == "language" };"#;
    let language = |prompt| ActionRef::CompletePrompt {
        prompt,
        argument: "language",
    };
    check(complete, language("summary"), "allow by own.cedar#1");
    let uri = "file:///{path}";
    let argument = "path";
    check(
        complete,
        ActionRef::CompleteResource { uri, argument },
        "deny: no permit",
    );
    let server = r#"permit(principal, action in [Action::"sample", Action::"elicit", Action::"task", Action::"other"], resource);"#;
    for action in [
        ActionRef::Sample,
        ActionRef::Elicit,
        ActionRef::Task("tasks/get"),
        ActionRef::Other("ping"),
    ] {
        check(server, action, "allow by own.cedar#1");
    }
}

#[test]
fn a_server_is_not_the_same_as_what_is_in_it() {
    let text = r#"permit(principal, action, resource == Server::"files");"#;
    check(text, ActionRef::List("tools"), "allow by own.cedar#1");
    check(text, ActionRef::CallTool("read_file"), "deny: no permit");
}

#[test]
fn a_tool_without_a_definition_is_undecided() {
    check(ALL, ActionRef::CallTool("unknown"), "deny: undecided");
}
