use cedar_policy::Policy;

use super::{ATTRIBUTES, Uses};
use crate::arguments::Wanted;

#[track_caller]
fn check(condition: &str, attributes: &[&str], arguments: Option<&[&str]>) {
    let text = format!("permit(principal, action, resource) when {{ {condition} }};");
    let (uses, _) = Uses::of(&Policy::parse(None, text).unwrap().to_pst().unwrap());
    let read: Vec<&str> = ATTRIBUTES
        .into_iter()
        .filter(|name| uses.reads(name))
        .collect();
    assert_eq!(read, attributes, "{condition}");
    let expected = match arguments {
        None => Wanted::All,
        Some([]) => Wanted::Nothing,
        Some(names) => Wanted::Named(names.iter().map(|name| Box::from(*name)).collect()),
    };
    assert_eq!(uses.arguments, expected, "{condition}");
}

#[test]
fn only_what_is_named_is_needed() {
    check("true", &[], Some(&[]));
    check("context.approved", &["approved"], Some(&[]));
    check("context.history.calls < 3", &["history"], Some(&[]));
    check("context.arguments.path like \"a*\"", &[], Some(&["path"]));
    check("context.arguments has path.inner", &[], Some(&["path"]));
    check("context has arguments.path", &[], Some(&["path"]));
    check(
        "context.arguments[\"odd name\"] == 1",
        &[],
        Some(&["odd name"]),
    );
    check(
        "if context.kind == \"key\" then context.scopes.contains(\"a\") else context.arguments.a.b == 1",
        &["scopes", "kind"],
        Some(&["a"]),
    );
    check(
        "[context.client, context.what].isEmpty()",
        &["client", "what"],
        Some(&[]),
    );
    check("{a: context.labels}.a.isEmpty()", &["labels"], Some(&[]));
}

#[test]
fn what_is_used_as_a_whole_is_needed_as_a_whole() {
    check("context.arguments == {}", &[], None);
    check("context == {}", &ATTRIBUTES, None);
    check("{a: context}.a.approved", &ATTRIBUTES, None);
}
