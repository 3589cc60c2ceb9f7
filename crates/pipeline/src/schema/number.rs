//! Numbers as decimal digits, compared exactly.

use std::cmp::Ordering;

use smallvec::SmallVec;

/// How many digits `multipleOf` writes out at most. A finite double has at most 309 before its point,
/// and at most 324 zeros after it.
const DIGITS_MAX: usize = 2048;

/// The exact value of a JSON number: `0.d1d2d3… × 10^point`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    negative: bool,
    // INVARIANT: digits 0 to 9, neither the first nor the last is 0; empty for zero, which is not
    // negative and has the point 0. `parse` upholds it, so that equal values are equal fields.
    digits: SmallVec<[u8; 24]>,
    point: i64,
}

impl Decimal {
    /// Reads the grammar of RFC 8259, section 6.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (text, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let all_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let shape = all_digits(whole)
            && (whole.len() == 1 || !whole.starts_with('0'))
            && fraction.is_none_or(all_digits);
        if !shape {
            return None;
        }
        let exponent = match exponent {
            None => 0,
            Some(text) => {
                let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
                if !all_digits(digits) {
                    return None;
                }
                // Far beyond any finite double either way: the scan refuses what is too large.
                text.strip_prefix('+')
                    .unwrap_or(text)
                    .parse::<i32>()
                    .map_or(
                        if text.starts_with('-') {
                            i64::from(i32::MIN)
                        } else {
                            i64::from(i32::MAX)
                        },
                        i64::from,
                    )
            }
        };
        let mut digits: SmallVec<[u8; 24]> = whole
            .bytes()
            .chain(fraction.unwrap_or_default().bytes())
            .map(|byte| byte.wrapping_sub(b'0'))
            .collect();
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let mut point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
        if zeros > 0 {
            digits.drain(..zeros);
            point = point.saturating_sub(i64::try_from(zeros).ok()?);
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits,
                point: 0,
            });
        }
        Some(Self {
            negative,
            digits,
            point,
        })
    }

    /// Whether it has no fraction: `1.0` and `1e2` have none.
    pub(crate) fn is_integer(&self) -> bool {
        self.digits.is_empty()
            || usize::try_from(self.point).is_ok_and(|it| it >= self.digits.len())
    }

    /// Whether it is an integer that a signed or an unsigned integer of 64 bits holds.
    pub(crate) fn is_integer_64(&self) -> bool {
        if !self.is_integer() || self.point > 20 {
            return false;
        }
        let point = usize::try_from(self.point).unwrap_or(0);
        let digits = self.digits.iter().chain(std::iter::repeat(&0)).take(point);
        let size = digits.fold(0_u128, |value, digit| {
            value.saturating_mul(10).saturating_add(u128::from(*digit))
        });
        if self.negative {
            size <= 1 << 63
        } else {
            size <= u128::from(u64::MAX)
        }
    }

    /// A count, such as `minLength` has; one beyond `usize` is as large as can be.
    pub(crate) fn as_count(&self) -> Option<usize> {
        if self.negative || !self.is_integer() {
            return None;
        }
        let point = usize::try_from(self.point).unwrap_or(0).min(40);
        let digits = self.digits.iter().chain(std::iter::repeat(&0)).take(point);
        Some(digits.fold(0_usize, |value, digit| {
            value.saturating_mul(10).saturating_add(usize::from(*digit))
        }))
    }

    pub(crate) fn is_positive(&self) -> bool {
        !self.negative && !self.digits.is_empty()
    }

    /// Whether it is `factor` times an integer; `factor` is positive. Where the digits would be too
    /// many to decide, it is not.
    pub(crate) fn is_multiple_of(&self, factor: &Self) -> bool {
        if self.digits.is_empty() {
            return true;
        }
        let scale = |it: &Self| {
            it.point
                .saturating_sub(i64::try_from(it.digits.len()).unwrap_or(0))
        };
        let low = scale(self).min(scale(factor));
        let zeros =
            |it: &Self| usize::try_from(scale(it).saturating_sub(low)).unwrap_or(usize::MAX);
        let (ours, theirs) = (zeros(self), zeros(factor));
        if ours > DIGITS_MAX || theirs > DIGITS_MAX {
            return false;
        }
        let Some(divisor) = factor
            .digits
            .iter()
            .chain(std::iter::repeat_n(&0, theirs))
            .try_fold(0_u128, |value, digit| {
                value
                    .checked_mul(10)?
                    .checked_add(u128::from(*digit))
                    .filter(|it| *it < 1 << 120)
            })
        else {
            return false;
        };
        let rest = self
            .digits
            .iter()
            .chain(std::iter::repeat_n(&0, ours))
            .try_fold(0_u128, |rest, digit| {
                rest.checked_mul(10)?
                    .checked_add(u128::from(*digit))?
                    .checked_rem(divisor)
            });
        rest == Some(0)
    }

    fn compare_size(&self, other: &Self) -> Ordering {
        // Zero has no digits, so its point says nothing.
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .point
                .cmp(&other.point)
                .then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_size(other),
            (true, true) => other.compare_size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
