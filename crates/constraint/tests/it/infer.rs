//! What is proposed for definitions as real servers have them.

use portcullis_constraint::{Constraints, Hints, Rule, Rules, StatementKind, defaults, infer};
use serde_json::{Value, json};

use crate::support::nowhere;

#[track_caller]
fn proposes(tool: &str, description: &str, properties: &Value, expected: &[(&str, &str)]) -> Rules {
    let schema = json!({"type": "object", "properties": properties});
    let hints = Hints {
        description: description.to_owned(),
        ..Hints::default()
    };
    let proposals = infer(tool, &schema, &hints);
    let kinds: Vec<_> = proposals
        .iter()
        .map(|p| (p.pointer.as_str(), p.rule.kind()))
        .collect();
    assert_eq!(kinds, expected, "{tool}");
    assert!(proposals.iter().all(|proposal| !proposal.why.is_empty()));
    let rules: Rules = proposals.into_iter().map(|p| (p.pointer, p.rule)).collect();
    assert!(Constraints::compile(&rules, &nowhere()).is_ok());
    rules
}

#[test]
fn tools_for_files_get_paths() {
    let string = json!({"type": "string"});
    proposes(
        "read_text_file",
        "",
        &json!({"path": string, "head": {"type": "number"}}),
        &[("/path", "path")],
    );
    proposes(
        "read_multiple_files",
        "",
        &json!({"paths": {"type": "array", "items": string}}),
        &[("/paths/*", "path")],
    );
    proposes(
        "move_file",
        "",
        &json!({"source": string, "destination": string}),
        &[("/destination", "path"), ("/source", "path")],
    );
    let edits = json!({"type": "array", "items": {"type": "object", "properties": {"oldText": string, "newText": string}}});
    proposes(
        "edit_file",
        "",
        &json!({"path": string, "edits": edits}),
        &[
            ("/edits/*/newText", "text"),
            ("/edits/*/oldText", "text"),
            ("/path", "path"),
        ],
    );
}

#[test]
fn tools_for_git_get_paths_and_references() {
    let string = json!({"type": "string"});
    proposes(
        "git_diff",
        "",
        &json!({"repo_path": string, "target": string}),
        &[("/repo_path", "path"), ("/target", "text")],
    );
    proposes(
        "git_log",
        "",
        &json!({"repoPath": string, "max_count": {"type": "integer"}}),
        &[("/max_count", "number"), ("/repoPath", "path")],
    );
    proposes(
        "git_add",
        "",
        &json!({"repo_path": string, "files": {"type": "array", "items": string}}),
        &[("/files/*", "path"), ("/repo_path", "path")],
    );
}

#[test]
fn tools_for_the_web_databases_and_shells_get_theirs() {
    let string = json!({"type": "string"});
    proposes(
        "fetch",
        "",
        &json!({"url": {"type": "string", "format": "uri"}, "max_length": {"type": "integer", "maximum": 5}}),
        &[("/url", "url")],
    );
    proposes(
        "open",
        "",
        &json!({"where": {"type": "string", "format": "uri"}}),
        &[("/where", "url")],
    );
    proposes(
        "navigate",
        "",
        &json!({"url": {"anyOf": [string, {"type": "null"}]}}),
        &[("/url", "url")],
    );
    let query = proposes(
        "query",
        "Run a read-only SQL query",
        &json!({"sql": string}),
        &[("/sql", "sql")],
    );
    assert!(
        matches!(&query["/sql"], Rule::Sql(rule) if rule.statements == [StatementKind::Select])
    );
    proposes(
        "write_query",
        "Execute a query on the SQLite database",
        &json!({"query": string}),
        &[("/query", "sql")],
    );
    proposes(
        "web_search",
        "Search the web",
        &json!({"query": string}),
        &[],
    );
    proposes(
        "start_process",
        "",
        &json!({"command": string}),
        &[("/command", "command")],
    );
    proposes(
        "run",
        "",
        &json!({"command": {"type": "array", "items": string}}),
        &[("/command", "command")],
    );
    proposes(
        "send_email",
        "",
        &json!({"to": {"type": "array", "items": string}, "body": string}),
        &[("/body", "text"), ("/to/*", "email")],
    );
    proposes(
        "lookup",
        "",
        &json!({"hostname": string}),
        &[("/hostname", "domain")],
    );
}

#[test]
fn tools_for_github_get_references_and_paths_that_may_name_workflows() {
    let string = json!({"type": "string"});
    let files = json!({"type": "array", "items": {"$ref": "#/$defs/File"}});
    let schema = json!({
        "$defs": {"File": {"type": "object", "properties": {"path": string, "content": string}}},
        "properties": {"owner": string, "repo": string, "branch": string, "files": files, "message": string}
    });
    let proposals = infer("push_files", &schema, &Hints::default());
    let kinds: Vec<_> = proposals
        .iter()
        .map(|p| (p.pointer.as_str(), p.rule.kind()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("/branch", "text"),
            ("/files/*/content", "text"),
            ("/files/*/path", "path"),
            ("/message", "text"),
            ("/owner", "text"),
            ("/repo", "text"),
        ]
    );
}

#[test]
fn by_default_urls_lead_to_no_local_network_and_paths_to_no_secret() {
    let string = json!({"type": "string"});
    let schema =
        json!({"properties": {"path": string, "url": string, "query": string, "command": string}});
    let rules = defaults("read_file", &schema);
    assert_eq!(rules.keys().collect::<Vec<_>>(), ["/path", "/url"]);
    let constraints = Constraints::compile(&rules, &nowhere()).unwrap();
    for good in [
        json!({"path": "src/main.rs", "url": "http://example.com/"}),
        json!({"path": "/home/u/project/.github/workflows/ci.yml", "query": "../.env"}),
        json!({"path": "file:///srv/a.txt"}),
        json!({}),
    ] {
        assert!(constraints.check(&good).is_ok(), "{good}");
    }
    for bad in [
        json!({"path": "/home/u/.ssh/id_rsa"}),
        json!({"path": "project/.env"}),
        json!({"path": "/proc/self/environ"}),
        json!({"path": "/home/u/x/../.aws/credentials"}),
        json!({"path": "file:///etc/shadow"}),
        json!({"url": "http://localhost/"}),
        json!({"url": "file:///etc/passwd"}),
        json!({"url": "gopher://example.com/"}),
    ] {
        assert!(constraints.check(&bad).is_err(), "{bad}");
    }
}

#[test]
fn hostile_schemas_end() {
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"properties": {"path": deep}});
    }
    let circle = json!({"$defs": {"a": {"properties": {"path": {"type": "string"}, "b": {"$ref": "#/$defs/a"}}}}, "$ref": "#/$defs/a"});
    let many: serde_json::Map<_, _> = (0..5000)
        .map(|i| (format!("path_{i}_path"), json!({"type": "string"})))
        .collect();
    let wide = json!({"anyOf": vec![json!({"anyOf": vec![json!({"$ref": "#"}); 10]}); 10]});
    for schema in [
        deep,
        circle,
        json!({"properties": many}),
        wide,
        json!(1),
        json!({"$ref": "x"}),
    ] {
        assert!(infer("read", &schema, &Hints::default()).len() <= 500);
    }
}
