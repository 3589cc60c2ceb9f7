use super::*;

fn entry(name: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#
    ))
}

#[test]
fn order_is_kept_and_the_first_of_a_name_counts() {
    let other = Bytes::from_static(br#"{"name":"a","inputSchema":{"type":"object"},"title":"x"}"#);
    let broken = Bytes::from_static(br#"{"name":"c"}"#);
    let catalog = Catalog::build(vec![entry("b"), entry("a"), other, broken], None);
    let names: Vec<_> = catalog.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(catalog.get("a").unwrap().raw, entry("a"));
    assert_eq!(
        catalog.faults(),
        [
            (2, DefinitionFault::Duplicate),
            (3, DefinitionFault::InputSchema)
        ]
    );
    assert!(catalog.get("c").is_none());
}

#[test]
fn equal_definitions_are_taken_over() {
    let first = Catalog::build(vec![entry("a"), entry("b")], None);
    let changed =
        Bytes::from_static(br#"{"name":"b","inputSchema":{"type":"object","properties":{}}}"#);
    let second = Catalog::build(vec![entry("a"), changed], Some(&first));
    assert!(Arc::ptr_eq(
        first.get("a").unwrap(),
        second.get("a").unwrap()
    ));
    assert!(!Arc::ptr_eq(
        first.get("b").unwrap(),
        second.get("b").unwrap()
    ));
}
