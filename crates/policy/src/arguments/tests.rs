#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` read better without borrows"
)]

use cedar_policy::Context;
use serde_json::{Value, json};

use super::{Arguments, Wanted};

fn read(schema: &Value) -> Arguments {
    Arguments::read(schema.to_string().as_bytes())
}

/// The Cedar schema of one property, or why there is none.
#[track_caller]
fn check(property: Value, expected: Result<Value, &str>) {
    let read = read(&json!({"type": "object", "properties": {"p": property},
        "$defs": {"name": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"}}}));
    let schema = read.fields.schema();
    let got = match schema.pointer("/attributes/p") {
        Some(found) => {
            let mut found = found.clone();
            found.as_object_mut().unwrap().remove("required");
            Ok(found)
        }
        None => Err(*read.left_out.get("p").unwrap()),
    };
    assert_eq!(got, expected);
}

#[test]
fn schemas_become_types() {
    let text = json!({"type": "String"});
    check(
        json!({"type": "string", "format": "ipv4"}),
        Ok(text.clone()),
    );
    check(json!({"enum": ["a", "b"]}), Ok(text.clone()));
    check(json!({"const": "a"}), Ok(text.clone()));
    check(json!({"type": ["string", "null"]}), Ok(text.clone()));
    check(
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        Ok(text.clone()),
    );
    check(json!({"$ref": "#/$defs/name"}), Ok(text.clone()));
    check(json!({"type": "integer"}), Ok(json!({"type": "Long"})));
    let decimal = json!({"type": "Extension", "name": "decimal"});
    check(json!({"type": "number"}), Ok(decimal));
    let set = json!({"type": "Set", "element": {"type": "Boolean"}});
    check(
        json!({"type": "array", "items": {"type": "boolean"}}),
        Ok(set),
    );
}

#[test]
fn what_has_no_type_is_left_out_with_the_reason() {
    check(json!({}), Err("its schema does not give a type"));
    check(json!(true), Err("its schema does not give a type"));
    check(
        json!({"enum": ["a", 1]}),
        Err("its schema does not give a type"),
    );
    check(json!({"type": "array"}), Err("its items have no type"));
    check(
        json!({"type": ["string", "integer"]}),
        Err("it may have one of several types"),
    );
    check(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        Err("it may have one of several types"),
    );
    check(
        json!({"$ref": "#/$defs/loop"}),
        Err("it lies deeper than eight levels"),
    );
    check(
        json!({"$ref": "https://example.com/"}),
        Err("its schema refers to a place outside of itself"),
    );
}

#[test]
fn required_properties_are_required_unless_they_may_be_null() {
    let read = read(
        &json!({"properties": {"a": {"type": "string"}, "b": {"type": ["string", "null"]},
        "c": {"type": "string"}}, "required": ["a", "b"]}),
    );
    let schema = read.fields.schema();
    let required = |name: &str| schema["attributes"][name]["required"] == true;
    assert_eq!(
        (required("a"), required("b"), required("c")),
        (true, false, false)
    );
}

#[test]
fn references_that_multiply_end() {
    let mut defs = serde_json::Map::new();
    let many = |to: &str| -> Value {
        (0..50)
            .map(|n| (format!("p{n}"), json!({"$ref": to})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for n in 0..8 {
        let to = format!("#/$defs/d{}", n + 1);
        defs.insert(
            format!("d{n}"),
            json!({"type": "object", "properties": many(&to)}),
        );
    }
    let schema = json!({"type": "object", "properties": many("#/$defs/d0"), "$defs": defs});
    assert!(read(&schema).left_out.len() <= 2 * super::SUBSCHEMAS_MAX * 50);
}

#[track_caller]
fn converts(schema: Value, value: Value, expected: Option<&str>) {
    let read = read(&json!({"type": "object", "properties": {"p": schema}}));
    let values = json!({"p": value});
    let got = read
        .fields
        .convert(values.as_object().unwrap(), &Wanted::All);
    let got = got.ok().map(|record| {
        let context = Context::from_pairs([("record".to_owned(), record)]).unwrap();
        context.get("record").unwrap().to_string()
    });
    assert_eq!(got.as_deref(), expected);
}

#[test]
fn values_convert_exactly_or_not_at_all() {
    let number = || json!({"type": "number"});
    converts(number(), json!(0.1), Some(r#"{"p": decimal("0.1")}"#));
    converts(number(), json!(3), Some(r#"{"p": decimal("3.0")}"#));
    converts(number(), json!(3.0), Some(r#"{"p": decimal("3.0")}"#));
    converts(number(), json!(0.00001), None);
    let integer = || json!({"type": "integer"});
    converts(integer(), json!(3.0), Some(r#"{"p": 3}"#));
    converts(integer(), json!(-0.0), Some(r#"{"p": 0}"#));
    converts(integer(), json!(3.5), None);
    converts(integer(), json!(1e30), None);
    converts(integer(), json!(u64::MAX), None);
    converts(integer(), json!("3"), None);
    converts(integer(), json!(null), Some("{}"));
    let set = json!({"type": "array", "items": {"type": "string"}});
    converts(set.clone(), json!(["a", null]), None);
    converts(set, json!(["a"]), Some(r#"{"p": ["a"]}"#));
}
