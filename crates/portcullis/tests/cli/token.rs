//! `portcullis token`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gateway::{Gateway, place};
use crate::place::Place;

/// The key that is made, and its id.
#[track_caller]
fn create(place: &Place, args: &[&str]) -> (String, String) {
    let args: Vec<&str> = ["token", "create"].iter().chain(args).copied().collect();
    let out = place.done(&args);
    let key = out.strip_suffix('\n').unwrap().to_owned();
    assert!(!key.contains('\n') && key.starts_with("pck_"), "{out}");
    let id = key.split('_').nth(1).unwrap().to_owned();
    (key, id)
}

#[test]
fn standard_output_has_the_key_alone() {
    let place = Place::new();
    let ran = place.run(&["token", "create", "ci"]);
    assert_eq!(ran.code, Some(0));
    let key = ran.stdout.trim_end();
    assert_eq!(key.len(), 4 + 12 + 1 + 43);
    let id = key.split('_').nth(1).unwrap();
    assert!(!ran.stderr.contains(key), "{}", ran.stderr);
    let said = ran.stderr.replace(id, "ID");
    let (said, after) = said.split_once(", ends ").unwrap();
    assert_eq!(
        said,
        "API key ID: acts as `ci`, has every scope, opens every server"
    );
    let (_, after) = after.split_once('\n').unwrap();
    assert_eq!(
        after,
        "it is shown only now; `portcullis token revoke ID` ends it earlier\n"
    );
}

#[test]
fn a_key_is_listed_without_what_opens_anything() {
    let place = Place::new();
    let (key, id) = create(&place, &["ci"]);
    let args = [
        "nightly",
        "--scope",
        "files:read",
        "--scope",
        "files:list",
        "--server",
        "files",
        "--expires",
        "12h",
        "--subject",
        "ada",
        "--url",
        "https://gw.example",
    ];
    let (other, other_id) = create(&place, &args);
    let listed = place.json(&["token", "list", "--json"]);
    let mut tokens: Vec<Value> = listed["tokens"].as_array().unwrap().clone();
    tokens.sort_by_key(|token| token["name"].as_str().unwrap().to_owned());
    assert_eq!(tokens.len(), 2);
    let span = |token: &Value| {
        token["expires_ms"].as_u64().unwrap() - token["created_ms"].as_u64().unwrap()
    };
    assert_eq!(span(&tokens[0]), 90 * 86_400_000);
    assert_eq!(span(&tokens[1]), 12 * 3_600_000);
    for token in &mut tokens {
        token["created_ms"].take();
        token["expires_ms"].take();
    }
    assert_eq!(
        tokens,
        [
            json!({
                "id": id, "name": "ci", "subject": "ci", "scopes": null, "resources": null,
                "state": "live", "created_ms": null, "expires_ms": null, "last_used_ms": null,
                "revoked_ms": null,
            }),
            json!({
                "id": other_id, "name": "nightly", "subject": "ada",
                "scopes": ["files:list", "files:read"],
                "resources": ["https://gw.example/servers/files/mcp"],
                "state": "live", "created_ms": null, "expires_ms": null, "last_used_ms": null,
                "revoked_ms": null,
            }),
        ]
    );
    let shown = place.done(&["token", "list"]) + &place.done(&["token", "list", "--json"]);
    for key in [key, other] {
        assert!(!shown.contains(key.rsplit('_').next().unwrap()), "{shown}");
    }
    assert!(shown.contains("files:list files:read"), "{shown}");
}

#[test]
fn a_key_is_revoked_by_its_id_or_its_name() {
    let place = Place::new();
    let (_, first) = create(&place, &["ci"]);
    let (_, second) = create(&place, &["ci"]);
    let said = place.refused(&["token", "revoke", "ci"], 2);
    let both = |text: &str| text.contains(&first) && text.contains(&second);
    assert!(both(&said), "{said}");
    assert_eq!(place.done(&["token", "revoke", &first]), "");
    assert_eq!(place.done(&["token", "revoke", "ci"]), "");
    let said = place.refused(&["token", "revoke", "ci"], 1);
    assert_eq!(
        said,
        "portcullis: there is no API key `ci` in force; list them with `portcullis token list`\n"
    );
    place.refused(&["token", "revoke", &first], 1);
    let listed = place.json(&["token", "list", "--json"]);
    let states: BTreeSet<&str> = listed["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, BTreeSet::from(["revoked"]));
}

#[test]
fn keys_are_made_and_revoked_beside_a_running_gateway() {
    let place = place("", &["files", "mail"]);
    let gateway = Gateway::start(&place, &[]);
    let url = format!("http://{}", gateway.address());
    let (_, id) = create(&place, &["ci", "--server", "files", "--url", &url]);
    let listed = place.json(&["token", "list", "--json"]);
    let resources = &listed["tokens"][0]["resources"];
    assert_eq!(*resources, json!([format!("{url}/servers/files/mcp")]));
    place.done(&["token", "revoke", &id]);
    let said = place.refused(&["token", "create", "ci", "--server", "fils"], 2);
    assert!(
        said.contains("no server `fils` in the configuration; it has files, mail"),
        "{said}"
    );
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
}

#[test]
fn what_is_asked_for_wrongly_is_refused_and_makes_nothing() {
    let place = Place::new();
    for (args, part) in [
        (&["create"][..], "<NAME>"),
        (&["create", ""], "1 to 128 printable characters"),
        (&["create", "a\nb"], "1 to 128 printable characters"),
        (&["create", "a", "--scope", "a b"], "printable ASCII"),
        (&["create", "a", "--scope", ""], "scope"),
        (&["create", "a", "--expires", "forever"], "such as `90m`"),
        (&["create", "a", "--expires", "0d"], "at most 365 days"),
        (&["create", "a", "--expires", "366d"], "at most 365 days"),
        (&["create", "a", "--server", "A"], "not a server name"),
        (
            &["create", "a", "--server", "a", "--url", "http://gw.example"],
            "use https",
        ),
        (
            &[
                "create",
                "a",
                "--server",
                "a",
                "--url",
                "https://gw.example/x",
            ],
            "no path",
        ),
        (&["revoke"], "<ID|NAME>"),
        (&["list", "x"], "unexpected argument"),
    ] {
        let args: Vec<&str> = ["token"].iter().chain(args).copied().collect();
        let said = place.refused(&args, 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let ran = place.run(&["token", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(ran.stderr.contains("no API keys"), "{}", ran.stderr);
}
