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
        // Teredo inverts the bits of the client's address.
        "2001::5601:5601",
    ] {
        check(address, false, true);
    }
}
