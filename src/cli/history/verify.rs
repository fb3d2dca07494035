//! `cutover history --verify`: whether the history is as it was written.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use cutover_proto::v1;
use serde_json::{Value, json};

use super::{
    super::{Global, connect::answer, exit::Failure, out, render},
    checkpoint::Checkpoint,
    line::{self, Line},
};
use crate::domain::{Chain, ChainBreak, Hash};

/// What was verified.
#[derive(Debug, Default)]
pub(super) struct Verified {
    chain: Chain,
    /// The first revision that is proven.
    from: u64,
    events: u64,
    /// History ids, each with its first revision.
    histories: Vec<(u64, String)>,
    /// The checkpoint that the history has to contain.
    checkpoint: Option<Checkpoint>,
    /// The hash at its revision.
    at_checkpoint: Option<Hash>,
    /// What the controller knows beside the events. `None`: they came from a file.
    known: Option<v1::HistoryChain>,
}

impl Verified {
    /// All events that a controller keeps.
    pub(super) async fn controller(global: &Global, checkpoint: Option<Checkpoint>) -> anyhow::Result<Self> {
        let mut verified = Self { checkpoint, ..Self::default() };
        let mut admin = global.admin().await?;
        let mut asked = v1::ListHistoryRequest {
            oldest_first: true,
            proofs: true,
            page_size: 1000,
            ..v1::ListHistoryRequest::default()
        };
        loop {
            let page = answer(admin.list_history(asked.clone())).await?;
            let known = page.chain.context(line::NO_HASHES)?;
            let dropped_hash = known.dropped_hash.parse().ok().context("the controller sent no hash")?;
            verified.begin_after(known.dropped_through, dropped_hash);
            for event in &page.events {
                // As it would be exported.
                verified.take(&serde_json::from_str(&line::written(event)?.to_string())?)?;
            }
            asked.after = page.next;
            if page.next == 0 {
                let (last, newest) = (verified.chain.revision, known.revision);
                ensure!(
                    last == newest,
                    "the history ends at revision {last}, but the newest commit was {newest}: events are missing at \
                     the end"
                );
                verified.known = Some(known);
                verified.check_checkpoint()?;
                return Ok(verified);
            }
        }
    }

    /// All events of a file that `history --export` wrote.
    pub(super) fn file(path: &Path, checkpoint: Option<Checkpoint>) -> anyhow::Result<Self> {
        let name = path.display();
        let unreadable = |error| Failure::unreadable(&name.to_string(), &error, "");
        let mut verified = Self { checkpoint, ..Self::default() };
        let mut migrations = BTreeSet::new();
        for (number, text) in BufReader::new(File::open(path).map_err(unreadable)?).lines().enumerate() {
            let line: Line = serde_json::from_str(&text.map_err(unreadable)?).map_err(|error| {
                let message = format!(
                    "line {} of {name} is no event with a proof ({error}): write the file anew with cutover history \
                     --export; if a newer cutover wrote it, use that one",
                    number + 1
                );
                Failure::refused(message, Vec::new())
            })?;
            if verified.events == 0 && line.revision > 1 {
                verified.begin_after(line.revision - 1, line.before()?);
            }
            migrations.insert(line.migration.clone());
            if let Err(error) = verified.take(&line) {
                // Each one has revisions of its own, among those of the others.
                let is_gap = matches!(error.downcast_ref(), Some(ChainBreak::Missing { .. }));
                ensure!(
                    !is_gap || migrations.len() > 1,
                    "{error}. If {name} was exported with a key, it can't be verified: export it without"
                );
                return Err(error);
            }
        }
        if verified.events == 0 {
            return Err(Failure::refused(format!("{name} has no events"), Vec::new()).into());
        }
        verified.check_checkpoint()?;
        Ok(verified)
    }

    /// Events up to this one are not kept. They may have been dropped between two pages.
    fn begin_after(&mut self, revision: u64, hash: Hash) {
        if revision > self.chain.revision {
            self.chain = Chain { revision, hash };
            (self.from, self.events) = (0, 0);
            self.note(revision, hash);
        }
    }

    fn take(&mut self, line: &Line) -> anyhow::Result<()> {
        line.follow(&mut self.chain)?;
        if self.events == 0 {
            self.from = line.revision;
        }
        self.events += 1;
        if self.histories.last().is_none_or(|(_, id)| *id != line.proof.history_id) {
            self.histories.push((line.revision, line.proof.history_id.clone()));
        }
        self.note(line.revision, self.chain.hash);
        Ok(())
    }

    fn note(&mut self, revision: u64, hash: Hash) {
        if self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.revision == revision) {
            self.at_checkpoint = Some(hash);
        }
    }

    fn check_checkpoint(&self) -> anyhow::Result<()> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        let Checkpoint { revision, hash, signed_at, .. } = checkpoint;
        match self.at_checkpoint {
            Some(found) if found == *hash => Ok(()),
            Some(_) => bail!(
                "this is not the history that was signed on {signed_at}: revision {revision} had another hash, so it, \
                 or an event before it, was replaced"
            ),
            None if *revision > self.chain.revision => bail!(
                "this is not the history that was signed on {signed_at}: it had revision {revision}, and this one \
                 ends at {}. Its end was cut off, or an older backup was restored",
                self.chain.revision
            ),
            None => bail!(
                "can't compare with the checkpoint: its revision {revision} is not kept any more. Verify a file that \
                 cutover history --export wrote while it was"
            ),
        }
    }

    /// The newest event, to be signed.
    pub(super) fn newest(&self) -> anyhow::Result<Checkpoint> {
        let Chain { revision, hash } = self.chain;
        let (_, history_id) =
            self.histories.last().context("nothing has happened: there is nothing to sign")?;
        Ok(Checkpoint {
            history_id: history_id.clone(),
            revision,
            hash,
            signed_at: render::time(cutover_clock::now_ms()),
        })
    }

    pub(super) fn show(&self, json: bool) {
        if json {
            out::json(&self.json());
        } else {
            self.lines().iter().for_each(|line| out::line(line));
        }
    }

    fn lines(&self) -> Vec<String> {
        let Chain { revision, hash } = self.chain;
        if self.events == 0 {
            return vec!["nothing has happened: there is nothing to verify".to_owned()];
        }
        let mut lines = vec![
            format!("verified: {} events, revision {} to {revision}", self.events, self.from),
            format!("last hash: {hash}"),
        ];
        if self.from > 1 {
            lines.push(format!(
                "nothing is proven of events before revision {}: they are not here",
                self.from
            ));
        }
        if let Some(known) = self.known.as_ref().filter(|known| known.hashed_through >= self.from) {
            lines.push(format!(
                "revisions up to {} got their hashes on {}, when the store was upgraded: changes from before that do not \
                 show",
                known.hashed_through,
                render::time(known.hashed_at_ms)
            ));
        }
        let newer =
            self.histories.iter().skip(1).map(|(from, id)| format!("revision {from} began history {id}"));
        let begun = self.begun().map(|id| format!("the next revision begins history {id}"));
        let restored = "the store was restored from a backup, or its file was put back";
        lines.extend(newer.chain(begun).map(|what| format!("{what}: {restored}")));
        lines.extend(self.checkpoint.as_ref().map(|Checkpoint { revision, signed_at, .. }| {
            format!("it contains revision {revision}, which was signed on {signed_at}")
        }));
        lines
    }

    /// The store's history id, if no event has it yet.
    fn begun(&self) -> Option<&str> {
        let known = self.known.as_ref()?.history_id.as_str();
        self.histories.last().filter(|(_, last)| last != known).map(|_| known)
    }

    fn json(&self) -> Value {
        let histories = self.histories.iter();
        json!({
            "verified": true, "events": self.events, "from": self.from, "revision": self.chain.revision,
            "hash": self.chain.hash.to_string(),
            "histories": histories.map(|(from, id)| json!({ "history_id": id, "from": from })).collect::<Vec<_>>(),
            "next_history_id": self.begun(),
            "hashed_through": self.known.as_ref().map(|known| known.hashed_through),
            "hashed_at_ms": self.known.as_ref().map(|known| known.hashed_at_ms),
            "checkpoint": self.checkpoint.as_ref().map(|checkpoint| json!({
                "revision": checkpoint.revision, "signed_at": checkpoint.signed_at,
            })),
        })
    }
}
