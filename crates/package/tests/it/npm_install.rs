//! A package is installed once, and run directly.

use std::collections::BTreeSet;

use portcullis_package::{Check, Ecosystem, Purpose, Verdict};
use serde_json::json;

use crate::support::{Fixture, NpmPackage, has, launcher, says, write};

const COMMAND: &str = "npx -y @demo/server@^1 --root /data";

#[tokio::test]
async fn a_package_is_installed_and_its_program_runs_without_npx() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    let registry = &fixture.registry;
    let mut server = NpmPackage::server("@demo/server", "1.2.0");
    server.manifest["dependencies"] = json!({"left": "^2.0.0"});
    registry.publish(&[server]);
    registry.publish(&[NpmPackage::server("left", "2.1.0")]);

    let installed = fixture.install(COMMAND).await.unwrap();
    assert_eq!(installed.ecosystem, Ecosystem::Npm);
    assert_eq!(installed.spec, "npm:@demo/server@^1");
    assert_eq!(
        (installed.name.as_str(), installed.version.as_str()),
        ("@demo/server", "1.2.0")
    );
    assert!(installed.integrity.starts_with("sha512-"));
    let components: Vec<String> = installed
        .components
        .iter()
        .map(|one| format!("{} {}", one.name, one.version))
        .collect();
    assert_eq!(components, ["@demo/server 1.2.0", "left 2.1.0"]);
    assert_eq!(
        says(
            &installed,
            &launcher(COMMAND)
                .args
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        ),
        "1.2.0 --root /data"
    );
    assert!(installed.program.starts_with(fixture.state.path()));

    // The first is accepted, and then starts without an install.
    let verdict = fixture.accepted().verify("demo", &installed).unwrap();
    assert_eq!(verdict, Verdict::First);
    fixture.accept(&installed);
    match fixture
        .shelf()
        .check(&launcher(COMMAND), &fixture.accepted())
        .unwrap()
    {
        Check::Ready(ready) => assert_eq!(*ready, installed),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn steps_reach_the_registry_alone_and_write_to_the_install_alone() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    fixture
        .registry
        .publish(&[NpmPackage::server("@demo/server", "1.0.0")]);
    fixture.install(COMMAND).await.unwrap();
    let steps = fixture.steps.lock().unwrap();
    for step in steps.iter() {
        let expected = match step.purpose {
            Purpose::Ask | Purpose::Prepare => vec![],
            Purpose::Resolve | Purpose::Fetch => vec![fixture.registry.host()],
        };
        assert_eq!(step.hosts, expected, "{step:?}");
        assert_eq!(
            step.writes,
            [fixture.state.path().join("packages/demo/partial")]
        );
    }
    let purposes: Vec<Purpose> = steps.iter().map(|step| step.purpose).collect();
    assert_eq!(
        purposes,
        [Purpose::Ask, Purpose::Resolve, Purpose::Fetch, Purpose::Ask]
    );
}

#[tokio::test]
async fn registries_and_credentials_come_from_the_users_file_and_stay_with_the_install() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::with(&crate::support::path_without("no-such-tool"), false).await;
    let registry = &fixture.registry;
    let port = registry.port;
    let file = format!(
        "registry=http://127.0.0.1:9/\n@demo:registry=http://127.0.0.1:{port}/\n//127.0.0.1:{port}/:_authToken=token-of-the-user\nignore-scripts=false\ndry-run=true\n"
    );
    write(fixture.home.path(), ".npmrc", &file);
    registry.publish(&[NpmPackage::server("@demo/server", "1.0.0")]);

    let installed = fixture.install(COMMAND).await.unwrap();
    let asked = registry.asked();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|(_, credential)| credential.as_deref() == Some("Bearer token-of-the-user")),
        "{asked:?}"
    );
    let record = serde_json::to_string(&installed).unwrap();
    assert!(!record.contains("token-of-the-user"));
    let resolve = fixture
        .steps
        .lock()
        .unwrap()
        .iter()
        .find(|step| step.purpose == Purpose::Resolve)
        .cloned()
        .unwrap();
    let hosts: BTreeSet<String> = resolve.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(
        hosts,
        BTreeSet::from([format!("127.0.0.1:{port}"), "127.0.0.1:9".to_owned()])
    );
}

#[tokio::test]
async fn two_installs_at_once_make_one() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    fixture
        .registry
        .publish(&[NpmPackage::server("@demo/server", "1.0.0")]);
    let (one, other) = tokio::join!(fixture.install(COMMAND), fixture.install(COMMAND));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(fixture.shelf().installs().unwrap().len(), 1);
}

#[tokio::test]
async fn an_install_that_is_cut_off_leaves_no_half_package() {
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    fixture
        .registry
        .publish(&[NpmPackage::server("@demo/server", "1.0.0")]);
    let recipe = fixture.recipe(COMMAND);
    let reached = tokio::sync::Notify::new();
    let partial = fixture.state.path().join("packages/demo/partial");
    let cut = portcullis_package::install(&recipe, 0, async |step| {
        if step.purpose == Purpose::Fetch {
            write(&partial, "tree/node_modules/half/index.js", "half");
            reached.notify_one();
            std::future::pending::<()>().await;
        }
        crate::support::run(step).await
    });
    tokio::select! {
        _never = cut => panic!("it was to be cut off"),
        () = reached.notified() => {}
    }
    assert!(!partial.exists());
    assert!(fixture.shelf().installs().unwrap().is_empty());

    // A gateway that is killed cannot remove anything: the next install does.
    write(&partial, "tree/node_modules/half/index.js", "half");
    let installed = fixture.install(COMMAND).await.unwrap();
    assert!(
        !installed
            .program
            .ancestors()
            .nth(3)
            .unwrap()
            .join("half")
            .exists()
    );
    assert!(!partial.exists());
}

#[tokio::test]
async fn an_install_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    if !has("npm") {
        return;
    }
    let fixture = Fixture::new().await;
    fixture
        .registry
        .publish(&[NpmPackage::server("@demo/server", "1.0.0")]);
    let recipe = fixture.recipe(COMMAND);
    let task = is_send(async move {
        portcullis_package::install(&recipe, 0, async |step| crate::support::run(step).await).await
    });
    tokio::spawn(task).await.unwrap().unwrap();
}
