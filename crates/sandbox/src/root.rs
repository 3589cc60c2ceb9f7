//! The file system that a payload sees: empty but for what is put into it here.
//!
//! Everything is done by file descriptors, and every mount point is made before anything of the
//! host is attached, so that no symbolic link of the host or of another server leads elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::identity::OwnerMaps;
use crate::layout::{Access, Bind, HOME};
use crate::mounts::{clone_tree, place_at, place_on, tmpfs};
use crate::plan::Jail;
use crate::report::{Feature, Refusal};
use crate::runtime_paths::SYSTEM;
use crate::{kernel, mounts};

/// Files and directories of `/etc` that programs read and that hold no secrets.
const ETC: [&str; 14] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gai.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki",
    "protocols",
    "services",
    "ssl",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];
/// Where the empty file is that covers hidden ones.
const EMPTY: &str = ".empty";
/// What the bare tree may take up: mount points and a few small files.
const ROOT_BYTES: u64 = 4 << 20;

/// Trees of the host, cut loose to be attached elsewhere.
pub(crate) type Trees = Vec<(Bind, OwnedFd)>;

/// Cuts loose what the layout of `jail` binds. With `maps`, its owners are shown as the jail's
/// user; the caller is root then, outside any namespace.
pub(crate) fn cut(jail: &Jail, mut maps: Option<&mut OwnerMaps>) -> Result<Trees, Refusal> {
    let one = |bind: &Bind| cut_one(jail, bind, maps.as_deref_mut());
    let trees: Result<Trees, Refusal> = jail.layout.binds.iter().map(one).collect();
    trees
}

fn cut_one(
    jail: &Jail,
    bind: &Bind,
    maps: Option<&mut OwnerMaps>,
) -> Result<(Bind, OwnedFd), Refusal> {
    let refuse = |feature| {
        let path = bind.path.display().to_string();
        move |error: io::Error| Refusal::new(feature, &error, path)
    };
    // It was free of links when the gateway looked, and must be so still.
    let place = openat2(
        CWD,
        &bind.path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|error| refuse(Feature::Files)(error.into()))?;
    let tree = clone_tree(place.as_fd(), "").map_err(refuse(Feature::Files))?;
    let mut attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if bind.access != Access::Write {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    if let Some(maps) = maps {
        let owner =
            rustix::fs::fstat(&place).map_err(|error| refuse(Feature::Files)(error.into()))?;
        let mapped = maps
            .get(owner.st_uid, owner.st_gid, jail.uid)
            .and_then(|map| kernel::set_mount(tree.as_fd(), 0, true, Some(map)));
        // What a program needs is mostly everybody's to read anyway.
        if bind.access != Access::Runtime {
            mapped.map_err(refuse(Feature::Identity))?;
        }
    }
    kernel::set_mount(tree.as_fd(), attributes, true, None).map_err(refuse(Feature::Files))?;
    Ok((bind.clone(), tree))
}

/// Makes the new root and moves this process into it. The caller is the first process of its
/// namespaces, with all capabilities in them.
pub(crate) fn enter(jail: &Jail, trees: Option<Trees>) -> Result<(), Refusal> {
    let step = |subject: &'static str| {
        move |error: io::Error| Refusal::new(Feature::Files, &error, subject)
    };
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .map_err(|error| step("private mounts")(error.into()))?;
    let trees = match trees {
        Some(trees) => trees,
        None => cut(jail, None)?,
    };
    let root = Root::new().map_err(step("new root"))?;
    root.fill(jail).map_err(step("system directories"))?;
    root.mount_proc()
        .map_err(|error| Refusal::new(Feature::Processes, &error, "/proc"))?;
    root.attach(jail, &trees)?;
    root.pivot().map_err(step("pivot"))
}

struct Root(OwnedFd);

impl Root {
    fn new() -> io::Result<Self> {
        let root = tmpfs(ROOT_BYTES, "0755")?;
        // On top of the old one, which stays what `/` means until the pivot.
        place_at(root.as_fd(), CWD, "/")?;
        Ok(Self(root))
    }

    fn fill(&self, jail: &Jail) -> io::Result<()> {
        let read_only = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        for path in SYSTEM {
            self.show(Path::new(path), read_only)?;
        }
        self.directory("etc")?;
        for name in ETC {
            self.show(&Path::new("/etc").join(name), read_only)?;
        }
        self.fill_etc()?;
        self.directory("dev")?;
        let device = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
        for name in DEVICES {
            self.show(&Path::new("/dev").join(name), device)?;
        }
        for (at, target) in DEVICE_LINKS {
            rustix::fs::symlinkat(target, &self.0, at)?;
        }
        self.directory("proc")?;
        self.file(EMPTY, "")?;
        let bytes = jail.limits.scratch_bytes;
        for (at, mode) in [("tmp", "1777"), (HOME, "0700"), ("dev/shm", "1777")] {
            let at = self.point(Path::new(at), true, &[])?;
            place_on(tmpfs(bytes, mode)?.as_fd(), at.as_fd())?;
        }
        Ok(())
    }

    /// Shows a system's path as it is in the host: links as links, and nothing where nothing is.
    fn show(&self, path: &Path, attributes: u64) -> io::Result<()> {
        let kind = match rustix::fs::lstat(path) {
            Ok(found) => FileType::from_raw_mode(found.st_mode),
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if kind.is_symlink() {
            let target = std::fs::read_link(path)?;
            rustix::fs::symlinkat(&target, &self.0, relative(path))?;
            return Ok(());
        }
        let tree = clone_tree(CWD, path)?;
        kernel::set_mount(tree.as_fd(), attributes, true, None)?;
        let at = self.point(path, kind.is_dir(), &[])?;
        place_on(tree.as_fd(), at.as_fd())
    }

    fn fill_etc(&self) -> io::Result<()> {
        let user = rustix::process::getuid().as_raw();
        let group = rustix::process::getgid().as_raw();
        self.file(
            "etc/passwd",
            &format!(
                "root:x:0:0::/:/usr/sbin/nologin\n\
                 portcullis:x:{user}:{group}::{HOME}:/bin/sh\n\
                 nobody:x:65534:65534::/:/usr/sbin/nologin\n"
            ),
        )?;
        self.file(
            "etc/group",
            &format!("root:x:0:\nportcullis:x:{group}:\nnogroup:x:65534:\n"),
        )?;
        self.file("etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n")?;
        self.file("etc/hostname", "sandbox\n")?;
        self.file("etc/resolv.conf", "nameserver 127.0.0.1\n")?;
        self.file(
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        )?;
        let timezone = std::fs::read_to_string("/etc/timezone").unwrap_or_default();
        if !timezone.is_empty() {
            self.file("etc/timezone", &timezone)?;
        }
        Ok(())
    }

    fn mount_proc(&self) -> io::Result<()> {
        let proc = mounts::proc()?;
        place_at(proc.as_fd(), self.0.as_fd(), "proc")
    }

    fn attach(&self, jail: &Jail, trees: &Trees) -> Result<(), Refusal> {
        let layout = &jail.layout;
        let refuse = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| Refusal::new(Feature::Files, &error, path)
        };
        // Mount points and links first, all of them in our own empty tree.
        let mut attached: Vec<PathBuf> = Vec::new();
        for (bind, tree) in trees {
            if attached.iter().any(|above| bind.path.starts_with(above)) {
                continue;
            }
            self.point(&bind.path, is_directory(tree.as_fd()), &[])
                .map_err(refuse(&bind.path))?;
            attached.push(bind.path.clone());
        }
        for (at, target) in &layout.links {
            let at = Path::new(at);
            if !attached.iter().any(|above| at.starts_with(above)) {
                self.link(at, target).map_err(refuse(at))?;
            }
        }
        for (bind, tree) in trees {
            self.point(&bind.path, is_directory(tree.as_fd()), &attached)
                .and_then(|at| place_on(tree.as_fd(), at.as_fd()))
                .map_err(refuse(&bind.path))?;
        }
        for pin in &layout.pins {
            self.pin(pin).map_err(refuse(pin))?;
        }
        for cover in &layout.covers {
            self.cover(cover).map_err(refuse(cover))?;
        }
        Ok(())
    }

    fn pin(&self, path: &Path) -> io::Result<()> {
        let at = self.find(path)?;
        let tree = clone_tree(at.as_fd(), "")?;
        place_on(tree.as_fd(), at.as_fd())
    }

    fn cover(&self, path: &Path) -> io::Result<()> {
        let at = self.find(path)?;
        let cover = if is_directory(at.as_fd()) {
            tmpfs(ROOT_BYTES, "0000")?
        } else {
            clone_tree(self.0.as_fd(), EMPTY)?
        };
        let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        kernel::set_mount(cover.as_fd(), attributes, false, None)?;
        place_on(cover.as_fd(), at.as_fd())
    }

    fn pivot(&self) -> io::Result<()> {
        let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        kernel::set_mount(self.0.as_fd(), attributes, false, None)?;
        rustix::process::fchdir(&self.0)?;
        // The old root ends up on top of the new one, and goes.
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        Ok(())
    }

    /// An existing place, reached without following any link: an absolute one would lead into the
    /// host.
    fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = relative(path);
        let here = path.as_os_str().is_empty();
        let found = openat2(
            &self.0,
            if here { Path::new(".") } else { path },
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )?;
        Ok(found)
    }

    /// The directory that `path` is in, and its name there.
    fn split<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// A place to mount at, made with all above it unless it is below one of `attached`.
    fn point(&self, path: &Path, is_directory: bool, attached: &[PathBuf]) -> io::Result<OwnedFd> {
        let is_ours = !attached.iter().any(|above| path.starts_with(above));
        if is_ours && let Some(parent) = path.parent() {
            self.directories(parent)?;
            if is_directory {
                self.directories(path)?;
            } else {
                self.empty_file(path)?;
            }
        }
        self.find(path)
    }

    fn directories(&self, path: &Path) -> io::Result<()> {
        let mut above = PathBuf::new();
        for component in relative(path).components() {
            above.push(component);
            self.directory(&above)?;
        }
        Ok(())
    }

    fn directory(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.split(path.as_ref())?;
        match rustix::fs::mkdirat(&parent, name, Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn empty_file(&self, path: &Path) -> io::Result<()> {
        match self.new_file(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    fn file(&self, path: &str, text: &str) -> io::Result<()> {
        let file = self.new_file(Path::new(path))?;
        io::Write::write_all(&mut std::fs::File::from(file), text.as_bytes())
    }

    fn new_file(&self, path: &Path) -> io::Result<OwnedFd> {
        let (parent, name) = self.split(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&parent, name, flags, Mode::from(0o444))?)
    }

    /// Makes a link, unless something is shown there already, or the way there is a link itself:
    /// then that is what the program will find.
    fn link(&self, at: &Path, target: &OsStr) -> io::Result<()> {
        let made = || {
            self.directories(at.parent().unwrap_or(Path::new("")))?;
            let (parent, name) = self.split(at)?;
            io::Result::Ok(rustix::fs::symlinkat(target, &parent, name)?)
        };
        match made() {
            Err(error)
                if [Some(libc::EEXIST), Some(libc::ELOOP)].contains(&error.raw_os_error()) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

fn is_directory(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir())
}

fn relative(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let rest = bytes.strip_prefix(b"/").unwrap_or(bytes);
    Path::new(OsStr::from_bytes(rest))
}
