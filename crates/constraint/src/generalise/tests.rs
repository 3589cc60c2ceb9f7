use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Constraints;

fn elsewhere() -> Surroundings {
    Surroundings {
        directory: None,
        home: Some("/home/ada".into()),
        files: Files::Elsewhere,
    }
}

fn here() -> Surroundings {
    Surroundings {
        files: Files::Here,
        ..elsewhere()
    }
}

fn rule(json: Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

/// What is made of `values` with a proposal of this kind, `-` for none; with the defaults of the rule filled in.
#[track_caller]
fn check(kind: &str, values: &Value, expected: &Value) {
    let values: Vec<&Value> = values.as_array().unwrap().iter().collect();
    let proposal = (kind != "-").then(|| rule(json!({ "kind": kind })));
    let found = generalise(proposal.as_ref(), &values, &elsewhere());
    let expected = (!expected.is_null()).then(|| rule(expected.clone()));
    assert_eq!(found, expected, "{kind} {values:?}");
}

#[test]
fn numbers_are_bounded_by_the_next_round_number_outwards() {
    check(
        "-",
        &json!([3, 17, 40]),
        &json!({"kind": "number", "min": 0.0, "max": 50.0, "integer": true}),
    );
    check(
        "-",
        &json!([-7, 0.5]),
        &json!({"kind": "number", "min": -10.0, "max": 1.0}),
    );
    check(
        "-",
        &json!([0]),
        &json!({"kind": "number", "min": 0.0, "max": 0.0, "integer": true}),
    );
}

#[test]
fn a_nearer_bound_of_the_proposal_stays() {
    let proposal = rule(json!({"kind": "number", "min": 1.0, "max": 30.0}));
    let values = [json!(3), json!(21)];
    let values: Vec<&Value> = values.iter().collect();
    let found = generalise(Some(&proposal), &values, &elsewhere());
    let expected = rule(json!({"kind": "number", "min": 1.0, "max": 30.0, "integer": true}));
    assert_eq!(found, Some(expected));
}

#[test]
fn values_of_several_types_have_no_rule() {
    check("-", &json!(["a", 1]), &Value::Null);
    check("path", &json!(["/srv/a", 1]), &Value::Null);
    check("url", &json!([1]), &Value::Null);
    check("-", &json!([]), &Value::Null);
}

#[test]
fn few_words_that_recur_are_a_vocabulary() {
    let often: Vec<&str> = ["open", "closed"].into_iter().cycle().take(24).collect();
    check(
        "-",
        &json!(often),
        &json!({"kind": "enum", "values": ["closed", "open"]}),
    );
    // Too few calls, or what a person wrote.
    check(
        "-",
        &json!(["open", "closed"]),
        &json!({"kind": "text", "chars_max": 16}),
    );
    let said: Vec<&str> = ["what now?"; 30].to_vec();
    check("-", &json!(said), &json!({"kind": "text", "chars_max": 16}));
}

#[test]
fn text_is_loosened_only_as_far_as_was_seen() {
    check(
        "text",
        &json!(["seventeen letters"]),
        &json!({"kind": "text", "chars_max": 32}),
    );
    check(
        "text",
        &json!(["- a\n- b"]),
        &json!({"kind": "text", "chars_max": 16, "lines": true, "option_like": true}),
    );
    let reference = rule(json!({"kind": "text", "chars_max": 255, "alphabet": "reference"}));
    let plain = [json!("main"), json!("work/a")];
    let plain: Vec<&Value> = plain.iter().collect();
    let found = generalise(Some(&reference), &plain, &elsewhere());
    let expected = rule(json!({"kind": "text", "chars_max": 16, "alphabet": "reference"}));
    assert_eq!(found, Some(expected));
}

#[test]
fn urls_are_held_to_their_schemes_hosts_and_ports() {
    check(
        "url",
        &json!(["https://a.example/x", "https://B.example/y?z"]),
        &json!({"kind": "url", "schemes": ["https"], "hosts": ["a.example", "b.example"]}),
    );
    check(
        "-",
        &json!(["http://a.example:8080/x", "https://a.example/"]),
        &json!({"kind": "url", "schemes": ["http", "https"], "hosts": ["a.example"], "ports": [443, 8080]}),
    );
    let many: Vec<String> = (0..20)
        .map(|n| format!("https://s{n}.example.com/"))
        .collect();
    check(
        "url",
        &json!(many),
        &json!({"kind": "url", "schemes": ["https"], "hosts": ["registrable:example.com"]}),
    );
    check("url", &json!(["https://user@a.example/"]), &Value::Null);
}

#[test]
fn addresses_are_held_to_their_domains() {
    check(
        "email",
        &json!(["ada@a.example", "bob@A.example"]),
        &json!({"kind": "email", "domains": ["a.example"]}),
    );
    check(
        "domain",
        &json!(["a.example", "b.example."]),
        &json!({"kind": "domain", "domains": ["a.example", "b.example"]}),
    );
}

#[test]
fn statements_are_held_to_their_kinds_and_tables() {
    check(
        "sql",
        &json!([
            "SELECT name FROM users WHERE id = 1",
            "select count(*) from Orders o join users u on u.id = o.user_id"
        ]),
        &json!({"kind": "sql", "statements": ["select"], "tables": ["orders", "users"]}),
    );
    check(
        "sql",
        &json!(["select 1", "update jobs set done = 1 where id = 3"]),
        &json!({"kind": "sql", "statements": ["select", "update"], "tables": ["jobs"]}),
    );
    check("sql", &json!(["drop table users"]), &Value::Null);
    check(
        "sql",
        &json!(["select pg_read_file('/etc/passwd')"]),
        &Value::Null,
    );
}

#[test]
fn commands_are_held_to_their_programs_subcommands_and_flags() {
    check(
        "command",
        &json!(["git status", "git log --oneline", "ls -l src/a"]),
        &json!({"kind": "command", "programs": {
            "git": {"subcommands": ["log", "status"], "flags": ["--oneline"]},
            "ls": {"flags": ["-l"], "operands": {"kind": "path"}},
        }}),
    );
    check("command", &json!(["ls; rm -rf /"]), &Value::Null);
}

/// The roots for paths beneath a directory that has two files in each of `a/x`, `a/y` and `b`.
#[track_caller]
fn check_roots(seen: &[&str], expected: &[&str]) {
    let tree = tree();
    let at = tree.path().canonicalize().unwrap();
    let paths: Vec<Value> = seen
        .iter()
        .map(|path| json!(at.join(path).to_str().unwrap()))
        .collect();
    let paths: Vec<&Value> = paths.iter().collect();
    let Some(Rule::Path(found)) = generalise(Some(&path()), &paths, &here()) else {
        panic!("no rule for {seen:?}");
    };
    let expected: Vec<String> = expected
        .iter()
        .map(|path| {
            let path = at.join(path);
            path.to_str().unwrap().trim_end_matches('/').to_owned()
        })
        .collect();
    assert_eq!(found.roots, expected, "{seen:?}");
}

fn path() -> Rule {
    rule(json!({"kind": "path"}))
}

fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for directory in ["a/x", "a/y", "b", "c", "d", "e"] {
        let directory = tree.path().join(directory);
        fs::create_dir_all(&directory).unwrap();
        for name in ["1.txt", "2.txt"] {
            fs::write(directory.join(name), "").unwrap();
        }
    }
    tree
}

#[test]
fn roots_are_the_deepest_directories_with_two_files() {
    check_roots(&["a/x/1.txt", "a/x/2.txt"], &["a/x"]);
    check_roots(&["a/x/1.txt", "a/y/1.txt"], &["a"]);
    check_roots(
        &["a/x/1.txt", "a/x/2.txt", "b/1.txt", "b/2.txt"],
        &["a/x", "b"],
    );
    check_roots(&["a", "a/x/1.txt"], &["a"]);
    // What is not there any more is held by what is.
    check_roots(&["a/gone/1.txt", "a/gone/2.txt"], &["a"]);
}

#[test]
fn more_than_four_roots_are_put_together() {
    let seen: Vec<String> = ["a/x", "b", "c", "d", "e"]
        .iter()
        .flat_map(|at| [format!("{at}/1.txt"), format!("{at}/2.txt")])
        .collect();
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    check_roots(&seen, &[""]);
}

#[test]
fn a_broad_directory_is_no_root_while_something_deeper_will_do() {
    let values = [
        json!("/tmp/one.txt"),
        json!("/home/ada/two.txt"),
        json!("/srv/data/a/three.txt"),
        json!("/srv/data/b/four.txt"),
    ];
    let values: Vec<&Value> = values.iter().collect();
    let found = generalise(Some(&path()), &values, &elsewhere());
    let expected = json!(["/home/ada/two.txt", "/srv/data", "/tmp/one.txt"]);
    assert_eq!(
        found,
        Some(rule(json!({"kind": "path", "roots": expected})))
    );
}

#[test]
fn hidden_files_are_permitted_only_where_some_were_seen() {
    let values = [json!("/srv/data/.editorconfig"), json!("/srv/data/a")];
    let values: Vec<&Value> = values.iter().collect();
    let found = generalise(Some(&path()), &values, &elsewhere());
    let expected = rule(json!({"kind": "path", "roots": ["/srv/data"], "hidden": true}));
    assert_eq!(found, Some(expected));
}

#[test]
fn paths_to_secrets_have_no_rule() {
    check(
        "path",
        &json!(["/srv/data/a", "/srv/data/.env"]),
        &Value::Null,
    );
    check("path", &json!(["/home/ada/.ssh/id_ed25519"]), &Value::Null);
}

#[test]
fn places_are_named_by_the_schema() {
    let schema = json!({"properties": {
        "edits": {"items": {"properties": {"old": {}}}}, "labels": {"additionalProperties": {}},
        "a/b": {},
    }});
    let arguments = json!({
        "edits": [{"old": "x"}, {"old": "y"}], "labels": {"k": "v", "l": 1}, "a/b": true, "n": null,
    });
    let found = places(&schema, &Rules::new(), &arguments);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["/edits/*/old", "/edits/*/old", "/labels/*", "/labels/*"]
    );
}

fn value() -> impl Strategy<Value = Value> {
    let piece = prop::sample::select(vec![
        "/",
        "a",
        "b.txt",
        "srv",
        "..",
        ".",
        ".env",
        "tmp",
        "home",
        "-",
        "--x=",
        " ",
        "\n",
        "https://",
        "http://",
        "example.com",
        ":8080",
        "@",
        "select",
        "from",
        "users",
        "git",
        "status",
        "é",
        "\u{202e}",
        "e\u{301}",
        "'",
        ";",
    ]);
    prop_oneof![
        4 => prop::collection::vec(piece, 0..6).prop_map(|pieces| json!(pieces.concat())),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn a_rule_admits_all_the_values_it_was_made_from(
        values in prop::collection::vec(value(), 1..12),
        kind in prop::sample::select(vec![
            "-", "path", "url", "command", "sql", "text", "number", "email", "domain",
        ]),
        is_here in any::<bool>(),
    ) {
        let around = if is_here { here() } else { elsewhere() };
        let proposal = (kind != "-").then(|| rule(json!({ "kind": kind })));
        let all: Vec<&Value> = values.iter().collect();
        if let Some(rule) = generalise(proposal.as_ref(), &all, &around) {
            let text = serde_json::to_string(&rule).unwrap();
            let read: Rule = serde_json::from_str(&text).unwrap();
            let rules = Rules::from([("/it".to_owned(), read)]);
            let constraints = Constraints::compile(&rules, &around).unwrap();
            for value in &values {
                prop_assert!(constraints.check(&json!({ "it": value })).is_ok(), "{text} {value}");
            }
            prop_assert!(!text.contains("\"dangerously_allow_secrets\":true"));
        }
    }

    #[test]
    fn roots_are_at_most_four_and_hold_all(
        paths in prop::collection::vec("(/(srv|data|a|b|home|tmp|x[0-9])){1,5}", 1..40),
    ) {
        let values: Vec<Value> = paths.iter().map(|path| json!(path)).collect();
        let all: Vec<&Value> = values.iter().collect();
        let found = generalise(Some(&path()), &all, &elsewhere());
        prop_assume!(found.is_some());
        let Some(Rule::Path(found)) = found else {
            return Err(TestCaseError::fail("it is no path"));
        };
        prop_assert!(found.roots.len() <= 4);
        for path in &paths {
            prop_assert!(found.roots.iter().any(|root| Path::new(path).starts_with(root)));
        }
    }
}
