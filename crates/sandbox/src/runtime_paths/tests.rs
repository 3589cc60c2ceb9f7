use super::*;

/// Files of a small file system: a path ending in `/` is a directory, `a -> b` a link.
fn tree(entries: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    for (path, content) in entries {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = content.replace("ROOT", root.to_str().unwrap());
        match content.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => std::fs::write(path, content).unwrap(),
        }
    }
    (directory, root)
}

#[track_caller]
fn check(entries: &[(&str, &str)], program: &str, args: &[&str], reads: &[&str], links: &[&str]) {
    let (_directory, root) = tree(entries);
    let args: Vec<&Path> = args.iter().map(Path::new).collect();
    let path = format!("{}:/usr/bin", root.join("bin").display());
    let found = of(&root.join(program), &args, &root, &path);
    let relative = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
    let found_reads: Vec<PathBuf> = found.reads.iter().map(|path| relative(path)).collect();
    let found_links: Vec<PathBuf> = found.links.iter().map(|(at, _)| relative(at)).collect();
    let expected = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(found_reads, expected(reads));
    assert_eq!(found_links, expected(links));
}

#[test]
fn a_program_of_the_system_needs_nothing() {
    let found = of(Path::new("/usr/bin/env"), &[], Path::new("/"), "/usr/bin");
    assert_eq!(found, RuntimePaths::default());
}

#[test]
fn a_program_elsewhere_needs_its_directory() {
    check(&[("srv/tool", "")], "srv/tool", &[], &["srv"], &[]);
}

#[test]
fn a_program_in_a_home_is_seen_alone() {
    let home = [("u/.profile", ""), ("u/tool", "")];
    check(&home, "u/tool", &[], &["u/tool"], &[]);
}

#[test]
fn a_virtual_environment_brings_its_base() {
    let entries = [
        ("py/bin/python3", ""),
        ("py/lib/python3.13/os.py", ""),
        ("venv/pyvenv.cfg", "home = ROOT/py/bin\nversion = 3.13\n"),
        ("venv/bin/python", "-> ROOT/py/bin/python3"),
        ("venv/bin/server", "#!ROOT/venv/bin/python\n"),
    ];
    let both = ["py", "venv"];
    check(
        &entries,
        "venv/bin/python",
        &["-m", "server"],
        &both,
        &["venv/bin/python"],
    );
    check(
        &entries,
        "venv/bin/server",
        &[],
        &both,
        &["venv/bin/python"],
    );
}

#[test]
fn a_tool_linked_into_a_home_is_found_behind_its_link() {
    let entries = [
        ("u/.local/share/uv/tools/t/pyvenv.cfg", "home = /usr/bin\n"),
        ("u/.local/share/uv/tools/t/bin/python", "-> /usr/bin/env"),
        (
            "u/.local/share/uv/tools/t/bin/t",
            "#!ROOT/u/.local/share/uv/tools/t/bin/python\n",
        ),
        ("u/.local/bin/t", "-> ../share/uv/tools/t/bin/t"),
        ("u/.local/share/secret", ""),
    ];
    check(
        &entries,
        "u/.local/bin/t",
        &[],
        &["u/.local/share/uv/tools/t"],
        &["u/.local/bin/t", "u/.local/share/uv/tools/t/bin/python"],
    );
}

#[test]
fn a_script_of_node_brings_its_packages() {
    let entries = [
        ("node/bin/node", ""),
        ("node/lib/node_modules/npm/index.js", ""),
        ("bin/node", "-> ROOT/node/bin/node"),
        ("cache/1/node_modules/.bin/s", "-> ../s/dist/index.js"),
        (
            "cache/1/node_modules/s/dist/index.js",
            "#!/usr/bin/env node\n",
        ),
        ("project/node_modules/x/index.js", ""),
        ("project/dist/server.js", ""),
        ("project/dist/data.txt", ""),
    ];
    check(
        &entries,
        "cache/1/node_modules/.bin/s",
        &["project/dist/data.txt"],
        &["cache/1/node_modules", "node"],
        &["bin/node", "cache/1/node_modules/.bin/s"],
    );
    check(
        &entries,
        "node/bin/node",
        &["--no-warnings", "project/dist/server.js", "node"],
        &["node", "project"],
        &[],
    );
    check(
        &entries,
        "node/bin/node",
        &["-e", "1", "project/dist/server.js"],
        &["node"],
        &[],
    );
}

#[test]
fn links_in_a_circle_end() {
    let entries = [("a/x", "-> y"), ("a/y", "-> x")];
    check(&entries, "a/x", &[], &[], &["a/x", "a/y"]);
}

#[test]
fn homes_and_roots_are_broad() {
    for directory in [
        "/",
        "/home",
        "/home/u",
        "/opt",
        "/tmp",
        "/var/lib",
        "/x/.local",
    ] {
        assert!(is_broad(Path::new(directory)), "{directory}");
    }
    assert!(!is_broad(Path::new("/opt/vendor/product")));
}
