//! The official JSON Schema suite, against open validators.

use std::path::Path;

use portcullis_pipeline::schema::{Dialect, Invalid, Options, Unusable, Validator};
use serde_json::Value;

fn cases(name: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpora/json")
        .join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: the corpus `{name}` is not on this machine");
        return None;
    };
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[derive(Default, Debug)]
struct Tally {
    passed: usize,
    unusable: Vec<String>,
    failed: Vec<String>,
}

fn run(
    name: &str,
    dialect: Dialect,
    optional: bool,
    select: impl Fn(&str) -> bool,
) -> Option<Tally> {
    let mut tally = Tally::default();
    for case in cases(name)? {
        let id = case["id"].as_str().unwrap();
        if case["optional"].as_bool().unwrap() != optional || !select(id) {
            continue;
        }
        let options = Options {
            dialect,
            closed: false,
            formats: optional,
        };
        let validator = match Validator::compile(case["schema"].to_string().as_bytes(), options) {
            Ok(validator) => validator,
            Err(unusable) => {
                // References to other documents, among them the meta-schemas, and dialects of one's
                // own are refused on purpose.
                let line = format!("{id} {}: {unusable}", case["description"]);
                match unusable {
                    Unusable::Reference(_) | Unusable::Dialect => tally.unusable.push(line),
                    _ => tally.failed.push(line),
                }
                continue;
            }
        };
        for test in case["tests"].as_array().unwrap() {
            let valid = match validator.validate(test["data"].to_string().as_bytes()) {
                Ok(()) => Ok(true),
                Err(Invalid::Faults(_)) => Ok(false),
                Err(other) => Err(other),
            };
            if valid == Ok(test["valid"].as_bool().unwrap()) {
                tally.passed += 1;
            } else {
                tally.failed.push(format!(
                    "{id} {} / {}: {valid:?}",
                    case["description"], test["description"]
                ));
            }
        }
    }
    Some(tally)
}

#[track_caller]
fn check(name: &str, dialect: Dialect, passed_min: usize, unusable_max: usize) {
    let Some(tally) = run(name, dialect, false, |_| true) else {
        return;
    };
    println!(
        "{name}: {} passed, {} schemas refused on purpose",
        tally.passed,
        tally.unusable.len()
    );
    for line in &tally.unusable {
        println!("  refused: {line}");
    }
    assert!(tally.failed.is_empty(), "{:#?}", tally.failed);
    assert!(tally.passed >= passed_min, "only {} passed", tally.passed);
    assert!(
        tally.unusable.len() <= unusable_max,
        "{:#?}",
        tally.unusable
    );
}

#[test]
fn draft_2020_12() {
    check(
        "jsonschema_draft2020-12.jsonl",
        Dialect::Draft202012,
        1000,
        60,
    );
}

#[test]
fn draft_7() {
    check("jsonschema_draft7.jsonl", Dialect::Draft7, 700, 40);
}

#[test]
fn formats_that_are_asserted() {
    let asserted = [
        "date-time",
        "date",
        "time",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uuid",
    ];
    // `hostname/1` wants A-labels decoded and held to IDNA: that says nothing about arguments.
    let select = |id: &str| {
        asserted
            .iter()
            .any(|name| id.contains(&format!("format/{name}/")))
            && !id.ends_with("hostname/1")
    };
    let file = "jsonschema_draft2020-12.jsonl";
    let Some(tally) = run(file, Dialect::Draft202012, true, select) else {
        return;
    };
    println!(
        "formats: {} passed, {} failed",
        tally.passed,
        tally.failed.len()
    );
    assert!(tally.failed.is_empty(), "{:#?}", tally.failed);
    assert!(tally.passed >= 300, "only {} passed", tally.passed);
}
