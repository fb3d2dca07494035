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

/// A short span, to a tenth of a second: `0.4 s`. Longer ones as [`span`] has them.
pub fn short_span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{:.1} s", ms.max(50) as f64 / 1000.0),
        _ => span(ms),
    }
}

/// Whether people see a character, or it is a blank in a line: neither a control character nor one that only changes how
/// others are shown, like U+202E, which turns around what follows.
pub fn is_visible(character: char) -> bool {
    if character.is_whitespace() {
        return !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}');
    }
    // The standard library escapes exactly those that can't be shown. After another character it leaves combining ones.
    let text = String::from_iter(['a', character]);
    matches!(character, '"' | '\'' | '\\') || text.escape_debug().eq(text.chars())
}

/// A text of at most so many bytes. `..` behind it says that there was more.
pub fn cut(text: &str, max_bytes: usize) -> String {
    let end = text.floor_char_boundary(max_bytes);
    if end < text.len() { format!("{}..", &text[..end]) } else { text.to_owned() }
}

/// An address for people: without a user, a password, a query and a fragment, which may be secret.
pub fn shown_address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}")
}

/// What a guard counts as bad, by its name: `15 of 19 target writes failed`.
pub fn bad_outcome(guard: &str) -> &'static str {
    match guard {
        "slow_relative" => "were slow",
        "not_found_relative" => "found nothing",
        "mismatch" => "differed",
        "miss_ratchet" => "had to fall back to the source",
        _ => "failed",
    }
}

/// Subjects named in one line.
const SUBJECTS_MAX: usize = 5;

/// Equal conditions as one, about all of their subjects. `whom` is the subject of one.
pub fn together<T: PartialEq>(
    all: impl IntoIterator<Item = T>,
    whom: impl Fn(&mut T) -> &mut String,
) -> Vec<T> {
    let mut groups: Vec<(T, Vec<String>)> = Vec::new();
    for mut one in all {
        let subject = std::mem::take(whom(&mut one));
        match groups.iter_mut().find(|(first, _)| *first == one) {
            Some((_, subjects)) => subjects.push(subject),
            None => groups.push((one, vec![subject])),
        }
    }
    let joined = groups.into_iter().map(|(mut one, subjects)| {
        *whom(&mut one) = all_of(subjects);
        one
    });
    joined.collect()
}

/// Ranges of buckets that touch are one range, other subjects are listed.
fn all_of(subjects: Vec<String>) -> String {
    let mut told: Vec<String> = Vec::new();
    for subject in subjects {
        let touching = told.last().and_then(|last| {
            let ((from, end), (begin, upto)) = (range(last)?, range(&subject)?);
            (end == begin).then(|| format!("{from}-{upto} %"))
        });
        if touching.is_some() {
            told.pop();
        }
        told.push(touching.unwrap_or(subject));
    }
    if told.len() == 1 {
        return told.remove(0);
    }
    let named: Vec<String> = told.iter().take(SUBJECTS_MAX).map(|subject| whom(subject)).collect();
    match told.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// `0-25 %`
fn range(text: &str) -> Option<(&str, &str)> {
    let (from, upto) = text.strip_suffix(" %")?.split_once('-')?;
    (from.parse::<f64>().is_ok() && upto.parse::<f64>().is_ok()).then_some((from, upto))
}

/// Whom a step or a condition is about: `0-25 %`, a range of buckets, as a share of the tenants. Other texts stay.
pub fn whom(text: &str) -> String {
    let numbers = range(text).and_then(|(from, upto)| Some((from.parse().ok()?, upto.parse::<f64>().ok()?)));
    match numbers {
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
    use super::{is_visible, short_span, shown_address, span, together, whom};

    #[test]
    fn an_address_is_shown_without_what_could_be_secret() {
        for (url, shown) in [
            ("https://user:secret@example.com:4317/keys?key=secret#secret", "https://example.com:4317/keys"),
            ("http://a@b@[::1]:4317", "http://[::1]:4317"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("example.com:1", "example.com:1"),
            ("", ""),
        ] {
            assert_eq!(shown_address(url), shown);
        }
    }

    #[test]
    fn characters_that_nobody_sees_are_told_apart() {
        for seen in "aZ0 .@+-_\"'\\é\u{65}\u{301}\u{a0}\u{3000}ж漢😀".chars() {
            assert!(is_visible(seen), "{seen:?}");
        }
        for unseen in
            "\n\t\u{0}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{202e}\u{2066}\u{2028}\u{2029}\u{feff}\u{e0041}"
                .chars()
        {
            assert!(!is_visible(unseen), "{unseen:?}");
        }
    }

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
    fn equal_conditions_are_one() {
        fn whom(of: &mut (String, u8)) -> &mut String {
            &mut of.0
        }
        let all = [("0-10 %", 1), ("10-25 %", 1), ("0-10 %", 2), ("30-40 %", 1), ("tenant acme", 1)];
        let told = together(all.map(|(of, what)| (of.to_owned(), what)), whom);
        let first = "25 % of the tenants, 10 % of the tenants (buckets 30-40 %), tenant acme";
        assert_eq!(told, [(first.to_owned(), 1), ("0-10 %".to_owned(), 2)]);
        let many = (0..7).map(|at| (format!("tenant {at}"), 1));
        assert!(together(many, whom)[0].0.ends_with("tenant 4 and 2 more"));
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
        assert_eq!([0, 430, 9_999, 10_000].map(short_span), ["0.1 s", "0.4 s", "10.0 s", "10 s"]);
    }
}
