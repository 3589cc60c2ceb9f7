//! Launchers, as people write them.

use super::{Launcher, LauncherError};

fn parse(command: &str) -> Result<Option<Launcher>, LauncherError> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    Launcher::parse(&words)
}

#[track_caller]
fn check(command: &str, spec: &str, args: &str) {
    let launcher = parse(command).unwrap().unwrap();
    assert_eq!(launcher.spec(), spec, "{command}");
    assert_eq!(launcher.args.join(" "), args, "{command}");
}

#[test]
fn launchers_of_npm_are_taken_apart() {
    for (command, spec, args) in [
        ("npx pkg", "npm:pkg@latest", ""),
        (
            "npx -y @scope/pkg --root /data -y",
            "npm:@scope/pkg@latest",
            "--root /data -y",
        ),
        (
            "/usr/local/bin/npx --yes -q pkg@1.2.3 a -- b",
            "npm:pkg@1.2.3",
            "a -- b",
        ),
        ("npx.cmd pkg@latest", "npm:pkg@latest", ""),
        ("npx -y -- pkg@^1.2 x", "npm:pkg@^1.2", "x"),
        ("npx pkg@>=1.0.0", "npm:pkg@>=1.0.0", ""),
        (
            "npx --package=pkg@1 prog -p x",
            "npm:pkg@1 run prog",
            "-p x",
        ),
        (
            "npx -p a -p @b/c@2 prog",
            "npm:a@latest @b/c@2 run prog",
            "",
        ),
        ("npx --no-install pkg", "npm:pkg@latest", ""),
        ("npm exec -y pkg -- --flag", "npm:pkg@latest", "--flag"),
        ("npm exec -- pkg --flag", "npm:pkg@latest", "--flag"),
        (
            "npm x --package pkg -- prog -- y",
            "npm:pkg@latest run prog",
            "-- y",
        ),
    ] {
        check(command, spec, args);
    }
}

#[test]
fn launchers_of_python_are_taken_apart() {
    for (command, spec, args) in [
        (
            "uvx Mcp_Server.Time --tz UTC",
            "pypi:mcp-server-time run Mcp_Server.Time",
            "--tz UTC",
        ),
        ("uvx pkg@1.2", "pypi:pkg==1.2 run pkg", ""),
        ("uvx pkg@latest -q", "pypi:pkg run pkg", "-q"),
        ("uvx pkg==1.2 x", "pypi:pkg==1.2 run pkg", "x"),
        (
            "uvx --from pkg[cli]>=1,<2 prog",
            "pypi:pkg[cli]>=1,<2 run prog",
            "",
        ),
        (
            "uv tool run --python 3.12 --with other pkg",
            "pypi:pkg with other python 3.12 run pkg",
            "",
        ),
        (
            "/opt/uv tool run --from=pkg prog a",
            "pypi:pkg run prog",
            "a",
        ),
        ("uvx -q -- pkg -- y", "pypi:pkg run pkg", "-- y"),
        ("pipx run pkg --help", "pypi:pkg run pkg", "--help"),
        (
            "pipx run --spec pkg==1.0 prog",
            "pypi:pkg==1.0 run prog",
            "",
        ),
        (
            "pipx run --python python3.11 pkg",
            "pypi:pkg python 3.11 run pkg",
            "",
        ),
    ] {
        check(command, spec, args);
    }
}

#[test]
fn other_commands_are_no_launchers() {
    for command in [
        "",
        "node server.js",
        "npm run start",
        "npm install x",
        "uv run x",
        "pipx install x",
        "python3 -m x",
        "./npxx y",
    ] {
        assert_eq!(parse(command), Ok(None), "{command}");
    }
}

#[track_caller]
fn refused(command: &str, part: &str) {
    let error = parse(command).unwrap_err().to_string();
    assert!(
        error.contains(part),
        "`{command}`: `{error}` lacks `{part}`"
    );
}

#[test]
fn what_is_not_understood_is_refused_and_named() {
    for (command, part) in [
        ("npx", "write `npx PACKAGE`"),
        ("npx -y", "names no package"),
        ("npx --package", "lacks the value of `--package`"),
        ("npx -c 'pkg; rm -rf /'", "text for a shell by `-c`"),
        ("npx --call=pkg", "text for a shell by `--call=pkg`"),
        ("npx --prefix=/ pkg", "given `--prefix=/`"),
        (
            "npx --registry=http://evil pkg",
            "given `--registry=http://evil`",
        ),
        (
            "npx --ignore-scripts=false pkg",
            "given `--ignore-scripts=false`",
        ),
        ("npx -yp pkg prog", "given `-yp`"),
        (
            "npm exec pkg --flag",
            "takes `--flag` for itself; write `--`",
        ),
        ("uvx --index-url http://evil pkg", "given `--index-url`"),
        (
            "uvx --from git+https://x/y pkg",
            "`git+https://x/y` is not the name",
        ),
        (
            "uvx --python /tmp/evil pkg",
            "`/tmp/evil` is not a version of Python",
        ),
        ("uvx --with a,b pkg", "`a,b` is not the name"),
        (
            "pipx run --pip-args=--index-url=x pkg",
            "given `--pip-args=--index-url=x`",
        ),
        ("pipx run --from pkg prog", "given `--from`"),
        ("uvx", "write `uvx PACKAGE`"),
    ] {
        refused(command, part);
    }
}

#[test]
fn names_that_are_paths_addresses_or_options_are_refused() {
    for name in [
        "../x",
        "./x",
        "/x",
        "a/b",
        "@/x",
        "@a/",
        "@a/../x",
        "@../x",
        "a@../x",
        "a@file:x",
        "a@npm:b",
        "a@https://x",
        "git+https://x/y.git",
        "github:a/b",
        "file:x",
        "http://x/y.tgz",
        "x@",
        ".x",
        "_x",
        "@-a/x",
        "@a/-x",
        "-p=x",
        "node_modules",
        "@a/node_modules",
        "a\u{301}",
        "A",
        "a@-1",
        "a@--x",
        "a b",
        "a\0b",
        "@a/b/c",
        "a@1 --x",
    ] {
        let words = ["npx", "-p", name, "prog"].map(str::to_owned);
        assert!(Launcher::parse(&words).is_err(), "{name:?}");
    }
    for name in [
        "../x",
        "./x",
        "/x",
        "a/b",
        "-e",
        "--index-url=x",
        "a @ https://x",
        "a@https://x",
        "git+https://x",
        "a==1; python_version>'3'",
        "a==",
        "a[",
        "a[../x]",
        "a[b]c",
        ".a",
        "a-",
        "a==1 --hash=x",
        "a\nb",
        "a==1\n--index-url x",
        "\u{e4}",
        "a===../x",
        "a.whl/..",
    ] {
        let words = ["uvx", "--from", name, "prog"].map(str::to_owned);
        assert!(Launcher::parse(&words).is_err(), "{name:?}");
    }
    for program in ["../x", "a/b", "-c", "..", ".", "a b", "", "a\nb", "a..b"] {
        let words = ["uvx", "--from", "pkg", "--", program].map(str::to_owned);
        assert!(Launcher::parse(&words).is_err(), "{program:?}");
    }
}
