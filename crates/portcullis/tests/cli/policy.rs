//! `portcullis policy`: tools for the permission model, on the record of a real gateway.

use serde_json::Value;

use crate::client::call;
use crate::gateway::{Gateway, place};
use crate::place::Place;

const HEAD: &str = r#"
[policy]
files = ["policies"]
[policy.servers.one]
mode = "observe"
"#;

const OWN: &str = r#"
@id("quick-looks")
permit (principal, action == Action::"one/look", resource)
when { context.arguments has how && context.arguments.how == "quick" };
"#;

/// A place in whose record there is a call that the policy permits and one that it does not.
fn observed() -> Place {
    let place = place(HEAD, &["one"]);
    place.write("policies/own.cedar", OWN);
    let gateway = Gateway::start(&place, &[]);
    for how in ["quick", "loud"] {
        assert!(call(gateway.address(), "one", how).text().contains("pid"));
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
    place
}

fn explain(place: &Place, arguments: &str) -> String {
    let call = ["policy", "explain", "--server", "one", "--tool", "look"];
    let args: Vec<&str> = call
        .iter()
        .copied()
        .chain(["--arguments", arguments])
        .collect();
    place.done(&args)
}

#[test]
fn policies_are_checked_explained_and_replayed() {
    let place = observed();
    let said = place.done(&["policy", "check"]);
    assert_eq!(said, "ok: 1 policy, 1 tool of 1 server, 0 warnings\n");
    assert_eq!(
        explain(&place, r#"{"how":"quick"}"#),
        "allowed: permitted by `quick-looks`\n"
    );
    assert_eq!(
        explain(&place, r#"{"how":"loud"}"#),
        "denied: no policy permits it\n"
    );
    let said = explain(&place, r#"{"when":"now"}"#);
    assert!(said.contains("invalid-arguments"), "{said}");
    // The record decided by the same policies once more comes to the same.
    let said = place.done(&["policy", "replay"]);
    assert_eq!(said, "2 calls, 0 would be decided otherwise\n");
    place.write("all.cedar", "permit (principal, action, resource);");
    let ran = place.run(&["policy", "replay", "--policies", "all.cedar", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let change = &said["changes"][0];
    assert_eq!(said["changes"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(change["arguments"], r#"{"how":"loud"}"#);
    assert_eq!(
        (&change["was"], &change["becomes"]),
        (&"deny".into(), &"allow".into())
    );
    let id = change["request_id"].as_str().unwrap();
    assert_eq!(
        place.done(&["policy", "explain", "--request", id]),
        "denied: no policy permits it\n"
    );
}

#[test]
fn tables_say_which_call_is_decided_otherwise() {
    let place = observed();
    let table = |expected: &str| {
        format!(
            r#"
[[call]]
name = "a quick one"
server = "one"
tool = "look"
arguments = {{ how = "quick" }}
expect = "allow"
by = "quick-looks"

[[call]]
name = "a loud one"
as = "ada"
groups = ["people"]
server = "one"
tool = "look"
arguments = {{ how = "loud" }}
expect = "{expected}"
"#
        )
    };
    place.write("policies/looks.test.toml", table("deny"));
    assert_eq!(
        place.done(&["policy", "test"]),
        "2 calls as expected, 0 not\n"
    );
    place.write("policies/looks.test.toml", table("ask"));
    let ran = place.run(&["policy", "test"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stdout, "1 calls as expected, 1 not\n");
    assert!(
        ran.stderr
            .contains("call a loud one: expected ask, but denied"),
        "{ran:?}"
    );
}

#[test]
fn a_misspelt_name_is_drawn_with_what_was_meant() {
    let place = observed();
    place.write("policies/own.cedar", OWN.replace(".how", ".haw"));
    for args in [
        ["policy", "check"].as_slice(),
        &["run", "--listen", "127.0.0.1:0"],
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("own.cedar"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("haw") && ran.stderr.contains("how"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_policy_that_can_never_matter_is_a_warning() {
    let place = observed();
    place.write(
        "policies/more.cedar",
        "@id(\"again\") permit (principal, action == Action::\"one/look\", resource);\n\
         @id(\"never\") forbid (principal, action == Action::\"one/look\", resource);\n",
    );
    let ran = place.run(&["policy", "check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains(" 0 warnings"), "{ran:?}");
    assert!(ran.stderr.contains("forbids"), "{}", ran.stderr);
}
