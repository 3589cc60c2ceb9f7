use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A home directory in which something is to be found, and the gateway's own directories beside it.
struct Ground {
    directory: TempDir,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ground = Self { directory };
        for path in ["home/docs", "home/work/src", "home/repo", "here/data"] {
            fs::create_dir_all(ground.at(path)).unwrap();
        }
        fs::write(ground.at("home/notes.db"), "").unwrap();
        fs::write(ground.at("here/server.py"), "").unwrap();
        ground
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(path)
    }

    fn profile(&self, entry: &Value) -> Result<Profile, InvalidProfile> {
        let config = Config::default();
        let server: Server = serde_json::from_value(entry.clone()).unwrap();
        let (home, directory, state) = (self.at("home"), self.at("here"), self.at("state"));
        let place = Place {
            home: Some(&home),
            directory: &directory,
            state: &state,
        };
        Profile::of("it", &server, &config, place)
    }

    /// Checks what a command is granted, beneath the ground, and what it reaches.
    #[track_caller]
    fn check(&self, command: &[&str], reads: &[&str], writes: &[&str], hosts: &[&str]) {
        let profile = self.profile(&json!({ "command": command })).unwrap();
        let below = |grants: &[Grant<PathBuf>]| -> Vec<String> {
            let root = self.at("");
            let below = grants.iter().map(|it| it.what.strip_prefix(&root).unwrap());
            below.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(below(&profile.reads), reads, "{command:?}");
        assert_eq!(below(&profile.writes), writes, "{command:?}");
        let reached = profile.egress.iter().map(|it| it.what.host.as_str());
        assert_eq!(reached.collect::<Vec<_>>(), hosts, "{command:?}");
    }
}

#[test]
fn a_public_server_is_granted_what_its_command_names_and_nothing_else() {
    let ground = Ground::new();
    let files = "@modelcontextprotocol/server-filesystem";
    ground.check(&["npx", "-y", files, "~/docs"], &[], &["home/docs"], &[]);
    ground.check(&["npx", "-y", files, "data"], &[], &["here/data"], &[]);
    let several = ["npx", "-y", files, "~/docs", "./data"];
    ground.check(&several, &[], &["home/docs", "here/data"], &[]);
    // What does not exist is not granted, and neither is a package that is named like a directory.
    ground.check(&["npx", "-y", files, "~/none"], &[], &[], &[]);
    let git = ["uvx", "mcp-server-git", "--repository", "~/repo"];
    ground.check(&git, &[], &["home/repo"], &[]);
    let git = ["uvx", "mcp-server-git", "--repository=~/repo"];
    ground.check(&git, &[], &["home/repo"], &[]);
    ground.check(&["uvx", "mcp-server-time"], &[], &[], &[]);
    ground.check(&["uvx", "mcp-server-fetch"], &[], &[], &["*", "http://*"]);
    // A database has files beside it.
    let sqlite = ["uvx", "mcp-server-sqlite", "--db-path", "~/work/new.db"];
    ground.check(&sqlite, &[], &["home/work"], &[]);
}

#[test]
fn another_server_reads_what_its_command_names_and_writes_nothing() {
    let ground = Ground::new();
    let command = ["python3", "server.py", "~/work", "data"];
    ground.check(&command, &["here/server.py", "home/work"], &[], &[]);
    ground.check(&["./run", "--root=./data", "-x"], &["here/data"], &[], &[]);
    ground.check(&["run", "https://example.com/", "-v/x"], &[], &[], &[]);
}

#[test]
fn what_the_configuration_says_counts_instead() {
    let ground = Ground::new();
    let entry = json!({
        "command": ["npx", "-y", "@modelcontextprotocol/server-filesystem", "~/docs"],
        "sandbox": { "read": ["~/docs"], "write": [], "hosts": ["api.example.com"] },
    });
    let profile = ground.profile(&entry).unwrap();
    let granted = Grant {
        what: ground.at("home/docs"),
        why: Why::Configured,
    };
    assert_eq!((profile.reads, profile.writes), (vec![granted], vec![]));
    assert_eq!(profile.egress[0].what.host, "api.example.com");
}

#[test]
fn a_directory_to_work_in_can_be_written_where_what_is_around_it_can() {
    let ground = Ground::new();
    let entry = json!({
        "command": ["x"],
        "cwd": ground.at("home/work/src"),
        "sandbox": { "write": ["~/work"] },
    });
    assert_eq!(ground.profile(&entry).unwrap().reads, []);
}

#[test]
fn words_are_written_out_where_no_shell_does_it() {
    let ground = Ground::new();
    let command = ["~/bin/x", "~/docs", "--at=./data", "./none", "-d", "data"];
    let profile = ground.profile(&json!({ "command": command })).unwrap();
    let at = |path: &str| ground.at(path).display().to_string();
    let expected = [
        at("home/bin/x"),
        at("home/docs"),
        format!("--at={}", at("here/data")),
        "./none".to_owned(),
        "-d".to_owned(),
        "data".to_owned(),
    ];
    assert_eq!(profile.command, expected);
    // Where a directory is configured, or the gateway's own is kept, relative paths lead somewhere.
    let off = json!({ "tier": "off", "reason": "a test" });
    let entry = json!({ "command": ["x", "./data"], "sandbox": off });
    assert_eq!(ground.profile(&entry).unwrap().command, ["x", "./data"]);
    let entry = json!({ "command": ["x", "./data"], "cwd": ground.at("here") });
    assert_eq!(ground.profile(&entry).unwrap().command, ["x", "./data"]);
}

#[test]
fn what_a_server_keeps_is_in_a_directory_of_its_own() {
    let ground = Ground::new();
    let command = ["npx", "-y", "@modelcontextprotocol/server-memory"];
    let profile = ground.profile(&json!({ "command": command })).unwrap();
    let own = ground.at("state-servers/it");
    let file = own.join("memory.json").display().to_string();
    assert_eq!(profile.env, [("MEMORY_FILE_PATH".to_owned(), file)]);
    assert_eq!(profile.own, Some(own));
    let env = json!({ "MEMORY_FILE_PATH": ground.at("home/docs/memory.json") });
    let own_choice = ground.profile(&json!({ "command": command, "env": env }));
    let own_choice = own_choice.unwrap();
    assert_eq!((own_choice.own, own_choice.env), (None, vec![]));
    let written = own_choice.writes.iter().map(|grant| &grant.what);
    assert_eq!(written.collect::<Vec<_>>(), [&ground.at("home/docs")]);
}

#[test]
fn what_cannot_be_confined_is_refused() {
    let ground = Ground::new();
    let refused = |entry: Value| ground.profile(&entry).unwrap_err().to_string();
    let files = "@modelcontextprotocol/server-filesystem";
    let everything = refused(json!({ "command": ["npx", files, "/"] }));
    assert!(everything.contains("too much"), "{everything}");
    let docker = refused(json!({ "command": ["docker", "run", "mcp/time"] }));
    assert!(docker.contains("external"), "{docker}");
    let off = json!({ "command": ["x"], "sandbox": { "tier": "off" } });
    assert!(refused(off).contains("reason"));
    let lesser = json!({ "tier": "confined", "hosts": ["example.com"] });
    let lesser = refused(json!({ "command": ["x"], "sandbox": lesser }));
    assert!(lesser.contains("cannot guard"), "{lesser}");
}
