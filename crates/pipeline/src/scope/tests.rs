use std::collections::BTreeMap;

use portcullis_mcp::method;

use super::{InvalidScope, ScopeMap, ScopeRule};
use crate::{Denial, Granted};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn map() -> ScopeMap {
    let mut rules = BTreeMap::new();
    let mut add = |name: &str, rule| rules.insert(name.to_owned(), rule);
    add(
        "files:read",
        ScopeRule {
            tools: texts(&["files/read_*", "files/list_*"]),
            resources: texts(&["files/file:///srv/*"]),
            ..ScopeRule::default()
        },
    );
    add(
        "files:write",
        ScopeRule {
            tools: texts(&["files/write_file", "files/a[b]*"]),
            needs: texts(&["files:read"]),
            ..ScopeRule::default()
        },
    );
    add(
        "notes",
        ScopeRule {
            servers: vec!["notes".parse().unwrap()],
            ..ScopeRule::default()
        },
    );
    add(
        "wide",
        ScopeRule {
            tools: texts(&["files/*", "notes/*"]),
            ..ScopeRule::default()
        },
    );
    ScopeMap::build(&rules).unwrap()
}

/// What a request needs besides what was granted; `None` when it is open.
#[track_caller]
fn check(granted: &str, asked: (&str, &str, &str), expected: Result<(), Option<&str>>) {
    let granted = granted.split(' ').filter(|s| !s.is_empty()).map(Box::from);
    let granted = Granted::Scopes(granted.collect());
    let (method_name, server, target) = asked;
    let params = br#"{"ref":{"type":"ref\/prompt","name":"p"}}"#.as_slice();
    let checked = map().check(
        &granted,
        &server.parse().unwrap(),
        method_name,
        Some(target),
        Some(params),
    );
    let checked = checked.map(drop).map_err(|denial| match denial {
        Denial::InsufficientScope { needed } => needed,
        other => panic!("{other}"),
    });
    assert_eq!(checked, expected.map_err(|needed| needed.map(Box::from)));
}

#[test]
fn a_scope_opens_what_it_names() {
    let call = |server, tool| (method::TOOLS_CALL, server, tool);
    check("files:read", call("files", "read_file"), Ok(()));
    check(
        "files:read files:write",
        call("files", "write_file"),
        Ok(()),
    );
    check("notes", call("notes", "anything"), Ok(()));
    check("notes", (method::PROMPTS_GET, "notes", "p"), Ok(()));
    check("notes", (method::COMPLETION_COMPLETE, "notes", "p"), Ok(()));
    check(
        "files:read",
        (method::RESOURCES_READ, "files", "file:///srv/a/b"),
        Ok(()),
    );
    check("", (method::TOOLS_LIST, "files", ""), Ok(()));
    check("files:read", (method::TASKS_GET, "files", "1"), Ok(()));
}

#[test]
fn what_is_missing_is_named_whole_and_as_narrow_as_can_be() {
    let call = |server, tool| (method::TOOLS_CALL, server, tool);
    let both = Err(Some("files:read files:write"));
    check("", call("files", "read_file"), Err(Some("files:read")));
    check("files:read", call("files", "write_file"), both);
    // Half of what is needed opens nothing.
    check("files:write", call("files", "write_file"), both);
    check("files:read", call("notes", "add"), Err(Some("wide")));
    check(
        "unknown",
        (method::PROMPTS_GET, "notes", "p"),
        Err(Some("notes")),
    );
    check(
        "notes",
        (method::TASKS_GET, "files", "1"),
        Err(Some("files:read")),
    );
    // Nothing opens it.
    check("files:read", (method::PROMPTS_GET, "files", "p"), Err(None));
    check(
        "files:read",
        (method::COMPLETION_COMPLETE, "files", "p"),
        Err(None),
    );
    check("files:read", call("other", "x"), Err(None));
    check(
        "files:read",
        (method::RESOURCES_READ, "files", "file:///etc/x"),
        Err(None),
    );
}

#[test]
fn what_no_pattern_names_needs_the_whole_server() {
    for name in [method::SKILLS_GET, "vendor.example/do"] {
        check("notes", (name, "notes", "x"), Ok(()));
        check("wide", (name, "notes", "x"), Err(Some("notes")));
        check("files:read wide", (name, "files", "x"), Err(None));
    }
}

#[test]
fn only_the_star_is_special_in_a_pattern() {
    let call = |tool| (method::TOOLS_CALL, "files", tool);
    check("files:read files:write", call("a[b]c"), Ok(()));
    check("files:read files:write", call("ab"), Err(Some("wide")));
}

#[test]
fn mistakes_are_refused() {
    let build = |name: &str, rule| ScopeMap::build(&BTreeMap::from([(name.to_owned(), rule)]));
    let tools = |pattern: &str| ScopeRule {
        tools: texts(&[pattern]),
        ..ScopeRule::default()
    };
    assert!(matches!(
        build("a", tools("no-server")),
        Err(InvalidScope::Pattern { .. })
    ));
    assert!(matches!(
        build("a", tools("/x")),
        Err(InvalidScope::Pattern { .. })
    ));
    assert!(matches!(
        build("ALL", tools("s/x")),
        Err(InvalidScope::Wildcard(_))
    ));
    let own = ScopeRule {
        servers: vec!["everything".parse().unwrap()],
        ..ScopeRule::default()
    };
    assert!(build("everything", own.clone()).is_ok());
    assert!(matches!(build("all", own), Err(InvalidScope::Wildcard(_))));
    let needs = ScopeRule {
        needs: texts(&["b"]),
        ..ScopeRule::default()
    };
    assert!(matches!(build("a", needs), Err(InvalidScope::Needs { .. })));
}
