//! Lengths of time and moments as an administrator writes them.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A length of time in milliseconds, written as a whole number with one of `s`, `m`, `h`, `d`, `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub ms: u64,
}

/// A moment: before now by a span, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Span),
    At(u64),
}

/// A text that is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a whole number and a unit, such as `90m`, `12h` or `30d`")]
pub(crate) struct InvalidSpan;

/// A text that is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a span such as `90m` or `7d`, or a time such as `2026-01-31T12:00:00Z`")]
pub(crate) struct InvalidMoment;

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        const SECOND: u64 = 1000;
        let unit = text.chars().next_back().ok_or(InvalidSpan)?;
        let factor = match unit {
            's' => SECOND,
            'm' => 60 * SECOND,
            'h' => 3600 * SECOND,
            'd' => 24 * 3600 * SECOND,
            'w' => 7 * 24 * 3600 * SECOND,
            _ => return Err(InvalidSpan),
        };
        let digits = text.strip_suffix(unit).ok_or(InvalidSpan)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidSpan);
        }
        let number: u64 = digits.parse().map_err(|_number| InvalidSpan)?;
        let ms = number.checked_mul(factor).ok_or(InvalidSpan)?;
        Ok(Self { ms })
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_time| InvalidMoment)?;
        let ms = time.unix_timestamp_nanos().div_euclid(1_000_000);
        u64::try_from(ms)
            .map(Self::At)
            .map_err(|_before| InvalidMoment)
    }
}

impl Moment {
    /// In Unix milliseconds.
    pub(crate) fn before(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(span) => now_ms.saturating_sub(span.ms),
            Self::At(ms) => ms,
        }
    }
}

#[cfg(test)]
mod tests;
