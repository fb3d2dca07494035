//! The answers that callers got, and whether one order of all operations explains them.

use cutover_client::{migrator::rules::Seen, store::Version};

use crate::{
    protocol::Protocol,
    state::{Client, Doing, Held, Promise, Record, State, Work, Writing},
};

/// At level acknowledged only `acknowledged` is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The highest version that was acknowledged.
    pub(crate) acknowledged: Option<Seen>,
    /// The highest version of a delete that took effect anywhere.
    pub(crate) deleted: Option<Version>,
    /// The highest version that was read.
    pub(crate) read: Version,
    /// Writes that ended without an answer: they may take effect at any time from now on, or never.
    pub(crate) undecided: Vec<Effect>,
    /// Every order that explains the answers so far (Lowe, "Testing for linearizability", 2017: operations
    /// are ordered only when an answer requires it). None left: not linearizable.
    pub(crate) orders: Vec<Order>,
}

/// What a write does when it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Effect {
    pub(crate) number: u8,
    pub(crate) content: u8,
    /// A mutation takes effect only on the content that it was made from.
    pub(crate) base: Option<u8>,
}

/// An order of operations, as far as it matters for what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Order {
    /// The record's content after it.
    pub(crate) content: u8,
    /// Unanswered writes in it, one bit each.
    pub(crate) writes: u8,
    /// What unanswered reads in it will have to return, by client.
    pub(crate) reads: [u8; CLIENTS_MAX],
}

pub(crate) const CLIENTS_MAX: usize = 3;
/// Not in the order yet.
pub(crate) const OPEN: u8 = u8::MAX;

impl Order {
    pub(crate) const fn of(content: u8) -> Self {
        Self { content, writes: 0, reads: [OPEN; CLIENTS_MAX] }
    }
}

impl History {
    /// A write was answered: it is in the order now.
    pub(crate) fn acknowledge(&mut self, clients: &[Client], effect: Effect) {
        let bit = 1 << effect.number;
        let in_it = |order: &Order| order.writes & bit != 0;
        let ended = self.ordered(clients, Some(effect), in_it);
        self.keep(ended.into_iter().map(|order| Order { writes: order.writes & !bit, ..order }));
    }

    /// A read was answered with this content.
    pub(crate) fn returned(&mut self, clients: &[Client], client: usize, content: u8) {
        let ended = self.ordered(clients, None, |order| order.reads[client] != OPEN);
        self.keep(ended.into_iter().filter(|order| order.reads[client] == content).map(|mut order| {
            order.reads[client] = OPEN;
            order
        }));
    }

    /// This record has been acknowledged: later answers are not older.
    pub(crate) fn raise(&mut self, record: Record) {
        if self.acknowledged.is_none_or(|highest| record.version > highest.version) {
            self.acknowledged = Some(record.seen());
        }
    }

    /// Which promise an answer with this record breaks, after this one had been acknowledged.
    pub(crate) fn lost(&self, acknowledged: Option<Seen>, record: Held) -> Option<Promise> {
        let acknowledged = acknowledged?;
        let is_lost = match record {
            Some(record) => record.version < acknowledged.version,
            // Without a tombstone it is unknown which delete it was.
            None => self.deleted < Some(acknowledged.version),
        };
        let promise = if acknowledged.tombstone { Promise::DeletedStays } else { Promise::AcknowledgedStays };
        is_lost.then_some(promise)
    }

    /// A read ended without an answer.
    pub(crate) fn unread(&mut self, client: usize) {
        let orders = std::mem::take(&mut self.orders);
        self.keep(orders.into_iter().map(|mut order| {
            order.reads[client] = OPEN;
            order
        }));
    }

    /// A write never took effect, or at least not before now.
    pub(crate) fn never(&mut self, number: u8) {
        self.orders.retain(|order| order.writes & 1 << number == 0);
    }

    /// Every order that contains what is needed and as little else as possible.
    fn ordered(
        &self,
        clients: &[Client],
        ending: Option<Effect>,
        enough: impl Fn(&Order) -> bool,
    ) -> Vec<Order> {
        let running = clients.iter().filter_map(Client::effect);
        let effects: Vec<Effect> = running.chain(ending).chain(self.undecided.iter().copied()).collect();
        let mut all = self.orders.clone();
        let mut at = 0;
        let mut ended = Vec::new();
        while let Some(order) = all.get(at).copied() {
            at += 1;
            if enough(&order) {
                ended.push(order);
                continue;
            }
            let mut then = |next: Order| {
                if !all.contains(&next) {
                    all.push(next);
                }
            };
            for effect in &effects {
                let fits = effect.base.is_none_or(|base| base == order.content);
                if fits && order.writes & 1 << effect.number == 0 {
                    let writes = order.writes | 1 << effect.number;
                    then(Order { content: effect.content, writes, ..order });
                }
            }
            for (reader, client) in clients.iter().enumerate() {
                if client.reads() && order.reads[reader] == OPEN {
                    let mut next = order;
                    next.reads[reader] = order.content;
                    then(next);
                }
            }
        }
        ended
    }

    fn keep(&mut self, orders: impl Iterator<Item = Order>) {
        self.orders = orders.collect();
        self.orders.sort_unstable();
        self.orders.dedup();
    }
}

impl Client {
    /// A `put_if` reads too, and says what it found if it writes nothing.
    fn reads(&self) -> bool {
        self.doing.as_ref().is_some_and(|doing| match &doing.work {
            Work::Read { .. } => true,
            Work::Write { write, .. } => write.expected.is_some(),
        })
    }

    /// The effect of its write, if it may have taken effect. Even a write that is not put yet may have:
    /// another may supersede it at once, so that nobody ever sees it.
    fn effect(&self) -> Option<Effect> {
        match &self.doing.as_ref()?.work {
            Work::Write { write, .. } if write.sent || !write.compare => Some(write.effect()),
            _ => None,
        }
    }
}

impl Protocol {
    /// The operation's caller learns this content.
    pub(crate) fn returned(&self, after: &mut State, client: usize, doing: Doing, content: u8) {
        if !self.ordered() {
            return;
        }
        after.clients[client].doing = Some(doing);
        after.history.returned(&after.clients, client, content);
        after.clients[client].doing = None;
        if after.history.orders.is_empty() {
            after.broken.get_or_insert(Promise::Linearizable);
        }
    }

    /// It may take effect later or, if it was never sent, it never will.
    pub(crate) fn unanswered(&self, after: &mut State, writing: &Writing) {
        if !self.ordered() {
        } else if writing.sent {
            after.history.undecided.push(writing.effect());
        } else {
            after.history.never(writing.number);
        }
    }
}

impl Writing {
    pub(crate) fn effect(&self) -> Effect {
        Effect { number: self.number, content: self.record.content, base: self.base }
    }
}
