use std::collections::BTreeSet;

use portcullis_constraint::Rules;

use super::*;

#[test]
fn what_is_written_reads_back_as_the_same_rules() {
    let rules = json!({
        "/path": {"kind": "path", "roots": ["/srv/it's \"here\""], "access": "read"},
        "/n~1/*": {"kind": "number", "min": -0.5, "max": 100.0, "integer": true},
        "/run": {"kind": "command", "programs": {"git": {
            "subcommands": ["log"], "flags": ["-p"], "values": {"--format": {"kind": "enum", "values": ["a\u{7f}"]}},
            "operands": {"kind": "path"},
        }}},
        "/q": {"kind": "sql", "statements": ["select", "update"], "where_required": false},
        "/said": {"kind": "text", "chars_max": 16, "pattern": "[\\w.]+\n?"},
    });
    let rules: Rules = serde_json::from_value(rules).unwrap();
    let draft = Draft {
        tools: BTreeMap::from([("*".to_owned(), rules.clone())]),
        unfit: BTreeSet::from(["x/y\n[servers]".to_owned()]),
        calls: 1,
        tools_seen: 1,
    };
    let text = write("Suggested.", &BTreeMap::from([("files", draft)]));
    assert_eq!(text.lines().count(), 10, "{text}");
    let table: ::toml::Table = text.parse().unwrap();
    let read = table["servers"]["files"]["tools"]["*"]["arguments"].clone();
    assert_eq!(read.try_into::<Rules>().unwrap(), rules, "{text}");
}
