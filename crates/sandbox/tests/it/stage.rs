//! What the hostile server is set before, and how it is run.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use portcullis_sandbox::{Command, Confinement, Exit, Feature, Got, Limits, Tier};

use crate::support::{self, bounded, read_to_end, sandbox};

/// A user who owns nothing.
const NOBODY: u32 = 65534;

/// What the attempts look for, alive as long as this is.
pub(crate) struct Stage {
    directory: tempfile::TempDir,
    args: Vec<String>,
    _shared: Shared,
    _tcp: [TcpListener; 2],
    _leaky: std::fs::File,
    _canary: Box<[u8]>,
}

/// Memory of the host that others may attach, by its number.
struct Shared {
    id: String,
    file: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Self {
        // Not in `/tmp`, where a confined server has something else of its own.
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = directory.path();
        for path in [
            "granted/client",
            "granted/state",
            "granted/movable",
            "readable",
        ] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [
            "secret",
            "key",
            "granted/file",
            "granted/client/config.json",
            "granted/state/secret",
            "readable/file",
        ] {
            std::fs::write(root.join(path), "canary").unwrap();
        }
        symlink(root.join("secret"), root.join("granted/out")).unwrap();
        symlink("..", root.join("granted/up")).unwrap();
        echo(UnixListener::bind(root.join("daemon.sock")).unwrap());
        echo(UnixListener::bind(root.join("granted/daemon.sock")).unwrap());
        let this = std::process::id();
        let unique = root.file_name().unwrap().to_str().unwrap();
        let name = format!("portcullis-test-{unique}");
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        echo(UnixListener::bind_addr(&address).unwrap());
        let tcp = [(); 2].map(|()| TcpListener::bind("0.0.0.0:0").unwrap());
        let port = |index: usize| tcp[index].local_addr().unwrap().port();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp_address = udp.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((_, from)) = udp.recv_from(&mut [0; 512]) {
                udp.send_to(b"echo", from).ok();
            }
        });
        let leaky = std::fs::File::open("/etc/passwd").unwrap();
        rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
        let canary: Box<[u8]> = Box::new(*b"canary");
        let shared = Shared::new(&name);
        let at = |path: &str| root.join(path).display().to_string();
        let values = [
            ("secret", at("secret")),
            ("key", at("key")),
            ("granted", at("granted")),
            ("readable", at("readable")),
            ("socket", at("daemon.sock")),
            ("abstract", name),
            ("tcp", format!("127.0.0.1:{}", port(0))),
            (
                "lan",
                lan().map_or_else(String::new, |ip| format!("{ip}:{}", port(1))),
            ),
            ("udp", udp_address.to_string()),
            ("gateway", this.to_string()),
            ("address", canary.as_ptr().addr().to_string()),
            ("variable", "CARGO_MANIFEST_DIR".to_owned()),
            ("shm", shared.id.clone()),
            ("shmfile", shared.file.display().to_string()),
        ];
        let args = values.iter().map(|(name, value)| format!("{name}={value}"));
        Self {
            args: args.collect(),
            _shared: shared,
            _tcp: tcp,
            _leaky: leaky,
            _canary: canary,
            directory,
        }
    }

    pub(crate) fn confinement(&self, tier: Tier) -> Confinement {
        let at = |path: &str| self.directory.path().join(path);
        let hidden = ["granted/client/config.json", "granted/state"];
        Confinement {
            reads: vec![at("readable")],
            writes: vec![at("granted")],
            hidden: match tier {
                Tier::Full => hidden.map(at).to_vec(),
                _ => vec![],
            },
            limits: Limits {
                memory_bytes: 256 << 20,
                processes: 64,
                open_files: 256,
                file_bytes: 32 << 20,
                cpu_seconds: Some(60),
                scratch_bytes: 16 << 20,
            },
            ..Confinement::new(tier)
        }
    }

    /// Nothing of the host has changed, and nothing was left that could change it.
    pub(crate) fn check(&self) {
        let root = self.directory.path();
        let names = |path: &str| {
            let mut names: Vec<_> = std::fs::read_dir(root.join(path))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(
            names(""),
            ["daemon.sock", "granted", "key", "readable", "secret"]
        );
        assert_eq!(names("readable"), ["file"]);
        assert_eq!(names("granted/client"), ["config.json"]);
        assert_eq!(names("granted/state"), ["secret"]);
        for path in [
            "secret",
            "key",
            "granted/client/config.json",
            "readable/file",
        ] {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert_eq!(text, "canary", "{path}");
        }
        for entry in std::fs::read_dir(root.join("granted")).unwrap() {
            let entry = entry.unwrap();
            let found = std::fs::symlink_metadata(entry.path()).unwrap();
            let mode = found.permissions().mode();
            assert_eq!(mode & 0o6000, 0, "{:?} is {mode:o}", entry.path());
            assert!(!found.file_type().is_char_device(), "{:?}", entry.path());
        }
    }

    pub(crate) fn command(&self, attempt: &str) -> Command {
        Command {
            program: support::example("hostile").display().to_string(),
            args: [attempt.to_owned()]
                .into_iter()
                .chain(self.args.iter().cloned())
                .collect(),
            ..Command::default()
        }
    }

    /// Makes every attempt but those of `except`. The answer has those that were not refused, with
    /// what they said. Whatever ends an attempt by a signal has refused it.
    pub(crate) fn reached(
        &self,
        confinement: &Confinement,
        except: &[&str],
    ) -> BTreeMap<String, String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let run = |name: &str| {
            let (exit, text) = runtime.block_on(run(&self.command(name), confinement));
            (exit.to_string(), text)
        };
        each(run, except)
    }

    /// As [`Stage::reached`], with a gateway that is run by somebody without rights.
    pub(crate) fn reached_for_nobody(
        &self,
        tier: Tier,
        except: &[&str],
    ) -> BTreeMap<String, String> {
        let root = self.directory.path();
        let own = |path: &Path| std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        own(root);
        for path in [
            "granted",
            "granted/client",
            "granted/state",
            "granted/movable",
        ] {
            own(&root.join(path));
        }
        for path in ["granted/file", "granted/client/config.json", "readable"] {
            own(&root.join(path));
        }
        // Where builds are may be closed to others.
        let programs = tempfile::tempdir_in("/var/tmp").unwrap();
        for directory in [root, programs.path()] {
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(directory, open).unwrap();
        }
        for name in ["host", "hostile"] {
            std::fs::copy(support::example(name), programs.path().join(name)).unwrap();
        }
        let at = |path: &str| root.join(path).display().to_string();
        let hostile = programs.path().join("hostile").display().to_string();
        let mut options: Vec<String> = [
            "--tier",
            tier.name(),
            "--memory",
            "268435456",
            "--processes",
            "64",
            "--files",
            "256",
            "--file-bytes",
            "33554432",
            "--scratch",
            "16777216",
        ]
        .map(str::to_owned)
        .to_vec();
        let hidden = [
            ("--hide", "granted/client/config.json"),
            ("--hide", "granted/state"),
        ];
        let granted = [("--read", "readable"), ("--write", "granted")];
        let hidden = hidden.iter().filter(|_| tier == Tier::Full);
        for (option, path) in granted.iter().chain(hidden) {
            options.extend([(*option).to_owned(), at(path)]);
        }
        let run = |name: &str| {
            #[expect(
                clippy::disallowed_methods,
                reason = "the gateway of this test is no local server"
            )]
            let output = std::process::Command::new(programs.path().join("host"))
                .args(&options)
                .args([&hostile, name])
                .args(self.args.iter().filter(|arg| !arg.starts_with("gateway=")))
                .arg("gateway=self")
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            let exit = lines.pop().unwrap().to_owned();
            (exit, lines.join("\n"))
        };
        each(run, except)
    }
}

/// Makes every attempt but those of `except`, by `run`.
fn each(
    mut run: impl FnMut(&str) -> (String, String),
    except: &[&str],
) -> BTreeMap<String, String> {
    let names = run("--list").1;
    assert!(names.lines().count() > 150, "{names}");
    let mut reached = BTreeMap::new();
    for name in names.lines().filter(|name| !except.contains(name)) {
        let (exit, text) = run(name);
        if exit != "exit code 1" && !exit.starts_with("signal") {
            reached.insert(name.to_owned(), format!("{exit}: {text}"));
        }
    }
    reached
}

impl Shared {
    fn new(name: &str) -> Self {
        let output = program("ipcmk", &["-M", "4096", "-p", "0644"]);
        let file = Path::new("/dev/shm").join(name);
        std::fs::write(&file, "canary").unwrap();
        Self {
            id: output.split_whitespace().last().unwrap().to_owned(),
            file,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        program("ipcrm", &["-m", &self.id]);
        std::fs::remove_file(&self.file).unwrap();
    }
}

/// Attempts that no limit of a single process stops, if there are no control groups here.
pub(crate) fn unlimited(tier: Tier) -> Vec<&'static str> {
    let is_root = rustix::process::geteuid().is_root();
    match (has_groups(tier), tier) {
        (true, _) => vec![],
        // The kernel counts no processes of root's.
        (false, Tier::Confined) if is_root => {
            vec!["memory-bomb-of-many", "fork-bomb", "thread-bomb"]
        }
        (false, _) => vec!["memory-bomb-of-many"],
    }
}

/// Whether control groups are to be had here.
pub(crate) fn has_groups(tier: Tier) -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let confinement = Confinement::new(tier);
    let report = runtime.block_on(sandbox().probe(&confinement)).unwrap();
    let memory = report.part(Feature::Memory).unwrap();
    matches!(memory.got, Got::Enforced(_))
}

fn program(name: &str, args: &[&str]) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool of this test is no local server"
    )]
    let output = std::process::Command::new(name)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn echo(listener: UnixListener) {
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if stream.read(&mut [0; 16]).is_ok() {
                stream.write_all(b"echo").ok();
            }
        }
    });
}

/// The machine's address in its network, if it has one. Nothing is sent.
fn lan() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

pub(crate) async fn run(command: &Command, confinement: &Confinement) -> (Exit, String) {
    bounded(async {
        let sandbox = sandbox();
        let mut child = sandbox.spawn_confined(command, confinement).await.unwrap();
        let text = read_to_end(child.stdout.take().unwrap()).await;
        (child.wait().await.unwrap(), text)
    })
    .await
}
