use tokio::net::TcpListener;

use super::*;

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[track_caller]
fn check_turns(given: &[&str], expected: &[&str]) {
    assert_eq!(in_turn(&addresses(given)), addresses(expected));
}

#[test]
fn families_take_turns() {
    check_turns(&["1.1.1.1"], &["1.1.1.1"]);
    check_turns(
        &["::1", "::2", "::3", "1.1.1.1"],
        &["::1", "1.1.1.1", "::2", "::3"],
    );
    check_turns(
        &["1.1.1.1", "::1", "::2", "::3"],
        &["1.1.1.1", "::1", "::2", "::3"],
    );
    check_turns(&["1.1.1.1", "1.1.1.1", "::1"], &["1.1.1.1", "::1"]);
    assert_eq!(in_turn(&addresses(&["1.1.1.1"; 1])).len(), 1);
    let many: Vec<IpAddr> = (0..50).map(|i| IpAddr::from([1, 1, 1, i])).collect();
    assert_eq!(in_turn(&many).len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Nothing listens on the first two.
    let all = addresses(&["127.0.0.3", "127.0.0.2", "127.0.0.1"]);
    let tcp = dial(all, port).await.unwrap();
    assert_eq!(tcp.peer_addr().unwrap(), listener.local_addr().unwrap());
    assert!(tcp.nodelay().unwrap());
    let error = dial(addresses(&["127.0.0.2"]), port).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(dial(Vec::new(), port).await.is_err());
}
