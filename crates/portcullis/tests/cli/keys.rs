//! `portcullis keys`.

use serde_json::Value;

use crate::gateway::{Gateway, place};
use crate::place::Place;

#[track_caller]
fn stages(place: &Place) -> Vec<String> {
    let listed = place.json(&["keys", "list", "--json"]);
    let stage = |key: &Value| key["stage"].as_str().unwrap().to_owned();
    listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(stage)
        .collect()
}

#[test]
fn the_next_key_is_made_beside_a_running_gateway() {
    let place = place("", &["a"]);
    let gateway = Gateway::start(&place, &[]);
    let rotate = ["keys", "rotate", "--url", "https://gw.example"];
    assert!(stages(&place).is_empty());
    assert_eq!(place.done(&rotate), "");
    assert_eq!(stages(&place), ["next", "signing"]);
    let said = place.refused(&rotate, 1);
    assert!(said.contains("`portcullis keys list`"), "{said}");
    let compromised: Vec<&str> = rotate.iter().copied().chain(["--compromised"]).collect();
    place.done(&compromised);
    assert_eq!(stages(&place), ["signing"]);
    let shown = place.done(&["keys", "list"]);
    assert!(
        shown.starts_with("KID") && shown.contains("signing"),
        "{shown}"
    );
    let events = place.json(&["events", "--kind", "key_rotation", "--json"]);
    let events = events["events"].as_array().unwrap();
    let reasons: Vec<&str> = events
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["compromised", "planned", "first"]);
    assert_eq!(events[0]["issuer"], "https://gw.example");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code, Some(0));
}

#[test]
fn keys_that_the_sealing_key_does_not_open_are_named_and_can_be_replaced() {
    let place = Place::new();
    place.done(&["keys", "rotate"]);
    let key = place.path().join(".local/state/portcullis/sealing-key");
    std::fs::write(key, [7; 32]).unwrap();
    let said = place.refused(&["keys", "rotate"], 3);
    assert!(said.contains("restore the key file"), "{said}");
    place.done(&["keys", "rotate", "--compromised"]);
    assert_eq!(stages(&place), ["signing"]);
}
