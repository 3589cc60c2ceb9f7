use serde_json::Value;

use super::*;
use crate::commands::policy::ground::{Hypothesis, principal};

fn call(who: &str, groups: &[&str], action: Action) -> Call {
    let principal = principal(who, "user", None, groups, None::<&[&str]>).unwrap();
    let hypothesis = Hypothesis::call(principal, "files".parse().unwrap(), "read", b"{}");
    Call {
        principal: who.to_owned(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        server: "files".to_owned(),
        action,
        arguments: Value::Null,
        at_ms: 0,
        hypothesis,
        left_out: None,
    }
}

/// The policies for these calls, without comments.
fn written(calls: Vec<Call>) -> String {
    let seen = Seen {
        calls,
        tools: BTreeMap::new(),
    };
    let text = write("Suggested.", &seen);
    let lines = text.lines().filter(|line| !line.starts_with("//"));
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn several_people_are_named() {
    let calls = vec![
        call("ada", &[], Action::List),
        call("bob", &[], Action::List),
    ];
    insta::assert_snapshot!(written(calls), @r#"
    @id("suggested/lists")
    permit (principal, action == Action::"list", resource == Server::"files")
    when { principal in [User::"ada", User::"bob"] };
    "#);
}

#[test]
fn a_group_stands_for_people_who_are_all_that_was_seen_of_it() {
    let staff = ["staff"];
    let calls = vec![
        call("ada", &staff, Action::List),
        call("bob", &staff, Action::List),
        call("eve", &[], Action::Prompt("plan".to_owned())),
    ];
    insta::assert_snapshot!(written(calls), @r#"
    @id("suggested/lists")
    permit (principal in Group::"staff", action == Action::"list", resource == Server::"files");
    @id("suggested/prompts")
    permit (principal == User::"eve", action == Action::"prompt", resource == Prompt::"files/plan");
    "#);
}

#[test]
fn a_group_with_others_in_it_does_not() {
    let staff = ["staff"];
    let calls = vec![
        call("ada", &staff, Action::Call("push".to_owned())),
        call("bob", &staff, Action::Call("push".to_owned())),
        call("eve", &staff, Action::List),
    ];
    insta::assert_snapshot!(written(calls), @r#"
    @id("suggested/changing")
    permit (principal, action in [
      Action::"files/push",
    ], resource)
    when { principal in [User::"ada", User::"bob"] };
    @id("suggested/lists")
    permit (principal == User::"eve", action == Action::"list", resource == Server::"files");
    "#);
}

#[test]
fn many_resources_are_held_to_their_schemes() {
    let read = |at: usize| call("ada", &[], Action::Read(format!("FILE:///srv/{at}")));
    insta::assert_snapshot!(written((0..9).map(read).collect()), @r#"
    @id("suggested/resources")
    permit (principal == User::"ada", action == Action::"read", resource in Server::"files")
    when { ["file"].contains(resource.scheme) };
    "#);
    insta::assert_snapshot!(written(vec![read(1)]), @r#"
    @id("suggested/resources")
    permit (principal == User::"ada", action == Action::"read", resource in Server::"files")
    when { ["FILE:///srv/1"].contains(resource.uri) };
    "#);
}

#[test]
fn a_name_stays_within_its_string_and_its_comment() {
    let name = "a\"\n); permit (principal, action, resource); //";
    insta::assert_snapshot!(written(vec![call(name, &[], Action::List)]), @r#"
    @id("suggested/lists")
    permit (principal == User::"a\"\n); permit (principal, action, resource); //", action == Action::"list", resource == Server::"files");
    "#);
}
