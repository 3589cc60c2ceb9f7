use cedar_policy::Policy;

use super::{Condition, structure};
use crate::uses::Uses;

/// That the text which is evaluated reads as the policy does.
#[track_caller]
fn check(conditions: &str) {
    let policy = |conditions: &str| {
        let text = format!("permit(principal, action, resource) {conditions};");
        Policy::parse(None, text).unwrap()
    };
    let policy_as_written = policy(conditions);
    let condition = Condition::new(policy_as_written.clone(), Uses::all());
    let text = condition.text().unwrap();
    assert!(condition.expression().is_some(), "{text}");
    let again = policy(&format!("when {{ {text} }}"));
    assert_eq!(
        structure(&again).unwrap().body().clauses(),
        structure(&policy_as_written).unwrap().body().clauses(),
        "{text}"
    );
}

#[test]
fn what_is_evaluated_is_what_is_written() {
    check("when { true }");
    check("when { context.a } unless { context.b || context.c } when { !context.d }");
    check(r#"when { context.a == "quote \" backslash \\ line \n nul \0 \u{202e} é" }"#);
    check(r#"when { context.a like "a\*b*\"\\\u{7f}*" }"#);
    check(
        r#"when { context["odd \" name"] == {"if": [1, -9223372036854775808], "a b": User::"x\"y"} }"#,
    );
    check("when { 1 - (2 - 3) * -4 < 5 && -(context.n) <= 7 && (1 < 2) == (3 >= 4) }");
    check("when { (if context.a then context.b else context.c) && (context.d || context.e) }");
    check(r#"when { principal in [Group::"a", Group::"b"] && resource is Tool in Server::"s" }"#);
    check(r#"when { context has a.b.c && principal has "odd name" && !(context.a has b) }"#);
    check(
        "when { context.a.containsAny([]) && context.b.containsAll([1]) && context.c.isEmpty() }",
    );
    check(r#"when { context.now.offset(duration("-1d2h")) > datetime("2026-01-01").toDate() }"#);
    check(
        r#"when { ip("::1").isInRange(ip("::/8")) && decimal("-1.5").lessThan(decimal("2.0")) }"#,
    );
}
