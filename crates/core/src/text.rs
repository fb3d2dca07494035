//! Values as people read them.

/// A span of time in its largest unit: `40 s`, `12 min`, `3 h`, `5 d`.
pub fn span(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Whom a step or a condition is about: `0-25 %`, a range of buckets, as a share of the tenants. Other texts stay.
pub fn whom(text: &str) -> String {
    let range = || {
        let (from, upto) = text.strip_suffix(" %")?.split_once('-')?;
        Some((from.parse::<f64>().ok()?, upto.parse::<f64>().ok()?))
    };
    match range() {
        Some((0.0, upto)) => format!("{upto} % of the tenants"),
        Some((from, upto)) => {
            let share = ((upto - from) * 10_000.0).round() / 10_000.0;
            format!("{share} % of the tenants (buckets {text})")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{span, whom};

    #[test]
    fn a_range_of_buckets_is_a_share_of_the_tenants() {
        for (text, told) in [
            ("0-100 %", "100 % of the tenants"),
            ("0-0.0001 %", "0.0001 % of the tenants"),
            ("12.3-25 %", "12.7 % of the tenants (buckets 12.3-25 %)"),
            ("tenant a-b %", "tenant a-b %"),
            ("tenant acme", "tenant acme"),
            ("", ""),
        ] {
            assert_eq!(whom(text), told);
        }
    }

    #[test]
    fn a_span_has_one_unit() {
        for (ms, text) in [
            (239, "0 s"),
            (24_894, "24 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (2_592_000_000, "30 d"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
