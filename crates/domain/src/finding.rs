//! What a pass found: why records differ or could not be moved, each reason with its count and some examples.

use serde::{Deserialize, Serialize};

/// Maximum reasons of a pass. Records of further ones are only in its counts.
const FINDINGS_MAX: usize = 16;
/// Maximum examples of a pass: at least one for each reason.
const EXAMPLES_MAX: usize = FINDINGS_MAX;
/// Maximum bytes of a reason, and of an example.
const TEXT_MAX_BYTES: usize = 512;

/// Records that a pass could not move, or that differ, for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The reason.
    pub what: String,
    /// Number of records.
    pub records: u64,
    /// Some of them, values redacted.
    pub examples: Vec<String>,
}

impl Finding {
    /// Adds what another part of the pass found.
    pub fn add(all: &mut Vec<Self>, more: Self) {
        let Self { mut what, records, examples } = more;
        cut(&mut what);
        let at = match all.iter().position(|finding| finding.what == what) {
            Some(at) => at,
            None if all.len() < FINDINGS_MAX => {
                all.push(Self { what, ..Self::default() });
                all.len() - 1
            }
            None => return,
        };
        all[at].records = all[at].records.saturating_add(records);
        for mut example in examples {
            if !make_room(all, at) {
                return;
            }
            cut(&mut example);
            all[at].examples.push(example);
        }
    }
}

/// Makes room for one more example of a reason. Reasons share the room equally. False: it has its share.
fn make_room(all: &mut [Finding], at: usize) -> bool {
    if all.iter().map(|finding| finding.examples.len()).sum::<usize>() < EXAMPLES_MAX {
        return true;
    }
    let own = all[at].examples.len();
    let most = all.iter_mut().max_by_key(|finding| finding.examples.len());
    most.filter(|most| most.examples.len() > own + 1).and_then(|most| most.examples.pop()).is_some()
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT_MAX_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(what: &str, records: u64) -> Finding {
        let examples = (0..records.min(10)).map(|n| format!("{what} {n}")).collect();
        Finding { what: what.to_owned(), records, examples }
    }

    #[test]
    fn each_reason_is_counted_and_has_an_example_however_many_another_has() {
        let mut all = Vec::new();
        for _ in 0..100 {
            Finding::add(&mut all, some("missing", 1_000));
        }
        assert_eq!((all[0].records, all[0].examples.len()), (100_000, EXAMPLES_MAX));
        for n in 0..20 {
            Finding::add(&mut all, some(&format!("reason {n}"), 2));
        }
        Finding::add(&mut all, some("missing", 1));
        assert_eq!(all.len(), FINDINGS_MAX);
        assert_eq!(all.iter().map(|finding| finding.examples.len()).collect::<Vec<_>>(), [1; FINDINGS_MAX]);
        assert_eq!((all[0].records, all[15].records), (100_001, 2));
        assert_eq!(all[0].examples, ["missing 0"], "the first one");
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let mut all = Vec::new();
        Finding::add(
            &mut all,
            Finding { what: "ü".repeat(400), records: 1, examples: vec!["€".repeat(400)] },
        );
        Finding::add(&mut all, Finding { what: "ü".repeat(500), records: 1, examples: Vec::new() });
        assert_eq!((all.len(), all[0].what.len(), all[0].examples[0].len()), (1, 512, 510));
    }
}
