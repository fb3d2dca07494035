//! The proof from the workers' own logs: for each record, which writes may be its last, and whether it is one
//! of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;
use cutover_store::Id;

use super::worker;

/// The result of comparing the logs with the target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) acknowledged: u64,
    pub(super) records: u64,
    pub(super) reads: u64,
    pub(super) lost: u64,
    pub(super) resurrected: u64,
    pub(super) back_in_time: u64,
}

/// What one record may hold: a write, or (`None`) nothing.
#[derive(Debug)]
struct Possible {
    /// The last acknowledged write.
    acknowledged: Option<u64>,
    /// Writes without an answer since then: each may have taken effect, or may still do so.
    unknown: BTreeSet<Option<u64>>,
}

impl Default for Possible {
    fn default() -> Self {
        Self { acknowledged: Some(0), unknown: BTreeSet::new() }
    }
}

impl Possible {
    fn allows(&self, found: Option<u64>) -> bool {
        found == self.acknowledged || self.unknown.contains(&found)
    }
}

impl Proof {
    pub(super) const fn holds(&self) -> bool {
        self.acknowledged > 0 && self.lost == 0 && self.resurrected == 0 && self.back_in_time == 0
    }

    /// Reads one worker's log: only that worker wrote these records, one operation at a time.
    fn follow(&mut self, log: &str, possible: &mut BTreeMap<(String, String), Possible>) {
        let mut begun: Option<((String, String), Option<u64>)> = None;
        for line in log.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let answered = match words[..] {
                ["ok"] | ["refused"] => begun.take(),
                _ => None,
            };
            if let Some((record, write)) = answered {
                if words == ["ok"] {
                    self.acknowledged += 1;
                    *possible.entry(record).or_default() =
                        Possible { acknowledged: write, unknown: BTreeSet::new() };
                }
                continue;
            }
            // No answer came before the next line (or "unknown" did): it may have taken effect.
            if let Some((record, write)) = begun.take() {
                possible.entry(record).or_default().unknown.insert(write);
            }
            match words[..] {
                ["put", tenant, key, write] => {
                    begun = Some(((tenant.to_owned(), key.to_owned()), write.parse().ok()));
                }
                ["delete", tenant, key, _] => begun = Some(((tenant.to_owned(), key.to_owned()), None)),
                ["read", tenant, key, found] => {
                    self.reads += 1;
                    let of = possible.entry((tenant.to_owned(), key.to_owned())).or_default();
                    self.back_in_time += u64::from(!of.allows(found.parse().ok()));
                }
                _ => {}
            }
        }
        if let Some((record, write)) = begun {
            possible.entry(record).or_default().unknown.insert(write);
        }
    }
}

/// Reads the logs and compares their end with the target.
pub(super) async fn prove(dir: &Path, workers: &[&str]) -> anyhow::Result<Proof> {
    let mut proof = Proof::default();
    let mut possible = BTreeMap::new();
    for worker in workers {
        let path = dir.join(format!("{worker}.log"));
        let log = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        proof.follow(&log, &mut possible);
    }
    let (_, target) = super::stores::open(dir).await?;
    for ((tenant, key), possible) in &possible {
        let record = target.get(&Id::new(tenant, key)?).await?;
        let found = record.and_then(|record| record.value).as_deref().and_then(worker::write_of);
        if !possible.allows(found) {
            match possible.acknowledged {
                None => proof.resurrected += 1,
                Some(_) => proof.lost += 1,
            }
        }
    }
    proof.records = possible.len() as u64;
    Ok(proof)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use cutover_store::{Id, Record, Version};

    use super::{Proof, prove, worker};

    /// The proof from one worker's log and a target that holds write 0.
    async fn proof_of(log: &str) -> Proof {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("worker-1.log"), log).unwrap();
        let (_, target) = super::super::stores::open(dir.path()).await.unwrap();
        let record = Record { version: Version::ZERO, value: Some(worker::value(0)) };
        target.put_many_if_newer(&[(Id::new("t", "k").unwrap(), record)]).await.unwrap();
        prove(dir.path(), &["worker-1"]).await.unwrap()
    }

    #[tokio::test]
    async fn the_proof_fails_for_each_kind_of_loss() {
        let sound = proof_of("put t k 0\nok\nread t k 0\n").await;
        assert!(sound.holds(), "{sound:?}");
        let lost = proof_of("put t k 5\nok\n").await;
        assert_eq!((lost.lost, lost.resurrected, lost.holds()), (1, 0, false));
        let resurrected = proof_of("delete t k 5\nok\n").await;
        assert_eq!((resurrected.lost, resurrected.resurrected, resurrected.holds()), (0, 1, false));
        let back_in_time = proof_of("put t k 5\nok\nread t k 4\nput t k 0\nok\n").await;
        assert_eq!((back_in_time.lost, back_in_time.back_in_time, back_in_time.holds()), (0, 1, false));
        assert!(!proof_of("").await.holds(), "nothing acknowledged proves nothing");
    }

    fn followed(log: &str) -> (Proof, bool) {
        let (mut proof, mut possible) = (Proof::default(), BTreeMap::new());
        proof.follow(log, &mut possible);
        let allows_seed = possible.values().all(|of| of.allows(Some(0)));
        (proof, allows_seed)
    }

    #[test]
    fn a_read_behind_an_acknowledged_write_is_found() {
        assert_eq!(followed("put t k 5\nok\nread t k 5\n").0.back_in_time, 0);
        assert_eq!(followed("put t k 5\nok\nread t k 0\n").0.back_in_time, 1);
        assert_eq!(followed("delete t k 5\nok\nread t k 0\n").0.back_in_time, 1);
    }

    #[test]
    fn only_a_write_without_an_answer_may_or_may_not_be_there() {
        assert!(followed("put t k 5\nunknown\n").1);
        assert!(followed("put t k 5\nrefused\n").1);
        assert!(followed("put t k 5\n").1, "killed in the middle");
        assert!(!followed("put t k 5\nok\n").1);
    }
}
