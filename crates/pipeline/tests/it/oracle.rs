//! On schemas and values made at random: an open validator says what the library says, and a closed one
//! accepts nothing more.

use portcullis_pipeline::schema::{Dialect, Invalid, Options, Unusable, Validator};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(String::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.0, 2.5]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Keywords that hold no schema, each with a value of its kind.
fn assertion() -> impl Strategy<Value = (String, Value)> {
    let count = |keyword: &'static str| (0_u64..3).prop_map(move |it| (keyword, json!(it)));
    let bound = |keyword: &'static str| (-2_i64..3).prop_map(move |it| (keyword, json!(it)));
    let types = prop::sample::select(vec![
        json!("object"),
        json!("array"),
        json!("string"),
        json!("integer"),
        json!("number"),
        json!("null"),
        json!(["object", "null"]),
        json!(["string", "integer", "array"]),
    ]);
    prop_oneof![
        types.prop_map(|it| ("type", it)),
        count("minLength"),
        count("maxLength"),
        count("minItems"),
        count("maxItems"),
        count("minProperties"),
        count("maxProperties"),
        count("minContains"),
        count("maxContains"),
        bound("minimum"),
        bound("maximum"),
        bound("exclusiveMinimum"),
        bound("exclusiveMaximum"),
        Just(("multipleOf", json!(0.5))),
        Just(("uniqueItems", json!(true))),
        prop::collection::btree_set(name(), 1..3).prop_map(|it| ("required", json!(it))),
        prop::collection::vec(value(), 1..4).prop_map(|it| ("enum", json!(it))),
        value().prop_map(|it| ("const", it)),
        prop::sample::select(vec!["^a", "b$", "."]).prop_map(|it| ("pattern", json!(it))),
        Just(("$ref", json!("#/$defs/x"))),
        Just(("dependentRequired", json!({"a": ["b"]}))),
    ]
    .prop_map(|(keyword, value)| (keyword.to_owned(), value))
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop::collection::vec(assertion(), 0..3)
            .prop_map(|it| Value::Object(it.into_iter().collect())),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let single = prop::sample::select(vec![
            "additionalProperties",
            "not",
            "if",
            "then",
            "else",
            "contains",
            "propertyNames",
            "items",
            "unevaluatedProperties",
            "unevaluatedItems",
        ]);
        let list = prop::sample::select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]);
        let map = prop::sample::select(vec!["properties", "dependentSchemas"]);
        let keyword = prop_oneof![
            (single, inner.clone()).prop_map(|(keyword, it)| (keyword.to_owned(), it)),
            (list, prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(keyword, it)| (keyword.to_owned(), json!(it))),
            (
                map,
                prop::collection::btree_map(name(), inner.clone(), 0..3)
            )
                .prop_map(|(keyword, it)| (keyword.to_owned(), Value::from_iter(it))),
            inner.prop_map(|it| ("patternProperties".to_owned(), json!({"^[ab]$": it}))),
            assertion(),
        ];
        prop::collection::vec(keyword, 0..5)
            .prop_map(|it| Value::Object(it.into_iter().collect::<Map<_, _>>()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn open_is_the_library_and_closed_accepts_no_more(root in schema(), x in schema(), values in prop::collection::vec(value(), 8)) {
        let mut root = root;
        let Some(members) = root.as_object_mut() else { return Ok(()) };
        members.insert("$defs".into(), json!({ "x": x }));
        let Ok(oracle) = jsonschema::draft202012::options().build(&root) else { return Ok(()) };
        let options = Options { dialect: Dialect::Draft202012, closed: false, formats: false };
        let text = root.to_string();
        let open = match Validator::compile(text.as_bytes(), options) {
            Ok(open) => open,
            // A reference to itself, which the library takes for true.
            Err(Unusable::Circular(_) | Unusable::TooIntricate(_)) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(format!("{other} {text}"))),
        };
        let closed = Validator::compile(text.as_bytes(), Options { closed: true, ..options });
        let closed = match closed {
            Ok(closed) => Some(closed),
            // Closing asks once more, and can ask too much.
            Err(Unusable::TooIntricate(_)) => None,
            Err(other) => return Err(TestCaseError::fail(format!("{other} {text}"))),
        };
        for value in values {
            let json = value.to_string();
            let answer = match open.validate(json.as_bytes()) {
                Ok(()) => true,
                Err(Invalid::Faults(_)) => false,
                Err(_) => continue,
            };
            if let Some(closed) = &closed
                && closed.validate(json.as_bytes()).is_ok()
            {
                prop_assert!(answer, "{} {}", text, value);
            }
            prop_assert_eq!(answer, oracle.is_valid(&value), "{} {}", text, value);
        }
    }
}
