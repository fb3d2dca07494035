//! A failure that repeats is logged once.

use std::fmt::Display;

/// The failure that was logged last.
#[derive(Debug, Default)]
pub(super) struct Once(Option<String>);

impl Once {
    /// Whether this outcome is a failure, and another one than the last. A success forgets it.
    pub(super) fn is_news<T, E: Display>(&mut self, outcome: &Result<T, E>) -> bool {
        let reason = outcome.as_ref().err().map(ToString::to_string);
        let is_news = reason.is_some() && reason != self.0;
        self.0 = reason;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_until_it_repeats() {
        let mut once = Once::default();
        let outcomes = [Ok(()), Err("full"), Err("full"), Err("away"), Err("full"), Ok(()), Err("full")];
        let news = outcomes.map(|outcome| once.is_news(&outcome));
        assert_eq!(news, [false, true, false, true, true, false, true]);
    }
}
