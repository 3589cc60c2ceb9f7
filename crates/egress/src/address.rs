//! What kind of place an IP address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges that are not for the public internet, or lead elsewhere than they seem to: the entries of
/// the IANA special-purpose address registry (RFC 6890) that are not globally reachable, multicast,
/// and the platform address of one cloud, which lies in an ordinary range.
const PRIVATE_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

/// The exceptions within `2000::/3`, the only IPv6 range given out for public use. All that
/// carries an IPv4 address inside is among them or outside of it.
const PRIVATE_V6: [([u16; 8], u32); 4] = [
    // Protocol assignments, with Teredo, ORCHID and benchmarking.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    // 6to4.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Addresses of clouds' metadata services that are not link-local.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether anyone on the internet would reach the same place at this address.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !PRIVATE_V4
            .iter()
            .any(|(net, bits)| within(address.to_bits(), u32::from_be_bytes(*net), *bits, 32)),
        IpAddr::V6(address) => {
            let bits_of = |segments: [u16; 8]| Ipv6Addr::from(segments).to_bits();
            let address = address.to_bits();
            within(address, 0x2000_u128 << 112, 3, 128)
                && !PRIVATE_V6
                    .iter()
                    .any(|(net, bits)| within(address, bits_of(*net), *bits, 128))
        }
    }
}

/// Whether this is the host itself.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether this is link-local or a cloud's metadata service, in any notation: where a machine's own
/// credentials are given to whoever asks.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => carried_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// The IPv4 address inside an IPv6 address: mapped and compatible (RFC 4291, 2.5.5), NAT64
/// (RFC 6052, 2.1, and RFC 8215), 6to4 (RFC 3056, 2), and the client's of Teredo (RFC 4380, 4).
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(join(!high, !low)),
        _ => None,
    }
}

/// Whether the first `prefix` bits of `width` are those of `net`.
fn within<T: Into<u128>>(address: T, net: T, prefix: u32, width: u32) -> bool {
    let rest = width - prefix;
    address.into() >> rest == net.into() >> rest
}

#[cfg(test)]
mod tests;
