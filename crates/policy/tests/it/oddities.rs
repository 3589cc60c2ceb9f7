//! Policies that load but never matter.

use crate::support::policies;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let oddities = policies(text).oddities();
    let told: Vec<String> = oddities.iter().map(ToString::to_string).collect();
    assert_eq!(told, expected, "{text}");
}

#[test]
fn a_scope_that_fits_nothing_is_told() {
    let told = ["`a` applies to no known tool or server"];
    check(
        r#"@id("a") permit(principal, action == Action::"call", resource);"#,
        &told,
    );
    check(
        r#"@id("a") permit(principal, action == Action::"files/read_file", resource == Tool::"mail/send");"#,
        &told,
    );
    check(
        r#"@id("a") permit(principal, action == Action::"files/read_file", resource in Server::"mail");"#,
        &told,
    );
    check(
        r#"@id("a") permit(principal, action in Action::"call", resource is Prompt);"#,
        &told,
    );
    check(
        r#"@id("a") permit(principal, action in Action::"call", resource in Server::"mail");"#,
        &[],
    );
}

#[test]
fn a_duplicate_is_told() {
    let one =
        r#"permit(principal, action in Action::"call", resource) when { resource.readOnly };"#;
    check(
        &format!("@id(\"a\") {one} @id(\"b\") {one}"),
        &["`b` says the same as `a`"],
    );
    let other = one.replace("readOnly", "idempotent");
    check(&format!("@id(\"a\") {one} @id(\"b\") {other}"), &[]);
    let forbid = one.replace("permit", "forbid");
    check(&format!("@id(\"a\") {one} @id(\"b\") {forbid}"), &[]);
}

#[test]
fn a_policy_within_another_is_told() {
    let told = ["`a` adds nothing to `b`, which covers it"];
    let pair = |a: &str, b: &str| format!("@id(\"a\") {a} @id(\"b\") {b}");
    let all = "permit(principal, action, resource);";
    let calls = r#"permit(principal, action in Action::"call", resource);"#;
    let read = r#"permit(principal in Group::"staff", action == Action::"files/read_file", resource) when { context.approved };"#;
    check(&pair(calls, all), &told);
    check(&pair(read, calls), &told);
    check(&pair(all, all), &["`b` says the same as `a`"]);
    let of_tool = r#"permit(principal, action, resource == Tool::"files/read_file");"#;
    let of_server = r#"permit(principal is User, action, resource in Server::"files");"#;
    check(&pair(of_tool, of_server), &told);
    check(
        &pair(of_server, of_tool),
        &["`b` adds nothing to `a`, which covers it"],
    );
}

#[test]
fn a_permit_that_is_wholly_forbidden_is_told() {
    let text = r#"@id("a") permit(principal == User::"alice", action == Action::"files/read_file", resource);
        @id("no") forbid(principal, action, resource in Server::"files");"#;
    check(text, &[]);
    let text = text.replace(r#"resource in Server::"files""#, "resource");
    check(&text, &["`a` permits only what `no` forbids"]);
    let text = text.replace(
        "resource);\n        @id(\"no\")",
        "resource == Tool::\"files/read_file\");\n        @id(\"no\")",
    );
    check(&text, &["`a` permits only what `no` forbids"]);
}

#[test]
fn a_condition_keeps_a_forbid_from_hiding_a_permit() {
    let text = r#"@id("a") permit(principal, action, resource);
        @id("no") forbid(principal, action, resource) unless { context.approved };"#;
    check(text, &[]);
}
