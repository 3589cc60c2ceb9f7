use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_directory_is_made_for_its_owner_alone() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("a/b");
    let state = StateDirectory::open(&path, IfTaken::Refuse).unwrap();
    assert_eq!(state.path(), path);
    assert!(!state.is_temporary());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        path.join("lock").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn two_gateways_do_not_share_one() {
    let base = tempfile::tempdir().unwrap();
    let first = StateDirectory::open(base.path(), IfTaken::Refuse).unwrap();
    let error = StateDirectory::open(base.path(), IfTaken::Refuse).unwrap_err();
    let message = format!(
        "another gateway (process {}) uses the state directory `{}`; \
         end it, or give this one another by `--state-dir DIR`",
        std::process::id(),
        base.path().display()
    );
    assert_eq!(error.to_string(), message);
    drop(first);
    StateDirectory::open(base.path(), IfTaken::Refuse).unwrap();
}

#[test]
fn the_second_may_go_beneath_and_cleans_up() {
    let base = tempfile::tempdir().unwrap();
    let first = StateDirectory::open(base.path(), IfTaken::Beneath).unwrap();
    let second = StateDirectory::open(base.path(), IfTaken::Beneath).unwrap();
    assert!(second.is_temporary());
    let beneath = second.path().to_owned();
    assert_eq!(beneath.parent(), Some(first.path()));
    std::fs::write(beneath.join("portcullis.db"), "x").unwrap();
    drop(second);
    assert!(!beneath.exists());
    assert!(base.path().join("lock").exists());
}

#[test]
fn what_is_no_directory_is_said() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = StateDirectory::open(&file.join("x"), IfTaken::Refuse).unwrap_err();
    assert!(matches!(error, Unusable::Failed { .. }), "{error}");
}

#[test]
fn the_default_follows_the_base_directory_specification() {
    let of = |pairs: &[(&str, &str)]| {
        default_directory(&pairs.iter().copied().collect()).map_err(|e| e.to_string())
    };
    assert_eq!(
        of(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")]).unwrap(),
        Path::new("/s/portcullis")
    );
    assert_eq!(
        of(&[("HOME", "/h")]).unwrap(),
        Path::new("/h/.local/state/portcullis")
    );
    assert!(
        of(&[])
            .unwrap_err()
            .starts_with("no place for the state directory")
    );
}
