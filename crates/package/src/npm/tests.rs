//! Locks and programs of npm.

use std::collections::BTreeMap;
use std::io;

use super::{Lock, check, choose, is_strong, node_args};

/// A lock with one package, whose entry is `more`.
#[track_caller]
fn refused(more: &str) -> String {
    let text = format!(
        "{{\"packages\": {{\"\": {{}}, \"node_modules/x\": {{\"version\": \"1.0.0\", {more}}}}}}}"
    );
    let lock: Lock = serde_json::from_str(&text).unwrap();
    check::<io::Error>(&lock, false)
        .map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
}

#[test]
fn locks_with_what_must_not_be_installed_are_refused() {
    let good = r#""resolved": "https://registry.example/x.tgz", "integrity": "sha512-x""#;
    for (more, part) in [
        (good.to_owned(), "nothing"),
        (
            format!("{good}, \"dependencies\": {{\"y\": \"^1 || 2.x\"}}"),
            "nothing",
        ),
        (
            format!("{good}, \"dependencies\": {{\"y\": \"npm:@a/y@1\"}}"),
            "nothing",
        ),
        (
            format!("{good}, \"dependencies\": {{\"y\": \"git+ssh://h/y\"}}"),
            "`y` at `git+ssh://h/y`",
        ),
        (
            format!("{good}, \"optionalDependencies\": {{\"y\": \"a/y\"}}"),
            "`y` at `a/y`",
        ),
        (
            format!("{good}, \"peerDependencies\": {{\"y\": \"https://h/y.tgz\"}}"),
            "`y` at `https://h/y.tgz`",
        ),
        (format!("{good}, \"link\": true"), "not in a registry"),
        (
            r#""resolved": "git+ssh://git@h/x.git#1", "integrity": "sha512-x""#.to_owned(),
            "not in a registry",
        ),
        (
            r#""resolved": "file:../x", "integrity": "sha512-x""#.to_owned(),
            "not in a registry",
        ),
        (
            r#""resolved": "https://registry.example/x.tgz""#.to_owned(),
            "states no SHA-256",
        ),
        (
            r#""resolved": "https://registry.example/x.tgz", "integrity": "sha1-x""#.to_owned(),
            "states no SHA-256",
        ),
        (r#""inBundle": true"#.to_owned(), "nothing"),
        (
            r#""inBundle": true, "resolved": "https://registry.example/x.tgz""#.to_owned(),
            "states no SHA-256",
        ),
        (
            format!("{good}, \"hasInstallScript\": true"),
            "`install_scripts = true`",
        ),
        (
            format!("{good}, \"hasInstallScript\": true, \"optional\": true, \"os\": [\"plan9\"]"),
            "nothing",
        ),
        (
            format!("{good}, \"hasInstallScript\": true, \"os\": [\"!plan9\"]"),
            "`install_scripts = true`",
        ),
    ] {
        let refused = refused(&more);
        assert!(refused.contains(part), "{more}: `{refused}` lacks `{part}`");
    }
}

#[test]
fn one_weak_digest_makes_the_integrity_weak() {
    assert!(is_strong("sha512-x sha256-y"));
    assert!(!is_strong("sha512-x sha1-y"));
    assert!(!is_strong(""));
}

#[test]
fn a_program_is_chosen_as_npm_chooses_it() {
    let bins = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
        all.iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect()
    };
    for (programs, asked, expected) in [
        (bins(&[("other", "a.js")]), None, Some("a.js")),
        (
            bins(&[("one", "a.js"), ("two", "a.js")]),
            None,
            Some("a.js"),
        ),
        (
            bins(&[("one", "a.js"), ("pkg", "b.js")]),
            None,
            Some("b.js"),
        ),
        (bins(&[("one", "a.js"), ("two", "b.js")]), None, None),
        (
            bins(&[("one", "a.js"), ("two", "b.js")]),
            Some("two"),
            Some("b.js"),
        ),
        (bins(&[("one", "a.js")]), Some("pkg"), None),
        (bins(&[]), None, None),
    ] {
        let chosen = choose(&programs, "@scope/pkg", asked);
        assert_eq!(chosen.as_deref(), expected, "{programs:?} {asked:?}");
    }
}

#[test]
fn scripts_are_run_as_their_first_line_says() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content, expected) in [
        ("a", "#!/usr/bin/env node\n", Some(vec![])),
        ("b", "#!/usr/bin/node\r\n", Some(vec![])),
        (
            "c",
            "#!/usr/bin/env -S node --no-warnings --x\n",
            Some(vec!["--no-warnings", "--x"]),
        ),
        ("d.mjs", "import 'x';\n", Some(vec![])),
        ("e.js", "#!/usr/bin/env bun\n", None),
        ("f", "#!/bin/sh\nnode\n", None),
        ("g", "\u{7f}ELF", None),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let args = node_args(&path).unwrap();
        let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(args, expected, "{content}");
    }
}
