//! The policies that come with the gateway.

use portcullis_policy::{ActionRef, Policies, Preset, Who};

use crate::support::{ALICE, DESTROYS, READS, files, line, name, query, tool};

#[test]
fn every_preset_loads_without_a_server_and_without_a_warning() {
    for preset in Preset::ALL {
        for known in [Vec::new(), vec![files()]] {
            let compiled = Policies::compile(&[preset.file()], &known, &[], None).unwrap();
            assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
        }
        assert_eq!(Preset::by_name(preset.name()), Some(preset));
    }
}

#[track_caller]
fn check(preset: Preset, who: Who<'_>, action: ActionRef<'_>, expected: &str) {
    let mut shape = files();
    let schema = serde_json::json!({"type": "object"});
    shape.tools.push(tool("dropTable", &schema, READS));
    shape.tools.push(tool("wipe", &schema, DESTROYS));
    let compiled = Policies::compile(&[preset.file()], &[shape], &[], None).unwrap();
    let server = name("files");
    let mut query = query(&server, action, None);
    query.who = who;
    assert_eq!(line(&compiled.policies.decide(&query)), expected);
}

#[test]
fn read_only_believes_no_tool_whose_name_is_a_change() {
    let call = ActionRef::CallTool;
    check(
        Preset::ReadOnly,
        ALICE,
        call("read_file"),
        "allow by read-only/tools",
    );
    check(
        Preset::ReadOnly,
        ALICE,
        call("write_file"),
        "deny: no permit",
    );
    check(
        Preset::ReadOnly,
        ALICE,
        call("dropTable"),
        "deny: no permit",
    );
    check(
        Preset::ReadOnly,
        ALICE,
        ActionRef::List("tools"),
        "allow by read-only/lists",
    );
    let read = ActionRef::ReadResource("file:///a");
    check(
        Preset::ReadOnly,
        ALICE,
        read,
        "allow by read-only/prompts-and-resources",
    );
    check(
        Preset::ReadOnly,
        ALICE,
        ActionRef::Sample,
        "deny: no permit",
    );
}

#[test]
fn on_a_laptop_destruction_is_asked_for() {
    let call = ActionRef::CallTool;
    let ask = r#"ask ["the server says that this tool may destroy or overwrite something"] by developer-laptop/ask-destructive"#;
    check(Preset::DeveloperLaptop, ALICE, call("wipe"), ask);
    check(
        Preset::DeveloperLaptop,
        ALICE,
        call("write_file"),
        "allow by developer-laptop/all",
    );
    check(
        Preset::DeveloperLaptop,
        ALICE,
        ActionRef::Sample,
        "allow by developer-laptop/all",
    );
}

#[test]
fn a_team_has_no_strangers_and_only_admins_destroy() {
    let call = ActionRef::CallTool;
    let stranger = Who {
        kind: "nobody",
        ..ALICE
    };
    check(
        Preset::Team,
        stranger,
        ActionRef::List("tools"),
        "deny: forbidden by team/no-strangers",
    );
    check(Preset::Team, ALICE, call("write_file"), "allow by team/all");
    let refused = "deny: forbidden by team/ask-destructive team/destructive-is-for-admins";
    check(Preset::Team, ALICE, call("wipe"), refused);
    let admin = Who {
        groups: &["admins"],
        ..ALICE
    };
    let ask = r#"ask ["the server says that this tool may destroy or overwrite something"] by team/ask-destructive"#;
    check(Preset::Team, admin, call("wipe"), ask);
}

#[test]
fn locked_down_gives_lists_alone() {
    check(
        Preset::LockedDown,
        ALICE,
        ActionRef::List("tools"),
        "allow by locked-down/lists",
    );
    check(
        Preset::LockedDown,
        ALICE,
        ActionRef::CallTool("read_file"),
        "deny: no permit",
    );
}
