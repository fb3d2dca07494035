//! Durations as people type them: `20` (seconds), `20s`, `5m`, `1h 30m`, `2 days`.

use std::time::Duration;

/// Reads a duration. A bare number is seconds. Months and years are refused: `10M` is a slip for `10m`
/// far more often than ten months.
///
/// # Errors
///
/// What is expected, for people.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut units = text.split(|at: char| !at.is_alphabetic()).filter(|unit| !unit.is_empty());
    let is_long =
        |unit: &str| unit == "M" || unit == "y" || unit.starts_with("mon") || unit.starts_with("year");
    if let Some(unit) = units.find(|unit| is_long(unit)) {
        return Err(format!("{unit:?} is not a unit here: give minutes as 10m, days as 30d"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration: give one like 20s, 5m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_duration_is_what_people_mean_by_it() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs());
        for (text, expected) in
            [("20", 20), ("20s", 20), ("5m", 300), ("1h 30m", 5_400), ("2 days", 172_800), (" 0 ", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        assert_eq!(parse("1500ms").map(|it| it.as_millis()), Ok(1_500));
        for text in ["10M", "2 months", "1y", "1 year", "", "soon", "-5", "5 m 3", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text} was taken");
        }
        assert!(parse("10M").is_err_and(|why| why.contains("10m")));
    }
}
