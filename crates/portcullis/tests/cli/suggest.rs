//! `portcullis policy suggest`, and the files of constraints that it writes.

use serde_json::json;

use crate::gateway::place;
use crate::place::{Place, Ran};

const OBSERVE: &str = "[policy.servers.sample]\nmode = \"observe\"\n\n";

/// Calls the sample's tool through `portcullis stdio`, once for each word, after it was listed.
fn call(place: &Place, words: &[&str]) -> Ran {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let mut input = format!("{hello}\n{ready}\n{list}\n");
    for (at, word) in words.iter().enumerate() {
        let params = json!({"name": "look", "arguments": {"how": word}});
        let request =
            json!({"jsonrpc": "2.0", "id": at + 3, "method": "tools/call", "params": params});
        input.push_str(&request.to_string());
        input.push('\n');
    }
    place.run_with(
        &["stdio", "--server", "sample", "--state-dir", "state"],
        input.as_bytes(),
    )
}

#[test]
fn without_calls_that_were_kept_nothing_is_suggested() {
    let place = place("", &["sample"]);
    let said = place.refused(&["policy", "suggest"], 1);
    assert!(
        said.contains("no calls were kept; set `mode = \"observe\"`"),
        "{said}"
    );
}

#[test]
fn what_is_suggested_admits_what_was_seen_and_little_else() {
    let place = place(OBSERVE, &["sample"]);
    assert_eq!(
        call(&place, &["closely", "twice", "from afar"]).code,
        Some(0)
    );

    let ran = place.run(&[
        "policy",
        "suggest",
        "--state-dir",
        "state",
        "--out",
        "suggested",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("4 of 4 calls are admitted"),
        "{}",
        ran.stderr
    );
    let read = |name: &str| std::fs::read_to_string(place.path().join("suggested").join(name));
    let policies = read("suggested.cedar").unwrap();
    assert!(policies.contains("Action::\"sample/look\""), "{policies}");
    let constraints = read("suggested.toml").unwrap();
    assert!(
        constraints.contains("[servers.sample.tools.\"*\".arguments]\n\"/how\" = { kind = \"text\", chars_max = 16 }\n"),
        "{constraints}"
    );
    let replayed = place.json(&[
        "policy",
        "replay",
        "--state-dir",
        "state",
        "--json",
        "--policies",
        "suggested",
    ]);
    assert_eq!(replayed, json!({"calls": 4, "changes": []}));

    let again = place.refused(
        &[
            "policy",
            "suggest",
            "--state-dir",
            "state",
            "--out",
            "suggested",
        ],
        2,
    );
    assert!(again.contains("is there already"), "{again}");

    let enforce = "[policy]\nfiles = [\"suggested\"]\n\n";
    let config = std::fs::read_to_string(place.path().join("portcullis.toml")).unwrap();
    place.write("portcullis.toml", config.replace(OBSERVE, enforce));
    let answers = call(&place, &["nearby", "--exec=id"]).stdout;
    assert!(answers.contains("sees nothing"), "{answers}");
    assert!(answers.contains("it begins like an option"), "{answers}");
}

#[test]
fn a_tool_that_was_called_too_seldom_is_left_out_and_said() {
    let place = place(OBSERVE, &["sample"]);
    assert_eq!(call(&place, &["closely"]).code, Some(0));
    let ran = place.run(&["policy", "suggest", "--state-dir", "state"]);
    assert!(!ran.stdout.contains("sample/look"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("1 of sample/look: the tool was called too seldom"),
        "{}",
        ran.stderr
    );
    let all = place.done(&["policy", "suggest", "--state-dir", "state", "--rare", "0"]);
    assert!(all.contains("Action::\"sample/look\""), "{all}");
}

#[test]
fn a_file_of_constraints_is_about_configured_servers() {
    let place = place("[policy]\nfiles = [\"rules.toml\"]\n\n", &["sample"]);
    place.write(
        "rules.toml",
        "[servers.simple.tools.look.arguments]\n\"/how\" = { kind = \"text\" }\n",
    );
    let said = place.refused(&["policy", "check"], 2);
    assert!(said.contains("no server `simple` is configured"), "{said}");
    assert!(said.contains("those that are: `sample`"), "{said}");
    place.write("rules.toml", "[servers.sample.tools.look.argument]\n");
    let said = place.refused(&["policy", "check"], 2);
    assert!(
        said.contains("this cannot be read: unknown field `argument`"),
        "{said}"
    );
}

#[test]
fn the_configurations_own_word_counts_before_that_of_a_file() {
    let own = "[policy]\npreset = \"developer-laptop\"\nfiles = [\"rules.toml\"]\n\n\
               [policy.servers.sample.tools.look.arguments]\n\
               \"/how\" = { kind = \"enum\", values = [\"closely\"] }\n\n";
    let place = place(own, &["sample"]);
    let rule = "{ kind = \"enum\", values = [\"twice\"] }";
    place.write(
        "rules.toml",
        format!("[servers.sample.tools.look.arguments]\n\"/how\" = {rule}\n\"/who\" = {rule}\n"),
    );
    let answers = call(&place, &["closely"]).stdout;
    assert!(answers.contains("sees nothing"), "{answers}");
    let answers = call(&place, &["twice"]).stdout;
    assert!(answers.contains("\"isError\":true"), "{answers}");
}

#[test]
fn two_files_cannot_say_something_of_one_argument() {
    let place = place("[policy]\nfiles = [\"rules\"]\n\n", &["sample"]);
    let rule = "[servers.sample.tools.look.arguments]\n\"/how\" = { kind = \"text\" }\n";
    place.write("rules/a.toml", rule);
    place.write("rules/b.toml", rule);
    // A table of expected decisions is none of them.
    place.write("rules/c.test.toml", "call = []\n");
    let said = place.refused(&["policy", "check"], 2);
    assert!(
        said.contains("another file has a rule for `/how`"),
        "{said}"
    );
}
