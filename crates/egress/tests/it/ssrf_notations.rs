//! Every notation of an address that some parser somewhere reads.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An address in each of the special ranges of IPv4 (RFC 6890, and the registry's additions), the first and the last where they matter.
pub(crate) const SPECIAL_V4: [[u8; 4]; 28] = [
    [0, 0, 0, 0],
    [0, 255, 255, 255],
    [10, 0, 0, 1],
    [10, 255, 255, 255],
    [100, 64, 0, 1],
    [100, 100, 100, 200],
    [100, 127, 255, 255],
    [127, 0, 0, 1],
    [127, 255, 255, 254],
    [168, 63, 129, 16],
    [169, 254, 0, 1],
    [169, 254, 169, 254],
    [172, 16, 0, 1],
    [172, 31, 255, 255],
    [192, 0, 0, 1],
    [192, 0, 0, 192],
    [192, 0, 2, 1],
    [192, 88, 99, 1],
    [192, 168, 0, 1],
    [192, 168, 255, 255],
    [198, 18, 0, 1],
    [198, 19, 255, 255],
    [198, 51, 100, 1],
    [203, 0, 113, 1],
    [224, 0, 0, 1],
    [239, 255, 255, 255],
    [240, 0, 0, 1],
    [255, 255, 255, 255],
];

/// The same for IPv6.
pub(crate) const SPECIAL_V6: [&str; 24] = [
    "::",
    "::1",
    "::2",
    "64:ff9b::1",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "2600::5efe:a9fe:a9fe",
];

/// All notations of an IPv4 address, and of the IPv6 addresses that carry it.
pub(crate) fn of_v4(octets: [u8; 4]) -> Vec<String> {
    let [a, b, c, d] = octets;
    let number = u32::from_be_bytes(octets);
    let low16 = u16::from_be_bytes([c, d]);
    let low24 = number & 0x00ff_ffff;
    let (high, low) = (number >> 16, number & 0xffff);
    let (dotted, wide) = (Ipv4Addr::from(octets).to_string(), u64::from(number));
    let mut all = vec![
        dotted.clone(),
        format!("{dotted}."),
        format!("{number}"),
        format!("{number}."),
        format!("{:#x}", number),
        format!("0X{:X}", number),
        format!("0x{:016x}", number),
        format!("0{:o}", number),
        format!("{:#x}.{:#x}.{:#x}.{:#x}", a, b, c, d),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.000{b:o}.000{c:o}.000{d:o}"),
        format!("0{a}.0{b}.0{c}.0{d}"),
        format!("{a:#x}.{b}.0{c:o}.{d}"),
        format!("{a}.0{b:o}.{low16:#x}"),
        format!("{a}.{b}.{low16}"),
        format!("{a}.{low24}"),
        format!("{a:#x}.{low24:#x}"),
        format!("{}", wide + (1 << 32)),
        format!("{:#x}", wide + (0x4141 << 32)),
        format!("{}.{}.{}.{}", u32::from(a) + 256, b, c, d),
        format!("{a}.{b}.{c}.{}", u32::from(d) + 256),
        format!("{dotted}.0"),
        format!(".{dotted}"),
        format!("{a}..{b}.{c}.{d}"),
        format!("+{dotted}"),
        format!("-{dotted}"),
        format!("[{dotted}]"),
        dotted.replace('.', "\u{3002}"),
        dotted.replace('.', "\u{ff0e}"),
        dotted.replace('.', "\u{ff61}"),
        dotted.replace('.', "%2e"),
        dotted.replace('.', "%252e"),
        dotted.replace('.', ",").clone(),
        shifted(&dotted, 0xff10),
        enclosed(&dotted),
        percent(&dotted),
        format!("{dotted}\0"),
        format!("{dotted}\0.allowed.test"),
        format!("allowed.test\0{dotted}"),
        format!("{dotted}%00.allowed.test"),
        format!("{dotted}\t"),
        format!("\t{dotted}"),
        format!("{a}.\t{b}.{c}.{d}"),
        format!("{dotted}\r\n.allowed.test"),
        format!("allowed.test\r\nHost: {dotted}"),
        format!("{dotted}%0d%0a"),
        format!("{dotted} .allowed.test"),
        format!("allowed.test@{dotted}"),
        format!("allowed.test:80@{dotted}"),
        format!("{dotted}@allowed.test@{dotted}"),
        format!("allowed.test%40{dotted}"),
        format!("allowed.test\\@{dotted}"),
        format!("{dotted}\\@allowed.test"),
        format!("{dotted}\\.allowed.test"),
        format!("{dotted}#@allowed.test"),
        format!("{dotted}#.allowed.test"),
        format!("{dotted}?.allowed.test"),
        format!("{dotted};.allowed.test"),
        format!("{dotted}/.allowed.test"),
        format!("{}\u{ad}{}.{}.{}.{}", a, "", b, c, d),
        format!("{dotted}\u{200b}"),
        // Names, which all lead there.
        format!("{dotted}.nip.allowed.test"),
        format!("{}.nip.allowed.test", dotted.replace('.', "-")),
        format!("{number:08x}.allowed.test"),
        format!("[::ffff:{dotted}]"),
        format!("[::FFFF:{dotted}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{high:04x}:{low:04x}]"),
        format!("[0000:0000:0000:0000:0000:ffff:{high:04x}:{low:04x}]"),
        format!("[::ffff:0:{dotted}]"),
        format!("[::{dotted}]"),
        format!("[::{high:x}:{low:x}]"),
        format!("[64:ff9b::{dotted}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001::{:x}:{:x}]", high ^ 0xffff, low ^ 0xffff),
        format!("[2600::5efe:{high:x}:{low:x}]"),
        format!("[2600::200:5efe:{high:x}:{low:x}]"),
        format!("[::ffff:{dotted}%25lo]"),
        format!("[::ffff:{dotted}%lo]"),
        format!("[::ffff:{dotted}"),
        format!("::ffff:{dotted}"),
    ];
    all.dedup();
    all
}

/// All notations of an IPv6 address.
pub(crate) fn of_v6(address: &str) -> Vec<String> {
    let address: Ipv6Addr = address.parse().unwrap();
    let full = address.segments().map(|it| format!("{it:04x}")).join(":");
    let long = address.segments().map(|it| format!("{it:x}")).join(":");
    vec![
        format!("[{address}]"),
        format!("[{full}]"),
        format!("[{}]", full.to_uppercase()),
        format!("[{long}]"),
        format!("[{address}%25lo]"),
        format!("[{address}%lo]"),
        format!("[{address}%2525lo]"),
        format!("[{address}]."),
        format!("{address}"),
        format!("[{address}"),
        format!("[[{address}]]"),
        format!("allowed.test@[{address}]"),
        format!("[{address}].allowed.test"),
        format!("{}.ipv6-literal.allowed.test", long.replace(':', "-")),
    ]
}

/// The digits of `text`, counted from this character on.
fn shifted(text: &str, zero: u32) -> String {
    let digit = |c: char| c.to_digit(10).and_then(|it| char::from_u32(zero + it));
    text.chars().map(|c| digit(c).unwrap_or(c)).collect()
}

fn enclosed(text: &str) -> String {
    let one = |c: char| match c.to_digit(10) {
        Some(0) => '\u{24ea}',
        Some(digit) => char::from_u32(0x2460 + digit - 1).unwrap(),
        None => c,
    };
    text.chars().map(one).collect()
}

fn percent(text: &str) -> String {
    let escaped: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    escaped.concat()
}
