//! Schemas and arguments made to stop the gateway: every one ends, within bounds, and never as `Ok`.

use std::time::{Duration, Instant};

use portcullis_pipeline::schema::{Dialect, Invalid, Options, Unusable, Validator};
use proptest::prelude::*;

fn compile(schema: &str) -> Result<Validator, Unusable> {
    let options = Options {
        dialect: Dialect::default(),
        closed: true,
        formats: true,
    };
    Validator::compile(schema.as_bytes(), options)
}

/// Runs on a stack as small as a worker's, and within a time that no honest evaluation needs.
#[track_caller]
fn undecided(schema: String, json: String) {
    let work = move || {
        let started = Instant::now();
        let outcome = compile(&schema)
            .expect("a schema")
            .validate(json.as_bytes());
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
        outcome
    };
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .unwrap();
    assert_eq!(thread.join().unwrap(), Err(Invalid::Undecided));
}

/// Refused before anything is evaluated.
#[track_caller]
fn unusable(schema: &str, expected: &str) {
    let started = Instant::now();
    let refused = compile(schema).map(drop).unwrap_err().to_string();
    assert_eq!(refused, expected, "{schema}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn references_in_circles_are_unusable() {
    let told = |at: &str| format!("the subschema at `{at}` refers to itself for the same value");
    unusable(r##"{"$ref":"#"}"##, &told(""));
    unusable(r##"{"allOf":[{"$ref":"#"}]}"##, &told(""));
    unusable(r##"{"not":{"$ref":"#"}}"##, &told(""));
    unusable(
        r##"{"anyOf":[{"type":"string"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
        &told("/$defs/a"),
    );
    unusable(
        r##"{"$dynamicAnchor":"a","properties":{"p":{"if":{"$dynamicRef":"#a"},"$dynamicAnchor":"a"}}}"##,
        &told("/properties/p"),
    );
    unusable(
        r##"{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":{"$ref":"#"}}}"##,
        &told(""),
    );
}

#[test]
fn doubling_is_unusable_or_undecided() {
    let definitions: Vec<String> = (0..40)
        .map(|number| {
            let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, number + 1);
            format!(r#""d{number}":{{"anyOf":[{next},{next}]}}"#)
        })
        .collect();
    let schema = format!(
        r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":false}}}}"##,
        definitions.join(",")
    );
    let refused = compile(&schema).map(drop).unwrap_err();
    assert!(matches!(refused, Unusable::TooIntricate(_)), "{refused}");
    let tree =
        r##"{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}"##;
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    undecided(tree.into(), deep);
}

#[test]
fn a_long_chain_of_references_is_unusable() {
    let definitions: Vec<String> = (0..5000)
        .map(|number| format!(r##""d{number}":{{"$ref":"#/$defs/d{}"}}"##, number + 1))
        .collect();
    let schema = format!(
        r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d5000":{{}}}}}}"##,
        definitions.join(",")
    );
    let refused = compile(&schema).map(drop).unwrap_err();
    assert!(matches!(refused, Unusable::TooIntricate(_)), "{refused}");
}

#[test]
fn asking_again_at_every_level_is_undecided() {
    let schema = r##"{"allOf":[{"anyOf":[{"properties":{"a":{"$ref":"#"}}}]}]}"##;
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    undecided(schema.into(), deep);
}

/// As deep as an evaluation may be, on a stack as small as a worker's.
#[test]
fn the_deepest_evaluation_fits_a_worker() {
    let work = || {
        for (link, chain, levels) in [
            ("{}", 1, 60),
            ("{}", 80, 2),
            ("{}", 180, 0),
            (r#"{"allOf":[{}]}"#, 60, 1),
            (r#"{"anyOf":[{}]}"#, 40, 1),
            (r#"{"if":{},"then":true}"#, 20, 1),
        ] {
            let links: Vec<String> = (0..chain)
                .map(|number| {
                    let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, number + 1);
                    format!(r#""d{number}":{}"#, link.replace("{}", &next))
                })
                .collect();
            let schema = format!(
                r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d{chain}":{{"properties":{{"a":{{"$ref":"#"}}}}}}}}}}"##,
                links.join(",")
            );
            let validator = compile(&schema).unwrap();
            let fits = format!("{}{{}}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
            assert_eq!(
                validator.validate(fits.as_bytes()),
                Ok(()),
                "{link} {chain} {levels}"
            );
            let fails = fits.replace("{}", r#"{"b":1}"#);
            let told = validator.validate(fails.as_bytes()).unwrap_err();
            assert!(
                matches!(told, Invalid::Faults(_)),
                "{link} {chain} {levels} {told:?}"
            );
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn backtracking_is_bounded() {
    let schema = r#"{"properties":{"l":{"items":{"pattern":"^(a|a)*\\1(?=b)$"}}}}"#;
    let item = format!("\"{}\"", "a".repeat(64));
    undecided(
        schema.into(),
        format!(r#"{{"l":[{}]}}"#, vec![item; 1000].join(",")),
    );
}

#[test]
fn large_schemas_are_unusable() {
    let refused = |schema: String| compile(&schema).map(drop).unwrap_err();
    assert_eq!(
        refused(format!(r#"{{"title":"{}"}}"#, "a".repeat(300 << 10))),
        Unusable::TooLarge
    );
    let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(70), "}".repeat(70));
    assert_eq!(refused(deep), Unusable::Json);
    let wide: Vec<_> = (0..10_001)
        .map(|number| format!(r#""{number}":{{}}"#))
        .collect();
    assert_eq!(
        refused(format!(r#"{{"properties":{{{}}}}}"#, wide.join(","))),
        Unusable::TooManySubschemas
    );
    let patterns: Vec<_> = (0..501)
        .map(|number| format!(r#""{number}":{{"pattern":"a"}}"#))
        .collect();
    assert_eq!(
        refused(format!(r#"{{"properties":{{{}}}}}"#, patterns.join(","))),
        Unusable::TooManyPatterns
    );
}

#[test]
fn what_is_no_usable_schema_says_where() {
    let refused = |schema: &str| compile(schema).map(drop).unwrap_err().to_string();
    assert_eq!(
        refused("{"),
        "the schema is not JSON nested at most 64 deep"
    );
    assert_eq!(
        refused(r#"{"a":1,"a":2}"#),
        "the schema is not JSON nested at most 64 deep"
    );
    assert_eq!(
        refused(r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#),
        "`$schema` names a dialect other than 2020-12 and draft 7"
    );
    for reference in [
        "https://evil.example/x",
        "file:///etc/passwd",
        "other.json",
        "#/nowhere",
        "#nowhere",
    ] {
        let schema = format!(r#"{{"properties":{{"a":{{"$ref":"{reference}"}}}}}}"#);
        assert_eq!(
            refused(&schema),
            "the reference at `/properties/a/$ref` leads out of the schema"
        );
    }
    assert_eq!(
        refused(r#"{"properties":{"a":{"pattern":"("}}}"#),
        "the pattern at `/properties/a/pattern` cannot be compiled"
    );
    for (keyword, value) in [
        ("type", r#""int""#),
        ("properties", "5"),
        ("required", "true"),
        ("minLength", "-1"),
        ("allOf", "[]"),
        ("items", "[]"),
        ("multipleOf", "0"),
        ("enum", "5"),
        ("uniqueItems", "1"),
        ("additionalProperties", "null"),
        ("maximum", r#""5""#),
        ("format", "5"),
        ("pattern", "5"),
        ("$ref", "5"),
    ] {
        let schema = format!(r#"{{"{keyword}":{value}}}"#);
        assert!(
            refused(&schema).starts_with(&format!("the keyword at `/{keyword}")),
            "{}",
            refused(&schema)
        );
    }
}

/// Compiles on a stack as small as a worker's, and in the time that an operator waits at most.
#[track_caller]
fn compiles(schema: String) {
    let work = move || {
        let started = Instant::now();
        let compiled = compile(&schema).map(drop);
        (compiled, started.elapsed())
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let (compiled, took) = thread.spawn(work).unwrap().join().unwrap();
    println!("{compiled:?} in {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn the_largest_schemas_compile() {
    let wide: Vec<_> = (0..4_900)
        .map(|number| format!(r#""{number}":{{"properties":{{"a":{{}}}}}}"#))
        .collect();
    compiles(format!(r#"{{"properties":{{{}}}}}"#, wide.join(",")));
    let patterns: Vec<_> = (0..100)
        .map(|number| {
            format!(r#""{number}":{{"pattern":"^(\\w{{{number},500}}|[^a-z]{{1,200}})$"}}"#)
        })
        .collect();
    compiles(format!(r#"{{"properties":{{{}}}}}"#, patterns.join(",")));
    for (open, close) in [
        (r#"{"properties":{"a":"#, "}}"),
        (r#"{"anyOf":[{"properties":{"a":"#, "}}]}"),
        (
            r#"{"allOf":[{"if":true,"then":{"properties":{"a":"#,
            "}}}]}",
        ),
        (
            r#"{"additionalProperties":{"anyOf":["#,
            "]},\"properties\":{}}",
        ),
        (r#"{"unevaluatedProperties":"#, "}"),
    ] {
        let depth = 62 / open.matches(['{', '[']).count();
        let schema = format!("{}{{}}{}", open.repeat(depth), close.repeat(depth));
        compiles(schema);
    }
    let links: Vec<_> = (0..180)
        .map(|number| {
            let next = number + 1;
            format!(r##""d{number}":{{"$ref":"#/$defs/d{next}","unevaluatedProperties":{{"$ref":"#/$defs/d{next}"}}}}"##)
        })
        .collect();
    compiles(format!(
        r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d180":{{}}}}}}"##,
        links.join(",")
    ));
}

#[test]
fn large_honest_arguments_are_decided() {
    let schema = r#"{"properties":{"l":{"uniqueItems":true,"items":{"type":"integer","minimum":0}},"e":{"enum":["a","b"]}}}"#;
    let numbers: Vec<_> = (0..100_000).map(|number| number.to_string()).collect();
    let json = format!(r#"{{"l":[{}],"e":"a"}}"#, numbers.join(","));
    assert_eq!(compile(schema).unwrap().validate(json.as_bytes()), Ok(()));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let keyword = prop::sample::select(vec![
        "type",
        "properties",
        "additionalProperties",
        "items",
        "prefixItems",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
        "a",
        "b",
        "required",
        "enum",
        "const",
        "minimum",
        "pattern",
        "unevaluatedProperties",
        "$dynamicRef",
        "$dynamicAnchor",
        "$anchor",
        "$id",
        "contains",
        "dependentSchemas",
    ]);
    let text = prop::sample::select(vec![
        "object",
        "string",
        "#",
        "#/$defs/a",
        "#a",
        "a",
        "integer",
        "^a+$",
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        (-5_i64..5).prop_map(serde_json::Value::from),
        text.prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(keyword.clone().prop_map(String::from), inner, 0..5)
                .prop_map(serde_json::Value::from_iter),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_panics_and_closed_accepts_no_more_than_open(schema in json(), value in json()) {
        let schema = schema.to_string();
        let value = value.to_string();
        let options = Options { dialect: Dialect::default(), closed: false, formats: true };
        let open = Validator::compile(schema.as_bytes(), options);
        let closed = compile(&schema);
        prop_assert_eq!(open.is_ok(), closed.is_ok());
        if let (Ok(open), Ok(closed)) = (open, closed)
            && closed.validate(value.as_bytes()).is_ok()
        {
            prop_assert_eq!(open.validate(value.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn any_bytes_are_answered(schema in prop::collection::vec(any::<u8>(), 0..200), value in "\\PC{0,80}") {
        if let Ok(validator) = Validator::compile(&schema, Options { dialect: Dialect::Draft7, closed: true, formats: true }) {
            let _answer = validator.validate(value.as_bytes());
        }
    }
}
