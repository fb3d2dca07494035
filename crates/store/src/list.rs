//! Lists: the records of one tenant in the order of their keys, page by page.

use super::{Id, IdError, KEY_MAX_BYTES, Record};

/// Keys from one to another, in the order of their bytes.
///
/// ```
/// use cutover_store::KeyRange;
///
/// let january = KeyRange::all().at_least("2026-01").below("2026-02");
/// assert!(january.contains("2026-01-31") && !january.contains("2026-02"));
/// assert!(KeyRange::prefix("order-").contains("order-7"));
/// assert!(!KeyRange::prefix("order-").after("order-7").contains("order-7"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// Empty: from the first key on. No key is empty.
    from: String,
    /// Whether `from` itself is in it.
    includes_from: bool,
    below: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// In the order of their keys, tombstones included.
    pub records: Vec<(Id, Record)>,
    /// The last key that was looked at, if there may be more after it.
    pub next: Option<String>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// The keys that begin with this.
    pub fn prefix(prefix: &str) -> Self {
        Self { from: prefix.to_owned(), includes_from: !prefix.is_empty(), below: behind(prefix) }
    }

    /// Without the keys below this one.
    #[must_use]
    pub fn at_least(self, key: &str) -> Self {
        if key <= self.from.as_str() {
            return self;
        }
        Self { from: key.to_owned(), includes_from: true, ..self }
    }

    /// Without this key and those below it: what is left after a page that ended there.
    #[must_use]
    pub fn after(self, key: &str) -> Self {
        if key < self.from.as_str() {
            return self;
        }
        Self { from: key.to_owned(), includes_from: false, ..self }
    }

    /// Without this key and those above it.
    #[must_use]
    pub fn below(self, key: &str) -> Self {
        if self.below.as_deref().is_some_and(|below| below <= key) {
            return self;
        }
        Self { below: Some(key.to_owned()), ..self }
    }

    /// What it has in common with another one.
    pub(super) fn within(self, other: &Self) -> Self {
        let (from, includes_from) = other.start();
        let range = if includes_from { self.at_least(from) } else { self.after(from) };
        other.end().into_iter().fold(range, Self::below)
    }

    /// The keys of it that begin with this, without that; `None`: no key does.
    #[cfg(feature = "spec")]
    pub(super) fn without_prefix(&self, prefix: &str) -> Option<Self> {
        let common = Self::prefix(prefix).within(self);
        if common.is_empty() {
            return None;
        }
        let from = common.from.strip_prefix(prefix)?.to_owned();
        let below = common.below.as_deref().and_then(|below| below.strip_prefix(prefix)).map(str::to_owned);
        Some(Self { includes_from: common.includes_from && !from.is_empty(), from, below })
    }

    /// Whether it has this key.
    pub fn contains(&self, key: &str) -> bool {
        let is_after = if self.includes_from { key >= self.from.as_str() } else { key > self.from.as_str() };
        is_after && self.below.as_deref().is_none_or(|below| key < below)
    }

    /// Whether no key is in it, whatever keys there are.
    pub fn is_empty(&self) -> bool {
        self.below.as_deref().is_some_and(|below| below <= self.from.as_str())
    }

    /// Checks that both ends could be keys.
    pub fn check(&self) -> Result<(), IdError> {
        for end in [Some(&self.from), self.below.as_ref()].into_iter().flatten() {
            if end.len() > KEY_MAX_BYTES {
                return Err(IdError::KeyBytes(end.len()));
            }
            if end.as_bytes().contains(&0) {
                return Err(IdError::KeyNul);
            }
        }
        Ok(())
    }

    /// Where it begins, and whether that key itself is in it. Empty: at the first key.
    pub const fn start(&self) -> (&str, bool) {
        (self.from.as_str(), self.includes_from)
    }

    /// The key that ends it. `None`: it has no end.
    pub fn end(&self) -> Option<&str> {
        self.below.as_deref()
    }
}

/// The lowest text above all that begin with this one. `None`: there is none.
fn behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // After the last one before the surrogates come those behind them.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_key_does() {
        for (prefix, end) in [
            ("order-", Some("order.")),
            ("", None),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{7f}", Some("\u{80}")),
        ] {
            let range = KeyRange::prefix(prefix);
            assert_eq!(range.end(), end, "{prefix:?}");
            for more in ["x", "\u{10ffff}\u{10ffff}"] {
                assert!(range.contains(&format!("{prefix}{more}")), "{prefix:?}");
            }
        }
    }

    #[test]
    fn a_range_only_gets_narrower() {
        let range = KeyRange::prefix("b").after("a").at_least("a").below("z");
        assert_eq!(range, KeyRange::prefix("b"));
        let rest = KeyRange::prefix("b").after("b5").at_least("b5");
        assert_eq!((rest.start(), rest.end()), (("b5", false), Some("c")));
        assert!(!rest.contains("b5") && rest.contains("b50") && !rest.contains("c"));
        assert_eq!(KeyRange::prefix(""), KeyRange::all());
        assert!(!KeyRange::all().contains("") && KeyRange::all().contains("\u{1}"));
        assert!(rest.after("c").is_empty() && KeyRange::all().below("").is_empty());
        assert!(KeyRange::all().at_least(&"k".repeat(1025)).check().is_err());
        assert!(KeyRange::all().below("a\0").check().is_err());
    }
}
