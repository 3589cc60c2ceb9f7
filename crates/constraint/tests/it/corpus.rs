//! Public collections of attacks, where they are at hand.

use std::path::Path;

use portcullis_constraint::{Files, Surroundings, defaults};
use serde_json::{Value, json};

use crate::support::{check, compile, constraints, rule};

/// The rows of a collection, looked for beside this repository and above it.
fn rows(name: &str) -> Option<Vec<Value>> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let text = above
        .map(|directory| directory.join("shared/corpora").join(name))
        .find_map(|path| std::fs::read_to_string(path).ok());
    let Some(text) = text else {
        println!("skipped: the corpus `{name}` is not on this machine");
        return None;
    };
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

#[test]
fn path_traversal_is_refused() {
    let Some(rows) = rows("args/path_traversal.jsonl") else {
        return;
    };
    let around = Surroundings {
        directory: Some("/srv/files".into()),
        home: None,
        files: Files::Elsewhere,
    };
    let rule = rule(json!({"kind": "path", "roots": ["/srv/files"], "hidden": true}));
    let constraints = compile(rule, &around).unwrap();
    let passed: Vec<_> = rows
        .iter()
        .filter(|row| {
            (field(row, "expect") == "deny") == check(&constraints, field(row, "path")).is_ok()
        })
        .map(|row| field(row, "path"))
        .collect();
    assert!(
        passed.is_empty(),
        "{} of {}: {passed:#?}",
        passed.len(),
        rows.len()
    );
}

#[test]
fn command_injection_is_refused() {
    let Some(rows) = rows("args/command_injection.jsonl") else {
        return;
    };
    // As an operand of a program that may be given any text.
    let constraints = constraints(
        json!({"kind": "command", "programs": {"ping": {"operands": {"kind": "text"}}}}),
    );
    let attacks = rows.iter().filter(|row| field(row, "label") == "malicious");
    let passed: Vec<_> = attacks
        .map(|row| field(row, "value"))
        .filter(|value| check(&constraints, format!("ping {value}")).is_ok())
        .collect();
    // What has nothing in it that a shell would interpret is an operand like others.
    let harmless = |value: &&&str| {
        value
            .chars()
            .all(|char| char.is_alphanumeric() || " :/._-,@+=".contains(char))
    };
    assert_eq!(
        passed.iter().filter(harmless).count(),
        passed.len(),
        "{passed:#?}"
    );
    // And as the command itself, nothing is.
    for row in &rows {
        assert!(check(&constraints, field(row, "value")).is_err());
    }
}

#[test]
fn urls_into_local_networks_are_refused_or_handed_out_as_addresses() {
    let Some(rows) = rows("net/ssrf_urls.jsonl") else {
        return;
    };
    let constraints = constraints(json!({"kind": "url", "schemes": ["http", "https"]}));
    for row in rows.iter().filter(|row| field(row, "expect") == "block") {
        if let Ok(checked) = check(&constraints, field(row, "url")) {
            let needs_dns = row["needs_dns"].as_bool().unwrap_or(false);
            let is_address = !matches!(checked.hosts[0].host, ::url::Host::Domain(_));
            assert!(is_address || needs_dns, "{row}");
        }
    }
}

#[test]
fn defaults_compile_for_real_tools_and_touch_few_of_them() {
    let Some(rows) = rows("tools/benign_real_tools.jsonl") else {
        return;
    };
    let around = Surroundings {
        directory: None,
        home: None,
        files: Files::Elsewhere,
    };
    let mut touched = Vec::new();
    for row in &rows {
        let arguments = row["arguments"].as_array().into_iter().flatten();
        let properties: serde_json::Map<_, _> = arguments
            .map(|argument| {
                (
                    field(argument, "name").to_owned(),
                    json!({"type": "string"}),
                )
            })
            .collect();
        let schema = match &row["input_schema"] {
            Value::Null => json!({"type": "object", "properties": properties}),
            schema => schema.clone(),
        };
        let rules = defaults(field(row, "name"), &schema);
        touched.extend(
            rules
                .iter()
                .map(|(pointer, rule)| format!("{pointer} {}", rule.kind())),
        );
        assert!(portcullis_constraint::Constraints::compile(&rules, &around).is_ok());
    }
    touched.sort();
    touched.dedup();
    println!("{touched:#?}");
}
