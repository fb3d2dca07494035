//! One state for all that differ only in names: versions are ranked, writes and revisions renumbered, clients
//! sorted.

use std::hash::{DefaultHasher, Hash, Hasher};

use cutover_client::{
    migrator::rules::{Condition, Seen, WriteCall},
    store::Version,
};

use crate::{
    history::OPEN,
    restart::Known,
    state::{Client, DELETED, Doing, Held, Record, State, When, Work},
};

/// Ranks are this far apart, so that one more version fits in between.
pub(crate) const APART: u64 = 2;

impl State {
    pub(crate) fn canonical(mut self) -> Self {
        self.forget_revisions();
        // Versions are small, so one bit each is enough.
        let mut used = 0_u64;
        self.rename_versions(&mut |version| {
            used |= 1 << version.0;
            version
        });
        self.rename_versions(&mut |version| {
            let up_to_it = used & (u64::MAX >> (63 - version.0)) & !1;
            Version(APART * u64::from(up_to_it.count_ones()))
        });
        self.highest = APART * u64::from((used & !1).count_ones());
        self.sort();
        self.number_writes();
        self
    }

    /// The lowest number that no write has.
    pub(crate) fn free_number(&mut self) -> u8 {
        let mut used = 1_u8;
        self.visit_numbers(&mut |number| {
            used |= 1 << *number;
        });
        used.trailing_ones() as u8
    }

    fn forget_revisions(&mut self) {
        let begun = |client: &Client| {
            let heard = client.saved.unwrap_or(client.heard).min(client.heard);
            client.doing.as_ref().map_or(heard, |doing| doing.begun.min(heard))
        };
        let oldest = self.clients.iter().map(begun).chain(self.jobs.iter().map(|job| job.begun)).min();
        let oldest = oldest.unwrap_or(u8::MAX).min(self.ladder.newest());
        if oldest == 0 {
            return;
        }
        self.ladder.window.drain(..usize::from(oldest));
        for client in &mut self.clients {
            client.heard -= oldest;
            client.saved.iter_mut().for_each(|saved| *saved -= oldest);
            if let Known::Assumed(revision) = &mut client.known {
                *revision = revision.saturating_sub(oldest);
            }
            if let Some(doing) = &mut client.doing {
                doing.begun -= oldest;
            }
        }
        self.jobs.iter_mut().for_each(|job| job.begun -= oldest);
        let earlier = |since: &mut Option<u8>| *since = since.map(|since| since.saturating_sub(oldest));
        earlier(&mut self.ladder.mirrored_since);
        earlier(&mut self.ladder.target_first_since);
        self.ladder.since = self.ladder.since.saturating_sub(oldest);
    }

    fn rename_versions(&mut self, rename: &mut impl FnMut(Version) -> Version) {
        rename_held(&mut self.stores.source, rename);
        rename_held(&mut self.stores.target, rename);
        self.clients
            .iter_mut()
            .filter_map(|client| client.doing.as_mut())
            .for_each(|doing| doing.rename(rename));
        for late in &mut self.late {
            late.record.version = rename(late.record.version);
            if let When::Rules(condition) = &mut late.when {
                rename_condition(condition, rename);
            }
        }
        for job in &mut self.jobs {
            job.record.version = rename(job.record.version);
            job.expected.iter_mut().for_each(|expected| *expected = rename(*expected));
        }
        rename_seen(&mut self.history.acknowledged, rename);
        self.history.read = rename(self.history.read);
        self.history.deleted.iter_mut().for_each(|version| *version = rename(*version));
    }

    /// Clients are all alike, and so are jobs and late puts: only who does what matters.
    fn sort(&mut self) {
        self.jobs.sort_by_cached_key(|job| {
            hash(&(job.pass, job.begun, job.half, job.leased, job.expected, job.record.version))
        });
        self.late.sort_by_cached_key(|late| hash(&(late.store, late.when, late.record.version)));
        if self.clients.len() < 2 {
            return;
        }
        let mut order: Vec<(u64, usize)> =
            self.clients.iter().enumerate().map(|(at, client)| (client.key(), at)).collect();
        order.sort_unstable();
        if order.is_sorted_by_key(|(_, at)| *at) {
            return;
        }
        self.clients = order.iter().map(|(_, at)| self.clients[*at].clone()).collect();
        for linear in &mut self.history.orders {
            let before = linear.reads;
            for (to, (_, from)) in order.iter().enumerate() {
                linear.reads[to] = before[*from];
            }
        }
    }

    fn number_writes(&mut self) {
        let mut numbers = [0_u8; 8];
        let mut next = 1;
        self.visit_numbers(&mut |number| {
            let new = &mut numbers[usize::from(*number)];
            if *new == 0 {
                *new = next;
                next += 1;
            }
            *number = *new;
        });
        let renumbered = |bits: u8| {
            (1..8)
                .filter(|old| bits & 1 << old != 0)
                .map(|old| 1_u8 << numbers[old])
                .fold(0, |all, bit| all | bit)
        };
        self.history.orders.iter_mut().for_each(|order| order.writes = renumbered(order.writes));
        self.history.undecided.sort_unstable();
        self.history.orders.sort_unstable();
    }

    /// Everything that names a write, in an order that does not depend on the names.
    fn visit_numbers(&mut self, visit: &mut impl FnMut(&mut u8)) {
        let mut content = |content: &mut u8| {
            if *content != DELETED && *content != OPEN {
                visit(content);
            }
        };
        let mut held = |held: &mut Held| held.iter_mut().for_each(|record| content(&mut record.content));
        held(&mut self.stores.source);
        held(&mut self.stores.target);
        for doing in self.clients.iter_mut().filter_map(|client| client.doing.as_mut()) {
            if let Work::Write { write, .. } = &mut doing.work {
                content(&mut write.number);
                content(&mut write.record.content);
                write.base.iter_mut().chain(&mut write.expected).for_each(&mut content);
            }
            doing.source.iter_mut().chain(&mut doing.target).for_each(|record| content(&mut record.content));
        }
        self.late.iter_mut().for_each(|late| content(&mut late.record.content));
        self.jobs.iter_mut().for_each(|job| content(&mut job.record.content));
        for effect in &mut self.history.undecided {
            content(&mut effect.number);
            content(&mut effect.content);
            effect.base.iter_mut().for_each(&mut content);
        }
        for order in &mut self.history.orders {
            content(&mut order.content);
            order.reads.iter_mut().for_each(&mut content);
        }
    }
}

impl Client {
    /// Without the numbers of writes, which depend on the order of clients.
    fn key(&self) -> u64 {
        let work = self.doing.as_ref().map(|doing| {
            let what = match &doing.work {
                Work::Read { state, call } => hash(&(state, call)),
                Work::Write { state, call, write } => {
                    let expects = write.expected.map(|content| content == DELETED);
                    let deletes = write.record.content == DELETED;
                    hash(&(
                        state,
                        call,
                        write.record.version,
                        deletes,
                        write.record.expires,
                        write.sent,
                        expects,
                    ))
                }
            };
            let version = |held: Held| held.map(|record| record.version);
            (
                (doing.begun, doing.gone_back, doing.leased),
                what,
                version(doing.source),
                version(doing.target),
                doing.acknowledged,
                doing.read,
            )
        });
        let lease = (self.leased, self.saved, self.life);
        let controller = (self.evicted, self.left_behind, self.forgotten, self.known);
        hash(&(self.heard, self.gone_back, controller, lease, work))
    }
}

impl Doing {
    fn rename(&mut self, rename: &mut impl FnMut(Version) -> Version) {
        rename_held(&mut self.source, rename);
        rename_held(&mut self.target, rename);
        rename_seen(&mut self.acknowledged, rename);
        self.read = rename(self.read);
        match &mut self.work {
            Work::Read { state, .. } => *state = state.renamed(rename),
            Work::Write { state, call, write } => {
                *state = state.renamed(rename);
                write.record.version = rename(write.record.version);
                if let WriteCall::Put { above, condition, .. } = call {
                    *above = rename(*above);
                    rename_condition(condition, rename);
                }
            }
        }
    }
}

fn rename_held(held: &mut Held, rename: &mut impl FnMut(Version) -> Version) {
    if let Some(Record { version, .. }) = held {
        *version = rename(*version);
    }
}

fn rename_seen(seen: &mut Option<Seen>, rename: &mut impl FnMut(Version) -> Version) {
    if let Some(Seen { version, .. }) = seen {
        *version = rename(*version);
    }
}

fn rename_condition(condition: &mut Condition, rename: &mut impl FnMut(Version) -> Version) {
    if let Condition::Unchanged { expected: Some(expected), .. } = condition {
        *expected = rename(*expected);
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
