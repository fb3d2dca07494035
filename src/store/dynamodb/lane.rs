//! Lanes: writes of one kind, in order, each refused unless the leader's term and the write before are as it knows.
//!
//! A lane is an item with the leader's epoch and holder, and a sequence number that each transaction raises. So what a
//! transaction was made from still holds when it is written; one whose outcome is unknown can't come after the next one;
//! and none of an earlier term is taken. Nobody waits for locks, and nothing has to be ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

use super::{
    DynamoDb, Unwritten,
    item::{Before, Expected, Item, Key, key},
    new_id,
    request::{Action, Cancelled, Fault, PAUSE},
    value::{Parts, Value},
    writes::Writes,
};
use crate::store::{Error, Term, entry::unreadable};

/// Longest wait for the answer to a transaction. With [`LOOK`] it is less than a call may take once the term has ended.
const ANSWER: Duration = Duration::from_millis(2_500);
/// Longest time to find out what became of one that was not answered.
const LOOK: Duration = Duration::from_secs(2);
/// How long a transaction is repeated that others block.
const BUSY: Duration = Duration::from_secs(8);
/// What a transaction may have in DynamoDB, less the lane and its journal.
const ACTIONS: usize = 98;
/// And how much of it is sent in one.
const BYTES: usize = 1_000_000;

/// Names of all lanes.
pub(super) const LANES: [&str; 3] = ["commits", "records", "windows"];

/// The item of a lane.
pub(super) fn lane_key(name: &str) -> Key {
    key(format!("lane#{name}"), "lane")
}

/// What a write that is too large for one transaction still has to do.
fn journal_key(name: &str) -> Key {
    key(format!("lane#{name}"), "journal")
}

/// A lane as a term begins it.
pub(super) fn lane_item(epoch: u64, holder: &str, sequence: u64, write: &str) -> Item {
    let item = Item::default().with("epoch", epoch).with("holder", holder);
    item.with("sequence", sequence).with("write", write)
}

/// A lane, and what this process knows of it. `None`: a write may be under way that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    known: Mutex<Option<(Term, u64)>>,
    /// Whether such a write may be under way. False while somebody waits for one.
    is_in_doubt: AtomicBool,
}

impl Lane {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, known: Mutex::default(), is_in_doubt: true.into() }
    }
}

/// The only writer of a lane. Dropped before it is [released](Self::release), the lane counts as in doubt.
pub(super) struct Held<'a> {
    store: &'a DynamoDb,
    name: &'static str,
    is_in_doubt: &'a AtomicBool,
    known: MutexGuard<'a, Option<(Term, u64)>>,
    term: Term,
    sequence: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Before the lock is given back.
        self.is_in_doubt.store(self.known.is_none(), SeqCst);
    }
}

impl DynamoDb {
    /// Waits for the writes before. What is read from now on is of after them, until the lane is given back.
    pub(super) async fn hold<'a>(&'a self, lane: &'a Lane) -> Result<Held<'a>, Unwritten> {
        let Some(term) = self.lease.term() else { return Err(Unwritten::Deposed) };
        let mut known = lane.known.lock().await;
        let (name, is_in_doubt) = (lane.name, &lane.is_in_doubt);
        let last = known.take();
        let is_known = last.as_ref().is_some_and(|(of, _)| *of == term);
        let sequence = last.map_or(0, |(_, sequence)| sequence);
        let mut held = Held { store: self, name, is_in_doubt, known, term, sequence };
        if !is_known {
            is_in_doubt.store(true, SeqCst);
            held.sequence = self.settled(name, &held.term).await?;
            held.replay().await?;
        }
        Ok(held)
    }

    /// Finds out what became of a write whose outcome is unknown, or waits for whoever does. Whether there was any doubt.
    pub(super) async fn settle(&self, lane: &Lane) -> Result<bool, Unwritten> {
        let was_in_doubt = lane.is_in_doubt.load(SeqCst);
        if was_in_doubt {
            self.hold(lane).await?.release();
        }
        Ok(was_in_doubt)
    }

    /// Raises the lane's number, so that no earlier write is taken any more.
    async fn settled(&self, name: &str, term: &Term) -> Result<u64, Unwritten> {
        let write = new_id();
        loop {
            let (lane, sequence) = self.lane_in_term(name, term).await?;
            if lane.find_text("write") == Some(&write) {
                return Ok(sequence);
            }
            match self.raised(name, term, sequence, &write).await {
                Ok(true) => return Ok(sequence + 1),
                Ok(false) => {}
                Err(fault) if fault.is_passing() => sleep(PAUSE).await,
                Err(fault) => return Err(self.table.failed(&fault).into()),
            }
        }
    }

    async fn raised(&self, name: &str, term: &Term, sequence: u64, write: &str) -> Result<bool, Fault> {
        let next = lane_item(term.epoch, &term.holder, sequence + 1, write);
        self.table.put(&lane_key(name), &next, &as_known(term, sequence)).await
    }

    /// The lane with its number. Refused if another controller leads.
    pub(super) async fn lane_in_term(&self, name: &str, term: &Term) -> Result<(Item, u64), Unwritten> {
        let lane = self.table.always(&lane_key(name)).await?;
        if !lane.has(&of_term(term)) {
            self.lease.depose(term);
            return Err(Unwritten::Deposed);
        }
        let sequence = lane.number("sequence")?;
        Ok((lane, sequence))
    }
}

fn of_term(term: &Term) -> Expected {
    vec![("epoch", term.epoch.into()), ("holder", (*term.holder).into())]
}

/// From then on something refers to these parts. Their items must still say that nothing does.
fn used(uses: &[Parts], before: &mut BTreeMap<Key, Before>) -> Vec<(Key, Option<Item>)> {
    let mut items = Vec::with_capacity(uses.len());
    for (key, unused) in uses.iter().map(Parts::unused) {
        before.insert(key.clone(), Before::Is(unused));
        items.push((key, None));
    }
    items
}

fn as_known(term: &Term, sequence: u64) -> Expected {
    let mut expected = of_term(term);
    expected.push(("sequence", sequence.into()));
    expected
}

impl Held<'_> {
    /// Gives the lane back. Everything that was written is known.
    pub(super) fn release(mut self) {
        *self.known = Some((self.term.clone(), self.sequence));
    }

    /// Writes all or nothing, and gives the lane back. Once the last request was sent, its answer is waited for, even if
    /// the term ends.
    pub(super) async fn write(mut self, writes: Writes) -> Result<(), Unwritten> {
        let store = self.store;
        let Writes { mut items, mut before, uses, frees } = writes;
        items.extend(frees.iter().map(|parts| (parts.unused().0, Some(parts.unused().1))));
        let is_small = {
            let bytes: usize = items.values().flatten().map(Item::bytes).sum();
            let keys: BTreeSet<_> = items.keys().chain(before.keys()).collect();
            keys.len() + uses.len() <= ACTIONS && bytes <= BYTES
        };
        if is_small {
            items.extend(used(&uses, &mut before));
            let items: Vec<_> = items.into_iter().collect();
            self.send(&items, &before).await?;
            self.release();
        } else {
            // What has to be done is written down first. From then on it will be done, by the next writer if need be.
            let items: Vec<_> = items.into_iter().collect();
            let text = serde_json::to_string(&items)
                .map_err(|error| Error::Unavailable(format!("can't be written as JSON: {error}")))?;
            let written = store
                .within(store.bounds_of(text.len()), async { Ok(store.table.write_parts(&text).await?) });
            let upload = written.await?;
            let parts = upload.parts.clone();
            before.retain(|key, _| items.binary_search_by_key(&key, |(written, _)| written).is_err());
            let mut journal = used(&uses, &mut before);
            journal.extend(used(std::slice::from_ref(&parts), &mut before));
            let mut item = Item::default();
            Value::Parts(parts.clone()).set(&mut item, "writes");
            journal.push((journal_key(self.name), Some(item)));
            before.insert(journal_key(self.name), Before::Absent);
            self.send(&journal, &before).await?;
            match self.replay_items(items, &parts).await {
                Ok(()) => self.release(),
                Err(why) => {
                    tracing::warn!("a large write of {} is finished later: {why}", store.table.place);
                    return Ok(());
                }
            }
        }
        store.delete_unused(frees);
        Ok(())
    }

    /// Does what the last writer of the lane had written down and did not finish.
    async fn replay(&mut self) -> Result<(), Unwritten> {
        let Some(journal) = self.store.table.get(&journal_key(self.name)).await? else { return Ok(()) };
        let Some(value) = Value::of(&journal, "writes")? else {
            return Err(self.store.table.lacks(&journal_key(self.name)).into());
        };
        let text = match self.store.table.load(&value).await {
            Err(error @ Error::Corrupt(_)) => {
                // Unless another leader has finished it.
                self.store.lane_in_term(self.name, &self.term).await?;
                return Err(error.into());
            }
            text => text?,
        };
        let items = serde_json::from_str(&text);
        let items: Vec<(Key, Option<Item>)> = items.map_err(|error| unreadable("a large write", error))?;
        let Some(parts) = value.parts() else { return Ok(()) };
        self.replay_items(items, parts).await
    }

    async fn replay_items(
        &mut self,
        items: Vec<(Key, Option<Item>)>,
        parts: &Parts,
    ) -> Result<(), Unwritten> {
        let mut rest = &items[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(ACTIONS).take_while(|(_, item)| {
                bytes += item.as_ref().map_or(0, Item::bytes);
                bytes <= BYTES
            });
            let count = fits.count().max(1);
            self.send(&rest[..count], &self.in_journal()).await?;
            rest = &rest[count..];
        }
        let (unused, item) = parts.unused();
        self.send(&[(journal_key(self.name), None), (unused, Some(item))], &self.in_journal()).await?;
        self.store.delete_unused(vec![parts.clone()]);
        Ok(())
    }

    /// While the journal is done, it is there.
    fn in_journal(&self) -> BTreeMap<Key, Before> {
        BTreeMap::from([(journal_key(self.name), Before::Present)])
    }

    /// One transaction.
    async fn send(
        &mut self,
        items: &[(Key, Option<Item>)],
        before: &BTreeMap<Key, Before>,
    ) -> Result<(), Unwritten> {
        let store = self.store;
        let (lane, journal, write) = (lane_key(self.name), journal_key(self.name), new_id());
        let next = lane_item(self.term.epoch, &self.term.holder, self.sequence + 1, &write);
        let is_known = Before::Has(as_known(&self.term, self.sequence));
        let mut actions = vec![Action::Put(&lane, &next, is_known)];
        for (key, item) in items {
            let before = before.get(key).cloned().unwrap_or_default();
            actions.push(match item {
                Some(item) => Action::Put(key, item, before),
                None => Action::Delete(key, before),
            });
        }
        let written: BTreeSet<_> = items.iter().map(|(key, _)| key).collect();
        let others = before.iter().filter(|(key, _)| !written.contains(key));
        actions.extend(others.map(|(key, before)| Action::Check(key, before.clone())));
        // One that is visible in the lane may not be visible in the journal yet.
        if !written.contains(&journal) && !before.contains_key(&journal) {
            actions.push(Action::Check(&journal, Before::Absent));
        }
        let until = Instant::now() + BUSY;
        let mut pause = PAUSE;
        loop {
            let fault = match timeout(ANSWER, store.table.transact(&actions)).await {
                Ok(Ok(())) => {
                    self.sequence += 1;
                    return Ok(());
                }
                Ok(Err(Cancelled::Unexpected)) => {
                    // Another controller leads, or another handle of this one has written; or the request came twice.
                    let found = timeout(LOOK, store.lane_in_term(self.name, &self.term)).await;
                    let found =
                        found.map_err(|_| Unwritten::Unknown("it does not answer in time".to_owned()))?;
                    if found?.0.find_text("write") != Some(&write) {
                        return Err(Unwritten::Moved);
                    }
                    self.sequence += 1;
                    return Ok(());
                }
                Ok(Err(Cancelled::Fault(fault))) => fault,
                Err(_) => Fault::Doubt("DynamoDB does not answer in time".to_owned()),
            };
            match fault {
                Fault::Busy(_)
                    if Instant::now() < until && store.lease.term().as_ref() == Some(&self.term) =>
                {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(200));
                }
                Fault::Doubt(why) => return self.find_out(&write, why).await,
                fault => return Err(store.table.failed(&fault).into()),
            }
        }
    }

    /// What became of a transaction that was not answered.
    async fn find_out(&mut self, write: &str, why: String) -> Result<(), Unwritten> {
        let found = timeout(LOOK, self.fate(write)).await;
        let (store, term) = (self.store, &self.term);
        match found {
            Ok(Fate::Made) => {
                self.sequence += 1;
                Ok(())
            }
            Ok(Fate::NotMade) => Err(store.table.failed(&Fault::Busy(why)).into()),
            Ok(Fate::Deposed) => {
                store.lease.depose(term);
                Err(Unwritten::Unknown(why))
            }
            Ok(Fate::Overwritten) | Err(_) => Err(Unwritten::Unknown(why)),
        }
    }

    async fn fate(&self, write: &str) -> Fate {
        let (store, lane, raise) = (self.store, lane_key(self.name), new_id());
        loop {
            match store.table.get_once(&lane).await {
                Ok(Some(found)) if found.has(&of_term(&self.term)) => match found.find_text("write") {
                    Some(last) if last == write => return Fate::Made,
                    Some(last) if last == raise => return Fate::NotMade,
                    _ if found.find_number("sequence") != Some(self.sequence) => return Fate::Overwritten,
                    // It has not come. After this it can't.
                    _ => {
                        let raised = store.raised(self.name, &self.term, self.sequence, &raise).await;
                        if matches!(raised, Ok(true)) {
                            return Fate::NotMade;
                        }
                    }
                },
                Ok(_) => return Fate::Deposed,
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }
}

/// What became of a transaction.
enum Fate {
    Made,
    NotMade,
    /// Another controller leads.
    Deposed,
    /// Another handle of this controller has written since.
    Overwritten,
}
