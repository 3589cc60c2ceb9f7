//! `portcullis events`.

use serde_json::Value;

use crate::place::Place;

#[track_caller]
fn kinds(place: &Place, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["events", "--json"].iter().chain(args).copied().collect();
    let events = place.json(&args);
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(kind)
        .collect()
}

#[test]
fn what_happened_is_printed_newest_first() {
    let place = Place::new();
    place.done(&["token", "create", "ci", "--subject", "build server"]);
    place.done(&["token", "revoke", "ci"]);
    place.done(&["user", "invite", "ada"]);
    assert_eq!(kinds(&place, &[]), ["account", "revocation", "credential"]);
    assert_eq!(kinds(&place, &["--limit", "1"]), ["account"]);
    assert_eq!(kinds(&place, &["--kind", "credential"]), ["credential"]);
    assert_eq!(kinds(&place, &["--since", "1h"]).len(), 3);
    assert!(kinds(&place, &["--since", "2999-01-01T00:00:00Z"]).is_empty());
    let text = place.done(&["events"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].ends_with("Z account success reason=invited principal=ada"),
        "{text}"
    );
    let made = "credential success principal=\"build server\" correlation=";
    assert!(lines[2].contains(made), "{text}");
}

#[test]
fn names_that_come_from_elsewhere_play_no_tricks_on_a_terminal() {
    let place = Place::new();
    place.done(&["user", "invite", "ada"]);
    let database = place.path().join(".local/state/portcullis/portcullis.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    let client = "https://evil.example\u{1b}[2J\nroot outcome=success\u{202e}";
    let changed = connection.execute("UPDATE auth_events SET client = ?1", [client]);
    assert_eq!(changed.unwrap(), 1);
    let text = place.done(&["events"]);
    assert_eq!(text.lines().count(), 1);
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
    assert!(text.contains("client=\"https://evil.example"), "{text}");
    let listed = place.json(&["events", "--json"]);
    assert_eq!(listed["events"][0]["client"], client);
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    let place = Place::new();
    for (args, part) in [
        (
            ["--kind", "x"],
            "[possible values: authentication, step_up,",
        ),
        (["--since", "yesterday"], "such as `90m` or `7d`"),
        (["--limit", "0"], "1..=100000"),
    ] {
        let args: Vec<&str> = ["events"].iter().chain(&args).copied().collect();
        let said = place.refused(&args, 2);
        assert!(said.contains(part), "{said}");
    }
    let ran = place.run(&["events"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr, "no such events\n");
}
