//! What kind of place an IP address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

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
/// carries an IPv4 address inside is among them or outside of it, but for ISATAP.
const PRIVATE_V6: [([u16; 8], u32); 4] = [
    // Protocol assignments, with Teredo, ORCHID and benchmarking.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    // 6to4.
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Addresses of clouds' metadata services that are not link-local.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Whether anyone on the internet would reach the same place at this address.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !PRIVATE_V4
            .iter()
            .any(|(net, bits)| within(address.to_bits(), u32::from_be_bytes(*net), *bits, 32)),
        IpAddr::V6(address) => {
            let inside = !carried_v4(address).is_empty();
            let address = address.to_bits();
            !inside
                && within(address, PUBLIC_V6, 3, 128)
                && !PRIVATE_V6
                    .iter()
                    .any(|(net, bits)| within(address, bits_of(*net), *bits, 128))
        }
    }
}

/// Whether all of `net` lies within one range that is not public.
pub(crate) fn is_special_net(net: &IpNet) -> bool {
    let prefix = u32::from(net.prefix_len());
    match net {
        IpNet::V4(net) => PRIVATE_V4.iter().any(|(range, bits)| {
            let range = u32::from_be_bytes(*range);
            *bits <= prefix && within(net.network().to_bits(), range, *bits, 32)
        }),
        IpNet::V6(net) => {
            let network = net.network().to_bits();
            let outside = prefix >= 3 && !within(network, PUBLIC_V6, 3, 128);
            outside
                || PRIVATE_V6.iter().any(|(range, bits)| {
                    *bits <= prefix && within(network, bits_of(*range), *bits, 128)
                })
        }
    }
}

/// `2000::/3`.
const PUBLIC_V6: u128 = 0x2000_u128 << 112;

fn bits_of(segments: [u16; 8]) -> u128 {
    Ipv6Addr::from(segments).to_bits()
}

/// Whether this is the host itself.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether this is link-local or a cloud's metadata service, in any notation: where a machine's own
/// credentials are given to whoever asks.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    let itself = METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
    let carried = |address| carried_v4(address).into_iter().map(IpAddr::V4);
    itself
        || match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => carried(address).any(is_metadata),
        }
}

/// The IPv4 addresses that may be meant by an IPv6 address: mapped and compatible (RFC 4291, 2.5.5),
/// NAT64 (RFC 6052, 2.2, where RFC 8215 leaves the length of the prefix open), 6to4 (RFC 3056, 2), the
/// client's of Teredo (RFC 4380, 4), and ISATAP (RFC 5214, 6.1).
fn carried_v4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0x64, 0xff9b, 1, _, _, _, high, low] => {
            let mut carried = after_prefix(address);
            carried.push(join(high, low));
            carried
        }
        [0x2001, 0, _, _, _, _, high, low] => vec![join(!high, !low)],
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => vec![join(high, low)],
        _ => Vec::new(),
    }
}

/// The IPv4 addresses after prefixes of 48, 56 and 64 bits, which leave the ninth byte out.
fn after_prefix(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bytes = address.octets().into_iter().enumerate();
    let bytes: Vec<u8> = bytes
        .filter(|(at, _)| (6..13).contains(at) && *at != 8)
        .map(|(_, byte)| byte)
        .collect();
    let four = bytes
        .windows(4)
        .filter_map(|it| <[u8; 4]>::try_from(it).ok());
    four.map(Ipv4Addr::from).collect()
}

/// Whether the first `prefix` bits of `width` are those of `net`.
fn within<T: Into<u128>>(address: T, net: T, prefix: u32, width: u32) -> bool {
    let rest = width - prefix;
    address.into() >> rest == net.into() >> rest
}

#[cfg(test)]
mod tests;
