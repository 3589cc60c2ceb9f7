//! Presets are well formed, recognised, and hold.

use std::collections::BTreeSet;

use portcullis_constraint::{Constraints, Files, Surroundings, preset};
use serde_json::{Value, json};

fn around() -> Surroundings {
    Surroundings {
        directory: Some("/srv/files".into()),
        home: None,
        files: Files::Elsewhere,
    }
}

#[test]
fn every_preset_loads_and_all_its_rules_compile() {
    let roots = ["/srv/files".to_owned()];
    let mut packages = BTreeSet::new();
    for name in preset::names() {
        let preset = preset::load(name).unwrap();
        assert!(
            !preset.tools.is_empty() && !preset.packages.is_empty(),
            "{name}"
        );
        for package in &preset.packages {
            assert!(
                packages.insert(package.clone()),
                "{package} is in two presets"
            );
        }
        for (tool, described) in &preset.tools {
            assert!(!described.class.is_empty(), "{name} {tool}");
            let rules = preset.rules(tool, &roots).unwrap();
            let compiled = Constraints::compile(&rules, &around());
            assert!(compiled.is_ok(), "{name} {tool}: {:?}", compiled.err());
        }
    }
    assert!(preset::names().count() >= 20);
}

#[test]
fn a_rule_that_needs_roots_does_not_compile_without() {
    let preset = preset::load("server-filesystem").unwrap();
    let rules = preset.rules("read_text_file", &[]).unwrap();
    assert!(Constraints::compile(&rules, &around()).is_err());
    assert!(preset.rules("no_such_tool", &[]).is_none());
    assert!(preset::load("no-such-server").is_err());
}

#[test]
fn servers_are_recognised_however_they_are_started() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        (
            "npx",
            &["-y", "@modelcontextprotocol/server-filesystem", "/srv"],
            Some("server-filesystem"),
        ),
        (
            "npx",
            &[
                "-y",
                "@modelcontextprotocol/server-filesystem@2025.8.21",
                "/srv",
            ],
            Some("server-filesystem"),
        ),
        (
            "cmd",
            &["/c", "npx", "@modelcontextprotocol/server-github"],
            Some("server-github"),
        ),
        (
            "node",
            &["/x/node_modules/@modelcontextprotocol/server-memory/dist/index.js"],
            Some("server-memory"),
        ),
        (
            "uvx",
            &["mcp-server-git", "--repository", "/srv"],
            Some("mcp-server-git"),
        ),
        (
            "uvx",
            &["mcp-server-fetch==2025.4.7"],
            Some("mcp-server-fetch"),
        ),
        (
            "python",
            &["-m", "mcp_server_time"],
            Some("mcp-server-time"),
        ),
        (
            "/opt/venv/bin/mcp-server-sqlite",
            &["--db-path", "a.db"],
            Some("mcp-server-sqlite"),
        ),
        (
            "docker",
            &["run", "-i", "--rm", "mcp/postgres:latest", "postgres://x"],
            Some("server-postgres"),
        ),
        ("npx", &["@playwright/mcp@latest"], Some("playwright-mcp")),
        ("npx", &["-y", "@evil/server-filesystem"], None),
        (
            "npx",
            &["-y", "@modelcontextprotocol/server-filesystem-evil"],
            None,
        ),
        ("npx", &["-y", "evil-mcp-server-git"], None),
        ("bash", &["-c", "mcp-server-git; id"], None),
    ];
    for (command, args, expected) in cases {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(
            preset::recognise(command, &args),
            *expected,
            "{command} {args:?}"
        );
    }
}

#[test]
fn ordinary_calls_pass_and_attacks_do_not() {
    let cases: &[(&str, &str, Value, bool)] = &[
        (
            "server-filesystem",
            "read_text_file",
            json!({"path": "/srv/files/a.txt", "head": 5}),
            true,
        ),
        (
            "server-filesystem",
            "read_text_file",
            json!({"path": "/etc/passwd"}),
            false,
        ),
        (
            "server-filesystem",
            "read_multiple_files",
            json!({"paths": ["a.txt", "../b"]}),
            false,
        ),
        (
            "server-filesystem",
            "edit_file",
            json!({"path": "a.txt", "edits": [{"oldText": "- a", "newText": "b\n"}]}),
            true,
        ),
        (
            "server-filesystem",
            "move_file",
            json!({"source": "a", "destination": "/tmp/b"}),
            false,
        ),
        (
            "mcp-server-git",
            "git_diff",
            json!({"repo_path": "/srv/files", "target": "main~1"}),
            true,
        ),
        (
            "mcp-server-git",
            "git_diff",
            json!({"repo_path": "/srv/files", "target": "--output=/tmp/x"}),
            false,
        ),
        (
            "mcp-server-git",
            "git_checkout",
            json!({"repo_path": "/etc", "branch_name": "main"}),
            false,
        ),
        (
            "mcp-server-git",
            "git_add",
            json!({"repo_path": "/srv/files", "files": ["src/a.rs", ".gitignore", "."]}),
            true,
        ),
        (
            "mcp-server-git",
            "git_add",
            json!({"repo_path": "/srv/files", "files": ["a/../../b"]}),
            false,
        ),
        (
            "mcp-server-git",
            "git_add",
            json!({"repo_path": "/srv/files", "files": ["/etc/passwd"]}),
            false,
        ),
        (
            "mcp-server-fetch",
            "fetch",
            json!({"url": "https://example.com/"}),
            true,
        ),
        (
            "mcp-server-fetch",
            "fetch",
            json!({"url": "http://localhost/"}),
            false,
        ),
        (
            "mcp-server-fetch",
            "fetch",
            json!({"url": "file:///etc/passwd"}),
            false,
        ),
        (
            "server-postgres",
            "query",
            json!({"sql": "SELECT * FROM t"}),
            true,
        ),
        (
            "server-postgres",
            "query",
            json!({"sql": "COMMIT; DROP TABLE t"}),
            false,
        ),
        (
            "mcp-server-sqlite",
            "write_query",
            json!({"query": "DELETE FROM t WHERE id = 1"}),
            true,
        ),
        (
            "mcp-server-sqlite",
            "write_query",
            json!({"query": "DELETE FROM t"}),
            false,
        ),
        (
            "mcp-server-sqlite",
            "create_table",
            json!({"query": "CREATE TABLE t (id INTEGER PRIMARY KEY)"}),
            true,
        ),
        (
            "mcp-server-sqlite",
            "create_table",
            json!({"query": "CREATE TABLE t AS SELECT * FROM secrets"}),
            false,
        ),
        (
            "mcp-server-sqlite",
            "describe_table",
            json!({"table_name": "t); DROP TABLE t; --"}),
            false,
        ),
        (
            "server-github",
            "get_file_contents",
            json!({"owner": "o", "repo": "r", "path": "src/a.rs"}),
            true,
        ),
        (
            "server-github",
            "get_file_contents",
            json!({"owner": "o", "repo": "../x", "path": "a"}),
            false,
        ),
        (
            "server-puppeteer",
            "puppeteer_navigate",
            json!({"url": "https://example.com", "launchOptions": {"executablePath": "/bin/sh"}}),
            false,
        ),
        (
            "desktop-commander",
            "start_process",
            json!({"command": "id", "timeout_ms": 1}),
            false,
        ),
        (
            "desktop-commander",
            "read_file",
            json!({"path": "/srv/files/a", "isUrl": true}),
            false,
        ),
        (
            "mcp-server-docker",
            "run_container",
            json!({"image": "alpine:3", "volumes": ["/:/host"]}),
            false,
        ),
        (
            "mcp-server-docker",
            "run_container",
            json!({"image": "alpine:3", "volumes": "[\"/:/host\"]"}),
            false,
        ),
        (
            "mcp-server-docker",
            "run_container",
            json!({"image": "alpine:3"}),
            true,
        ),
        (
            "server-slack",
            "slack_post_message",
            json!({"channel_id": "C012AB", "text": "- hi"}),
            true,
        ),
        (
            "mcp-server-time",
            "get_current_time",
            json!({"timezone": "America/Argentina/Buenos_Aires"}),
            true,
        ),
    ];
    let roots = ["/srv/files".to_owned()];
    let scale = preset::load("mcp-server-kubernetes")
        .unwrap()
        .rules("kubectl_scale", &roots);
    let constraints = Constraints::compile(&scale.unwrap(), &around()).unwrap();
    for (arguments, expected) in [
        (
            json!({"name": "web", "replicas": 2, "resourceType": "deployment"}),
            true,
        ),
        (
            json!({"name": "web", "replicas": 2, "context": "--kubeconfig=/tmp/x"}),
            false,
        ),
        (json!({"name": "--all", "replicas": 0}), false),
        (
            json!({"name": "web", "replicas": 2, "resourceType": "--raw=/"}),
            false,
        ),
    ] {
        assert_eq!(
            constraints.check(&arguments).is_ok(),
            expected,
            "{arguments}"
        );
    }
    for (server, tool, arguments, expected) in cases {
        let rules = preset::load(server).unwrap().rules(tool, &roots).unwrap();
        let result = Constraints::compile(&rules, &around())
            .unwrap()
            .check(arguments);
        assert_eq!(
            result.is_ok(),
            *expected,
            "{server} {tool} {arguments}: {result:?}"
        );
    }
}
