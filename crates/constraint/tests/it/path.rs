//! Paths lead beneath a root, however they are spelt.

use portcullis_constraint::{Files, Reason, Surroundings};
use serde_json::json;

use crate::support::{Tree, check, compile, nowhere, passes, refused, rule, text};

#[test]
fn spellings_that_lead_or_may_lead_elsewhere_are_refused() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    let cases = [
        ("", Reason::Empty),
        ("../outside/secret.txt", Reason::OutsideRoots),
        ("..", Reason::OutsideRoots),
        ("sub/../../outside/secret.txt", Reason::OutsideRoots),
        ("../files/a.txt", Reason::OutsideRoots),
        ("../files-evil/f.txt", Reason::OutsideRoots),
        ("../../../../../../../../etc/passwd", Reason::OutsideRoots),
        ("not-there/../a.txt", Reason::OutsideRoots),
        ("a.txt/../a.txt", Reason::OutsideRoots),
        ("a.txt/b", Reason::OutsideRoots),
        ("/etc/passwd", Reason::OutsideRoots),
        ("/", Reason::OutsideRoots),
        ("/proc/self/root/etc/passwd", Reason::OutsideRoots),
        ("/dev/fd/0", Reason::OutsideRoots),
        ("/./etc/passwd", Reason::OutsideRoots),
        ("//etc/passwd", Reason::Ambiguous),
        ("//server/share/a.txt", Reason::Ambiguous),
        ("\\\\server\\share\\a.txt", Reason::Ambiguous),
        ("..\\..\\windows\\win.ini", Reason::Ambiguous),
        ("sub\\..\\..\\outside", Reason::Ambiguous),
        ("C:/windows/win.ini", Reason::Ambiguous),
        ("c:a.txt", Reason::Ambiguous),
        ("file:///etc/passwd", Reason::Scheme),
        ("FILE:a.txt", Reason::Scheme),
        (
            "php://filter/convert.base64-encode/resource=a.txt",
            Reason::Ambiguous,
        ),
        ("jar:file.jar!/a", Reason::Ambiguous),
        ("a.txt::$DATA", Reason::Ambiguous),
        ("%2e%2e%2foutside%2fsecret.txt", Reason::Encoded),
        ("..%2foutside", Reason::Encoded),
        ("%252e%252e%252foutside", Reason::Encoded),
        ("..%c0%afoutside", Reason::Encoded),
        ("%c0%ae%c0%ae/outside", Reason::Encoded),
        ("..%e0%80%afoutside", Reason::Encoded),
        ("..%u2215outside", Reason::Encoded),
        (".%%32%65/outside", Reason::Encoded),
        ("%2e%2e%5coutside", Reason::Encoded),
        ("a.txt%00.png", Reason::Encoded),
        ("..0x2foutside", Reason::Encoded),
        ("&#46;&#46;/outside", Reason::Encoded),
        ("a.txt\0.png", Reason::Invisible),
        ("a\n.txt", Reason::Invisible),
        ("a\u{202e}txt.exe", Reason::Invisible),
        ("a\u{200b}.txt", Reason::Invisible),
        ("a\u{7f}.txt", Reason::Invisible),
        ("..\u{2215}outside", Reason::LookAlike),
        ("..\u{ff0f}outside", Reason::LookAlike),
        ("\u{2024}\u{2024}/outside", Reason::LookAlike),
        ("\u{ff0e}\u{ff0e}/outside", Reason::LookAlike),
        ("\u{2025}/outside", Reason::LookAlike),
        ("..\u{ff3c}outside", Reason::LookAlike),
        ("..\u{2044}outside", Reason::LookAlike),
        ("....//....//etc/passwd", Reason::Ambiguous),
        (".../outside", Reason::Ambiguous),
        ("..;/outside", Reason::Ambiguous),
        (".. /outside", Reason::Ambiguous),
        ("a.txt.", Reason::Ambiguous),
        ("a.txt ", Reason::Ambiguous),
        (" a.txt", Reason::Ambiguous),
        ("sub /b.txt", Reason::Ambiguous),
        ("~root/.ssh/id_rsa", Reason::Ambiguous),
        ("~/.ssh/id_ed25519", Reason::OutsideRoots),
        ("$HOME/.ssh/id_rsa", Reason::Ambiguous),
        ("${HOME}/a", Reason::Ambiguous),
        ("$(id)", Reason::Ambiguous),
        ("`id`", Reason::Ambiguous),
        ("%USERPROFILE%/a", Reason::Ambiguous),
        ("-rf", Reason::OptionLike),
        ("--output=a.txt", Reason::OptionLike),
    ];
    for (path, reason) in cases {
        refused(&constraints, path, reason);
    }
    let long = "a/".repeat(3000);
    refused(&constraints, long, Reason::TooLarge);
    refused(&constraints, "a".repeat(300), Reason::TooLarge);
    let sibling = format!("{}-evil/f.txt", text(&tree.root()));
    refused(&constraints, sibling, Reason::OutsideRoots);
}

#[test]
fn links_that_lead_out_are_refused() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"hidden": true}));
    for path in [
        "out",
        "out/secret.txt",
        "out/not-there",
        "out/.ssh/id_rsa",
        "out.txt",
        "dangling",
        "dangling/new.txt",
        "twice/secret.txt",
        "loop",
        "loop/a",
        "proc/root/etc/passwd",
        "proc/environ",
        "slash/etc/passwd",
        "in/../../outside/secret.txt",
        "out/../a.txt",
        "slash",
        "twice",
        "sub/../out/secret.txt",
    ] {
        refused(&constraints, path, Reason::OutsideRoots);
    }
}

#[test]
fn ordinary_paths_pass_as_they_are() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    for path in [
        "a.txt",
        "./a.txt",
        "sub",
        "sub/",
        "sub/b.txt",
        "sub//b.txt",
        "new.txt",
        "sub/new/er.txt",
        "naïve résumé.txt",
        "100% done.txt",
        "a b (1).txt",
        "日本語/ファイル.md",
        "a-b_c+d@e,f.tar.gz",
        "photo 🏔️.jpg",
        "it's \"quoted\" & more.txt",
        "src/[id]/{x}.tsx",
        ".",
        "private/e.txt",
        "$recycle.txt",
        "a..b.txt",
        "Ωmega.txt",
    ] {
        passes(&constraints, path);
        let absolute = tree.root().join(path);
        passes(&constraints, text(&absolute));
        assert_eq!(check(&constraints, path).unwrap().rewritten, None, "{path}");
    }
}

#[test]
fn what_was_a_link_or_climbed_is_sent_as_what_it_led_to() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    let root = text(&tree.root()).to_owned();
    let alias = text(&tree.base().join("alias")).to_owned();
    let cases = [
        ("in/b.txt".to_owned(), "sub/b.txt".to_owned()),
        ("in.txt".to_owned(), "sub/b.txt".to_owned()),
        ("sub/../a.txt".to_owned(), "a.txt".to_owned()),
        ("in/deep/../b.txt".to_owned(), "sub/b.txt".to_owned()),
        ("sub/..".to_owned(), ".".to_owned()),
        (format!("{root}/in/b.txt"), format!("{root}/sub/b.txt")),
        (format!("{root}/sub/../a.txt"), format!("{root}/a.txt")),
        (format!("{alias}/a.txt"), format!("{root}/a.txt")),
    ];
    for (path, sent) in cases {
        passes(&constraints, path.clone());
        let rewritten = check(&constraints, path.clone())
            .unwrap()
            .rewritten
            .unwrap();
        assert_eq!(rewritten, json!({"it": sent, "other": 1}), "{path}");
    }
}

#[test]
fn files_of_secrets_are_refused_even_where_hidden_ones_are_not() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"hidden": true}));
    for path in [
        ".env",
        ".ENV",
        "sub/.env.production",
        "server.key",
        "env.txt",
        ".aws/credentials",
        "x/.ssh/known_hosts",
        "id_rsa",
        ".npmrc",
        ".kube/config",
        "backup/.netrc",
        "a/.git-credentials",
    ] {
        refused(&constraints, path, Reason::Secret);
    }
    passes(&constraints, ".env.example");
    passes(&constraints, ".hidden/d.txt");
    let open = tree.constraints(&json!({"hidden": true, "dangerously_allow_secrets": true}));
    passes(&open, ".env");
}

#[test]
fn without_roots_secrets_and_processes_are_still_refused() {
    let tree = Tree::new();
    let rule = rule(json!({"kind": "path", "hidden": true, "access": "read", "file_urls": true}));
    let constraints = compile(rule, &tree.around()).unwrap();
    for path in [
        "/etc/shadow",
        "/etc/sudoers",
        "/etc/ssh/ssh_host_rsa_key",
        "/proc/self/environ",
        "/proc/1/environ",
        "/proc/self/root/etc/hostname",
        "/dev/fd/0",
        "/dev/stdin",
        "/sys/kernel",
        "~/.ssh/id_ed25519",
        "/home/u/.aws/credentials",
        "/home/u/.config/gcloud/x.json",
        "file:///etc/shadow",
        "/proc/self/cwd/a.txt",
        "/proc/self/../self/environ",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/run/secrets/db",
    ] {
        refused(&constraints, path, Reason::Secret);
    }
    for path in [
        "/etc/hostname",
        "/usr/share/doc",
        "a.txt",
        "../outside/secret.txt",
        "~/files",
    ] {
        passes(&constraints, path);
    }
}

#[test]
fn what_runs_by_itself_is_not_written() {
    let tree = Tree::new();
    let write = tree.constraints(&json!({"hidden": true}));
    for path in [
        ".git/hooks/pre-commit",
        ".git/config",
        ".bashrc",
        ".github/workflows/ci.yml",
        ".vscode/tasks.json",
        ".mcp.json",
        ".husky/pre-push",
        "sub/.GIT/hooks/x",
    ] {
        refused(&write, path, Reason::Denied);
    }
    let read = tree.constraints(&json!({"hidden": true, "access": "read"}));
    passes(&read, ".git/config");
    passes(&read, ".github/workflows/ci.yml");
}

#[test]
fn denied_globs_hold_for_what_is_beneath_and_whatever_the_case() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"deny": ["private", "**/*.log"]}));
    for path in [
        "private",
        "private/e.txt",
        "PRIVATE/e.txt",
        "sub/../private/e.txt",
        "sub/x.LOG",
    ] {
        refused(&constraints, path, Reason::Denied);
    }
    passes(&constraints, "privately/e.txt");
}

#[test]
fn hidden_and_absent_files_are_refused_where_asked() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"must_exist": true, "access": "read"}));
    refused(&constraints, ".hidden/d.txt", Reason::Hidden);
    refused(&constraints, "new.txt", Reason::Absent);
    passes(&constraints, "a.txt");
}

#[test]
fn a_file_url_is_decoded_once_and_sent_as_one() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"file_urls": true}));
    let root = text(&tree.root()).to_owned();
    passes(&constraints, format!("file://{root}/a%20b%20(1).txt"));
    let rewritten = check(&constraints, format!("file://{root}/in/b.txt"))
        .unwrap()
        .rewritten;
    assert_eq!(rewritten.unwrap()["it"], format!("file://{root}/sub/b.txt"));
    for (url, reason) in [
        ("file:///etc/passwd".to_owned(), Reason::OutsideRoots),
        (format!("file://{root}/%2e%2e/outside"), Reason::Encoded),
        (format!("file://{root}/..%2foutside"), Reason::Encoded),
        (format!("file://host{root}/a.txt"), Reason::Ambiguous),
        (format!("file:{root}/a.txt"), Reason::Ambiguous),
        (format!("file:///{root}/a.txt"), Reason::Ambiguous),
    ] {
        refused(&constraints, url, reason);
    }
}

#[test]
fn a_link_that_is_swapped_after_the_check_is_noticed() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    let checked = check(&constraints, "sub/deep/c.txt").unwrap();
    assert!(checked.paths[0].still_leads_there());
    std::fs::rename(tree.root().join("sub"), tree.root().join("sub2")).unwrap();
    std::os::unix::fs::symlink("../outside", tree.root().join("sub")).unwrap();
    assert!(!checked.paths[0].still_leads_there());
    refused(&constraints, "sub/secret.txt", Reason::OutsideRoots);
}

#[test]
fn what_was_missing_for_a_moment_and_was_a_link_meanwhile_is_noticed() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"access": "read"}));
    for path in ["missing.txt", "sub/missing.txt"] {
        let place = tree.root().join(path);
        let directory = place.parent().unwrap().to_owned();
        let checked = check(&constraints, path).unwrap();
        assert!(checked.paths[0].still_leads_there(), "{path}");
        let before = std::fs::symlink_metadata(&directory).unwrap();
        // The clock of changes may stand still for some milliseconds.
        loop {
            std::os::unix::fs::symlink("../outside", &place).unwrap();
            std::fs::remove_file(&place).unwrap();
            let after = std::fs::symlink_metadata(&directory).unwrap();
            if ctime(&after) != ctime(&before) {
                break;
            }
        }
        assert!(!checked.paths[0].still_leads_there(), "{path}");
    }
}

#[test]
fn what_is_swapped_for_a_link_and_back_while_it_is_read_is_noticed() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({"access": "read"}));
    for (path, swapped) in [("sub/b.txt", "sub/b.txt"), ("sub/deep/c.txt", "sub")] {
        let place = tree.root().join(swapped);
        let checked = check(&constraints, path).unwrap();
        assert!(checked.paths[0].still_leads_there(), "{path}");
        let before = std::fs::symlink_metadata(&place).unwrap();
        let aside = tree.root().join("aside");
        // The clock of changes may stand still for some milliseconds.
        loop {
            std::fs::rename(&place, &aside).unwrap();
            std::os::unix::fs::symlink("../outside", &place).unwrap();
            std::fs::remove_file(&place).unwrap();
            std::fs::rename(&aside, &place).unwrap();
            let after = std::fs::symlink_metadata(&place).unwrap();
            if ctime(&after) != ctime(&before) {
                break;
            }
        }
        assert!(!checked.paths[0].still_leads_there(), "{path}");
        assert!(check(&constraints, path).unwrap().paths[0].still_leads_there());
    }
}

fn ctime(of: &std::fs::Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (of.ctime(), of.ctime_nsec())
}

#[test]
fn a_file_that_the_call_creates_or_removes_is_no_swap() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    let new = check(&constraints, "sub/new.txt").unwrap();
    std::fs::write(tree.root().join("sub/new.txt"), "x").unwrap();
    assert!(new.paths[0].still_leads_there());
    std::fs::remove_file(tree.root().join("sub/new.txt")).unwrap();
    assert!(new.paths[0].still_leads_there());
}

#[test]
fn a_root_that_becomes_a_link_leads_nowhere() {
    let tree = Tree::new();
    let constraints = tree.constraints(&json!({}));
    std::fs::rename(tree.root(), tree.base().join("moved")).unwrap();
    std::os::unix::fs::symlink("outside", tree.root()).unwrap();
    refused(&constraints, "secret.txt", Reason::OutsideRoots);
}

#[test]
fn on_another_machine_the_text_decides() {
    let around = Surroundings {
        directory: Some("/srv/files".into()),
        home: None,
        files: Files::Elsewhere,
    };
    let rule = || rule(json!({"kind": "path", "roots": ["/srv/files"]}));
    let constraints = compile(rule(), &around).unwrap();
    passes(&constraints, "a/b.txt");
    passes(&constraints, "/srv/files/a");
    passes(&constraints, "a/../b.txt");
    refused(&constraints, "../b.txt", Reason::OutsideRoots);
    refused(&constraints, "/srv/filesystem/a", Reason::OutsideRoots);
    refused(&constraints, "~/a", Reason::Ambiguous);
    // Where a relative path begins is unknown here.
    let lost = compile(rule(), &nowhere()).unwrap();
    refused(&lost, "a.txt", Reason::OutsideRoots);
}

#[test]
fn roots_that_cannot_be_used_are_refused_when_compiled() {
    let tree = Tree::new();
    for root in ["relative", "", "/not/there/at/all", "{roots}", "~other/x"] {
        let rule = rule(json!({"kind": "path", "roots": [root]}));
        assert!(compile(rule, &tree.around()).is_err(), "{root}");
    }
    let rule = rule(json!({"kind": "path", "roots": ["~/files"]}));
    let constraints = compile(rule, &tree.around()).unwrap();
    passes(&constraints, "~/files/g.txt");
    refused(&constraints, "~/.ssh/x", Reason::OutsideRoots);
}
