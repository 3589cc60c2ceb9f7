//! What must not be installed is refused, with what to do about it, and leaves nothing behind.

use portcullis_package::{Launcher, Recipe, Settings, Shelf};
use serde_json::json;

use crate::support::{Fixture, NpmPackage, has, launcher};

#[track_caller]
fn check(refused: &str, parts: &[&str]) {
    for part in parts {
        assert!(refused.contains(part), "`{refused}` lacks `{part}`");
    }
}

fn with_script() -> NpmPackage {
    let mut package = NpmPackage::server("scripted", "1.0.0");
    package.manifest["scripts"] =
        json!({"postinstall": "node -e \"require('fs').writeFileSync('ran', '')\""});
    package
}

#[tokio::test]
async fn a_package_with_install_scripts_is_refused_before_it_is_downloaded() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    let mut package = with_script();
    package.says_scripts = true;
    fixture.registry.publish(&[package]);
    let refused = fixture.refused("npx scripted").await;
    check(&refused, &["`scripted` 1.0.0", "`install_scripts = true`"]);
    let downloaded = fixture
        .registry
        .asked()
        .iter()
        .any(|(path, _)| path.starts_with("/-/"));
    assert!(!downloaded);
}

#[tokio::test]
async fn install_scripts_do_not_run_even_if_the_registry_hides_them() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    fixture.registry.publish(&[with_script()]);
    let installed = fixture.install("npx scripted").await.unwrap();
    let package = installed.program.parent().unwrap().parent().unwrap();
    let manifest = std::fs::read_to_string(package.join("package.json")).unwrap();
    assert!(manifest.contains("postinstall"));
    assert!(!package.join("ran").exists());
}

#[tokio::test]
async fn install_scripts_run_if_the_configuration_says_so() {
    if !has("npm") {
        return;
    }
    let mut fixture = Fixture::new().await;
    let mut package = with_script();
    package.says_scripts = true;
    fixture.registry.publish(&[package]);
    fixture.settings.install_scripts = true;
    let installed = fixture.install("npx scripted").await.unwrap();
    let package = installed.program.parent().unwrap().parent().unwrap();
    assert!(package.join("ran").exists());
}

#[tokio::test]
async fn a_tarball_that_is_not_what_the_registry_says_is_refused() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    let registry = &fixture.registry;
    registry.publish(&[NpmPackage::server("server", "1.0.0")]);
    let other = crate::support::Registry::start().await;
    // Another content under the same address.
    let mut evil = NpmPackage::server("server", "1.0.0");
    evil.files.push(("evil.js", "evil".to_owned()));
    other.publish(&[evil.clone()]);
    registry.put(
        "/-/server-1.0.0.tgz",
        "application/octet-stream",
        evil.tarball(),
    );
    let refused = fixture.refused("npx server").await;
    check(
        &refused,
        &["is not what the registry says it is", "EINTEGRITY"],
    );
}

#[tokio::test]
async fn what_comes_from_no_registry_is_refused() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    for (name, address) in [
        ("by-git", "git+https://127.0.0.1:9/x.git"),
        ("by-file", "file:../../../etc"),
        ("by-address", "http://127.0.0.1:9/x.tgz"),
    ] {
        let mut package = NpmPackage::server(name, "1.0.0");
        package.manifest["dependencies"] = json!({"left": address});
        fixture.registry.publish(&[package]);
        // npm refuses it by `--allow-…=none`, or does not reach it, or the lock is refused.
        let refused = fixture.refused(&format!("npx {name}")).await;
        assert!(
            ["EALLOW", "127.0.0.1:9", "file:"]
                .iter()
                .any(|part| refused.contains(part)),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_package_that_is_not_there_is_named() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    let package = NpmPackage::server("server", "1.0.0");
    fixture.registry.publish(&[package]);
    let refused = fixture.refused("npx missing").await;
    check(&refused, &["no such package", "E404"]);
    let refused = fixture.refused("npx server@9").await;
    check(&refused, &["no version that fits", "ETARGET"]);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    let mut several = NpmPackage::server("several", "1.0.0");
    several.files.push(("b.js", "2".to_owned()));
    several.manifest["bin"] = json!({"alpha": "bin/server.js", "beta": "b.js"});
    fixture.registry.publish(&[several]);
    let mut none = NpmPackage::server("none", "1.0.0");
    none.manifest = json!({});
    fixture.registry.publish(&[none]);
    let mut outside = NpmPackage::server("outside", "1.0.0");
    outside.manifest["bin"] = json!({"outside": "../../package.json"});
    fixture.registry.publish(&[outside]);

    check(
        &fixture.refused("npx several").await,
        &["`alpha`, `beta`", "npx -p several PROGRAM"],
    );
    check(
        &fixture.refused("npx -p several gamma").await,
        &["no program `gamma`", "`alpha`, `beta`"],
    );
    check(
        &fixture.refused("npx none").await,
        &["`none` has no program to run"],
    );
    check(&fixture.refused("npx outside").await, &["`outside`"]);
}

#[tokio::test]
async fn a_registry_that_is_not_reached_is_named() {
    if !has("npm") {
        return;
    }
    let mut fixture = Fixture::with(&crate::support::path_without("no-such-tool"), false).await;
    crate::support::write(
        fixture.home.path(),
        ".npmrc",
        "registry=http://127.0.0.1:9/\n",
    );
    fixture.settings.hosts = Vec::new();
    let refused = fixture.refused("npx server").await;
    check(&refused, &["was not reached (127.0.0.1:9)", "ECONNREFUSED"]);
}

#[test]
fn a_missing_installer_is_named() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(state.path(), "demo").unwrap();
    let empty = state.path().to_str().unwrap().to_owned();
    let settings = Settings::new([("PATH".to_owned(), empty)], state.path());
    let missing = |launcher: &Launcher| {
        Recipe::new(launcher, settings.clone(), &shelf)
            .unwrap_err()
            .to_string()
    };
    check(
        &missing(&launcher("npx x")),
        &["no `npm`", "install Node.js with npm"],
    );
    check(&missing(&launcher("uvx x")), &["no `python3`", "or uv"]);
}
