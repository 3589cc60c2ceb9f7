//! Which arguments a pointer addresses.

use portcullis_constraint::{Constraints, Reason, Rules};
use serde_json::{Value, json};

use crate::support::{nowhere, rule};

#[track_caller]
fn check(pointer: &str, arguments: &Value, expected: Result<(), (&str, Reason)>) {
    let rule = rule(json!({"kind": "text", "pattern": "ok"}));
    let constraints = Constraints::compile(&Rules::from([(pointer.to_owned(), rule)]), &nowhere());
    let result = constraints.unwrap().check(arguments);
    let result = result
        .map(|_| ())
        .map_err(|violation| (violation.pointer, violation.reason));
    let expected = expected.map_err(|(pointer, reason)| (pointer.to_owned(), reason));
    assert_eq!(result, expected, "{pointer} in {arguments}");
}

#[test]
fn pointers_reach_into_arrays_and_objects() {
    check("/a", &json!({"a": "ok"}), Ok(()));
    check("/a", &json!({"a": "no"}), Err(("/a", Reason::Pattern)));
    check("/a/1", &json!({"a": ["no", "ok"]}), Ok(()));
    check(
        "/a/*",
        &json!({"a": ["ok", "no"]}),
        Err(("/a/1", Reason::Pattern)),
    );
    check(
        "/a/*/b",
        &json!({"a": [{"b": "ok"}, {"c": 1}, {"b": "no"}]}),
        Err(("/a/2/b", Reason::Pattern)),
    );
    check(
        "/a/*",
        &json!({"a": {"x": "ok", "y~/": "no"}}),
        Err(("/a/*", Reason::Pattern)),
    );
    check(
        "/*/*",
        &json!({"a": ["ok"], "b": ["no"]}),
        Err(("/*/0", Reason::Pattern)),
    );
    check(
        "/a~1b/~0c",
        &json!({"a/b": {"~c": "no"}}),
        Err(("/a~1b/~0c", Reason::Pattern)),
    );
    check("", &json!("no"), Err(("", Reason::Pattern)));
}

#[test]
fn what_is_absent_or_null_passes_and_what_is_of_another_shape_does_not() {
    check("/a", &json!({}), Ok(()));
    check("/a", &json!({"a": null}), Ok(()));
    check("/a/*", &json!({"a": []}), Ok(()));
    check("/a/*/b", &json!({"a": null}), Ok(()));
    check("/a", &json!({"a": ["no"]}), Err(("/a", Reason::WrongType)));
    check("/a", &json!({"a": 1}), Err(("/a", Reason::WrongType)));
    check("/a/*", &json!({"a": "no"}), Err(("/a", Reason::WrongType)));
    check(
        "/a/*/b",
        &json!({"a": ["{\"b\": \"no\"}"]}),
        Err(("/a/0", Reason::WrongType)),
    );
    check(
        "/a/b",
        &json!({"a": [{"b": "no"}]}),
        Err(("/a", Reason::WrongType)),
    );
    check(
        "/a/01",
        &json!({"a": ["no", "no"]}),
        Err(("/a", Reason::WrongType)),
    );
    check("/a", &json!("no"), Err(("", Reason::WrongType)));
    check("/a", &json!([]), Err(("", Reason::WrongType)));
}

#[test]
fn what_is_required_is_missed() {
    let required = rule(json!({"kind": "text", "required": true}));
    let constraints =
        Constraints::compile(&Rules::from([("/a".to_owned(), required)]), &nowhere()).unwrap();
    for arguments in [json!({}), json!({"a": null})] {
        assert_eq!(
            constraints.check(&arguments).unwrap_err().reason,
            Reason::Missing
        );
    }
}

#[test]
fn pointers_that_are_none_are_refused_when_compiled() {
    for pointer in ["a", "a/b", "/a~", "/a~2", "#/a", "$.a"] {
        let rules = Rules::from([(pointer.to_owned(), rule(json!({"kind": "text"})))]);
        assert!(
            Constraints::compile(&rules, &nowhere()).is_err(),
            "{pointer}"
        );
    }
}

#[test]
fn a_violation_tells_neither_the_value_nor_a_path() {
    let tree = crate::support::Tree::new();
    let constraints = tree.constraints(&json!({}));
    let violation = constraints
        .check(&json!({"it": "../outside/secret.txt"}))
        .unwrap_err();
    assert_eq!(
        violation.to_string(),
        "the argument `/it` is not a permitted path: it does not lead beneath a permitted directory"
    );
}

#[test]
fn rules_with_unknown_options_or_types_are_refused() {
    for json in [
        json!({"kind": "text", "patern": "a"}),
        json!({"kind": "path", "root": "/"}),
        json!({"type": "shell"}),
        json!({"roots": ["/"]}),
        json!({"kind": "url", "networks": ["10.0.0.0/99"]}),
    ] {
        assert!(
            serde_json::from_value::<portcullis_constraint::Rule>(json.clone()).is_err(),
            "{json}"
        );
    }
}

#[test]
fn the_schema_of_a_rule_names_every_kind_and_rules_survive_being_written() {
    let schema = serde_json::to_value(schemars::schema_for!(portcullis_constraint::Rule)).unwrap();
    let schema = schema.to_string();
    for kind in [
        "path", "url", "command", "sql", "text", "number", "email", "domain", "enum",
    ] {
        assert!(schema.contains(&format!("\"const\":\"{kind}\"")), "{kind}");
        let json = json!({"kind": kind});
        let first = rule(json);
        let written = serde_json::to_value(&first).unwrap();
        assert_eq!(rule(written), first);
    }
}
