//! Wheels, and which of them was installed.

use std::collections::BTreeMap;
use std::io;

use super::{Found, Settled, Wheel, component, integrity, tags};

#[test]
fn digests_are_written_as_integrity() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let expected = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(integrity(empty).as_deref(), Some(expected));
    for wrong in ["", "e3b0", &"+1".repeat(32), &"\u{e9}".repeat(32)] {
        assert_eq!(integrity(wrong), None, "{wrong}");
    }
}

#[test]
fn tags_of_a_wheel_are_written_out() {
    let all = tags("a_b-1.0-1-cp311.cp312-abi3-linux_x86_64.whl").unwrap();
    assert_eq!(all, ["cp311-abi3-linux_x86_64", "cp312-abi3-linux_x86_64"]);
    assert_eq!(tags("a-1.0.tar.gz"), None);
}

#[test]
fn the_digest_is_that_of_the_wheel_that_was_installed() {
    let wheel = |file: &str, integrity: &str| Wheel {
        file: file.to_owned(),
        integrity: integrity.to_owned(),
    };
    let wheels = vec![
        wheel("a-1.0-cp311-cp311-linux_x86_64.whl", "sha256-1"),
        wheel("a-1.0-cp311-cp311-macosx_11_0_arm64.whl", "sha256-2"),
    ];
    let version = "1.0".to_owned();
    let settled = BTreeMap::from([("a".to_owned(), Settled { version, wheels })]);
    let found = |version: &str, tag: &str| Found {
        name: "A".to_owned(),
        version: version.to_owned(),
        programs: Vec::new(),
        tags: vec![tag.to_owned()],
    };
    let digest = |tag| {
        component::<io::Error>(&found("1.0.0", tag), &settled)
            .unwrap()
            .integrity
    };
    assert_eq!(digest("cp311-cp311-linux_x86_64"), "sha256-1");
    // It cannot be told: any of them.
    assert_eq!(digest("cp311-cp311-other"), "sha256-1 sha256-2");
    let other = component::<io::Error>(&found("1.1", "x"), &settled).unwrap_err();
    assert!(
        other
            .to_string()
            .contains("installed as `1.1` where `1.0` was settled")
    );
}
