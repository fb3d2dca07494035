//! Percentages as people type them, exact in parts per million.

/// Reads `0..100` with up to four decimals and an optional `%`.
pub(super) fn ppm(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || !digits(whole)
        || !digits(decimals)
        || (number.contains('.') && decimals.is_empty())
    {
        return Err(format!("{text:?} is no percentage: give 0 to 100, like 12.5"));
    }
    if decimals.len() > 4 {
        return Err(format!("{text} has more than 4 decimals: 0.0001 is the smallest share"));
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100).ok_or_else(|| over(text))?;
    let parts: u32 = format!("{decimals:0<4}").parse().map_err(|_| over(text))?;
    let ppm = whole * 10_000 + parts;
    if ppm > 1_000_000 { Err(over(text)) } else { Ok(ppm) }
}

/// Writes parts per million as a percentage, without needless zeros.
pub(super) fn text(ppm: u32) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn over(text: &str) -> String {
    format!("{text} is over 100 %: give 0 to 100")
}

#[cfg(test)]
mod tests {
    use super::{ppm, text};

    #[test]
    fn percentages_are_exact_and_bad_ones_are_told() {
        for (typed, expected) in
            [("0", 0), ("100", 1_000_000), ("12.5%", 125_000), ("0.0001", 1), ("99.9999", 999_999)]
        {
            assert_eq!(ppm(typed), Ok(expected));
            assert_eq!(ppm(&text(expected)), Ok(expected));
        }
        for typed in ["101", "100.0001", "-1", "", ".5", "5.", "1e2", "12.34567", "ten", "4294967297"] {
            assert!(ppm(typed).is_err(), "{typed} was taken");
        }
    }
}
