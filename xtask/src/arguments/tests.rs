use super::*;
use crate::step::Outcome;

fn steps() -> Vec<Step> {
    [
        "fmt",
        "conformance-http",
        "conformance-client",
        "baseline-peers",
    ]
    .into_iter()
    .map(|name| Step::new(name, "", |_, _| Ok(Outcome::Passed(String::new()))))
    .collect()
}

#[track_caller]
fn check(words: &[&str], expected: &[&str]) {
    let words = words.iter().map(|&word| word.to_owned());
    let Request::Test(choice) = Arguments::parse(words).unwrap() else {
        panic!("not a test run")
    };
    let chosen = choice.select(steps()).unwrap();
    let names: Vec<&str> = chosen.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, expected);
}

#[test]
fn steps_are_chosen_by_name_and_by_beginning() {
    check(
        &["test"],
        &["fmt", "conformance-http", "conformance-client"],
    );
    check(
        &["test", "--only", "conformance"],
        &["conformance-http", "conformance-client"],
    );
    check(
        &["test", "--only", "fmt,conformance-http"],
        &["fmt", "conformance-http"],
    );
    check(&["test", "--skip", "conformance"], &["fmt"]);
    check(
        &[
            "test",
            "--only",
            "conformance",
            "--skip",
            "conformance-http",
        ],
        &["conformance-client"],
    );
}

#[test]
fn baselines_run_on_request_only() {
    check(&["test", "--only", "baseline"], &["baseline-peers"]);
}

#[test]
fn a_step_that_is_not_there_is_refused() {
    let words = ["test", "--only", "conf"].map(str::to_owned).into_iter();
    let Request::Test(choice) = Arguments::parse(words).unwrap() else {
        panic!("not a test run")
    };
    assert!(choice.select(steps()).is_err());
}
