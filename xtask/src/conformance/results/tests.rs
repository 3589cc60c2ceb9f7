use std::path::PathBuf;

use super::*;

/// A directory of results beneath the target directory's own, emptied first.
fn results(test: &str, scenarios: &[(&str, &str)]) -> (PathBuf, Log) {
    let dir = std::env::temp_dir().join(format!("xtask-results-{test}-{}", std::process::id()));
    fs::remove_dir_all(&dir).ok();
    for (scenario, checks) in scenarios {
        let folder = dir
            .join("out")
            .join(format!("server-{scenario}-2026-11-22T10-39-14-659Z"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("checks.json"), checks).unwrap();
    }
    let log = Log::create(dir.join("log")).unwrap();
    (dir.join("out"), log)
}

#[track_caller]
fn check(test: &str, count: usize, scenarios: &[(&str, &str)], expected: Result<&str, &str>) {
    let (dir, mut log) = results(test, scenarios);
    let judged = judge("conformance-http", &dir, count, &mut log);
    let log = log.text().unwrap();
    fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    match (judged, expected) {
        (Ok(verdict), Ok(summary)) => assert_eq!(verdict.to_string(), summary),
        (Err(_), Err(fault)) => assert!(log.contains(fault), "`{fault}` is not in:\n{log}"),
        (judged, _) => panic!("{:?}", judged.map(|verdict| verdict.to_string())),
    }
}

const PASSED: &str = r#"[{"id":"one","status":"INFO"},{"id":"two","status":"SUCCESS"}]"#;
const WARNED: &str = r#"[{"id":"one","status":"SUCCESS"},{"id":"two","status":"WARNING"}]"#;
const FAILED: &str =
    r#"[{"id":"one","status":"SUCCESS"},{"id":"two","status":"FAILURE","errorMessage":"no"}]"#;
const UNCHECKED: &str = r#"[{"id":"one","status":"INFO"}]"#;

#[test]
fn a_run_passes_when_every_scenario_does() {
    check(
        "pass",
        2,
        &[("ping", PASSED), ("tools-list", WARNED)],
        Ok("2 scenarios, 2 checks"),
    );
}

#[test]
fn a_failure_fails_the_run() {
    check("fail", 1, &[("ping", FAILED)], Err("ping: two: no"));
}

#[test]
fn a_scenario_that_checks_nothing_fails_the_run_unless_it_does_not_apply() {
    check(
        "unchecked",
        1,
        &[("ping", UNCHECKED)],
        Err("ping: nothing was checked"),
    );
    check(
        "placeholder",
        1,
        &[("tasks-status-notifications", UNCHECKED)],
        Ok("1 scenarios, 0 checks"),
    );
}

#[test]
fn a_scenario_that_did_not_run_fails_the_run() {
    check(
        "missing",
        2,
        &[("ping", PASSED)],
        Err("1 scenarios ran, 2 were expected"),
    );
}
