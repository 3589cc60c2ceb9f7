//! What a hostile server reaches behind the gateway itself: as it is nearly everything, confined nothing.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis_testkit::{Harness, Launch};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{BOUND, Modern};
use crate::hostile::{self, BARE, attempt};
use crate::stage::{ABROAD, NOBODY, Stage, UNSURE, open};
use crate::support::ALICE;

/// Attempts that are no more than a limit of the whole server is, which takes control groups.
const OF_MANY: &[&str] = &["memory-bomb-of-many"];

/// Attempts that say yes by what is the server's own here: above them is not the gateway but the server that makes them.
const OF_ITS_OWN: &[&str] = &["parent-environment", "signal-everybody"];

/// How a server is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Not at all.
    Bare,
    /// Without any network.
    Confined,
    /// It may reach the public internet besides.
    WithHosts,
    /// The gateway is run by somebody without rights.
    OfNobody,
}

/// A gateway with one server, before a stage.
struct Gateway {
    harness: Harness,
    client: Modern,
    values: Vec<String>,
    _programs: TempDir,
}

impl Gateway {
    /// Starts it. Its own configuration and state lie within what a confined server may write.
    async fn start(stage: &Stage, how: How) -> Self {
        let programs = tempfile::tempdir_in("/var/tmp").unwrap();
        open(programs.path());
        let copy = |from: &Path, name: &str| {
            let to = programs.path().join(name);
            std::fs::copy(from, &to).unwrap();
            to
        };
        // Where builds are may be closed to others.
        let portcullis = copy(Path::new(env!("CARGO_BIN_EXE_portcullis")), "portcullis");
        let hostile = copy(&hostile::program(), "hostile");
        let at = |path: &str| stage.root().join(path);
        let (config, own) = if how == How::Bare {
            let at = |name: &str| programs.path().join(name);
            (at("portcullis.toml"), at("state"))
        } else {
            (at("granted/client/config.json"), at("granted/state"))
        };
        std::fs::write(&config, configuration(stage, &hostile, how)).unwrap();
        let is_nobody = how == How::OfNobody;
        if is_nobody {
            stage.hand_to_nobody();
            let secret = at("granted/state/secret");
            std::os::unix::fs::chown(secret, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let launch = if is_nobody {
            let id = NOBODY.to_string();
            let options = ["--reuid", &id, "--regid", &id, "--clear-groups", "--"];
            Launch::new("/usr/bin/setpriv")
                .args(options)
                .args([&portcullis])
        } else {
            Launch::new(&portcullis)
        };
        let harness = launch
            .args(["run", "--log", "info", "--config"])
            .args([&config])
            .args([Path::new("--state-dir"), &own])
            .env("HOME", programs.path())
            .env("PATH", "/usr/bin:/bin")
            .env("ALICE", ALICE)
            .start("\"ready\"", BOUND)
            .await
            .unwrap();
        let mut client = Modern::at(&format!("{}/servers/hostile/mcp", harness.url()));
        client.token = Some(ALICE);
        let pid = harness.id().unwrap();
        let own = ["gateway=", "address=", "variable="];
        let mut values = stage.args().to_vec();
        values.retain(|value| !own.iter().any(|name| value.starts_with(name)));
        values.extend([
            format!("gateway={pid}"),
            format!("address={}", harmless_address(pid)),
            "variable=ALICE".to_owned(),
        ]);
        Self {
            harness,
            client,
            values,
            _programs: programs,
        }
    }

    /// Makes every attempt but those of `except`: how many there are, and those that were not refused.
    async fn reached(&self, except: &[&str]) -> (Vec<String>, BTreeMap<String, String>) {
        let (_, names) = attempt(&self.client, "--list", &self.values).await;
        let names: Vec<String> = names.lines().map(str::to_owned).collect();
        assert!(names.len() > 150, "{names:?}");
        let mut reached = BTreeMap::new();
        for name in names.iter().filter(|name| !except.contains(&name.as_str())) {
            let (end, said) = attempt(&self.client, name, &self.values).await;
            if end != "exit code 1" && !end.starts_with("signal") {
                reached.insert(name.clone(), format!("{end}: {said}"));
            }
        }
        (names, reached)
    }
}

fn configuration(stage: &Stage, hostile: &Path, how: How) -> String {
    let at = |path: &str| stage.root().join(path).display().to_string();
    let hosts = match how {
        How::WithHosts => ", hosts = [\"*\", \"http://192.0.2.1\"]",
        _ => "",
    };
    let sandbox = match how {
        How::Bare => BARE.to_owned(),
        _ => format!(
            "read = [\"{}\"], write = [\"{}\"], memory = \"256MiB\", processes = 64, \
             file_size = \"32MiB\", scratch = \"16MiB\"{hosts}",
            at("readable"),
            at("granted")
        ),
    };
    // The first line is what the stage looks for.
    format!(
        "# canary\n[listen]\naddress = \"127.0.0.1:0\"\n[clients.alice]\ntoken = \"${{ALICE}}\"\n\
         [servers.hostile]\ncommand = [\"{}\", \"--mcp\"]\nsandbox = {{ {sandbox} }}\n",
        hostile.display()
    )
}

/// Where a process has eight bytes of nothing, at the end of its stack: there may be written to if that works after all.
fn harmless_address(pid: u32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let (range, _) = stack.split_once(' ').unwrap();
    let (_, end) = range.split_once('-').unwrap();
    usize::from_str_radix(end, 16).unwrap() - 8
}

/// Attempts that no limit of a single process stops, if the gateway has no control groups for its servers.
async fn unlimited() -> Vec<&'static str> {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("portcullis.toml");
    std::fs::write(&config, hostile::entry("hostile", "")).unwrap();
    let mut harness = Launch::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["doctor", "--json", "--config"])
        .args([&config])
        .env("HOME", place.path())
        .env("PATH", "/usr/bin:/bin")
        .start_silent()
        .unwrap();
    let found = harness.line_with("\"servers\"", BOUND).await.unwrap();
    harness.wait(BOUND).await.unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let is_limited = "limit of all processes\",\"enforced\"";
    if found.to_string().contains(is_limited) {
        Vec::new()
    } else {
        OF_MANY.to_vec()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn an_unconfined_server_reaches_what_it_should_not() {
    if !is_root() {
        // Much of it takes root.
        return;
    }
    let stage = Stage::new();
    let gateway = Gateway::start(&stage, How::Bare).await;
    let (names, reached) = gateway.reached(ABROAD).await;
    let expected = |name: &&String| !UNSURE.contains(&&***name) && !ABROAD.contains(&&***name);
    let missed: Vec<_> = names
        .iter()
        .filter(expected)
        .filter(|name| !reached.contains_key(*name))
        .collect();
    assert!(
        missed.is_empty(),
        "{missed:?}\n{}",
        gateway.harness.output()
    );
    assert!(reached.len() > 60, "{reached:#?}");
}

/// Makes every attempt but those of `except`; each is refused, and nothing has come of it.
async fn check(how: How, except: &[&str]) {
    let stage = Stage::new();
    let gateway = Gateway::start(&stage, how).await;
    let (_, reached) = gateway.reached(&[OF_ITS_OWN, except].concat()).await;
    assert!(reached.is_empty(), "{reached:#?}");
    stage.check();
    still_serves(&gateway).await;
}

#[tokio::test]
async fn a_confined_server_reaches_nothing() {
    check(How::Confined, &unlimited().await).await;
}

#[tokio::test]
async fn a_confined_server_with_hosts_reaches_nothing_else() {
    check(How::WithHosts, &unlimited().await).await;
}

#[tokio::test]
async fn a_confined_server_of_an_ordinary_user_reaches_nothing() {
    if !is_root() {
        // The tests above have been just that.
        return;
    }
    check(How::OfNobody, OF_MANY).await;
}

/// The gateway is there as before, and the server as well.
async fn still_serves(gateway: &Gateway) {
    let listed = gateway.client.ask("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"][0]["name"], "attempt", "{listed}");
    let (end, said) = attempt(&gateway.client, "--list", &[]).await;
    assert_eq!(end, "exit code 0", "{said}");
}
