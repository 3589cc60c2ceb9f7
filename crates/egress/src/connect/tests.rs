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

#[tokio::test]
async fn a_name_that_changes_its_answer_is_checked_by_each_answer_that_is_dialled() {
    let answers = ["1.1.1.1", "127.0.0.1"].map(|it| it.parse().unwrap());
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let resolver = Resolver::Function(Arc::new(move |_| {
        let turn = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        vec![answers[turn.min(1)]]
    }));
    let check = Check {
        reach: Reach::Public,
        literal: false,
        loopback_only: false,
    };
    let host = Host::Name("rebind.test".into());
    let first = Located::find(&resolver, &host, check).await.unwrap();
    let second = Located::find(&resolver, &host, check).await.unwrap_err();
    assert!(matches!(second, EgressError::Refused { .. }), "{second:?}");
    // What was found is what it was when it was checked.
    assert_eq!(first.addresses, addresses(&["1.1.1.1"]));
}

#[tokio::test]
async fn who_answers_is_checked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let located = Located {
        host: Host::Name("rebind.test".into()),
        addresses: addresses(&["127.0.0.1"]),
        check: Check {
            reach: Reach::Public,
            literal: false,
            loopback_only: false,
        },
    };
    let port = listener.local_addr().unwrap().port();
    let error = located.dial(port).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused { .. }), "{error:?}");
}
