//! The formats that are asserted. Every other `format` says nothing (2020-12 validation, section 7).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A format that is asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    DateTime,
    Date,
    Time,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    Uuid,
}

impl Format {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" => Self::DateTime,
            "date" => Self::Date,
            "time" => Self::Time,
            "email" => Self::Email,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" => Self::Uri,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, text: &str) -> bool {
        match self {
            Self::DateTime => date_time(text),
            Self::Date => date(text),
            Self::Time => time(text),
            Self::Email => email(text),
            Self::Hostname => hostname(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => uri(text),
            Self::Uuid => uuid(text),
        }
    }
}

/// RFC 3339, section 5.6.
fn date_time(text: &str) -> bool {
    text.split_once(['T', 't'])
        .is_some_and(|(day, hour)| date(day) && time(hour))
}

fn date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn time(text: &str) -> bool {
    let Some(at) = text.find(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (clock, zone) = text.split_at(at);
    let mut zone_chars = zone.chars();
    let (ahead, zone) = match zone_chars.next() {
        Some('Z' | 'z') if zone.len() == 1 => (true, Some(0)),
        Some(sign @ ('+' | '-')) => (sign == '+', hours_minutes(zone_chars.as_str())),
        _ => return false,
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    if fraction.is_some_and(|it| it.is_empty() || !it.bytes().all(|it| it.is_ascii_digit())) {
        return false;
    }
    let Some((minutes, seconds)) = clock.rsplit_once(':') else {
        return false;
    };
    let (Some(minutes), Some(seconds), Some(zone)) =
        (hours_minutes(minutes), digits(seconds, 2), zone)
    else {
        return false;
    };
    // A leap second is the last one of a day in UTC.
    let day = 24 * 60;
    let utc = if ahead {
        minutes + day - zone
    } else {
        minutes + zone
    } % day;
    seconds < 60 || (seconds == 60 && utc == day - 1)
}

fn hours_minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let shape = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    shape.then(|| text.parse().ok()).flatten()
}

/// RFC 5321, section 4.1.2, without comments.
fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local = match local.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(quoted) => quoted_local(quoted),
        None => local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atom)),
    };
    let domain = match domain.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(literal) => match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        },
        None => hostname(domain),
    };
    local && domain && text.len() <= 320
}

fn quoted_local(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'"' => false,
            b'\\' => bytes.next().is_some_and(|it| (0x20..0x7f).contains(&it)),
            _ => (0x20..0x7f).contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// RFC 1123, section 2.1.
fn hostname(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// RFC 3986, section 3: a scheme, and no character or escape that no URI has.
fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match hierarchy.strip_prefix("//") {
        Some(rest) => match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        },
        None => ("", hierarchy),
    };
    scheme
        && self::authority(authority)
        && uri_chars(path, b"/:@")
        && uri_chars(query, b"/:@?")
        && uri_chars(fragment, b"/:@?")
}

fn authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    if !uri_chars(user, b":") {
        return false;
    }
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match host.strip_prefix('[') {
        Some(literal) => literal.split_once(']').is_some_and(|(address, rest)| {
            let address = address.parse::<Ipv6Addr>().is_ok() || address.starts_with('v');
            address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port))
        }),
        None => match host.rsplit_once(':') {
            Some((name, number)) => uri_chars(name, b"") && port(number),
            None => uri_chars(host, b""),
        },
    }
}

fn uri_chars(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|it| it.is_ascii_hexdigit())),
            _ => {
                byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=".contains(&byte)
                    || more.contains(&byte)
            }
        };
        if !fine {
            return false;
        }
    }
    true
}

/// RFC 9562, section 4.
fn uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests;
