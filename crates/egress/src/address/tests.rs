use super::*;

#[track_caller]
fn check(address: &str, public: bool, metadata: bool) {
    let address: IpAddr = address.parse().unwrap();
    assert_eq!(is_public(address), public, "{address} is public");
    assert_eq!(is_metadata(address), metadata, "{address} is metadata");
}

#[test]
fn addresses_of_the_internet_are_public() {
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2600::1",
        "2a00:1450:4001::8a",
        "::ffff:1.1.1.1",
    ] {
        check(address, true, false);
    }
}

#[test]
fn special_addresses_are_not_public() {
    for address in [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        // Compatible, mapped, NAT64, local NAT64, 6to4, Teredo: whatever they carry.
        "::7f00:1",
        "::101:101",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::101:101",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:101:101::",
        "2001::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2001:1::1",
        "2001:2::1",
        "2001:3::1",
        "2001:4:112::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "100:0:0:1::1",
        // ISATAP, in a public prefix.
        "2600::5efe:7f00:1",
        "2600::200:5efe:808:808",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "100::1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ] {
        check(address, false, false);
    }
}

#[test]
fn metadata_is_known_in_every_notation() {
    for address in [
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
        "::a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b::6464:64c8",
        "2002:a9fe:a9fe::1",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00::",
        "2600::5efe:a9fe:a9fe",
        "fd00::200:5efe:a9fe:a9fe",
        // Teredo inverts the bits of the client's address.
        "2001::5601:5601",
    ] {
        check(address, false, true);
    }
}

/// The registries of special-purpose addresses (RFC 6890), as of 2026: what they call globally reachable
/// and is so by an ordinary route is public, and nothing else of them is.
#[test]
fn the_registries_of_special_addresses_are_known() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        // With DS-Lite, the dummy address, and the anycast addresses of PCP and TURN.
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "255.255.255.255"),
        ("::", "::1"),
        ("::ffff:0:0", "::ffff:0.255.255.255"),
        ("64:ff9b::", "64:ff9b::ffff:ffff"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("100::", "100::1:ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        for address in [first, last] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
    // AS112 and AMT.
    for address in [
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "2620:4f:8000::1",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[track_caller]
fn check_net(net: &str, special: bool) {
    assert_eq!(is_special_net(&net.parse().unwrap()), special, "{net}");
}

#[test]
fn a_network_is_special_if_all_of_it_is() {
    for net in [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "127.0.0.1/32",
        "169.254.0.0/16",
        "fd00::/8",
        "fe80::/10",
        "::1/128",
        "2001:db8:1::/48",
        "4000::/3",
    ] {
        check_net(net, true);
    }
    for net in [
        "0.0.0.0/0",
        "8.0.0.0/6",
        "8.8.8.0/24",
        "172.0.0.0/8",
        "::/0",
        "::/1",
        "::/2",
        "2000::/3",
        "2600::/12",
        "2001::/16",
    ] {
        check_net(net, false);
    }
}
