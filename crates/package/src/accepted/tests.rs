//! What was accepted, on disk.

use super::{Accepted, AcceptedError, Verdict, difference};
use crate::installed::{Component, Installed};
use crate::launcher::Ecosystem;

fn installed(version: &str) -> Installed {
    Installed {
        ecosystem: Ecosystem::Npm,
        spec: "npm:pkg@latest".to_owned(),
        name: "pkg".to_owned(),
        version: version.to_owned(),
        integrity: "sha512-x".to_owned(),
        tree: "0".repeat(64),
        components: Vec::new(),
        program: "/x".into(),
        interpreter: None,
        interpreter_args: Vec::new(),
        reads: Vec::new(),
        installed_ms: 5,
    }
}

#[test]
fn what_was_accepted_is_read_back() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("packages.toml");
    assert_eq!(Accepted::load(&path).unwrap(), Accepted::default());
    for server in ["b", "a", "b"] {
        Accepted::change(&path, |all| all.accept(server, &installed("1.0.0"), 7)).unwrap();
    }
    let all = Accepted::load(&path).unwrap();
    let servers: Vec<&str> = all
        .list()
        .iter()
        .map(|entry| entry.server.as_str())
        .collect();
    assert_eq!(servers, ["a", "b"]);
    assert_eq!(all.verify("a", &installed("1.0.0")), Ok(Verdict::Same));
    assert_eq!(all.verify("c", &installed("1.0.0")), Ok(Verdict::First));
    assert!(all.verify("a", &installed("1.0.1")).is_err());
    assert!(Accepted::change(&path, |all| all.forget("a")).unwrap());
    assert_eq!(Accepted::load(&path).unwrap().list().len(), 1);
}

#[test]
fn every_fact_counts() {
    type Case = (fn(&mut Installed), &'static str);
    let mut all = Accepted::default();
    all.accept("a", &installed("1.0.0"), 7);
    let changes: [Case; 5] = [
        (
            |one| one.name = "other".to_owned(),
            "is now the package `other`",
        ),
        (
            |one| one.version = "2".to_owned(),
            "is now version 2, and was 1.0.0",
        ),
        (
            |one| one.integrity = "sha512-y".to_owned(),
            "was published again",
        ),
        (
            |one| one.spec = "npm:pkg@1".to_owned(),
            "is now configured as `npm:pkg@1`",
        ),
        (
            |one| one.tree = "1".repeat(64),
            "not what was installed with it",
        ),
    ];
    for (change, part) in changes {
        let mut one = installed("1.0.0");
        change(&mut one);
        let message = all.verify("a", &one).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(
            message.ends_with("run `portcullis packages accept a`"),
            "{message}"
        );
    }
}

#[test]
fn a_damaged_file_accepts_nothing() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("packages.toml");
    Accepted::change(&path, |all| all.accept("a", &installed("1.0.0"), 7)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for damaged in [
        format!("{text}{text}"),
        text.replace("tree", "three"),
        "x".to_owned(),
    ] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(
            Accepted::load(&path),
            Err(AcceptedError::Damaged { .. })
        ));
    }
}

#[test]
fn a_difference_names_what_came_went_and_changed() {
    let list = |all: &[(&str, &str, &str)]| -> Vec<Component> {
        all.iter()
            .map(|(name, version, integrity)| Component {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                integrity: (*integrity).to_owned(),
            })
            .collect()
    };
    let was = list(&[
        ("a", "1", "x"),
        ("b", "1", "x"),
        ("c", "1", "x"),
        ("e", "1", "x"),
    ]);
    let is = list(&[
        ("a", "1", "x"),
        ("b", "2", "y"),
        ("d", "1", "x"),
        ("e", "1", "y"),
    ]);
    let lines: Vec<String> = difference(&was, &is)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        ["b 1 -> 2", "c 1: gone", "d 1: new", "e 1: other content"]
    );
}
