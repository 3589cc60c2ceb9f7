//! Every example configuration can be used.

use crate::place::Place;

#[test]
fn every_example_is_good() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        seen += 1;
        let place = Place::with(&std::fs::read_to_string(&path).unwrap())
            .var("PORTCULLIS_CI_TOKEN", "ci-0123456789abcdef0123456789abcdef")
            .var("TRACKER_TOKEN", "tracker");
        place.write("tokens/alice", "alice-0123456789abcdef0123456789abcdef\n");
        let policies = format!("{directory}/policies/tracker.cedar");
        let policies = std::fs::read_to_string(policies).unwrap();
        place.write("policies/tracker.cedar", policies);
        for command in [["check"].as_slice(), &["policy", "check"]] {
            let ran = place.run(command);
            let shown = path.display();
            assert_eq!(ran.code, Some(0), "{shown} {command:?}: {}", ran.stderr);
        }
    }
    assert!(seen >= 3, "{seen} examples");
}
