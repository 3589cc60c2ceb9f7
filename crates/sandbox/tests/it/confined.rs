//! What a confined server gets, and that nothing is left of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_sandbox::{
    Command, Confinement, Exit, Feature, Got, Network, Report, Sandbox, SpawnError, Tier,
};

use crate::support::{bounded, example, host, read_line, read_to_end, sandbox, sh};

/// A directory outside `/tmp`, where a confined server has something else of its own.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

pub(crate) async fn output(command: &Command, confinement: &Confinement) -> (String, String, Exit) {
    bounded(async {
        let mut child = sandbox()
            .spawn_confined(command, confinement)
            .await
            .unwrap();
        let text = read_to_end(child.stdout.take().unwrap()).await;
        let errors = read_to_end(child.stderr.take().unwrap()).await;
        (text, errors, child.wait().await.unwrap())
    })
    .await
}

#[tokio::test]
async fn granted_directories_are_there_and_others_are_not() {
    let directory = directory();
    let at = |path: &str| directory.path().join(path);
    for path in ["read", "write", "other"] {
        std::fs::create_dir(at(path)).unwrap();
        std::fs::write(at(path).join("file"), format!("of {path}\n")).unwrap();
    }
    let confinement = Confinement {
        reads: vec![at("read")],
        writes: vec![at("write")],
        ..Confinement::default()
    };
    let script = format!(
        "cd {}; cat read/file write/file; echo new >write/new; echo new >read/new; ls -A ~ /tmp; \
         echo scratch >~/here && cat ~/here; hostname; pwd",
        directory.path().display()
    );
    let (text, _, exit) = output(&sh(&script), &confinement).await;
    let lines: Vec<&str> = text.lines().collect();
    let (last, lines) = lines.split_last().unwrap();
    assert_eq!(
        lines,
        [
            "of read",
            "of write",
            "/home/portcullis:",
            "",
            "/tmp:",
            "scratch",
            "sandbox"
        ]
    );
    assert_eq!(Path::new(last), directory.path());
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(std::fs::read_to_string(at("write/new")).unwrap(), "new\n");
    assert!(!at("read/new").exists());
    // Whoever the server is inside, the owner of what it made is the one who granted it.
    let owner = |path: PathBuf| std::os::unix::fs::MetadataExt::uid(&path.metadata().unwrap());
    assert_eq!(owner(at("write/new")), owner(at("write")));
}

#[tokio::test]
async fn a_granted_link_leads_where_it_led() {
    let directory = directory();
    let real = directory.path().join("real");
    let link = directory.path().join("link");
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("file"), "through\n").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let confinement = Confinement {
        reads: vec![link.clone()],
        ..Confinement::default()
    };
    let script = format!("cat {}/file", link.display());
    assert_eq!(output(&sh(&script), &confinement).await.0, "through\n");
}

#[tokio::test]
async fn streams_can_be_opened_by_name() {
    let script = "echo out >/dev/stdout; echo errors >/dev/stderr; cat /dev/stdin </dev/null";
    let (text, errors, _) = output(&sh(script), &Confinement::default()).await;
    assert_eq!((text.as_str(), errors.as_str()), ("out\n", "errors\n"));
}

#[tokio::test]
async fn what_is_hidden_in_the_system_is_not_seen() {
    let confinement = Confinement {
        hidden: vec!["/usr/share".into(), "/usr/bin/env".into()],
        ..Confinement::default()
    };
    let script = "ls /usr/share 2>&1 | wc -l; ls /usr/lib | head -n 1 | wc -l; env || echo none";
    let (text, errors, _) = output(&sh(script), &confinement).await;
    assert_eq!(text, "1\n1\nnone\n", "{errors}");
}

#[tokio::test]
async fn a_granted_file_is_there_alone() {
    let directory = directory();
    for name in ["a", "b"] {
        std::fs::write(directory.path().join(name), name).unwrap();
    }
    let confinement = Confinement {
        writes: vec![directory.path().join("a")],
        ..Confinement::default()
    };
    let script = format!("cd {}; echo more >>a; ls", directory.path().display());
    let (text, ..) = output(&sh(&script), &confinement).await;
    // Landlock permits no listing of a directory that was not granted.
    assert_eq!(text, "");
    let a = std::fs::read_to_string(directory.path().join("a")).unwrap();
    assert_eq!(a, "amore\n");
}

#[tokio::test]
async fn common_runtimes_run() {
    let confinement = Confinement::default();
    let mut tried = 0;
    for (program, code, expected) in [
        (
            "node",
            "const {execSync} = require('child_process'); const {Worker} = require('worker_threads'); \
             new Worker('console.log(\"worker\")', {eval: true}) \
             .on('exit', () => console.log(execSync('echo child').toString().trim()))",
            "worker\nchild\n",
        ),
        (
            "python3",
            "import multiprocessing, subprocess\n\
             with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, 2]))\n\
             print(subprocess.check_output(['echo', 'child']).decode().strip())",
            "[1, 2]\nchild\n",
        ),
    ] {
        let Some(found) = ["/usr/bin", "/usr/local/bin"]
            .iter()
            .map(|directory| Path::new(directory).join(program))
            .find(|path| path.exists())
        else {
            continue;
        };
        tried += 1;
        let flag = if program == "node" { "-e" } else { "-c" };
        let command = Command {
            program: found.display().to_string(),
            args: vec![flag.to_owned(), code.to_owned()],
            ..Command::default()
        };
        let (text, errors, _) = output(&command, &confinement).await;
        assert_eq!(text, expected, "{errors}");
    }
    println!("{tried} runtimes were there");
}

#[tokio::test]
async fn a_package_outside_the_system_is_found() {
    let directory = directory();
    let package = directory.path().join("node_modules/server/dist");
    std::fs::create_dir_all(&package).unwrap();
    let bin = directory.path().join("node_modules/.bin");
    std::fs::create_dir_all(&bin).unwrap();
    let script = package.join("index.sh");
    std::fs::write(
        &script,
        "#!/bin/sh\ncat \"$(dirname \"$0\")/../server/dist/data\"\n",
    )
    .unwrap();
    std::fs::write(package.join("data"), "beside\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    std::os::unix::fs::symlink("../server/dist/index.sh", bin.join("server")).unwrap();
    let command = Command {
        program: bin.join("server").display().to_string(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        ..Command::default()
    };
    let (text, errors, _) = output(&command, &Confinement::default()).await;
    assert_eq!(text, "beside\n", "{errors}");
}

#[tokio::test]
async fn the_report_says_what_rests_on_what() {
    let mut child = sandbox()
        .spawn_confined(&sh("exit 0"), &Confinement::default())
        .await
        .unwrap();
    let report = child.report().clone();
    bounded(child.wait()).await.unwrap();
    assert_eq!(report.tier, Tier::Full);
    for feature in [
        Feature::Namespaces,
        Feature::Files,
        Feature::Processes,
        Feature::Network,
        Feature::Privileges,
        Feature::Landlock,
        Feature::SystemCalls,
        Feature::Limits,
        Feature::Lifetime,
    ] {
        assert!(is_enforced(&report, feature), "{report:#?}");
    }
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(is_enforced(&report, Feature::Identity), is_root);

    let child = sandbox().spawn(&sh("exit 0")).await.unwrap();
    let report = child.report();
    assert_eq!(report.tier, Tier::Off);
    assert!(!is_enforced(report, Feature::Files) && report.is_complete());
}

fn is_enforced(report: &Report, feature: Feature) -> bool {
    matches!(report.part(feature).unwrap().got, Got::Enforced(_))
}

#[tokio::test]
async fn a_probe_tells_without_a_server() {
    bounded(async {
        let report = sandbox().probe(&Confinement::default()).await.unwrap();
        assert!(is_enforced(&report, Feature::Namespaces), "{report:#?}");
        let missing = Confinement {
            reads: vec!["/nowhere".into()],
            ..Confinement::default()
        };
        let report = sandbox().probe(&missing).await.unwrap();
        let part = report.part(Feature::Files).unwrap();
        assert!(matches!(part.got, Got::Missing(_)), "{report:#?}");
        let nothing = Sandbox::new(vec!["/nowhere".into()]);
        assert!(nothing.probe(&Confinement::default()).await.is_err());
    })
    .await;
}

/// Where namespaces are refused, as inside a sandbox of this kind, nothing runs.
#[test]
fn a_kernel_that_refuses_namespaces_refuses_the_server() {
    let host = host().display().to_string();
    let read = example("host").parent().unwrap().display().to_string();
    let mut nested = vec!["--quiet", "--tier", "full", "--read", &read];
    nested.extend([host.as_str(), "--tier", "full", "/bin/echo", "it runs"]);
    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway of this test is no local server"
    )]
    let output = std::process::Command::new(&host)
        .args(nested)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text, "", "{errors}");
    assert!(
        errors.contains("for want of: namespaces; unprivileged user namespaces are refused"),
        "{errors}"
    );
}

/// What a gateway says that is started by a script, where the script may change a mount
/// namespace of its own. `$0` is the gateway, `$1` a directory.
fn errors_of(namespaces: &[&str], script: &str, directory: &Path) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway of this test is no local server"
    )]
    let output = std::process::Command::new("unshare")
        .args(namespaces)
        .args(["/bin/sh", "-c", script])
        .arg(host())
        .arg(directory)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// Each lacks something else, and says what.
#[test]
fn what_is_missing_is_named_with_a_remedy() {
    if !rustix::process::geteuid().is_root() {
        // It takes root to lack some of it.
        return;
    }
    let directory = directory();
    let path = directory.path().display().to_string();
    for (namespaces, script, expected) in [
        // What is granted is shown as the server's own, which not every file system can do.
        (
            &["--mount"][..],
            "mount -t ramfs none \"$1\" && exec \"$0\" --tier full --read \"$1\" /bin/true",
            [path.as_str(), "no idmapped mounts"],
        ),
        // As in a container that hides parts of `/proc`.
        (
            &["--mount"],
            "mount -t tmpfs none /proc/sys && exec \"$0\" --tier full /bin/true",
            ["process list of its own", "masked"],
        ),
        // As in a container whose root is somebody else outside.
        (
            &["--user", "--map-root-user"],
            "exec \"$0\" --tier full /bin/true",
            ["user id of its own", "the gateway's container"],
        ),
    ] {
        let errors = errors_of(namespaces, script, directory.path());
        for part in expected {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_says_why() {
    let directory = directory();
    let path = directory.path().join("server");
    std::fs::write(&path, "#!/nowhere/interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
    let mut command = sh("");
    command.program = path.display().to_string();
    let confinement = Confinement::default();
    match bounded(sandbox().spawn_confined(&command, &confinement)).await {
        Err(SpawnError::Exec { source, .. }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_servers_do_not_meet() {
    bounded(async {
        let confinement = Confinement {
            network: Network::Guarded,
            local_sockets: true,
            ..Confinement::default()
        };
        let script = "echo own >/tmp/file; echo own >~/file; echo $$; read line";
        let sandbox = sandbox();
        let mut first = sandbox
            .spawn_confined(&sh(script), &confinement)
            .await
            .unwrap();
        let pid = read_line(first.stdout.as_mut().unwrap()).await;
        assert_eq!(pid, "2", "its own list of processes");
        let script = "ls -A /tmp ~; for p in /proc/[0-9]*; do read n <$p/comm && echo $n; done";
        let (text, ..) = output(&sh(script), &confinement).await;
        assert_eq!(text, "/home/portcullis:\n\n/tmp:\nhost\nsh\n");
        first.terminate(Duration::from_secs(30)).await;
    })
    .await;
}
