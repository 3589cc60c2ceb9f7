use std::sync::Arc;

use crate::evaluation::Candidates;
use crate::subject::Subject;
use crate::{ActionRef, Hints, Policies, PolicyFile, Preset, ServerShape, ToolShape, Who};

fn tool(name: &str, destructive: bool, classes: &[&str]) -> ToolShape {
    ToolShape {
        name: name.into(),
        input_schema: Arc::from(br#"{"properties": {"path": {"type": "string"}}}"#.as_slice()),
        annotations: Hints {
            destructive: Some(destructive),
            ..Hints::default()
        },
        classes: classes.iter().map(ToString::to_string).collect(),
        labels: Vec::new(),
    }
}

/// The ids of the policies that have to be evaluated for a tool.
#[track_caller]
fn evaluated(file: PolicyFile, name: &str) -> Vec<String> {
    let server: portcullis_mcp::ServerName = "files".parse().unwrap();
    let shape = ServerShape {
        name: server.clone(),
        tools: vec![tool("keep", false, &["disk"]), tool("erase", true, &[])],
        prompts: None,
    };
    let policies = Policies::compile(&[file], &[shape], &[], None)
        .unwrap()
        .policies;
    let subject = Subject::new(&policies.world, &server, ActionRef::CallTool(name)).unwrap();
    let who = Who {
        name: "alice",
        kind: "account",
        client: "desk",
        groups: &["staff"],
        scopes: &[],
    };
    let candidates = Candidates::new(&policies.rules(&subject), &who);
    let ids = candidates.conditional_ids();
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_preset_is_evaluated_only_for_tools_that_it_asks_about() {
    let file = || Preset::DeveloperLaptop.file();
    assert!(evaluated(file(), "keep").is_empty());
    assert_eq!(
        evaluated(file(), "erase"),
        ["developer-laptop/ask-destructive"]
    );
    assert!(evaluated(Preset::ReadOnly.file(), "keep").is_empty());
}

#[test]
fn what_a_tool_decides_alone_is_not_evaluated() {
    #[track_caller]
    fn check(condition: &str, expected: bool) {
        let text = format!(
            "permit(principal in Group::\"staff\", action in Action::\"call\", resource) {condition};"
        );
        let file = PolicyFile {
            name: "own".into(),
            text: text.into(),
        };
        assert_eq!(!evaluated(file, "keep").is_empty(), expected, "{condition}");
    }
    check("when { resource.classes.contains(\"disk\") }", false);
    check(
        "when { resource.classes.contains(\"mail\") && context.approved }",
        false,
    );
    check(
        "when { resource in Server::\"files\" } unless { resource.destructive }",
        false,
    );
    check("when { action == Action::\"files/keep\" }", false);
    check("when { Tool::\"files/erase\".destructive }", false);
    check(
        "when { resource.classes.contains(\"disk\") && context.approved }",
        true,
    );
    check("when { principal in Group::\"staff\" }", true);
    // What is read first might err, which must be seen.
    check("when { context.approved && resource.destructive }", true);
    check(
        "when { context.history.calls * 2 > 5 && resource.destructive }",
        true,
    );
}
