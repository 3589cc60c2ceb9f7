use super::*;
use crate::schema::graph;

#[track_caller]
fn check(dialect: Dialect, schema: &str, expected: &str) {
    let document: Value = serde_json::from_str(schema).unwrap();
    let graph = graph::read(&document, dialect).unwrap();
    let closed = closed(&plain(&document, dialect, &graph), dialect, &graph);
    let mut root = closed.pointer("/$defs/root").unwrap().clone();
    if root["$id"] == ROOT_ID {
        root.as_object_mut().unwrap().remove("$id");
    }
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(root, expected, "{schema}");
}

#[test]
fn places_that_declare_are_closed() {
    let check = |schema: &str, expected: &str| check(Dialect::Draft202012, schema, expected);
    check(
        r#"{"properties":{"o":{"properties":{}},"p":{"type":"object"},"q":true}}"#,
        r#"{"properties":{"o":{"properties":{},"unevaluatedProperties":false},"p":{"type":"object"},"q":true}}"#,
    );
    // Beside the reference, not at what it leads to.
    check(
        r##"{"items":{"$ref":"#/$defs/a"},"$defs":{"a":{"properties":{}}}}"##,
        r##"{"items":{"$ref":"#/$defs/a","unevaluatedProperties":false},"$defs":{"a":{"properties":{}}}}"##,
    );
    // Once for a place, over its branches.
    check(
        r#"{"items":{"anyOf":[{"properties":{}},{"type":"null"}]}}"#,
        r#"{"items":{"anyOf":[{"properties":{}},{"type":"null"}],"unevaluatedProperties":false}}"#,
    );
    // What has settled it itself is left alone, and so is what is only asked.
    for same in [
        r#"{"items":{"properties":{},"unevaluatedProperties":true}}"#,
        r#"{"not":{"properties":{"o":{"properties":{}}}}}"#,
        r#"{"if":{"properties":{"o":{"properties":{}}}}}"#,
        r#"{"contains":{"properties":{}}}"#,
        r#"{"items":{"not":{"properties":{}}}}"#,
    ] {
        check(same, same);
    }
}

#[test]
fn draft_7_is_translated() {
    let check = |schema: &str, expected: &str| check(Dialect::Draft7, schema, expected);
    check(
        r#"{"items":[{"type":"null"},{"items":[true],"additionalItems":false}],"additionalItems":{"dependencies":{"a":["b"],"c":{"properties":{}}}}}"#,
        r#"{"prefixItems":[{"type":"null"},{"prefixItems":[true],"items":false}],"items":{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"properties":{}}},"unevaluatedProperties":false}}"#,
    );
    check(
        r##"{"$ref":"#/definitions/a","type":"null","definitions":{"a":{"$id":"#b","$anchor":"c"}}}"##,
        r##"{"$ref":"#/definitions/a","definitions":{"a":{"$anchor":"b"}}}"##,
    );
    check(
        r#"{"additionalItems":false,"items":{},"prefixItems":5,"format":"regex","contentEncoding":"base64"}"#,
        r#"{"items":{}}"#,
    );
}
