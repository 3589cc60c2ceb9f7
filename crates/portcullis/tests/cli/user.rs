//! `portcullis user`.

use serde_json::{Value, json};

use crate::gateway::{Gateway, place};
use crate::place::Place;

const BASE: &[&str] = &["--url", "https://gw.example"];

#[track_caller]
fn user(place: &Place, args: &[&str]) -> String {
    let args: Vec<&str> = ["user"].iter().chain(args).copied().collect();
    place.done(&args)
}

#[track_caller]
fn users(place: &Place) -> Vec<Value> {
    let listed = place.json(&["user", "list", "--json"]);
    let mut users: Vec<Value> = listed["users"].as_array().unwrap().clone();
    for user in &mut users {
        assert!(user["created_ms"].take().is_u64());
    }
    users
}

#[test]
fn an_invitation_is_a_page_and_a_code_that_is_not_in_its_address() {
    let place = Place::new();
    let args = [
        "invite",
        "ada",
        "--display",
        "Ada Lovelace",
        "--group",
        "ops",
        "--group",
        "dev",
        "--admin",
        "--url",
        "https://gw.example",
    ];
    let out = user(&place, &args);
    let lines: Vec<&str> = out.lines().collect();
    let [page, code] = lines.as_slice() else {
        panic!("{out}")
    };
    assert_eq!(*page, "https://gw.example/oauth/account/invitation");
    assert!(code.starts_with("pci_") && code.len() == 4 + 43, "{code}");
    assert_eq!(
        users(&place),
        [json!({
            "name": "ada", "display": "Ada Lovelace", "groups": ["ops", "dev"], "admin": true,
            "disabled": false, "password": false, "second_factor": false, "created_ms": null,
        })]
    );
    let kept = user(&place, &["list"]) + &place.done(&["events", "--json"]);
    assert!(!kept.contains(code.strip_prefix("pci_").unwrap()), "{kept}");
}

#[test]
fn the_page_is_where_the_configuration_says() {
    let page = |config: &str| {
        let place = Place::with(config);
        let out = user(&place, &["invite", "ada"]);
        out.lines().next().unwrap().to_owned()
    };
    let end = "/oauth/account/invitation";
    let listen = "[listen]\naddress = \"127.0.0.1:1234\"\n";
    assert_eq!(page(""), format!("http://127.0.0.1:8420{end}"));
    assert_eq!(page(listen), format!("http://127.0.0.1:1234{end}"));
    let tls = "tls = { certificate = \"c\", key = \"k\" }\n";
    let address = page(&format!("{listen}{tls}"));
    assert_eq!(address, format!("https://127.0.0.1:1234{end}"));
    let place = Place::with("listen.address = \"127.0.0.1:0\"");
    let said = place.refused(&["user", "invite", "ada"], 2);
    assert!(said.contains("`--url URL`"), "{said}");
}

#[test]
fn an_account_is_changed_beside_a_running_gateway() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    user(&place, &[&["invite", "ada"], BASE].concat());
    let disabled = |place: &Place| users(place)[0]["disabled"].clone();
    user(&place, &["disable", "ada"]);
    assert_eq!(disabled(&place), true);
    user(&place, &["enable", "ada"]);
    assert_eq!(disabled(&place), false);
    let out = user(&place, &[&["reset", "ada"], BASE].concat());
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "https://gw.example/oauth/account/reset");
    assert!(lines[1].starts_with("pci_"));
    user(&place, &["link", "ada", "corp", "00u1"]);
    user(&place, &["remove", "ada"]);
    assert!(users(&place).is_empty());
    let events = place.json(&["events", "--kind", "account", "--json"]);
    let reasons: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        [
            "removed", "linked", "reset", "enabled", "disabled", "invited"
        ]
    );
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
}

#[test]
fn the_api_keys_of_an_account_end_with_it() {
    let place = Place::new();
    for (name, ends) in [("ada", "disable"), ("bob", "remove")] {
        user(&place, &["invite", name]);
        place.done(&["token", "create", name, "--subject", name]);
        user(&place, &[ends, name]);
        place.refused(&["token", "revoke", name], 1);
    }
}

#[test]
fn an_answer_that_is_no_exits_with_1() {
    let place = Place::new();
    user(&place, &["invite", "ada"]);
    user(&place, &["invite", "bob"]);
    user(&place, &["link", "ada", "corp", "00u1"]);
    for (args, part) in [
        (&["invite", "ada"][..], "there is an account `ada` already"),
        (
            &["link", "bob", "corp", "00u1"],
            "logs in to another account",
        ),
        (&["link", "eve", "corp", "00u2"], "no account `eve`"),
        (&["reset", "eve"], "`portcullis user list`"),
        (&["disable", "eve"], "there is no account `eve`"),
        (&["enable", "eve"], "there is no account `eve`"),
        (&["remove", "eve"], "there is no account `eve`"),
    ] {
        let args: Vec<&str> = ["user"].iter().chain(args).copied().collect();
        let said = place.refused(&args, 1);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    let place = Place::new();
    for (args, part) in [
        (&["invite", "Ada"][..], "`a-z0-9._@-`"),
        (&["invite", "ada", "--display", ""], "1 to 128 characters"),
        (
            &["invite", "ada", "--group", "a\nb"],
            "no control characters",
        ),
        (&["invite", "ada", "--url", "nowhere"], "--url"),
        (&["invite", "ada", "--url", "ftp://gw.example"], "use https"),
        (&["link", "ada", "corp"], "<SUBJECT>"),
        (&["remove", "a b"], "`a-z0-9._@-`"),
    ] {
        let args: Vec<&str> = ["user"].iter().chain(args).copied().collect();
        let said = place.refused(&args, 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert!(users(&place).is_empty());
}
