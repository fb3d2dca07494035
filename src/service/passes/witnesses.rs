//! Which witnesses of a pass are kept: a uniform sample of all that its workers reported. So a store that was
//! replaced at any time during the pass lacks some.

use crate::store::{PassRecord, Witness};

/// Maximum witnesses of a pass.
const MOST: usize = 16;

/// Keeps a witness, or not (Algorithm R of Vitter 1985). `draw` returns a number below its argument.
pub(super) fn keep(record: &mut PassRecord, new: Witness, draw: impl FnOnce(u64) -> u64) {
    let PassRecord { witnesses, witnessed, .. } = record;
    *witnessed += 1;
    // A page that was processed again.
    witnesses.retain(|old| (&old.tenant, &old.key) != (&new.tenant, &new.key));
    if witnesses.len() < MOST {
        witnesses.push(new);
    } else if let Some(old) = usize::try_from(draw(*witnessed)).ok().and_then(|at| witnesses.get_mut(at)) {
        *old = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_all_times_are_kept_alike() {
        let mut early = 0;
        for _ in 0..1_000 {
            let mut record = PassRecord::default();
            for n in 0..320 {
                let new = Witness { tenant: "t".to_owned(), key: n.to_string(), version: n };
                keep(&mut record, new, |below| rand::random_range(0..below));
            }
            assert_eq!(record.witnesses.len(), MOST);
            early += record.witnesses.iter().filter(|witness| witness.version < 160).count();
        }
        assert!((7_500..=8_500).contains(&early), "half of 16,000: {early}");
    }

    #[test]
    fn the_newest_of_a_record_is_kept() {
        let mut record = PassRecord::default();
        for version in 1..=3 {
            let new = Witness { tenant: "t".to_owned(), key: "k".to_owned(), version };
            keep(&mut record, new, |_| 0);
        }
        assert_eq!(record.witnesses.iter().map(|witness| witness.version).collect::<Vec<_>>(), [3]);
    }
}
