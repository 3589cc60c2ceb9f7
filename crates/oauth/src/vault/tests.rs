use super::{Unsealable, Vault, VaultError};

#[test]
fn what_is_sealed_opens_for_its_purpose_alone() {
    let vault = Vault::new(&[7; 32]).unwrap();
    let sealed = vault.seal("token:ada", b"secret").unwrap();
    assert_ne!(sealed, vault.seal("token:ada", b"secret").unwrap());
    assert_eq!(
        vault.unseal("token:ada", &sealed).unwrap().as_slice(),
        b"secret"
    );
    assert_eq!(vault.unseal("token:eve", &sealed), Err(Unsealable));
    assert_eq!(
        Vault::new(&[8; 32]).unwrap().unseal("token:ada", &sealed),
        Err(Unsealable)
    );
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(vault.unseal("token:ada", &changed), Err(Unsealable), "{at}");
        assert_eq!(
            vault.unseal("token:ada", &sealed[..at]),
            Err(Unsealable),
            "{at}"
        );
    }
}

#[test]
fn the_key_is_kept_in_a_private_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let sealed = Vault::open(&path).unwrap().seal("p", b"x").unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        Vault::open(&path)
            .unwrap()
            .unseal("p", &sealed)
            .unwrap()
            .as_slice(),
        b"x"
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Vault::open(&path), Err(VaultError::Exposed(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, b"short").unwrap();
    assert!(matches!(Vault::open(&path), Err(VaultError::Size(_))));
}
