use super::transaction::LASTS_MS;
use super::*;

const NOW: u64 = 1_790_000_000_000;

fn config() -> Config {
    serde_json::from_value(serde_json::json!({
        "issuer": "https://id.example/realms/main",
        "client_id": "portcullis",
        "client_secret": "hush",
        "allowed": {"everyone": true},
    }))
    .unwrap()
}

#[test]
fn only_settings_that_are_safe_are_built() {
    assert!(Provider::build("keycloak", &config()).is_ok());
    for name in ["", "Keycloak", "9a", "a/b", "a.b", "-a"] {
        assert!(matches!(
            Provider::build(name, &config()),
            Err(BuildError::Name)
        ));
    }
    for issuer in [
        "http://id.example",
        "https://id.example?x",
        "https://id.example#x",
        "https://u:p@id.example",
        "ftp://id.example",
        "id.example",
    ] {
        let config = Config {
            issuer: issuer.to_owned(),
            ..config()
        };
        assert!(matches!(
            Provider::build("a", &config),
            Err(BuildError::Issuer(_))
        ));
    }
    for algorithm in ["none", "HS256", "es256", ""] {
        let config = Config {
            algorithms: vec![algorithm.to_owned()],
            ..config()
        };
        assert!(matches!(
            Provider::build("a", &config),
            Err(BuildError::Algorithm(_))
        ));
    }
    let config = Config {
        allowed: Allowed::default(),
        ..config()
    };
    assert!(matches!(
        Provider::build("a", &config),
        Err(BuildError::Nobody)
    ));
}

#[test]
fn a_secret_is_not_shown() {
    assert!(!format!("{:?}", config()).contains("hush"));
}

#[test]
fn an_account_made_for_a_subject_says_where_it_comes_from() {
    let provider = Provider::build("okta", &config()).unwrap();
    assert_eq!(provider.account_name("1234"), "okta.1234");
    let hashed = provider.account_name("00uABC");
    assert!(hashed.starts_with("okta.") && hashed.len() == 37);
    assert_ne!(provider.account_name("00uabC"), hashed);
    assert!(hashed.parse::<account::AccountName>().is_ok());
}

#[test]
fn a_transaction_is_used_once_and_in_time() {
    let transactions = Transactions::default();
    let transaction = Transaction::new("a", "/", NOW).unwrap();
    assert!(transactions.spend(&transaction, NOW));
    assert!(!transactions.spend(&transaction, NOW));
    let late = Transaction::new("a", "/", NOW).unwrap();
    assert!(!transactions.spend(&late, NOW + LASTS_MS + 1));
    assert!(!format!("{late:?}").contains(&late.verifier));
}
