use notify::event::{CreateKind, DataChange, ModifyKind};

use super::*;

#[track_caller]
fn check(kind: EventKind, path: &str, expected: bool) {
    let event = Event::new(kind).add_path(PathBuf::from(path));
    assert_eq!(
        concerns(&event, &[OsString::from("portcullis.toml")]),
        expected
    );
}

const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

#[test]
fn only_changes_of_the_file_count() {
    check(WRITTEN, "/etc/portcullis.toml", true);
    check(
        EventKind::Create(CreateKind::File),
        "/etc/portcullis.toml",
        true,
    );
    check(EventKind::Create(CreateKind::Any), "/etc/..data", true);
    check(WRITTEN, "/etc/portcullis.db-wal", false);
    check(
        EventKind::Access(AccessKind::Read),
        "/etc/portcullis.toml",
        false,
    );
}

#[tokio::test]
async fn a_change_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.toml");
    std::fs::write(&path, "a").unwrap();
    let mut watch = Watch::start(std::slice::from_ref(&path)).unwrap();
    std::fs::write(&path, "b").unwrap();
    assert_eq!(watch.next().await, Cause::File);
}

#[tokio::test]
async fn a_replaced_file_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("portcullis.toml");
    std::fs::write(&path, "a").unwrap();
    let mut watch = Watch::start(std::slice::from_ref(&path)).unwrap();
    let new = directory.path().join("new");
    std::fs::write(&new, "b").unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(watch.next().await, Cause::File);
}

#[tokio::test]
async fn a_replaced_link_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for version in ["one", "two"] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("portcullis.toml"), version).unwrap();
    }
    std::os::unix::fs::symlink("one", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/portcullis.toml", at("portcullis.toml")).unwrap();
    let mut watch = Watch::start(&[at("portcullis.toml")]).unwrap();
    std::os::unix::fs::symlink("two", at("..new")).unwrap();
    std::fs::rename(at("..new"), at("..data")).unwrap();
    assert_eq!(watch.next().await, Cause::File);
}
