use super::*;

fn secrets(folder: &std::path::Path) -> Secrets {
    let store = Store::open(&folder.join("db"), portcullis_store::Settings::default()).unwrap();
    Secrets::new(store, Arc::new(Vault::new(&[7; 32]).unwrap()))
}

#[track_caller]
fn check(name: &str, valid: bool) {
    assert_eq!(name.parse::<SecretName>().is_ok(), valid, "{name}");
}

#[test]
fn names_are_plain() {
    check("github", true);
    check("a.b_c-9", true);
    check("", false);
    check("A", false);
    check("a b", false);
    check("../x", false);
    check(&"a".repeat(65), false);
}

#[tokio::test]
async fn a_secret_is_sealed_and_resolved_and_replaced() {
    const CANARY: &str = "canary-5f0f0b7c";
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    let name: SecretName = "github".parse().unwrap();
    let value = Zeroizing::new(CANARY.to_owned());
    secrets.set(&name, &value, 1).await.unwrap();
    assert_eq!(secrets.resolve(&name).await.unwrap().as_str(), CANARY);
    let other = Zeroizing::new("other".to_owned());
    secrets.set(&name, &other, 2).await.unwrap();
    assert_eq!(secrets.resolve(&name).await.unwrap().as_str(), "other");
    secrets.set(&name, &value, 3).await.unwrap();
    secrets.store.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes
            .windows(CANARY.len())
            .any(|it| it == CANARY.as_bytes());
        assert!(!found);
    }
}

#[tokio::test]
async fn a_removed_secret_is_gone_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    let name: SecretName = "github".parse().unwrap();
    let value = Zeroizing::new("v".to_owned());
    secrets.set(&name, &value, 1).await.unwrap();
    secrets.resolve(&name).await.unwrap();
    assert_eq!(secrets.list().await.unwrap().len(), 1);
    assert!(secrets.remove(&name).await.unwrap());
    assert!(!secrets.remove(&name).await.unwrap());
    let error = secrets.resolve(&name).await.unwrap_err();
    assert!(matches!(error, SecretError::Missing(_)), "{error}");
}

#[tokio::test]
async fn a_value_that_would_break_a_header_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    let name: SecretName = "x".parse().unwrap();
    for value in ["", "a\r\nX-Evil: 1", "a\0"] {
        let value = Zeroizing::new(value.to_owned());
        let error = secrets.set(&name, &value, 1).await.unwrap_err();
        assert!(matches!(error, SecretError::Invalid), "{error}");
    }
}
