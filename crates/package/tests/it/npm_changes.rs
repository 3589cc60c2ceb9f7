//! Another version or content than was accepted is refused until a person accepts it.

use std::os::unix::fs::PermissionsExt as _;

use portcullis_package::{Check, Installed, ShelfError, difference};
use serde_json::json;

use crate::support::{Fixture, NpmPackage, has, launcher, says};

const COMMAND: &str = "npx server";

async fn accepted() -> Option<(Fixture, Installed)> {
    if !has("npm") {
        return None;
    }
    let fixture = Fixture::new().await;
    fixture
        .registry
        .publish(&[NpmPackage::server("server", "1.0.0")]);
    let installed = fixture.install(COMMAND).await.unwrap();
    fixture.accept(&installed);
    Some((fixture, installed))
}

fn check(fixture: &Fixture) -> Result<Check, ShelfError> {
    fixture
        .shelf()
        .check(&launcher(COMMAND), &fixture.accepted())
}

#[tokio::test]
async fn a_newer_version_waits_beside_the_accepted_one() {
    let Some((fixture, first)) = accepted().await else {
        return;
    };
    let mut newer = NpmPackage::server("server", "2.0.0");
    newer.manifest["dependencies"] = json!({"left": "1"});
    fixture.registry.publish(&[newer]);
    fixture
        .registry
        .publish(&[NpmPackage::server("left", "1.0.0")]);

    let second = fixture.install(COMMAND).await.unwrap();
    let changed = fixture.accepted().verify("demo", &second).unwrap_err();
    assert_eq!(
        changed.to_string(),
        "the package `server` of the server `demo` is now version 2.0.0, and was 1.0.0; if that is intended, run `portcullis packages accept demo`"
    );
    let listed = difference(&first.components, &second.components);
    let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["left 1.0.0: new", "server 1.0.0 -> 2.0.0"]);

    // What was accepted still starts, until the other is accepted.
    assert!(
        matches!(check(&fixture).unwrap(), Check::Ready(ready) if says(&ready, &[]) == "1.0.0")
    );
    fixture.accept(&second);
    assert!(
        matches!(check(&fixture).unwrap(), Check::Ready(ready) if says(&ready, &[]) == "2.0.0")
    );
    fixture.shelf().prune(&[&second.tree]).unwrap();
    assert_eq!(fixture.shelf().installs().unwrap(), [second]);
}

#[tokio::test]
async fn the_same_version_with_other_content_is_refused() {
    let Some((fixture, first)) = accepted().await else {
        return;
    };
    let mut other = NpmPackage::server("server", "1.0.0");
    other.files.push(("evil.js", "evil".to_owned()));
    fixture.registry.publish(&[other]);
    let second = fixture.install(COMMAND).await.unwrap();
    let changed = fixture.accepted().verify("demo", &second).unwrap_err();
    assert_eq!(changed.was.integrity, first.integrity);
    assert!(
        changed
            .to_string()
            .contains("was published again with other content")
    );
}

#[tokio::test]
async fn another_version_in_the_configuration_is_installed_and_then_refused() {
    let Some((fixture, _first)) = accepted().await else {
        return;
    };
    let other = "npx server@1.0.0";
    let check = || {
        fixture
            .shelf()
            .check(&launcher(other), &fixture.accepted())
            .unwrap()
    };
    assert!(matches!(check(), Check::Absent));
    fixture.install(other).await.unwrap();
    match check() {
        Check::Changed(changed) => assert!(
            changed
                .to_string()
                .contains("is now configured as `npm:server@1.0.0`")
        ),
        unexpected => panic!("{unexpected:?}"),
    }
}

#[tokio::test]
async fn a_file_that_changed_after_the_install_is_noticed_and_mended_by_another_install() {
    let Some((fixture, installed)) = accepted().await else {
        return;
    };
    let directory = installed.program.ancestors().nth(5).unwrap();
    let record = directory.join("portcullis-package.json");
    let manifest = directory.join("tree/package.json");
    let new = directory.join("tree/node_modules/evil.js");
    let good = std::fs::read_to_string(&record).unwrap();
    let script = std::fs::read(&installed.program).unwrap();
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&manifest, mode).unwrap();
    };
    let before = std::fs::metadata(&manifest).unwrap().permissions().mode();
    let evil = good.replace("bin/server.js", "package.json");
    let refused = |what: &str| {
        let refused = check(&fixture).unwrap_err();
        assert!(
            matches!(refused, ShelfError::Altered { .. }),
            "{what}: {refused}"
        );
        let message = refused.to_string();
        assert!(
            message.contains("`portcullis packages update demo`"),
            "{message}"
        );
    };
    let ready = || assert!(matches!(check(&fixture).unwrap(), Check::Ready(_)));

    ready();
    std::fs::write(&new, "").unwrap();
    refused("a new file");
    std::fs::remove_file(&new).unwrap();
    ready();
    mode(0o777);
    refused("a mode");
    mode(before);
    ready();
    std::fs::write(&record, evil).unwrap();
    refused("the record");
    std::fs::write(&record, good).unwrap();
    ready();
    std::fs::write(&installed.program, "evil").unwrap();
    refused("content");
    // The same content again, touched, is read and found good.
    std::fs::write(&installed.program, script).unwrap();
    ready();

    std::fs::write(&installed.program, "evil").unwrap();
    refused("content");
    assert_eq!(fixture.install(COMMAND).await.unwrap(), installed);
    ready();
}

#[tokio::test]
async fn what_is_forgotten_is_the_first_again() {
    let Some((fixture, installed)) = accepted().await else {
        return;
    };
    let path = fixture.accepted_path();
    assert!(portcullis_package::Accepted::change(&path, |all| all.forget("demo")).unwrap());
    assert!(fixture.accepted().list().is_empty());
    assert!(matches!(check(&fixture).unwrap(), Check::Absent));
    assert_eq!(fixture.install(COMMAND).await.unwrap(), installed);
}
