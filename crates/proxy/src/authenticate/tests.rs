use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn authenticator() -> Authenticator {
    let clients = BTreeMap::from([(
        "alice".to_owned(),
        Client {
            token: TOKEN.to_owned(),
        },
    )]);
    Authenticator::build(&clients).unwrap()
}

#[track_caller]
fn check(fields: &[&str], expected: Result<&str, Unauthenticated>) {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(AUTHORIZATION, field.parse().unwrap());
    }
    let principal = authenticator().authenticate(&headers);
    assert_eq!(
        principal.as_ref().map(|p| &*p.name),
        expected.as_ref().copied(),
        "{fields:?}"
    );
}

#[test]
fn only_the_exact_token_enters() {
    check(&[&format!("Bearer {TOKEN}")], Ok("alice"));
    check(&[&format!("bearer {TOKEN}")], Ok("alice"));
    check(&[], Err(Unauthenticated::Missing));
    check(&["Bearer"], Err(Unauthenticated::Invalid));
    check(&["Bearer x"], Err(Unauthenticated::Invalid));
    check(&[&format!("Basic {TOKEN}")], Err(Unauthenticated::Invalid));
    check(
        &[&format!("Bearer {TOKEN}0")],
        Err(Unauthenticated::Invalid),
    );
    check(
        &[&format!("Bearer {TOKEN}"), "Bearer x"],
        Err(Unauthenticated::Invalid),
    );
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
        Authenticator::build(&short).unwrap_err(),
        InvalidClient::ShortToken("a".into())
    );
    let client = || Client {
        token: TOKEN.to_owned(),
    };
    let same = BTreeMap::from([("a".to_owned(), client()), ("b".to_owned(), client())]);
    assert!(matches!(
        Authenticator::build(&same),
        Err(InvalidClient::SameToken(..))
    ));
}
