//! Exact decimal numbers with DynamoDB's limits, kept as text and never as a float.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Maximum number of significant digits.
const DIGITS_MAX: usize = 38;
/// The exponent of the first significant digit, `d.ddd * 10^e`: from 1E-130 to 9.9..E+125.
const EXPONENT: std::ops::RangeInclusive<i64> = -130..=125;

/// A number of at most 38 significant digits; 0, or of a magnitude between 1E-130 and 9.99E+125. See
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.
///
/// It has exactly one text: without exponent, plus sign or redundant zeros. Like DynamoDB, it does not
/// preserve trailing zeros: `1.00` and `1e0` are `1`, `-0` is `0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(String);

/// Why a text is not a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It does not look like a number.
    #[error("not a decimal number: write it like -12.5 or 1e3")]
    Malformed,
    /// More than 38 significant digits.
    #[error("a number of {0} significant digits: 38 is the most")]
    Digits(usize),
    /// Its magnitude exceeds 9.99E+125.
    #[error("a number beyond 9.99E+125, the largest there can be")]
    TooLarge,
    /// It is closer to zero than 1E-130.
    #[error("a number nearer to zero than 1E-130, the smallest there can be")]
    TooSmall,
}

impl Number {
    /// Its text: optionally `-`, digits, and if it is not an integer a point and more digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is negative, the digits before the point (never empty), and the digits after it (empty for
    /// an integer).
    pub fn parts(&self) -> (bool, &str, &str) {
        let (negative, size) = self.0.strip_prefix('-').map_or((false, self.0.as_str()), |size| (true, size));
        let (whole, fraction) = size.split_once('.').unwrap_or((size, ""));
        (negative, whole, fraction)
    }

    /// Orders by magnitude: the texts have no redundant zeros.
    fn size(&self) -> (usize, &str, &str) {
        let (_, whole, fraction) = self.parts();
        (whole.len(), whole, fraction)
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let size = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = size.split_once('.').unwrap_or((size, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::Malformed);
        }
        let from_first = all.trim_start_matches('0');
        let digits = from_first.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self("0".to_owned()));
        }
        if digits.len() > DIGITS_MAX {
            return Err(NumberError::Digits(digits.len()));
        }
        // The position of the point, counted from the first significant digit: 1 for d.ddd.
        let zeros = (all.len() - from_first.len()) as i64;
        let point = (whole.len() as i64 - zeros).saturating_add(exponent);
        if point - 1 > *EXPONENT.end() {
            return Err(NumberError::TooLarge);
        }
        if point.saturating_sub(1) < *EXPONENT.start() {
            return Err(NumberError::TooSmall);
        }
        let sign = if negative { "-" } else { "" };
        Ok(Self(match usize::try_from(point) {
            Ok(point) if point >= digits.len() => format!("{sign}{digits:0<point$}"),
            Ok(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
            _ => format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        }))
    }
}

/// Far beyond [`EXPONENT`] all exponents are equivalent.
fn exponent(text: &str) -> Result<i64, NumberError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::Malformed);
    }
    let size = digits.parse().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Ok(if text.starts_with('-') { -size } else { size })
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.parts().0, other.parts().0) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.size().cmp(&other.size()),
            (true, true) => other.size().cmp(&self.size()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i64> for Number {
    fn from(whole: i64) -> Self {
        Self(whole.to_string())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
