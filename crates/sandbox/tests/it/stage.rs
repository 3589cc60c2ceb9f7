//! What the hostile server is set before.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// A user who owns nothing.
pub(crate) const NOBODY: u32 = 65534;

/// Attempts that need not succeed without a sandbox: what they look for is never handed on, is not
/// built into every kernel, or is refused to root itself in a container.
pub(crate) const UNSURE: &[&str] = &[
    "acct",
    "add-key",
    "delete-module",
    "disk",
    "environment",
    "finit-module",
    "host-network-address",
    "i386-interface",
    "inherited-descriptors",
    "init-module",
    "io-uring",
    "io-uring-enter",
    "io-uring-register",
    "ioperm",
    "iopl",
    "kernel-trigger",
    "kexec",
    "kexec-file",
    "keyctl",
    "loopback-ipv6",
    "machine-memory",
    "out-of-memory-shield",
    "parent-environment",
    "process-1-memory",
    "process-1-program",
    "process-1-root",
    "raise-capabilities",
    "raise-core",
    "raise-files",
    "request-key",
    "socket-alg",
    "socket-bluetooth",
    "socket-can",
    "socket-kcm",
    "socket-ping",
    "socket-rds",
    "socket-sctp",
    "socket-sctp-plain",
    "socket-tipc",
    "socket-vsock",
    "socket-xdp",
    "trace-process-1",
    "x32-interface",
];

/// Attempts that would leave the machine if they succeeded: not made without a sandbox.
pub(crate) const ABROAD: &[&str] = &["metadata-address", "public-address", "public-resolver"];

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

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// What an attempt needs to know of it.
    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    /// Gives what a server is granted to a user without rights.
    pub(crate) fn hand_to_nobody(&self) {
        let root = self.root();
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
        open(root);
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
        // A gateway whose own directory this is keeps more in it.
        assert!(names("granted/state").contains(&"secret".to_owned()));
        for path in [
            "secret",
            "key",
            "granted/client/config.json",
            "readable/file",
        ] {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert!(
                text.starts_with("canary") || text.starts_with("# canary"),
                "{path}: {text}"
            );
        }
        for entry in std::fs::read_dir(root.join("granted")).unwrap() {
            let entry = entry.unwrap();
            let found = std::fs::symlink_metadata(entry.path()).unwrap();
            let mode = found.permissions().mode();
            assert_eq!(mode & 0o6000, 0, "{:?} is {mode:o}", entry.path());
            assert!(!found.file_type().is_char_device(), "{:?}", entry.path());
        }
    }
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

/// Lets everybody into a directory.
pub(crate) fn open(directory: &Path) {
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, open).unwrap();
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
