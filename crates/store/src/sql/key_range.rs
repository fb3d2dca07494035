//! Ranges of keys in columns that hold UUIDs.

use super::{
    super::KeyRange,
    keys::{KeyKind, Keys},
};

impl Keys {
    /// The same keys, between values of the column; `None`: there are none. The order of UUIDs is that of their texts, but only
    /// a UUID can be compared with one.
    pub(in super::super) fn in_values(&self, range: &KeyRange) -> Option<KeyRange> {
        if self.key.kind != KeyKind::Uuid {
            return Some(range.clone());
        }
        let (from, includes_from) = range.start();
        let least = least_uuid(from)?;
        let all = KeyRange::all();
        let range_from =
            if least == from && !includes_from { all.after(&least) } else { all.at_least(&least) };
        Some(range.end().and_then(least_uuid).iter().fold(range_from, |range, end| range.below(end)))
    }
}

/// The least UUID whose text is not below this one. `None`: all are below it.
fn least_uuid(text: &str) -> Option<String> {
    const LENGTH: usize = 36;
    let digits = |at: usize| if matches!(at, 8 | 13 | 18 | 23) { "-" } else { "0123456789abcdef" };
    let mut uuid = String::new();
    // What begins like the text, then a greater character, then the least ones.
    let mut may_equal = true;
    while may_equal && uuid.len() < LENGTH {
        let least = text.as_bytes().get(uuid.len()).copied().unwrap_or(0);
        match digits(uuid.len()).chars().find(|digit| *digit as u32 >= u32::from(least)) {
            Some(digit) => {
                may_equal = digit as u32 == u32::from(least);
                uuid.push(digit);
            }
            None => {
                uuid = above(uuid, digits)?;
                may_equal = false;
            }
        }
    }
    if may_equal && text.len() > LENGTH {
        uuid = above(uuid, digits)?;
    }
    for at in uuid.len()..LENGTH {
        uuid.push_str(&digits(at)[..1]);
    }
    Some(uuid)
}

/// The least beginning of a UUID that is above this one.
fn above(mut begin: String, digits: impl Fn(usize) -> &'static str) -> Option<String> {
    loop {
        let last = begin.pop()?;
        if let Some(next) = digits(begin.len()).chars().find(|digit| *digit > last) {
            begin.push(next);
            return Some(begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::KeyColumn, *};

    #[test]
    fn a_text_has_a_least_uuid_that_is_not_below_it() {
        let at = |text: &str| least_uuid(text);
        let is = |uuid: &str| Some(uuid.to_owned());
        assert_eq!(at(""), is("00000000-0000-0000-0000-000000000000"));
        assert_eq!(at("1"), is("10000000-0000-0000-0000-000000000000"));
        assert_eq!(at("1g"), is("20000000-0000-0000-0000-000000000000"));
        assert_eq!(at("1A"), is("1a000000-0000-0000-0000-000000000000"));
        assert_eq!(at("ff~"), None);
        assert_eq!(at("g"), None);
        assert_eq!(at("12345678"), is("12345678-0000-0000-0000-000000000000"));
        assert_eq!(at("12345678~"), is("12345679-0000-0000-0000-000000000000"));
        assert_eq!(at("12345678 "), is("12345678-0000-0000-0000-000000000000"));
        let whole = "0f00000f-0000-4000-8000-00000000000f";
        assert_eq!(at(whole), is(whole));
        assert_eq!(at(&format!("{whole}x")), is("0f00000f-0000-4000-8000-000000000010"));
        assert_eq!(at("ffffffff-ffff-ffff-ffff-ffffffffffff"), is("ffffffff-ffff-ffff-ffff-ffffffffffff"));
        assert_eq!(at("ffffffff-ffff-ffff-ffff-ffffffffffff0"), None);
        assert_eq!(at("\u{e4}"), None);

        let keys = Keys { key: KeyColumn { kind: KeyKind::Uuid, ..KeyColumn::default() }, ..Keys::default() };
        let uuids = ["0", "1", "a", "f"].map(|it| format!("{}-0000-4000-8000-000000000000", it.repeat(8)));
        let ends = uuids.iter().map(String::as_str).chain(["", "1", "11111111-", "b", "g", "~"]);
        for (from, below) in ends.clone().flat_map(|from| ends.clone().map(move |below| (from, below))) {
            for range in [KeyRange::all().at_least(from), KeyRange::all().after(from)] {
                for range in [range.clone(), range.below(below)] {
                    let rounded = keys.in_values(&range);
                    for uuid in &uuids {
                        let has = rounded.as_ref().is_some_and(|range| range.contains(uuid));
                        assert_eq!(has, range.contains(uuid), "{range:?} {rounded:?} {uuid}");
                    }
                }
            }
        }
    }
}
