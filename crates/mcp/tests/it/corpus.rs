//! A public JSON parsing test suite, where its rows lie beside the repository. Absent, the test says
//! so and passes: `grammar.rs` covers the same classes with cases of our own.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_mcp::{FaultKind, Limits, scan};
use serde_json::Value;

const ROWS: &str = "../../../shared/corpora/json/jsontestsuite.jsonl";

/// Rows the suite accepts and we refuse, with the reason.
const STRICTER: [(&str, FaultKind); 2] = [
    ("y_object_duplicated_key.json", FaultKind::DuplicateMember),
    (
        "y_object_duplicated_key_and_value.json",
        FaultKind::DuplicateMember,
    ),
];

#[test]
fn every_row_is_judged_as_expected() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ROWS);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no rows beside the repository");
        return;
    };
    let (mut accepted, mut refused, mut free, mut wrong) = (0, 0, 0, Vec::new());
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let id = row["id"].as_str().unwrap();
        let json = bytes(&row);
        let judged = scan(&json, &Limits::default());
        let stricter = STRICTER.iter().find(|(name, _)| id.ends_with(name));
        let is_right = match (row["expect"].as_str().unwrap(), stricter) {
            ("accept", None) => {
                accepted += 1;
                judged.is_ok()
            }
            ("accept", Some((_, kind))) => judged.is_err_and(|fault| fault.kind == *kind),
            ("reject", _) => {
                refused += 1;
                judged.is_err()
            }
            _ => {
                free += 1;
                // What we accept of these, others must read the same way.
                judged.is_err() || serde_json::from_slice::<Value>(&json).is_ok()
            }
        };
        if !is_right {
            wrong.push(format!("{id}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!(
        "{accepted} accepted, {refused} refused, {} stricter, {free} left free",
        STRICTER.len()
    );
    assert!(accepted > 90 && refused > 180);
}

fn bytes(row: &Value) -> Vec<u8> {
    if let Some(base64) = row["b64"].as_str() {
        return STANDARD.decode(base64).unwrap();
    }
    let times = usize::try_from(row["repeat"][1].as_u64().unwrap()).unwrap();
    row["repeat"][0]
        .as_str()
        .unwrap()
        .repeat(times)
        .into_bytes()
}
