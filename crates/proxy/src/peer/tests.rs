use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::{Peer, owner_in};

#[track_caller]
fn check(line: &str, expected: Option<u32>) {
    let address: SocketAddr = "127.0.0.1:43210".parse().unwrap();
    let local: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    assert_eq!(owner_in(line, address, local), expected);
}

#[test]
#[cfg(target_endian = "little")]
fn only_the_line_of_the_connection_tells_its_owner() {
    let rest = "00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1";
    check(
        &format!("  1: 0100007F:A8CA 0100007F:1F90 01 {rest}"),
        Some(1000),
    );
    let mapped = "0000000000000000FFFF00000100007F";
    check(
        &format!("  1: {mapped}:A8CA {mapped}:1F90 01 {rest}"),
        Some(1000),
    );
    // Our own end of it, another connection, one that has ended, and the heading.
    check(&format!("  1: 0100007F:1F90 0100007F:A8CA 01 {rest}"), None);
    check(&format!("  1: 0100007F:A8CB 0100007F:1F90 01 {rest}"), None);
    check(&format!("  1: 0100007F:A8CA 0100007F:1F90 06 {rest}"), None);
    check(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when",
        None,
    );
    check("", None);
}

#[tokio::test]
async fn a_process_of_our_own_is_known() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address).await else {
            continue;
        };
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).await.unwrap();
        let (_accepted, address) = listener.accept().await.unwrap();
        assert!(Peer::new(address, local, None).is_same_user().await);
        drop(client);
        let elsewhere = "192.0.2.1:443".parse().unwrap();
        assert!(!Peer::new(elsewhere, local, None).is_same_user().await);
    }
}
