use super::*;

fn read(schema: &str) -> Result<Graph, Unusable> {
    let document: Value = serde_json::from_str(schema).unwrap();
    super::read(&document, Dialect::Draft202012)
}

#[track_caller]
fn check(schema: &str, expected: &[&str]) {
    let graph = read(schema).unwrap();
    let mut found: Vec<&str> = graph.nodes.iter().map(|node| &*node.pointer).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{schema}");
}

#[test]
fn subschemas_are_where_keywords_hold_them() {
    check(
        r##"{"allOf":[{},true],"properties":{"a/b":{"enum":[{"$ref":"#nowhere"}]}},"const":{"items":{}}}"##,
        &["", "/allOf/0", "/properties/a~1b"],
    );
    // References lead into keywords unknown.
    check(
        r##"{"$ref":"#/components/x%25","components":{"x%":{"items":{}},"y":{}}}"##,
        &["", "/components/x%", "/components/x%/items"],
    );
}

#[test]
fn references_resolve_within_the_document() {
    for reference in [
        "#",
        "#/$defs/a",
        "#here",
        "inner",
        "inner#there",
        "https://example.com/inner#/items",
    ] {
        let schema = format!(
            r#"{{"$id":"https://example.com/outer","items":{{"$ref":"{reference}"}},"$defs":{{"a":{{"$anchor":"here"}},"b":{{"$id":"inner","items":{{"$anchor":"there"}}}}}}}}"#
        );
        assert!(read(&schema).is_ok(), "{reference}");
    }
    for reference in [
        "other",
        "#there",
        "https://example.com/other",
        "//example.org/outer",
        "#/$defs/c",
        "#/$id",
        "#/%ff",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        let schema = format!(
            r#"{{"$id":"https://example.com/outer","items":{{"$ref":"{reference}"}},"$defs":{{"b":{{"$id":"inner","items":{{"$anchor":"there"}}}}}}}}"#
        );
        let expected = Unusable::Reference("/items/$ref".into());
        assert_eq!(read(&schema).map(drop), Err(expected), "{reference}");
    }
}
