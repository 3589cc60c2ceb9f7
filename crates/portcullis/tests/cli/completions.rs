//! Scripts for shells.

use crate::place::Place;

#[track_caller]
fn check(shell: &str, expected: &str) {
    let ran = Place::new().run(&["completions", shell]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    assert!(!ran.stdout.contains("__demo-server") && !ran.stdout.contains("__guard"));
}

#[test]
fn every_shell_has_a_script() {
    check("bash", "complete -F _portcullis");
    check("zsh", "#compdef portcullis");
    check("fish", "complete -c portcullis");
    check("powershell", "Register-ArgumentCompleter");
    check("elvish", "edit:completion:arg-completer[portcullis]");
}

#[test]
fn another_shell_is_a_wrong_request() {
    assert_eq!(Place::new().run(&["completions", "tcsh"]).code, Some(2));
}
