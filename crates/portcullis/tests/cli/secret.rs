//! `portcullis secret`.

use serde_json::json;

use crate::gateway::{Gateway, place};
use crate::place::Place;

const VALUE: &str = "ghp_0123456789 abcdef";

#[test]
fn a_secret_is_read_from_standard_input_and_never_shown() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    for end in ["", "\n", "\r\n"] {
        let ran = place.run_with(
            &["secret", "set", "tracker.token"],
            format!("{VALUE}{end}").as_bytes(),
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
        assert_eq!(ran.stderr, "secret `tracker.token` is set\n");
    }
    let mut listed = place.json(&["secret", "list", "--json"]);
    assert!(listed["secrets"][0]["updated_ms"].take().is_u64());
    let one = json!({ "secrets": [{ "name": "tracker.token", "updated_ms": null }] });
    assert_eq!(listed, one);
    let shown = place.done(&["secret", "list"]) + &place.done(&["events", "--json"]);
    assert!(shown.contains("tracker.token"), "{shown}");
    assert!(!shown.contains("ghp_"), "{shown}");
    place.done(&["secret", "remove", "tracker.token"]);
    let said = place.refused(&["secret", "remove", "tracker.token"], 1);
    assert!(said.contains("`portcullis secret list`"), "{said}");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
}

/// Read by the same functions that a gateway reads it with.
#[test]
fn what_is_kept_is_the_value_without_its_line_end() {
    use portcullis_oauth::secrets::Secrets;
    use portcullis_oauth::vault::Vault;
    use portcullis_store::{Settings, Store};
    let place = Place::new();
    let set = |input: &str| {
        let args = ["secret", "set", "s", "--state-dir", "state"];
        place.run_with(&args, input.as_bytes()).done();
        let state = place.path().join("state");
        let database = std::fs::read(state.join("portcullis.db")).unwrap();
        let is_value = |bytes: &[u8]| bytes == VALUE.as_bytes();
        assert!(!database.windows(VALUE.len()).any(is_value));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let settings = Settings::default();
            let store = Store::open_beside(&state.join("portcullis.db"), settings).unwrap();
            let vault = Vault::open(&state.join("sealing-key")).unwrap();
            let secrets = Secrets::new(store, vault.into());
            let value = secrets.resolve(&"s".parse().unwrap()).await.unwrap();
            value.to_string()
        })
    };
    assert_eq!(set(&format!("{VALUE}\n")), VALUE);
    assert_eq!(set(VALUE), VALUE);
    assert_eq!(set("another\r\n"), "another");
}

#[test]
fn what_cannot_be_a_secret_is_refused_and_not_repeated() {
    let place = Place::new();
    let long = "x".repeat(16 * 1024 + 1);
    let full = "x".repeat(16 * 1024);
    for (input, part) in [
        (&b""[..], "standard input has no secret"),
        (b"\n", "standard input has no secret"),
        (b"one-line\nsecond-line\n", "without line breaks"),
        (b"one-line\n\n", "without line breaks"),
        (b"one-line\0", "visible characters"),
        (b"one-line\xff", "visible characters"),
        (long.as_bytes(), "1 to 16384"),
    ] {
        let ran = place.run_with(&["secret", "set", "s"], input);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
        assert!(!ran.stderr.contains("one-line"), "{}", ran.stderr);
    }
    assert_eq!(
        place.json(&["secret", "list", "--json"]),
        json!({ "secrets": [] })
    );
    place
        .run_with(&["secret", "set", "s"], format!("{full}\r\n").as_bytes())
        .done();
    for args in [
        &["secret", "set", "Name"][..],
        &["secret", "set", "s", "value"],
        &["secret", "set"],
        &["secret", "remove", ""],
    ] {
        place.refused(args, 2);
    }
}
