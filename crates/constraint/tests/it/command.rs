//! Commands are lists of words, of which each is permitted.

use portcullis_constraint::{Constraints, Reason};
use serde_json::{Value, json};

use crate::support::{Tree, check, compile, constraints, nowhere, passes, refused, rule};

fn programs() -> Value {
    json!({
        "git": {
            "subcommands": ["log", "status", "diff", "show"],
            "flags": ["--oneline", "--stat", "-p", "--no-pager"],
            "values": {"--max-count": {"kind": "text", "alphabet": "digits"}, "-n": {"kind": "text", "alphabet": "digits"}},
            "operands": {"kind": "text", "alphabet": "reference"}
        },
        "ls": {"flags": ["-l", "-a"], "operands": {"kind": "text", "pattern": "[a-z./]+"}},
        "date": {}
    })
}

fn git() -> Constraints {
    constraints(json!({"kind": "command", "programs": programs()}))
}

#[test]
fn ways_around_a_list_of_programs_are_refused() {
    let cases = [
        ("", Reason::Empty),
        ("   ", Reason::Empty),
        ("rm -rf a", Reason::Program),
        ("/usr/bin/git log", Reason::Program),
        ("./git log", Reason::Program),
        ("../git log", Reason::Program),
        ("GIT log", Reason::Program),
        ("gitk", Reason::Program),
        ("env git log", Reason::Program),
        ("sudo git log", Reason::Program),
        ("sh -c id", Reason::Program),
        ("bash -c id", Reason::Program),
        ("GIT_SSH_COMMAND=id git log", Reason::Program),
        ("A=b git log", Reason::Program),
        ("git log; id", Reason::Metacharacter),
        ("git log && id", Reason::Metacharacter),
        ("git log || id", Reason::Metacharacter),
        ("git log | sh", Reason::Metacharacter),
        ("git log & id", Reason::Metacharacter),
        ("git log > a", Reason::Metacharacter),
        ("git log < a", Reason::Metacharacter),
        ("git log $(id)", Reason::Metacharacter),
        ("git log `id`", Reason::Metacharacter),
        ("git log $HOME", Reason::Metacharacter),
        ("git log ${IFS}id", Reason::Metacharacter),
        ("git log\nid", Reason::Metacharacter),
        ("git log\r\nid", Reason::Metacharacter),
        ("git\tlog", Reason::Invisible),
        ("git log \u{1b}[2J", Reason::Invisible),
        ("git log\0id", Reason::Invisible),
        ("git\u{a0}log", Reason::Ambiguous),
        ("git log 'a'", Reason::Metacharacter),
        ("git log \"a\"", Reason::Metacharacter),
        ("git log a\\ b", Reason::Metacharacter),
        ("git log *", Reason::Metacharacter),
        ("git log a?", Reason::Metacharacter),
        ("git log [a]", Reason::Metacharacter),
        ("git log {a,b}", Reason::Metacharacter),
        ("git log ~/a", Reason::Metacharacter),
        ("git log #a", Reason::Metacharacter),
        ("git log !1", Reason::Metacharacter),
        ("git log (id)", Reason::Metacharacter),
        ("git log %PATH%", Reason::Metacharacter),
        ("git log ^& id", Reason::Metacharacter),
    ];
    for (command, reason) in cases {
        refused(&git(), command, reason);
    }
}

#[test]
fn flags_that_run_write_or_reach_out_are_refused() {
    let cases: &[(&[&str], Reason)] = &[
        (&["git", "-c", "core.pager=id", "log"], Reason::Flag),
        (&["git", "-ccore.pager=id", "log"], Reason::Flag),
        (&["git", "--exec-path=/tmp", "log"], Reason::Flag),
        (&["git", "log", "--output=/tmp/x"], Reason::Flag),
        (&["git", "log", "--output", "/tmp/x"], Reason::Flag),
        (&["git", "log", "--ext-diff"], Reason::Flag),
        (&["git", "log", "--one"], Reason::Flag),
        (&["git", "log", "--oneline=x"], Reason::Flag),
        (&["git", "log", "-pa"], Reason::Flag),
        (&["git", "log", "-n5"], Reason::Flag),
        (&["git", "log", "-n=5"], Reason::Flag),
        (&["git", "log", "-"], Reason::Flag),
        (&["git", "log", "+x"], Reason::Flag),
        (&["git", "log", "--max-count"], Reason::Flag),
        (&["git", "log", "--max-count=a"], Reason::Pattern),
        (
            &["git", "log", "--max-count", "--output=x"],
            Reason::OptionLike,
        ),
        (&["git", "--upload-pack=id", "log"], Reason::Flag),
        (&["git", "clone", "x"], Reason::Subcommand),
        (&["git", "ls-remote", "ext::sh -c id"], Reason::Subcommand),
        (&["git"], Reason::Subcommand),
        (&["git", "--oneline"], Reason::Subcommand),
        (&["git", "--", "log"], Reason::Subcommand),
        (&["git", "LOG"], Reason::Subcommand),
        (&["git", "", "log"], Reason::Subcommand),
        (&["git", "log", "--", "-p"], Reason::OptionLike),
        (&["git", "log", "a b"], Reason::Pattern),
        (&["git log"], Reason::Program),
        (&["date", "now"], Reason::Operand),
        (&["date", "-s", "x"], Reason::Flag),
        (&["date", "--", "x"], Reason::Operand),
        (&["ls", "-la"], Reason::Flag),
        (&["ls", "A"], Reason::Pattern),
        (&["tar", "--checkpoint-action=exec=id"], Reason::Program),
        (&["ssh", "-oProxyCommand=id", "x"], Reason::Program),
        (&["find", ".", "-exec", "id"], Reason::Program),
        (&["git", "log", "a;id"], Reason::Metacharacter),
        (&["git", "log", "$(id)"], Reason::Metacharacter),
        (&["git", "log", "a\nb"], Reason::Metacharacter),
        (&[], Reason::Empty),
    ];
    for (command, reason) in cases {
        refused(&git(), json!(command), *reason);
    }
    refused(&git(), json!(["git", 1]), Reason::WrongType);
    refused(&git(), json!({"git": "log"}), Reason::WrongType);
    refused(&git(), json!(vec!["git"; 1000]), Reason::TooLarge);
    refused(
        &git(),
        format!("git log {}", "a ".repeat(500)),
        Reason::TooLarge,
    );
}

#[test]
fn ordinary_commands_pass() {
    for command in [
        "git status",
        "git log --oneline",
        "git log --oneline -n 5 main",
        "git log --max-count=5",
        "git --no-pager log",
        "git diff main -- src/a.rs",
        "git show HEAD~1",
        "git  log",
        "git log v1.0..v2.0",
        "ls -l -a src",
        "ls",
        "date",
        "git diff --stat main src/a.rs",
    ] {
        passes(&git(), command);
        let words: Vec<_> = command.split_whitespace().collect();
        passes(&git(), json!(words));
    }
}

#[test]
fn operands_that_are_paths_are_resolved_and_sent_so() {
    let tree = Tree::new();
    let root = tree.root();
    let rule = rule(json!({"kind": "command", "programs": {"cat": {
        "values": {"--from": {"kind": "path", "roots": [root]}},
        "operands": {"kind": "path", "roots": [root]}
    }}}));
    let constraints = compile(rule, &tree.around()).unwrap();
    passes(&constraints, "cat a.txt");
    let sent = |it: Value| check(&constraints, it).unwrap().rewritten.unwrap()["it"].clone();
    assert_eq!(sent(json!("cat in/b.txt")), "cat sub/b.txt");
    assert_eq!(
        sent(json!(["cat", "--from=in/b.txt", "a.txt"])),
        json!(["cat", "--from=sub/b.txt", "a.txt"])
    );
    assert_eq!(
        check(&constraints, json!(["cat", "a.txt", "sub"]))
            .unwrap()
            .paths
            .len(),
        2
    );
    for path in ["../outside/secret.txt", "out/secret.txt", "/etc/passwd"] {
        refused(&constraints, format!("cat {path}"), Reason::OutsideRoots);
        refused(
            &constraints,
            json!(["cat", "--", path]),
            Reason::OutsideRoots,
        );
        refused(
            &constraints,
            json!(["cat", format!("--from={path}")]),
            Reason::OutsideRoots,
        );
    }
}

#[test]
fn a_fixed_program_takes_only_arguments() {
    let constraints =
        constraints(json!({"kind": "command", "program": "git", "programs": programs()}));
    passes(&constraints, json!(["log", "--oneline"]));
    passes(&constraints, "status");
    refused(&constraints, json!(["git", "log"]), Reason::Subcommand);
    refused(
        &constraints,
        json!(["-c", "core.pager=id", "log"]),
        Reason::Flag,
    );
}

#[test]
fn metacharacters_pass_within_an_array_only_where_that_is_spelt_out() {
    let constraints = constraints(
        json!({"kind": "command", "dangerously_allow_metacharacters": true,
        "programs": {"echo": {"operands": {"kind": "text"}}}}),
    );
    passes(&constraints, json!(["echo", "a (b) & $c"]));
    refused(&constraints, "echo a & b", Reason::Metacharacter);
}

#[test]
fn rules_that_mean_nothing_definite_are_refused_when_compiled() {
    for json in [
        json!({"kind": "command", "program": "git"}),
        json!({"kind": "command", "programs": {"/bin/git": {}}}),
        json!({"kind": "command", "programs": {"a b": {}}}),
        json!({"kind": "command", "programs": {"git": {"flags": ["oneline"]}}}),
        json!({"kind": "command", "programs": {"git": {"flags": ["--"]}}}),
        json!({"kind": "command", "programs": {"git": {"flags": ["--a=b"]}}}),
        json!({"kind": "command", "programs": {"git": {"operands": {"kind": "number"}}}}),
    ] {
        assert!(compile(rule(json.clone()), &nowhere()).is_err(), "{json}");
    }
}
