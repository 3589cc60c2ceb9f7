use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn authenticator() -> Authenticator {
    let clients = BTreeMap::from([(
        "alice".to_owned(),
        Client {
            token: TOKEN.to_owned(),
            groups: Vec::new(),
        },
    )]);
    Authenticator::build(&clients, WithoutCredential::Nobody, None).unwrap()
}

fn elsewhere() -> Peer {
    let address = "192.0.2.1:4711".parse().unwrap();
    Peer::new(address, "192.0.2.2:443".parse().unwrap(), None)
}

async fn check(fields: &[&str], expected: Option<&str>) {
    let mut request = http::Request::post("/mcp");
    for field in fields {
        request = request.header(AUTHORIZATION, *field);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let authenticator = authenticator();
    let peer = elsewhere();
    let entering = authenticator.authenticate(&peer, &parts, &Route::All, Timestamp(0));
    let name = entering.await.map(|entrant| entrant.principal.name);
    assert_eq!(name.ok().as_deref(), expected, "{fields:?}");
}

#[tokio::test]
async fn only_the_exact_token_enters() {
    check(&[&format!("Bearer {TOKEN}")], Some("alice")).await;
    check(&[&format!("bearer {TOKEN}")], Some("alice")).await;
    for refused in [
        vec![],
        vec!["Bearer".to_owned()],
        vec!["Bearer x".to_owned()],
        vec![format!("Basic {TOKEN}")],
        vec![format!("Bearer {TOKEN}0")],
        vec![format!("Bearer {TOKEN}"), format!("Bearer {TOKEN}")],
    ] {
        let fields: Vec<&str> = refused.iter().map(String::as_str).collect();
        check(&fields, None).await;
    }
}

#[test]
fn short_and_shared_tokens_are_refused() {
    let short = BTreeMap::from([(
        "a".to_owned(),
        Client {
            token: "short".to_owned(),
            groups: Vec::new(),
        },
    )]);
    assert_eq!(
        Authenticator::build(&short, WithoutCredential::Nobody, None).unwrap_err(),
        InvalidClient::ShortToken("a".into())
    );
    let client = || Client {
        token: TOKEN.to_owned(),
        groups: Vec::new(),
    };
    let same = BTreeMap::from([("a".to_owned(), client()), ("b".to_owned(), client())]);
    assert!(matches!(
        Authenticator::build(&same, WithoutCredential::Nobody, None),
        Err(InvalidClient::SameToken(..))
    ));
}
