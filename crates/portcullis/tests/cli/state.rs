//! Where an administrator's commands find the gateway's state.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::Place;

fn mode(place: &Place, name: &str) -> u32 {
    let path = place.path().join(name);
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_they_make_is_for_its_owner_alone() {
    let place = Place::new();
    place.run_with(&["secret", "set", "s"], b"value").done();
    let state = ".local/state/portcullis";
    assert_eq!(mode(&place, state), 0o700);
    for file in ["portcullis.db", "portcullis.db-epoch", "sealing-key"] {
        assert_eq!(mode(&place, &format!("{state}/{file}")), 0o600, "{file}");
    }
    assert!(!place.path().join(state).join("lock").exists());
}

#[test]
fn the_argument_comes_before_the_configuration_and_that_before_the_default() {
    let place = Place::with("state.directory = \"of-file\"");
    place.write("other/other.toml", "state.directory = \"of-other\"");
    let made = |name: &str| place.path().join(name).join("portcullis.db").is_file();
    place.done(&["token", "list", "--state-dir", "of-argument"]);
    assert!(made("of-argument") && !made("of-file"));
    place.done(&["token", "--config", "other/other.toml", "list"]);
    assert!(made("other/of-other") && !made("of-file"));
    place.done(&["token", "list"]);
    assert!(made("of-file") && !made(".local/state/portcullis"));
}

/// A person's shell lacks what a gateway's environment has.
#[test]
fn references_that_only_the_gateway_can_follow_do_not_stand_in_the_way() {
    let config =
        "state.directory = \"here\"\n[clients.a]\ntoken = \"${ONLY_THE_GATEWAY_HAS_IT}\"\n";
    let place = Place::with(config);
    place.done(&["token", "list"]);
    assert!(place.path().join("here/portcullis.db").is_file());
    let place = Place::with("state.directory = \"${WHERE}\"").var("WHERE", "there");
    place.done(&["token", "list"]);
    assert!(place.path().join("there/portcullis.db").is_file());
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_passed_over() {
    let place = Place::with("state.directry = \"here\"");
    let said = place.refused(&["token", "list"], 2);
    assert!(said.contains("did you mean `directory`?"), "{said}");
    let said = place.refused(&["token", "list", "-c", "none.toml"], 2);
    assert!(said.contains("`none.toml` cannot be read"), "{said}");
    assert!(!place.path().join(".local").exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    place.write("file", "");
    let said = place.refused(&["token", "list", "--state-dir", "file/state"], 3);
    assert!(
        said.contains("the state directory `file/state` cannot be used"),
        "{said}"
    );
}

#[test]
fn a_sealing_key_that_others_can_read_is_not_used() {
    let place = Place::new();
    place.done(&["keys", "rotate"]);
    let key = place.path().join(".local/state/portcullis/sealing-key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run_with(&["secret", "set", "s"], b"value");
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.contains("can be read by others"),
        "{}",
        ran.stderr
    );
}
