//! Mistakes in policies, with their place and a hint.

use std::fmt::Write as _;

use insta::assert_snapshot;
use portcullis_policy::{Mistake, Policies};

use crate::support::{compiled, file};

fn told(mistakes: &[Mistake]) -> String {
    let mut text = String::new();
    for mistake in mistakes {
        writeln!(text, "{mistake}").unwrap();
        if let Some(hint) = &mistake.hint {
            writeln!(text, "  {hint}").unwrap();
        }
    }
    text
}

#[track_caller]
fn mistakes(text: &str) -> String {
    told(&compiled(text).unwrap_err())
}

#[track_caller]
fn warnings(text: &str) -> String {
    told(&compiled(text).unwrap().warnings)
}

#[test]
fn a_misspelt_name_does_not_load() {
    assert_snapshot!(mistakes(
        r#"permit(principal, action == Action::"lst", resource);
permit(principal, action == Action::"files/red_file", resource);
permit(principal, action, resource == Tool::"files/read_fil");
permit(principal, action, resource in Server::"flies");
permit(principal in Group::"admin", action, resource);
permit(principal in Gruop::"admins", action, resource);
permit(principal, action, resource == Prompt::"files/sumary");
permit(principal, action, resource == Tool::"something else");
"#
    ), @r##"
    own.cedar:1:29: there is no action or tool `lst`
      did you mean `Action::"list"`?
    own.cedar:2:29: there is no action or tool `files/red_file`
      did you mean `Action::"files/read_file"`?
    own.cedar:3:39: there is no tool `files/read_fil`
      did you mean `Tool::"files/read_file"`?
    own.cedar:4:39: there is no server `flies`
      did you mean `Server::"files"`?
    own.cedar:5:21: there is no group `admin`
      did you mean `Group::"admins"`?
    own.cedar:6:21: unrecognized entity type `Gruop`
      did you mean `Group`?
    own.cedar:7:39: there is no prompt `files/sumary`
      did you mean `Prompt::"files/summary"`?
    own.cedar:8:39: there is no tool `something else`
      nothing that exists has a similar name
    "##);
}

#[test]
fn a_misspelt_argument_or_attribute_does_not_load() {
    assert_snapshot!(mistakes(
        r#"permit(principal, action == Action::"files/read_file", resource)
when { context.arguments.pth == "a" };
permit(principal, action == Action::"files/read_file", resource)
when { context.aproved };
permit(principal, action == Action::"files/read_file", resource)
when { resource.readonly };
permit(principal, action in Action::"call", resource)
when { context.arguments.path == "a" };
permit(principal, action == Action::"files/write_file", resource)
when { context.arguments.content == "a" };
"#
    ), @r##"
    own.cedar:2:8: attribute `arguments.pth` in context for Action::"files/read_file" not found
      did you mean `path`?
    own.cedar:4:8: attribute `aproved` in context for Action::"files/read_file" not found
      did you mean `approved`?
    own.cedar:6:8: attribute `readonly` on entity type `Tool` not found
      did you mean `readOnly`?
    own.cedar:8:8: attribute `arguments.path` in context for Action::"mail/send" not found
      the policy also applies to this tool; name the tools that have the argument, or ask `context.arguments has …` first
    own.cedar:10:8: attribute `arguments.content` in context for Action::"files/write_file" not found
      policies cannot speak of the argument `content`: it may have one of several types
    "##);
}

#[test]
fn types_that_do_not_fit_do_not_load() {
    assert_snapshot!(mistakes(
        r#"permit(principal, action == Action::"files/write_file", resource)
when { context.arguments.path < 3 };
permit(principal, action == Action::"files/write_file", resource)
when { context.arguments.mode == "append" };
"#
    ), @r##"
    own.cedar:2:8: unexpected type: expected Long but saw String
    own.cedar:4:8: unable to guarantee safety of access to optional attribute `arguments.mode` in context for Action::"files/write_file"
      try testing for the attribute's presence with `context.arguments has mode && ..`
    "##);
}

#[test]
fn what_does_not_parse_is_told_with_its_place() {
    assert_snapshot!(mistakes("permit(principal, action, resource);\npermit(principal action, resource);\n"), @r##"
    own.cedar:2:18: unexpected token `action`
    "##);
    assert_snapshot!(mistakes("permit(principal == ?principal, action, resource);"), @r##"
    own.cedar:1:1: a template is not a policy
      write the entity in place of the `?slot`
    "##);
    assert_snapshot!(mistakes(
        "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") forbid(principal, action, resource);"
    ), @r##"
    own.cedar:2:1: the id `a` is used twice
      own.cedar:1 has it already; give this policy another `@id`
    "##);
    let parsed = Policies::parse_only(&[file(
        "permit(principal, action == Action::\"no such\", resource);",
    )]);
    assert!(parsed.is_ok());
}

#[test]
fn what_is_likely_not_meant_is_a_warning() {
    assert_snapshot!(warnings(
        r#"permit(principal, action == Action::"files/write_file", resource)
when { context.arguments has mode && context.arguments.mode == "apend" };
permit(principal, action == Action::"files/write_file", resource)
when { context.arguments has mode && ["append", "overwrite"].contains(context.arguments.mode) };
permit(principal, action == Action::"read", resource is Tool);
permit(principal, action == Action::"files/read_file", resource)
when { resource.readOnly && !resource.readOnly && false };
"#
    ), @r##"
    own.cedar:2:64: `mode` is never "apend" in arguments that fit the schema
      did you mean "append"?
    own.cedar:4:49: `mode` is never "overwrite" in arguments that fit the schema
      its schema lists ["append", "replace"]
    own.cedar:5:1: policy is impossible: the policy expression evaluates to false for all valid requests
    own.cedar:5:1: unable to find an applicable action given the policy scope constraints
    own.cedar:6:1: policy is impossible: the policy expression evaluates to false for all valid requests
    "##);
}
