//! Properties over generated input.

use portcullis_mcp::{Limits, Object, scan};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use crate::invariants;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        any::<u64>().prop_map(|number| Value::Number(number.into())),
        any::<f64>().prop_filter_map("finite", |number| Number::from_f64(number)
            .map(Value::Number)),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 80, 24, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
            prop::collection::hash_map(any::<String>(), inner, 0..24)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Bytes that are nearly JSON: a serialisation with a few bytes replaced, put in or taken out.
fn mutated(json: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"\"\\{}[]:,0123456789eE+-. \t\n\rtfnu/".to_vec()),
        any::<u8>(),
    ];
    let edit = (any::<prop::sample::Index>(), 0..4_u8, byte);
    (json, prop::collection::vec(edit, 0..4)).prop_map(|(mut json, edits)| {
        for (index, kind, byte) in edits {
            let at = index.index(json.len() + 1);
            match kind {
                0 => json.insert(at, byte),
                1 if at < json.len() => json[at] = byte,
                2 if at < json.len() => drop(json.remove(at)),
                _ => json.truncate(at),
            }
        }
        json
    })
}

/// Envelopes with members that belong there, and some that do not.
fn envelope() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "jsonrpc", "id", "method", "params", "result", "error", "Method", "extra", "\\u0069d",
    ]);
    let json = prop_oneof![
        6 => prop::sample::select(vec![
            "\"2.0\"", "1", "\"1\"", "\"tools/call\"", "{}", "{\"name\":\"a\"}", "{\"Name\":1}", "[]",
            "null", "-7", "1.5", "{\"code\":-1,\"message\":\"m\"}", "9223372036854775808",
            "{\"code\":1,\"message\":\"m\",\"data\":[1],\"more\":{}}",
        ])
        .prop_map(str::to_owned),
        1 => value().prop_map(|value| value.to_string()),
    ];
    prop::collection::vec((name, json), 0..5).prop_map(|members| {
        let mut parts = vec!["{ \"jsonrpc\" : \"2.0\"".to_owned()];
        parts.extend(
            members
                .into_iter()
                .map(|(name, json)| format!("\"{name}\":{json}")),
        );
        format!("{}}}", parts.join(",\n")).into_bytes()
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "data",
        "id",
        "retry",
        "event",
        ":",
        " ",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "x",
        "42",
        "\u{feff}",
        "\0",
        "é",
        "data: {}\n\n",
        "id: 7\n",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn schema() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec!["a", "b", "x-mcp-header", "properties"]);
    let annotation = prop::sample::select(vec!["Region", "region", "", "a b", "Z"]);
    let kind = prop::sample::select(vec!["string", "integer", "boolean", "number", "object"]);
    let leaf = (annotation, kind, any::<bool>()).prop_map(|(annotation, kind, has)| {
        if has {
            serde_json::json!({ "type": kind, "x-mcp-header": annotation })
        } else {
            serde_json::json!({ "type": kind })
        }
    });
    let keyword = prop::sample::select(vec![
        "properties",
        "properties",
        "items",
        "$defs",
        "default",
    ]);
    leaf.prop_recursive(3, 16, 3, move |inner| {
        (
            keyword.clone(),
            prop::collection::hash_map(name.clone(), inner, 0..3),
        )
            .prop_map(|(keyword, members)| {
                let members: Map<_, _> = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
                serde_json::json!({ "type": "object", keyword: members })
            })
    })
    .prop_map(|schema| schema.to_string().into_bytes())
}

fn encoded() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "=?base64?",
        "?=",
        "SGVsbG8=",
        " ",
        "\t",
        "é",
        "a",
        "=",
        "\r",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat().into_bytes())
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    ("[a-z0-9-]{0,34}", "[a-zA-Z_é-]{0,70}")
        .prop_map(|(server, name)| format!("{server}\n{name}").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn serialised_values_are_accepted_and_objects_round_trip(value in value()) {
        let compact = serde_json::to_vec(&value).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        scan(&compact, &Limits::default()).unwrap();
        scan(&pretty, &Limits::default()).unwrap();
        if value.is_object() {
            prop_assert_eq!(Object::parse(&compact).unwrap().to_vec(), compact);
            let outer = Object::parse(&pretty).unwrap().to_vec();
            prop_assert_eq!(
                serde_json::from_slice::<Value>(&outer).unwrap(),
                serde_json::from_slice::<Value>(&pretty).unwrap()
            );
        }
    }

    #[test]
    fn scan_agrees_with_serde_json(json in mutated(value().prop_map(|value| value.to_string().into_bytes()))) {
        invariants::scan_bytes(&json);
        invariants::object_edit(&json);
    }

    #[test]
    fn decode_agrees_with_serde_json(json in mutated(envelope())) {
        invariants::decode_bytes(&json);
        invariants::scan_bytes(&json);
    }

    #[test]
    fn streams_do_not_depend_on_chunks(input in stream()) {
        invariants::sse_bytes(&input);
    }

    #[test]
    fn header_values_round_trip(input in prop_oneof![encoded(), schema(), mutated(schema())]) {
        invariants::header_value(&input);
    }

    #[test]
    fn names_split_into_what_they_were_made_of(input in name()) {
        invariants::names(&input);
    }

    #[test]
    fn any_bytes_do_no_harm(input in prop::collection::vec(any::<u8>(), 0..200)) {
        invariants::scan_bytes(&input);
        invariants::decode_bytes(&input);
        invariants::object_edit(&input);
        invariants::sse_bytes(&input);
        invariants::header_value(&input);
        invariants::names(&input);
    }
}
