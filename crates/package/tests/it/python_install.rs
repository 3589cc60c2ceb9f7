//! Python's packages, by uv and by pip.

use portcullis_package::{Ecosystem, Purpose};

use crate::support::{Fixture, Registry, Wheel, has, launcher, path_without, says};

/// Each test with uv, and with pip where there is no uv; one that is not there is left out.
macro_rules! with_each_tool {
    ($($name:ident)*) => {
        mod uv {
            $(#[tokio::test]
            async fn $name() {
                if super::has("uv") {
                    super::$name("uv", &super::path_without("no-such-tool")).await;
                }
            })*
        }
        mod pip {
            $(#[tokio::test]
            async fn $name() {
                if super::has("pip3") {
                    super::$name("pip", &super::path_without("uv")).await;
                }
            })*
        }
    };
}

with_each_tool! {
    a_package_is_installed_and_its_program_runs
    what_must_not_be_installed_is_refused
    code_that_packages_hang_into_the_interpreter_does_not_run_while_it_is_installed
    indexes_come_from_the_users_files
}

async fn a_package_is_installed_and_its_program_runs(tool: &str, path: &str) {
    let fixture = Fixture::with(path, true).await;
    let files = Registry::start().await;
    let mut server = Wheel::server("demo-server", "1.2.0");
    server.requires = vec!["left-pad>=2"];
    let mut left = Wheel::server("left-pad", "2.1.0");
    left.programs = vec!["left"];
    left.files = vec![("left_pad.py", String::new())];
    fixture.registry.publish_wheel(&files, &server);
    fixture.registry.publish_wheel(&files, &left);

    let command = "uvx demo-server@1.2.0 --root /data";
    let installed = fixture.install(command).await.unwrap();
    assert_eq!(installed.ecosystem, Ecosystem::PyPi);
    assert_eq!(installed.spec, "pypi:demo-server==1.2.0 run demo-server");
    assert_eq!(installed.version, "1.2.0");
    let components: Vec<String> = installed
        .components
        .iter()
        .map(|one| format!("{} {}", one.name, one.version))
        .collect();
    assert_eq!(
        components,
        ["demo-server 1.2.0", "left-pad 2.1.0"],
        "{tool}"
    );
    assert!(
        installed
            .components
            .iter()
            .all(|one| one.integrity.starts_with("sha256-"))
    );
    assert_eq!(
        says(&installed, &["--root", "/data"]),
        "1.2.0 --root /data",
        "{tool}"
    );

    // The files' host is found out before anything is fetched from it.
    let steps = fixture.steps.lock().unwrap().clone();
    let used: Vec<bool> = steps
        .iter()
        .map(|step| {
            step.program.file_name().unwrap() == tool || step.args.iter().any(|arg| arg == tool)
        })
        .collect();
    assert!(used.contains(&true), "{tool}");
    let mut both = vec![fixture.registry.host(), files.host()];
    both.sort();
    let fetch = steps
        .iter()
        .find(|step| step.purpose == Purpose::Fetch)
        .unwrap();
    assert_eq!(fetch.hosts, both, "{tool}");

    // The same again is the same, to the last byte.
    fixture.accept(&installed);
    let directory = installed.program.ancestors().nth(3).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    let again = fixture.install(command).await.unwrap();
    assert_eq!(again, installed, "{tool}");
    fixture
        .shelf()
        .check(&launcher(command), &fixture.accepted())
        .unwrap();
}

#[track_caller]
fn check(tool: &str, refused: &str, parts: &[&str]) {
    for part in parts {
        assert!(refused.contains(part), "{tool}: `{refused}` lacks `{part}`");
    }
}

async fn what_must_not_be_installed_is_refused(tool: &str, path: &str) {
    let fixture = Fixture::with(path, true).await;
    let registry = &fixture.registry;
    registry.publish_wheel(registry, &Wheel::server("demo-server", "1.0.0"));
    let digest = "a".repeat(64);
    registry.link(
        "source",
        &format!(
            "{}/files/source-1.0.0.tar.gz#sha256={digest}",
            registry.url()
        ),
    );
    let evil = Wheel::server("evil", "1.0.0");
    registry.publish_wheel(registry, &evil);
    let mut other = evil.clone();
    other.files.push(("more.py", String::new()));
    let unlinked = Registry::start().await;
    unlinked.publish_wheel(registry, &other);

    let refused = fixture.refused("uvx --from demo-server other").await;
    check(
        tool,
        &refused,
        &[
            "no program `other`",
            "`demo-server`",
            "--from PACKAGE PROGRAM",
        ],
    );
    let refused = fixture.refused("uvx missing").await;
    check(tool, &refused, &["no such package"]);
    let refused = fixture.refused("pipx run demo-server==9").await;
    check(tool, &refused, &["no version that fits"]);
    let refused = fixture.refused("uvx source").await;
    check(tool, &refused, &["wheel"]);
    let refused = fixture.refused("uvx evil").await;
    check(tool, &refused, &["is not what the registry says it is"]);
}

async fn code_that_packages_hang_into_the_interpreter_does_not_run_while_it_is_installed(
    tool: &str,
    path: &str,
) {
    let fixture = Fixture::with(path, true).await;
    let marker = fixture.home.path().join("ran");
    let mut server = Wheel::server("demo-server", "1.0.0");
    let line = format!(
        "import pathlib; pathlib.Path({:?}).touch()\n",
        marker.display().to_string()
    );
    server.files.push(("hook.pth", line));
    fixture.registry.publish_wheel(&fixture.registry, &server);
    let installed = fixture.install("uvx demo-server").await.unwrap();
    assert!(!marker.exists(), "{tool}");
    // It is there, and runs with the program.
    says(&installed, &[]);
    assert!(marker.exists(), "{tool}");
}

async fn indexes_come_from_the_users_files(tool: &str, path: &str) {
    let fixture = Fixture::with(path, false).await;
    let url = fixture.registry.url();
    let home = fixture.home.path();
    let pip = format!("[global]\nindex-url = {url}/simple\n");
    crate::support::write(home, ".config/pip/pip.conf", &pip);
    let uv = format!("[[index]]\nurl = \"{url}/simple\"\ndefault = true\n");
    crate::support::write(home, ".config/uv/uv.toml", &uv);
    fixture
        .registry
        .publish_wheel(&fixture.registry, &Wheel::server("demo-server", "1.0.0"));
    let installed = fixture.install("uvx demo-server").await.unwrap();
    assert_eq!(installed.version, "1.0.0", "{tool}");
}
