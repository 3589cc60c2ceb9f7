//! What holds of whatever is given.

use portcullis_constraint::{Constraints, Rules};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Tree, check, constraints, rule, settles, text};

/// Any JSON, a few levels deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-c~/*0-9]{0,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Paths made of what makes paths hard.
fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "..",
        ".",
        "",
        "a.txt",
        "sub",
        "deep",
        "in",
        "in.txt",
        "out",
        "out.txt",
        "twice",
        "loop",
        "dangling",
        "new",
        "~",
        "slash",
        "proc",
        "private",
        "%2e%2e",
        "...",
        "etc",
        "files",
        "outside",
        "secret.txt",
        "b.txt",
        "c.txt",
        "alias",
    ]);
    prop::collection::vec(part, 0..7).prop_map(|parts| parts.join("/"))
}

/// Strings made of what the other kinds are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "https://",
        "http://",
        "example.com",
        "EXAMPLE",
        ".",
        "..",
        "/",
        "//",
        ":",
        "443",
        "@",
        "%2f",
        "%",
        "?",
        "#",
        "[::1]",
        "0x7f",
        "127.1",
        "\\",
        "ü",
        "\u{301}",
        "e",
        "xn--",
        " ",
        "SELECT ",
        "1",
        "FROM ",
        "t",
        "(",
        ")",
        ",",
        "'",
        "--",
        "/*",
        "*/",
        ";",
        "git",
        "log",
        "-n",
        "=",
        "\"",
        "\u{3002}",
        "\u{ff0e}",
        "a",
        "WITH ",
        "AS ",
        "$",
        "-",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A rule of each kind, each with a pointer of its own form.
fn all_kinds(tree: &Tree) -> Vec<Constraints> {
    let root = tree.root();
    let rules = [
        json!({"kind": "path", "roots": [root], "file_urls": true}),
        json!({"kind": "path", "hidden": true}),
        json!({"kind": "url", "schemes": ["http", "https"], "international": true}),
        json!({"kind": "url", "hosts": ["registrable:example.com"], "paths": ["/a"]}),
        json!({"kind": "command", "programs": {"git": {"subcommands": ["log"],
            "values": {"-n": {"kind": "text"}}, "operands": {"kind": "path", "roots": [root]}}}}),
        json!({"kind": "sql"}),
        json!({"kind": "sql", "dialect": "postgres", "tables": ["t"]}),
        json!({"kind": "sql", "dialect": "mysql"}),
        json!({"kind": "text"}),
        json!({"kind": "text", "lines": true, "invisible": true, "option_like": true, "single_script": true}),
        json!({"kind": "number", "integer": true}),
        json!({"kind": "email"}),
        json!({"kind": "domain", "international": true}),
        json!({"kind": "enum", "values": ["a", 1]}),
    ];
    let pointers = ["", "/it", "/it/*", "/*", "/*/0"];
    let mut all = Vec::new();
    for json in rules {
        for pointer in pointers {
            let rules = Rules::from([(pointer.to_owned(), rule(json.clone()))]);
            all.push(Constraints::compile(&rules, &tree.around()).unwrap());
        }
    }
    all
}

#[test]
fn nothing_panics_and_what_is_sent_passes_again_unchanged() {
    let tree = Tree::new();
    let all = all_kinds(&tree);
    let value = prop_oneof![
        anything(),
        pieces().prop_map(Value::from),
        path().prop_map(Value::from),
        prop::collection::vec(pieces(), 0..4).prop_map(Value::from),
    ];
    proptest!(ProptestConfig::with_cases(400), |(value in value)| {
        for constraints in &all {
            settles(constraints, &value);
            settles(constraints, &json!({"it": value}));
            settles(constraints, &json!({"it": [value]}));
        }
    });
}

#[test]
fn whatever_path_passes_leads_beneath_the_root() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"hidden": true}));
    let root = tree.root();
    proptest!(ProptestConfig::with_cases(3000), |(path in path(), absolute in any::<bool>())| {
        let path = if absolute { format!("{}/{path}", text(&root)) } else { path };
        if let Ok(checked) = check(&constraints, path.clone()) {
            let sent = checked.rewritten.map_or(path, |new| new["it"].as_str().unwrap().to_owned());
            // What the server would open, with links followed by the kernel.
            let opened = root.join(&sent);
            let mut existing = opened.as_path();
            let real = loop {
                match existing.canonicalize() {
                    Ok(real) => break real,
                    Err(_absent) => existing = existing.parent().unwrap(),
                }
            };
            prop_assert!(real.starts_with(&root), "{sent} leads to {}", real.display());
            prop_assert!(checked.paths[0].path.starts_with(&root));
            prop_assert!(checked.paths[0].still_leads_there());
        }
    });
}

#[test]
fn whatever_url_passes_is_sent_as_the_parser_writes_it() {
    let constraints =
        constraints(json!({"kind": "url", "schemes": ["http", "https"], "international": true}));
    proptest!(ProptestConfig::with_cases(3000), |(tail in pieces())| {
        let url = format!("https://{tail}");
        if let Ok(checked) = check(&constraints, url.clone()) {
            let sent = checked.rewritten.map_or(url, |new| new["it"].as_str().unwrap().to_owned());
            let parsed = ::url::Url::parse(&sent).unwrap();
            prop_assert_eq!(parsed.as_str(), &sent);
            prop_assert_eq!(parsed.host().unwrap().to_owned(), checked.hosts[0].host.clone());
        }
    });
}
