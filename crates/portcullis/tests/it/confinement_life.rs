//! Confined servers of one gateway: how they end, what they see of each other, and what becomes of one that cannot be confined.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;

use crate::gateway::{Gateway, Modern, called, eventually, names, runs};
use crate::hostile::{CONFINED, entry, has_python, python, sh, written};

/// A gateway with these servers, which are confined.
async fn start(entries: &str) -> Gateway {
    Gateway::start(&format!("{CONFINED}{entries}")).await
}

fn of(gateway: &Gateway, server: &str) -> Modern {
    Modern::at(&gateway.one(server))
}

/// Control groups that servers below this test's were given, with the ids of their guards in their names.
fn groups(guards: &BTreeSet<u32>) -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controller, path) = (fields.next().unwrap(), fields.next().unwrap());
        let directory = Path::new("/sys/fs/cgroup")
            .join(controller)
            .join(path.trim_start_matches('/'));
        let entries = fs::read_dir(directory).into_iter().flatten();
        found.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| {
            let path = path.to_str().unwrap();
            let is_of = |guard: &u32| path.contains(&format!("/portcullis-{guard}-"));
            guards.iter().any(is_of)
        }));
    }
    found
}

/// What is mounted where this test can see it.
fn mounts() -> BTreeSet<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_killed_gateway_leaves_nothing_of_its_confined_servers() {
    let before = mounts();
    let granted = tempfile::tempdir_in("/var/tmp").unwrap();
    let settings = format!("write = [\"{}\"]", granted.path().display());
    let config = format!("{CONFINED}{}{}", entry("one", &settings), entry("two", ""));
    let mut place = tempfile::tempdir().unwrap();
    // By a signal that it cannot see, after that by one that it can, each time started anew where the last one left off.
    for (round, signal) in [Signal::KILL, Signal::KILL, Signal::TERM]
        .into_iter()
        .enumerate()
    {
        let gateway = Gateway::start_in(place, &config).await;
        let daemons = "trap '' TERM HUP; for i in 1 2 3; do \
                       setsid -f setsid -f sleep 1000 </dev/null >/dev/null 2>&1; done; echo ready";
        for server in ["one", "two"] {
            let said = sh(&of(&gateway, server), daemons).await;
            assert_eq!(said, "exit code 0\nready\n");
        }
        let file = granted.path().join("rounds");
        sh(
            &of(&gateway, "one"),
            &format!("echo x >>{}", file.display()),
        )
        .await;
        assert_eq!(fs::read_to_string(&file).unwrap().len(), (round + 1) * 2);
        let mut all = BTreeSet::new();
        eventually("the daemons", || {
            all = gateway.processes();
            called(&all, "sleep").len() == 6
        })
        .await;
        assert_eq!(called(&all, "hostile").len(), 2);
        gateway.signal(signal);
        place = gateway.ended().await.1;
        eventually("the end of all", || !all.iter().any(|pid| runs(*pid))).await;
        let mut left = Vec::new();
        eventually("the end of the groups", || {
            left = groups(&all);
            left.is_empty()
        })
        .await;
    }
    let own = |line: &&String| line.contains("portcullis") || line.contains("hostile");
    let after = mounts();
    let new: Vec<_> = after.difference(&before).filter(own).collect();
    assert!(new.is_empty(), "{new:?}");
}

/// Two servers of one gateway, each with a directory of its own, which its own processes may use for local sockets.
struct Two {
    gateway: Gateway,
    first: Modern,
    second: Modern,
    granted: [tempfile::TempDir; 2],
}

impl Two {
    async fn start() -> Self {
        let granted = [(); 2].map(|()| tempfile::tempdir_in("/var/tmp").unwrap());
        let settings = |index: usize| {
            let path = granted[index].path().display();
            format!("write = [\"{path}\"], local_sockets = true")
        };
        let entries = entry("one", &settings(0)) + &entry("two", &settings(1));
        let gateway = start(&entries).await;
        Self {
            first: of(&gateway, "one"),
            second: of(&gateway, "two"),
            gateway,
            granted,
        }
    }

    fn path(&self, name: &str) -> String {
        self.granted[0].path().join(name).display().to_string()
    }

    /// What a script says to either: the first one has made it so that it says `token`.
    async fn only_first(&self, script: &str) {
        let said = sh(&self.first, script).await;
        assert!(said.contains("token"), "{script}: {said}");
        let said = sh(&self.second, script).await;
        assert!(!said.contains("token"), "{script}: {said}");
    }
}

#[tokio::test]
async fn two_servers_see_no_files_of_each_other() {
    let two = Two::start().await;
    let file = two.path("file");
    let leave = "for d in ~ /tmp /dev/shm; do echo token >$d/file; done";
    let said = sh(&two.first, &format!("echo token >{file}; {leave}")).await;
    assert_eq!(said, "exit code 0\n");
    for file in [&*file, "~/file", "/tmp/file", "/dev/shm/file"] {
        two.only_first(&format!("cat {file}")).await;
    }
    let said = sh(&two.second, &format!("echo other >{file}")).await;
    assert!(!said.starts_with("exit code 0\n"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "token\n");
}

#[tokio::test]
async fn two_servers_see_no_processes_of_each_other() {
    let two = Two::start().await;
    let daemon = "setsid -f sh -c 'exec sleep 1000 # canary' canary </dev/null >/dev/null 2>&1";
    let said = sh(&two.first, daemon).await;
    assert_eq!(said, "exit code 0\n");
    let mut sleeping = Vec::new();
    eventually("the daemon", || {
        sleeping = called(&two.gateway.processes(), "sleep");
        sleeping.len() == 1
    })
    .await;
    let list = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done";
    assert!(sh(&two.first, list).await.contains("sleep 1000"));
    assert!(!sh(&two.second, list).await.contains("sleep 1000"));
    // Neither by the number that others know it by, nor by any that there may be inside.
    let kill = "for p in $(seq 2 400); do [ $p = $$ ] || [ $p = $PPID ] || kill -9 $p; done 2>/dev/null; true";
    sh(&two.second, kill).await;
    sh(&two.second, &format!("kill -9 {}", sleeping[0])).await;
    assert!(runs(sleeping[0]));
}

#[tokio::test]
async fn two_servers_see_no_sockets_of_each_other() {
    if !has_python() {
        return;
    }
    let two = Two::start().await;
    let ready = two.granted[0].path().join("ready");
    let listen = format!(
        "import os, socket, threading\n\
         if os.fork(): os._exit(0)\n\
         os.setsid()\n\
         null = os.open('/dev/null', os.O_RDWR)\n\
         [os.dup2(null, fd) for fd in (0, 1, 2)]\n\
         def serve(s):\n\
         \x20 while True: s.accept()[0].sendall(b'canary')\n\
         for address in ['\\0portcullis-canary', '/tmp/socket']:\n\
         \x20 s = socket.socket(socket.AF_UNIX); s.bind(address); s.listen()\n\
         \x20 threading.Thread(target=serve, args=[s]).start()\n\
         open('{}', 'w').write('ready\\n')",
        ready.display()
    );
    let said = python(&two.first, "run", &listen).await;
    assert_eq!(said, "exit code 0\n");
    written(&ready).await;
    for address in ["\\0portcullis-canary", "/tmp/socket"] {
        let connect = format!(
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{address}'); print(s.recv(9))"
        );
        let said = python(&two.first, "run", &connect).await;
        assert!(said.contains("canary"), "{address}: {said}");
        let said = python(&two.second, "run", &connect).await;
        assert!(!said.contains("b'canary'"), "{address}: {said}");
    }
}

/// Starts a gateway, of whose two servers one cannot be confined: the other one goes on, and both the client and the operator
/// are told which part is missing; the operator why, and what to do.
async fn is_told(gateway: &Gateway, part: &str, cause: &str, remedy: &str) {
    let client = Modern::at(&gateway.all());
    let listed = client.ask("tools/list", json!({})).await;
    let why = listed["result"].to_string();
    assert!(why.contains(&format!("for want of: {part}")), "{why}");
    let all = names(&listed, "tools", "name");
    assert!(!all.iter().any(|name| name.starts_with("bad")), "{all:?}");
    let refused = client
        .call("bad__run", json!({ "command": ["true"] }))
        .await;
    assert_eq!(refused["error"]["code"], -31001, "{refused}");
    let message = refused["error"].to_string();
    assert!(message.contains(part), "{message}");
    let line = gateway.says("was not started").await;
    for text in [part, cause, remedy, "bad"] {
        assert!(line.contains(text), "{text}: {line}");
    }
    // What cannot be confined is not there.
    assert!(called(&gateway.processes(), "hostile").len() <= 1);
}

#[tokio::test]
async fn a_server_that_is_granted_what_is_not_there_does_not_start() {
    let absent = "/var/tmp/portcullis-no-such-directory";
    for grant in ["read", "write"] {
        let bad = entry("bad", &format!("{grant} = [\"{absent}\"]"));
        let gateway = start(&(entry("good", "") + &bad)).await;
        is_told(
            &gateway,
            "file system of its own",
            absent,
            "take it from the grants",
        )
        .await;
        let said = sh(&of(&gateway, "good"), "echo canary").await;
        assert_eq!(said, "exit code 0\ncanary\n");
        // A path of the machine is nothing that a client is told.
        let client = Modern::at(&gateway.all());
        let listed = client.ask("tools/list", json!({})).await;
        assert!(!listed.to_string().contains(absent), "{listed}");
    }
}

#[tokio::test]
async fn where_there_are_no_namespaces_only_what_needs_none_starts() {
    // An ordinary user, in a place that allows no more users of one's own; who set it up had the right to.
    let before = "exec unshare --user --map-user=1000 --keep-caps sh -c '\
                  echo 0 >/proc/sys/user/max_user_namespaces && \
                  exec setpriv --no-new-privs --ambient-caps=-all --inh-caps=-all \"$0\" \"$@\"' \"$0\" \"$@\"";
    let entries = entry("good", "tier = \"confined\"") + &entry("bad", "");
    let gateway = Gateway::start_after(before, &format!("{CONFINED}{entries}")).await;
    let remedy = "raise `user.max_user_namespaces`";
    is_told(
        &gateway,
        "namespaces",
        "the limit on user namespaces",
        remedy,
    )
    .await;
    let said = sh(&of(&gateway, "good"), "echo canary").await;
    assert_eq!(said, "exit code 0\ncanary\n");
}
