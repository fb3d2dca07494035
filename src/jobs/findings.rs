//! What pages showed, grouped by reason. The controller adds up what all workers report.

use cutover_proto::v1;
use cutover_store::StoreError;

/// Maximum reasons reported of one page.
const FINDINGS_MAX: usize = 32;
/// Maximum examples of each.
const EXAMPLES_MAX: usize = 10;

/// The findings of one page.
#[derive(Clone, Debug, Default)]
pub struct Findings(pub Vec<v1::Finding>);

impl Findings {
    /// Adds one record. `what` is the reason, the same for all records with that reason.
    pub(super) fn add(&mut self, what: String, example: String) {
        self.merge(v1::Finding { what, records: 1, examples: vec![example] });
    }

    /// Adds those of another part of the page.
    pub(super) fn extend(&mut self, more: Self) {
        more.0.into_iter().for_each(|finding| self.merge(finding));
    }

    fn merge(&mut self, more: v1::Finding) {
        let known = self.0.iter_mut().find(|finding| finding.what == more.what);
        if let Some(known) = known {
            known.records += more.records;
            let room = EXAMPLES_MAX.saturating_sub(known.examples.len());
            known.examples.extend(more.examples.into_iter().take(room));
        } else if self.0.len() < FINDINGS_MAX {
            self.0.push(more);
        }
    }
}

/// An error as a reason: without the numbers, which differ from record to record.
pub(super) fn reason(error: &StoreError) -> String {
    generic(&error.to_string())
}

/// A text without its numbers.
pub fn generic(text: &str) -> String {
    let mut reason = String::with_capacity(text.len());
    let mut is_number = false;
    for char in text.chars() {
        match char.is_ascii_digit() {
            false => reason.push(char),
            true if is_number => {}
            true => reason.push('N'),
        }
        is_number = char.is_ascii_digit();
    }
    reason
}

#[cfg(test)]
mod tests {
    use cutover_core::outcome::ErrorClass;

    use super::*;

    #[test]
    fn records_with_one_reason_are_one_finding() {
        let error = |length: usize| StoreError::Permanent {
            class: ErrorClass::Constraint,
            field: "email".to_owned(),
            what: format!("{length} characters where varchar(40) takes 40"),
        };
        let mut findings = Findings::default();
        for length in [41, 42, 1_000] {
            findings.add(reason(&error(length)), format!("example {length}"));
        }
        let mut more = Findings::default();
        (0..50).for_each(|n| more.add("missing".to_owned(), n.to_string()));
        findings.extend(more);
        let counted: Vec<_> = findings.0.iter().map(|it| (it.what.as_str(), it.records)).collect();
        assert_eq!(counted, [("email: N characters where varchar(N) takes N", 3), ("missing", 50)]);
        assert_eq!((findings.0[0].examples.len(), findings.0[1].examples.len()), (3, EXAMPLES_MAX));
    }
}
