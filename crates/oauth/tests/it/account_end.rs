//! What ends with an account, when an administrator disables or removes it from another process.

use portcullis_oauth::account::{self, AccountName, Invitation};
use portcullis_oauth::api_key::{self, NewKey};
use portcullis_oauth::verifier::{Config, Reason};
use portcullis_store::{Consent, ServerTokenKey, Settings, Store};

use crate::verifier_support::{Fixture, NOW};

async fn invite(store: &Store, name: &AccountName) {
    let invitation = Invitation {
        name: name.clone(),
        display: "Ada".to_owned(),
        groups: Vec::new(),
        is_admin: false,
    };
    account::invite(store, &invitation, NOW).await.unwrap();
}

fn key_of(subject: &str) -> NewKey<'_> {
    NewKey {
        name: "ci",
        subject,
        scopes: None,
        resources: None,
        ttl_ms: api_key::TTL_MS,
    }
}

fn theirs(fixture: &Fixture) -> Store {
    Store::open_beside(&fixture.folder.path().join("db"), Settings::default()).unwrap()
}

#[tokio::test]
async fn the_api_keys_of_an_account_end_with_it() {
    let fixture = Fixture::new(&Config::default());
    let admin = theirs(&fixture);
    for (name, removes) in [("ada", false), ("bob", true)] {
        let name: AccountName = name.parse().unwrap();
        invite(&admin, &name).await;
        let key = api_key::mint(&admin, key_of(name.as_str()), NOW).await;
        let key = key.unwrap().key;
        let other = api_key::mint(&admin, key_of("eve"), NOW).await.unwrap().key;
        assert!(fixture.bearer(&key).await.is_ok());
        if removes {
            account::remove(&admin, &name, NOW).await.unwrap();
        } else {
            account::disable(&admin, &name, NOW).await.unwrap();
        }
        let found = fixture.bearer(&key).await;
        assert_eq!(found.map(drop), Err(Reason::Revoked));
        assert!(fixture.bearer(&other).await.is_ok());
    }
}

#[tokio::test]
async fn an_account_made_anew_inherits_nothing() {
    let fixture = Fixture::new(&Config::default());
    let admin = theirs(&fixture);
    let ada: AccountName = "ada".parse().unwrap();
    invite(&admin, &ada).await;
    let key = ServerTokenKey {
        principal: "ada".to_owned(),
        server: "files".to_owned(),
        issuer: "https://as.example".to_owned(),
        resource: "https://files.example/mcp".to_owned(),
    };
    let tokens = admin.server_tokens();
    tokens.put(key, vec![1], NOW).await.unwrap();
    let consent = Consent {
        account: "ada".to_owned(),
        client: "c".to_owned(),
        redirect_host: "https://c.example".to_owned(),
        resource: "https://gw.example/mcp".to_owned(),
        scopes: "tools:read".to_owned(),
        granted_ms: NOW,
        expires_ms: NOW + 1000,
    };
    admin.consents().remember(consent).await.unwrap();
    account::remove(&admin, &ada, NOW).await.unwrap();
    invite(&admin, &ada).await;
    let servers = admin.server_tokens().servers("ada".to_owned()).await;
    assert_eq!(servers.unwrap(), []);
    let withdrawn = admin.consents().withdraw("ada".to_owned(), None).await;
    assert_eq!(withdrawn.unwrap(), 0);
}
