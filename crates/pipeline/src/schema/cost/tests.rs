use super::*;
use crate::schema::{Dialect, graph, measure};

fn cost(schema: &str, closed: bool) -> Result<Cost, Unusable> {
    let document: Value = serde_json::from_str(schema).unwrap();
    Cost::of(graph::read(&document, Dialect::Draft202012)?, closed)
}

#[track_caller]
fn steps(schema: &str, json: &str, closed: bool) -> Option<u64> {
    let value = serde_json::from_str(json).unwrap();
    let measure = measure::measure(json.as_bytes());
    cost(schema, closed).unwrap().steps(&value, &measure)
}

#[test]
fn a_schema_that_ends_costs_its_size_for_each_value() {
    let schema = r#"{"properties":{"a":{"type":"string"},"b":{"items":{"enum":[1,2,3]}}}}"#;
    assert_eq!(cost(schema, false).unwrap().whole, Some(1 + 1 + 1 + 4));
    let found = steps(schema, r#"{"a":"x","b":[1,2]}"#, true).unwrap();
    assert!((20..200).contains(&found), "{found}");
}

#[test]
fn ways_to_a_subschema_are_multiplied() {
    let twice = |inner: &str| format!(r#"{{"anyOf":[{inner},{inner}]}}"#);
    let mut schema = r##"{"$ref":"#/$defs/a"}"##.to_owned();
    for _ in 0..8 {
        schema = twice(&schema);
    }
    let schema = format!(r#"{{"allOf":[{schema}],"$defs":{{"a":{{}}}}}}"#);
    assert!(cost(&schema, false).unwrap().whole.unwrap() >= 256);
}

#[test]
fn recursion_costs_what_the_json_has() {
    let tree = r##"{"properties":{"v":{"type":"integer"},"c":{"items":{"$ref":"#"}}}}"##;
    assert_eq!(cost(tree, true).unwrap().whole, None);
    let leaf = r#"{"v":1,"c":[]}"#;
    let level = |inner: &str| format!(r#"{{"v":1,"c":[{inner},{inner}]}}"#);
    let mut json = leaf.to_owned();
    for _ in 0..10 {
        json = level(&json);
    }
    // 2,047 nodes of three values.
    let found = steps(tree, &json, true).unwrap();
    assert!((6_000..100_000).contains(&found), "{found}");
}

#[test]
fn filters_of_honest_depth_are_within_the_bounds() {
    let schema = r##"{"properties":{"f":{"$ref":"#/$defs/f"}},"$defs":{"f":{"anyOf":[
        {"properties":{"op":{"const":"and"},"args":{"items":{"$ref":"#/$defs/f"}}},"required":["op","args"]},
        {"properties":{"op":{"const":"or"},"args":{"items":{"$ref":"#/$defs/f"}}},"required":["op","args"]},
        {"properties":{"op":{"const":"not"},"arg":{"$ref":"#/$defs/f"}},"required":["op","arg"]},
        {"properties":{"op":{"const":"eq"},"key":{},"value":{}},"required":["op"]}]}}}"##;
    let mut json = r#"{"op":"eq","key":"a","value":1}"#.to_owned();
    for op in ["and", "or", "and", "or"] {
        json = format!(r#"{{"op":"{op}","args":[{json},{{"op":"eq"}}]}}"#);
    }
    let json = format!(r#"{{"f":{json}}}"#);
    let found = steps(schema, &json, true);
    assert!(
        found.is_some_and(|found| found < STEPS_MAX / 20),
        "{found:?}"
    );
}
