//! The digest of a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::{TreeError, digest, stamp};

fn made() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    fs::write(root.path().join("a/one"), "1").unwrap();
    fs::write(root.path().join("two"), "2").unwrap();
    symlink("two", root.path().join("link")).unwrap();
    root
}

#[test]
fn equal_trees_have_equal_digests() {
    let (one, other) = (made(), made());
    let digests = [&one, &other].map(|root| digest(root.path(), b"x").unwrap());
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0].len(), 64);
    assert_ne!(digest(one.path(), b"y").unwrap(), digests[0]);
}

#[test]
fn every_change_changes_the_digest_and_the_stamp() {
    type Case = (&'static str, fn(&Path));
    let changes: [Case; 8] = [
        ("content", |root| {
            fs::write(root.join("a/one"), "3").unwrap();
        }),
        ("longer", |root| fs::write(root.join("two"), "22").unwrap()),
        ("new", |root| fs::write(root.join("new"), "").unwrap()),
        ("gone", |root| fs::remove_file(root.join("two")).unwrap()),
        ("moved", |root| {
            fs::rename(root.join("two"), root.join("three")).unwrap();
        }),
        ("mode", |root| {
            fs::set_permissions(root.join("two"), fs::Permissions::from_mode(0o700)).unwrap();
        }),
        ("directory", |root| {
            fs::remove_dir(root.join("empty")).unwrap();
        }),
        ("target", |root| {
            fs::remove_file(root.join("link")).unwrap();
            symlink("a/one", root.join("link")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let root = made();
        let before = (
            digest(root.path(), b"").unwrap(),
            stamp(root.path()).unwrap(),
        );
        change(root.path());
        assert_ne!(digest(root.path(), b"").unwrap(), before.0, "{what}");
        assert_ne!(stamp(root.path()).unwrap(), before.1, "{what}");
    }
}

#[test]
fn a_time_that_was_set_back_still_changes_the_stamp() {
    let root = made();
    let path = root.path().join("two");
    let before = stamp(root.path()).unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "3").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_ne!(stamp(root.path()).unwrap(), before);
}

#[test]
fn what_is_no_file_is_refused() {
    let root = made();
    let socket = root.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(digest(root.path(), b""), Err(TreeError::Kind { path }) if path == socket));
}
