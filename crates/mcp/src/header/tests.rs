use super::*;

#[test]
fn values_travel_through_headers() {
    for (text, value) in [
        ("us-west1", "us-west1"),
        ("us west 1", "us west 1"),
        ("", ""),
        ("=?base64?abc", "=?base64?abc"),
        ("=?BASE64?YQ==?=", "=?BASE64?YQ==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("\tindented", "=?base64?CWluZGVudGVk?="),
        ("a\tb", "=?base64?YQli?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("naïve", "=?base64?bmHDr3Zl?="),
        ("\u{7f}", "=?base64?fw==?="),
        ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
    ] {
        assert_eq!(encode_value(text), value, "{text:?}");
        assert_eq!(
            decode_value(value.as_bytes()).as_deref(),
            Some(text),
            "{value:?}"
        );
        let padded = format!(" \t {value}\t ");
        assert_eq!(
            decode_value(padded.as_bytes()).as_deref(),
            Some(text),
            "{value:?}"
        );
    }
}

#[test]
fn values_that_cannot_be_read_are_refused() {
    for value in [
        &b"a\tb"[..],
        b"a\x01",
        b"a\r\nb",
        b"\x7f",
        "naïve".as_bytes(),
        b"\xff",
        b"=?base64?SGVsbG8?=", // no padding
        b"=?base64?SGVs!!!bG8=?=",
        b"=?base64?SGVs bG8=?=",
        b"=?base64?SGVsbG9=?=", // bits that are left over
        b"=?base64?SGVsbG8==?=",
        b"=?base64?_-8=?=", // the other alphabet
        b"=?base64?/w==?=", // not UTF-8
    ] {
        assert_eq!(
            decode_value(value),
            None,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
}

#[test]
fn annotations_are_found_where_properties_lead() {
    let schema = br#"{
        "type": "object",
        "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "options": { "type": "object", "properties": {
                "limit": { "x-mcp-header": "Limit", "type": "integer" },
                "plain": { "type": "string" }
            } },
            "x-mcp-header": { "type": "string" },
            "properties": { "type": "boolean", "x-mcp-header": "Flag" },
            "data": { "default": { "x-mcp-header": "a b" }, "enum": [{ "x-mcp-header": "" }], "const": { "properties": { "x": { "x-mcp-header": "" } } } }
        }
    }"#;
    let headers = param_headers(schema).unwrap();
    let header = |name: &str, path: &[&str], kind| ParamHeader {
        name: name.to_owned(),
        path: path.iter().map(|&part| part.to_owned()).collect(),
        kind,
    };
    assert_eq!(
        headers,
        [
            header("Region", &["region"], HeaderKind::String),
            header("Limit", &["options", "limit"], HeaderKind::Integer),
            header("Flag", &["properties"], HeaderKind::Boolean),
        ]
    );
    assert_eq!(headers[0].header_name(), "mcp-param-region");
    assert_eq!(param_headers(b"{}"), Ok(Vec::new()));
    assert_eq!(param_headers(b"true"), Ok(Vec::new()));
    // An escaped keyword is the keyword.
    let escaped = br#"{"properties":{"a":{"type":"string","x-mcp-he\u0061der":"A"}}}"#;
    assert_eq!(param_headers(escaped).unwrap().len(), 1);
}

#[test]
fn invalid_annotations_are_refused() {
    let property =
        |schema: &str| param_headers(format!(r#"{{"properties":{{"p":{schema}}}}}"#).as_bytes());
    for (name, fault) in [
        ("\"\"", InvalidAnnotation::NotToken),
        ("\"a b\"", InvalidAnnotation::NotToken),
        ("\"a:b\"", InvalidAnnotation::NotToken),
        ("\"a\\r\\nb\"", InvalidAnnotation::NotToken),
        ("\"é\"", InvalidAnnotation::NotToken),
        ("1", InvalidAnnotation::NotString),
        ("null", InvalidAnnotation::NotString),
    ] {
        let schema = format!(r#"{{"type":"string","x-mcp-header":{name}}}"#);
        assert_eq!(property(&schema), Err(fault), "{name}");
    }
    for kind in [
        "\"number\"",
        "\"array\"",
        "\"object\"",
        "\"null\"",
        "[\"string\",\"null\"]",
        "1",
    ] {
        let schema = format!(r#"{{"type":{kind},"x-mcp-header":"A"}}"#);
        assert_eq!(
            property(&schema),
            Err(InvalidAnnotation::Type("A".to_owned())),
            "{kind}"
        );
    }
    let untyped = property(r#"{"x-mcp-header":"A"}"#);
    assert_eq!(untyped, Err(InvalidAnnotation::Type("A".to_owned())));
    let twice = br#"{"properties":{"a":{"type":"string","x-mcp-header":"Region"},"b":{"properties":{"c":{"type":"string","x-mcp-header":"REGION"}}}}}"#;
    assert_eq!(
        param_headers(twice),
        Err(InvalidAnnotation::Duplicate("REGION".to_owned()))
    );
}

#[test]
fn annotations_elsewhere_are_refused() {
    let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
    for schema in [
        annotated.to_owned(),
        format!(r#"{{"properties":{{"p":{{"items":{annotated}}}}}}}"#),
        format!(r#"{{"properties":{{"p":{{"items":{{"properties":{{"q":{annotated}}}}}}}}}}}"#),
        format!(r#"{{"prefixItems":[{annotated}]}}"#),
        format!(r#"{{"anyOf":[{{"properties":{{"q":{annotated}}}}}]}}"#),
        format!(r#"{{"allOf":[true,{annotated}]}}"#),
        format!(r#"{{"oneOf":[{annotated}]}}"#),
        format!(r#"{{"if":{annotated}}}"#),
        format!(r#"{{"not":{annotated}}}"#),
        format!(r#"{{"$defs":{{"d":{annotated}}}}}"#),
        format!(r#"{{"definitions":{{"d":{annotated}}}}}"#),
        format!(r#"{{"patternProperties":{{"^a":{annotated}}}}}"#),
        format!(r#"{{"additionalProperties":{annotated}}}"#),
        format!(r#"{{"dependentSchemas":{{"a":{annotated}}}}}"#),
    ] {
        let judged = param_headers(schema.as_bytes());
        assert_eq!(
            judged,
            Err(InvalidAnnotation::Unreachable("A".to_owned())),
            "{schema}"
        );
    }
}

#[test]
fn schemas_without_end_are_refused() {
    let deep = r#"{"properties":{"x-mcp-header":"#.repeat(50_000);
    assert_eq!(
        param_headers(deep.as_bytes()),
        Err(InvalidAnnotation::Schema)
    );
    let nested = format!(
        "{}true{}",
        r#"{"properties":{"x-mcp-header":"#.repeat(70),
        "}}".repeat(70)
    );
    assert_eq!(
        param_headers(nested.as_bytes()),
        Err(InvalidAnnotation::Schema)
    );
}

#[test]
fn arguments_are_mirrored_as_text() {
    let header = |kind| ParamHeader {
        name: "A".to_owned(),
        path: vec!["o".to_owned(), "a".to_owned()],
        kind,
    };
    for (value, kind, text) in [
        (r#""caf\u00e9""#, HeaderKind::String, Some("café")),
        (r#""""#, HeaderKind::String, Some("")),
        ("true", HeaderKind::Boolean, Some("true")),
        ("false", HeaderKind::Boolean, Some("false")),
        ("42", HeaderKind::Integer, Some("42")),
        ("42.0", HeaderKind::Integer, Some("42")),
        ("420e-1", HeaderKind::Integer, Some("42")),
        ("-0", HeaderKind::Integer, Some("0")),
        (
            "9007199254740991",
            HeaderKind::Integer,
            Some("9007199254740991"),
        ),
        (
            "9007199254740993",
            HeaderKind::Integer,
            Some("9007199254740993"),
        ),
        ("1.5", HeaderKind::Integer, Some("1.5")),
        ("7", HeaderKind::String, Some("7")),
        ("null", HeaderKind::String, None),
        ("[]", HeaderKind::String, None),
        ("{}", HeaderKind::String, None),
    ] {
        let arguments = format!(r#"{{"x":1,"o":{{"a": {value} }}}}"#);
        assert_eq!(
            param_value(&header(kind), arguments.as_bytes()).as_deref(),
            text,
            "{value}"
        );
    }
    for arguments in [
        "{}",
        r#"{"o":null}"#,
        r#"{"o":[]}"#,
        r#"{"a":1}"#,
        "null",
        "",
    ] {
        assert_eq!(
            param_value(&header(HeaderKind::String), arguments.as_bytes()),
            None
        );
    }
}

#[test]
fn a_header_agrees_with_the_arguments_or_not() {
    let header = |kind| ParamHeader {
        name: "A".to_owned(),
        path: vec!["a".to_owned()],
        kind,
    };
    for (kind, field, arguments, agrees) in [
        (HeaderKind::String, Some("x"), r#"{"a":"x"}"#, true),
        (HeaderKind::String, Some(" x\t"), r#"{"a":"x"}"#, true),
        (
            HeaderKind::String,
            Some("=?base64?eA==?="),
            r#"{"a":"x"}"#,
            true,
        ),
        (HeaderKind::String, Some("X"), r#"{"a":"x"}"#, false),
        (
            HeaderKind::String,
            Some("=?base64?eA?="),
            r#"{"a":"x"}"#,
            false,
        ),
        (HeaderKind::String, None, r#"{"a":"x"}"#, false),
        (HeaderKind::String, None, r#"{"a":null}"#, true),
        (HeaderKind::String, None, "{}", true),
        (HeaderKind::String, Some(""), "{}", false),
        (HeaderKind::String, Some("null"), r#"{"a":null}"#, false),
        (HeaderKind::String, Some("1.0"), r#"{"a":"1"}"#, false),
        (HeaderKind::Integer, Some("42.0"), r#"{"a":42}"#, true),
        (HeaderKind::Integer, Some("42"), r#"{"a":4.2e1}"#, true),
        (HeaderKind::Integer, Some("43"), r#"{"a":42}"#, false),
        (
            HeaderKind::Integer,
            Some("9007199254740993"),
            r#"{"a":9007199254740992}"#,
            false,
        ),
        (HeaderKind::Integer, Some("x"), r#"{"a":42}"#, false),
        (HeaderKind::Boolean, Some("true"), r#"{"a":true}"#, true),
        (HeaderKind::Boolean, Some("True"), r#"{"a":true}"#, false),
    ] {
        let field_bytes = field.map(str::as_bytes);
        let judged = param_agrees(&header(kind), field_bytes, arguments.as_bytes());
        assert_eq!(judged, agrees, "{field:?} {arguments}");
    }
}
