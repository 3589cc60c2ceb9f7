use super::*;

fn guard() -> Guard {
    let listen = Listen {
        address: SocketAddr::from(([127, 0, 0, 1], 8420)),
        hosts: vec!["gateway.example".into()],
        origins: vec!["https://app.example".into()],
        tls: None,
        ..Listen::default()
    };
    Guard::build(&listen).unwrap()
}

#[track_caller]
fn check(host: Option<&str>, origin: Option<&str>, expected: Result<(), Stray>) {
    let mut headers = HeaderMap::new();
    if let Some(host) = host {
        headers.insert(HOST, host.parse().unwrap());
    }
    if let Some(origin) = origin {
        headers.insert(ORIGIN, origin.parse().unwrap());
    }
    assert_eq!(
        guard().check(8420, &Uri::from_static("/mcp"), &headers),
        expected,
        "{host:?} {origin:?}"
    );
}

#[test]
fn own_names_pass() {
    for host in [
        "127.0.0.1:8420",
        "localhost:8420",
        "[::1]:8420",
        "LOCALHOST:8420",
        "gateway.example",
    ] {
        check(Some(host), None, Ok(()));
    }
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1",
        "http://[::1]:1",
        "https://app.example",
    ] {
        check(Some("localhost:8420"), Some(origin), Ok(()));
    }
}

#[test]
fn strange_hosts_are_turned_away() {
    for host in [
        "evil.example",
        "localhost.evil.example:8420",
        "127.0.0.1.evil.example:8420",
        "localhost:9999",
        "user@localhost:8420",
        "localhost:8420/x",
        "",
        "gateway.example.evil.example",
    ] {
        check(Some(host), None, Err(Stray::Host));
    }
    check(None, None, Err(Stray::Host));
}

#[test]
fn strange_origins_are_turned_away_even_with_a_good_host() {
    for origin in [
        "http://evil.example",
        "null",
        "https://app.example.evil.example",
        "http://app.example",
        "file://",
        "http://localhost.evil.example",
        "http://user@localhost",
        "https://app.example/x",
        "",
    ] {
        check(Some("localhost:8420"), Some(origin), Err(Stray::Origin));
    }
}

#[test]
fn two_hosts_or_two_origins_are_turned_away() {
    let mut headers = HeaderMap::new();
    headers.append(HOST, "localhost:8420".parse().unwrap());
    headers.append(HOST, "evil.example".parse().unwrap());
    assert_eq!(
        guard().check(8420, &Uri::from_static("/mcp"), &headers),
        Err(Stray::Host)
    );
    let mut headers = HeaderMap::new();
    headers.append(HOST, "localhost:8420".parse().unwrap());
    headers.append(ORIGIN, "http://localhost".parse().unwrap());
    headers.append(ORIGIN, "http://evil.example".parse().unwrap());
    assert_eq!(
        guard().check(8420, &Uri::from_static("/mcp"), &headers),
        Err(Stray::Origin)
    );
}
