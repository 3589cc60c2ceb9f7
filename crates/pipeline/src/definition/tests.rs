use super::*;

#[track_caller]
fn fault(json: &str, expected: DefinitionFault) {
    let fault = ToolDefinition::compile(Bytes::copy_from_slice(json.as_bytes())).unwrap_err();
    assert_eq!(fault, expected, "{json}");
}

#[test]
fn what_is_no_definition_is_told_apart() {
    fault("[]", DefinitionFault::NotAnObject);
    fault("{}", DefinitionFault::Name);
    fault(r#"{"name":""}"#, DefinitionFault::Name);
    fault(r#"{"name":"a\nb"}"#, DefinitionFault::Name);
    fault(
        &format!(r#"{{"name":"{}"}}"#, "a".repeat(129)),
        DefinitionFault::Name,
    );
    fault(r#"{"name":"a"}"#, DefinitionFault::InputSchema);
    fault(
        r#"{"name":"a","inputSchema":true}"#,
        DefinitionFault::InputSchema,
    );
    fault(
        &format!(r#"{{"name":"{}"}}"#, "a".repeat(2 << 20)),
        DefinitionFault::TooLarge,
    );
}

#[test]
fn an_unusable_schema_is_no_fault_until_it_is_needed() {
    let raw =
        br#"{"name":"a","inputSchema":{"$ref":"https://elsewhere.example/"},"outputSchema":null}"#;
    let tool = ToolDefinition::compile(Bytes::from_static(raw)).unwrap();
    assert_eq!(
        tool.input().unwrap_err(),
        &Unusable::Reference("/$ref".into())
    );
    assert!(tool.output().is_none());
}
