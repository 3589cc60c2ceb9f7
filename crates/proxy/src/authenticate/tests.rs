use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn authenticator() -> Authenticator {
    let clients = BTreeMap::from([(
        "alice".to_owned(),
        Client {
            token: TOKEN.to_owned(),
        },
    )]);
    Authenticator::build(&clients, WithoutCredential::Nobody).unwrap()
}

fn elsewhere() -> Peer {
    let address = "192.0.2.1:4711".parse().unwrap();
    Peer::new(address, "192.0.2.2:443".parse().unwrap(), None)
}

async fn check(fields: &[&str], expected: Result<&str, Unauthenticated>) {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(AUTHORIZATION, field.parse().unwrap());
    }
    let principal = authenticator().authenticate(&elsewhere(), &headers).await;
    assert_eq!(
        principal.as_ref().map(|p| &*p.name),
        expected.as_ref().copied(),
        "{fields:?}"
    );
}

#[tokio::test]
async fn only_the_exact_token_enters() {
    check(&[&format!("Bearer {TOKEN}")], Ok("alice")).await;
    check(&[&format!("bearer {TOKEN}")], Ok("alice")).await;
    check(&[], Err(Unauthenticated::Missing)).await;
    check(&["Bearer"], Err(Unauthenticated::Invalid)).await;
    check(&["Bearer x"], Err(Unauthenticated::Invalid)).await;
    check(&[&format!("Basic {TOKEN}")], Err(Unauthenticated::Invalid)).await;
    check(
        &[&format!("Bearer {TOKEN}0")],
        Err(Unauthenticated::Invalid),
    )
    .await;
    check(
        &[&format!("Bearer {TOKEN}"), "Bearer x"],
        Err(Unauthenticated::Invalid),
    )
    .await;
}

#[test]
fn short_and_shared_tokens_are_refused() {
    let short = BTreeMap::from([(
        "a".to_owned(),
        Client {
            token: "short".to_owned(),
        },
    )]);
    assert_eq!(
        Authenticator::build(&short, WithoutCredential::Nobody).unwrap_err(),
        InvalidClient::ShortToken("a".into())
    );
    let client = || Client {
        token: TOKEN.to_owned(),
    };
    let same = BTreeMap::from([("a".to_owned(), client()), ("b".to_owned(), client())]);
    assert!(matches!(
        Authenticator::build(&same, WithoutCredential::Nobody),
        Err(InvalidClient::SameToken(..))
    ));
}
