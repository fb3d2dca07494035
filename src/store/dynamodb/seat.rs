//! The leader's item.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::{Instant, sleep};

use super::{
    counter_key, identity_key,
    item::{Before, Expected, Item, Key, key, key_attributes},
    lane::{LANES, lane_item, lane_key},
    records::another_history,
    request::{Action, Cancelled, Fault, Table, as_expected, small},
};
use crate::store::{Error, Seat, SeatStore, Term};

/// What this program reads and writes: items, documents and records. Raise it if an older program would misread or drop
/// something. That one never leads again after this one has led.
///
/// 2: an instance says how it splits versions, as in the SQL stores' format 3.
pub(super) const FORMAT: u64 = 2;

/// Pause after a transaction that another one blocked.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) fn seat_key() -> Key {
    key("seat", "leader")
}

/// Reads and changes the leader's item.
#[derive(Debug)]
pub(super) struct TableSeat {
    pub(super) table: Arc<Table>,
}

/// Why a newer store is not led.
pub(super) fn newer(place: &str, format: u64) -> String {
    format!(
        "a newer cutover has led {place} (format {format}, this one knows {FORMAT}), so this one never leads there: \
         upgrade it"
    )
}

#[async_trait]
impl SeatStore for TableSeat {
    async fn read(&self) -> Result<Seat, Error> {
        let (seat, identity) = (seat_key(), identity_key());
        let read = tokio::try_join!(self.table.get_once(&seat), self.table.get_once(&identity));
        let (found, history) = read.map_err(|fault| self.table.failed(&fault))?;
        let found = found.ok_or_else(|| self.table.lacks(&seat))?;
        let history = history.ok_or_else(|| self.table.lacks(&identity))?;
        let format = found.number("format")?;
        if format > FORMAT {
            return Err(Error::Unavailable(newer(&self.table.place, format)));
        }
        Ok(Seat {
            epoch: found.number("epoch")?,
            beat: found.number("beat")?,
            holder: found.text("holder")?.to_owned(),
            history: history.text("history_id")?.to_owned(),
        })
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        let table = &self.table;
        let (of_seat, of_identity, of_counter) = (seat_key(), identity_key(), counter_key());
        let now = table.described().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        let seat = table.always(&of_seat).await?;
        let (format, before) = (seat.number("format")?, seat.text("table")?);
        if format > FORMAT {
            return Ok(false);
        }
        let as_seen: Expected = vec![
            ("epoch", seen.epoch.into()),
            ("beat", seen.beat.into()),
            ("holder", (*seen.holder).into()),
            ("format", format.into()),
        ];
        let next = Item::default()
            .with("epoch", seen.epoch + 1)
            .with("beat", 0)
            .with("holder", holder)
            .with("format", FORMAT)
            .with("table", &*now);
        let lanes = LANES.map(|name| (lane_key(name), lane_item(seen.epoch + 1, holder, 0, "")));
        let mut actions = vec![Action::Put(&of_seat, &next, Before::Has(as_seen))];
        actions.extend(lanes.iter().map(|(key, item)| Action::Put(key, item, Before::Any)));
        // A commit may be visible in its lane and not yet in the counter: then this waits for it.
        actions.push(Action::Check(&of_counter, Before::Present));
        let identity = table.always(&of_identity).await?;
        let another;
        // A table that was restored lacks what was written after its backup.
        if !before.is_empty() && before != now {
            let why = format!(
                "the last leader used table {before}, this is {now}: after a restore, committed changes may be missing"
            );
            tracing::error!(before, table = now, "{why}");
            let as_read: Expected = vec![("history_id", identity.text("history_id")?.into())];
            another = another_history(identity, &why);
            actions.push(Action::Put(&of_identity, &another, Before::Has(as_read)));
        } else {
            actions.push(Action::Check(&of_identity, Before::Present));
        }
        self.made(&actions).await
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        let begun = Instant::now();
        let request = self.table.client.update_item().table_name(&self.table.name);
        let request = request
            .set_key(Some(key_attributes(&seat_key())))
            .update_expression("SET #beat = #beat + :one")
            .condition_expression("#epoch = :epoch AND #holder = :holder")
            .expression_attribute_names("#beat", "beat")
            .expression_attribute_names("#epoch", "epoch")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":epoch", AttributeValue::N(term.epoch.to_string()))
            .expression_attribute_values(":holder", AttributeValue::S(term.holder.clone()));
        let is_there = as_expected(small(request.send()).await).map_err(|fault| self.table.failed(&fault))?;
        let beaten = is_there.then_some(begun);
        *self.table.beaten.lock().expect("no panic while it is held") = beaten;
        Ok(is_there)
    }

    async fn vacate(&self, term: &Term) -> Result<(), Error> {
        let of_seat = seat_key();
        let seat = self.table.always(&of_seat).await?;
        let of_term: Expected = vec![("epoch", term.epoch.into()), ("holder", (*term.holder).into())];
        // In the next epoch already: nothing of this term is committed any more.
        let left = seat.with("epoch", term.epoch + 1).with("holder", "");
        let lanes = LANES.map(|name| (lane_key(name), lane_item(term.epoch + 1, "", 0, "")));
        let mut actions = vec![Action::Put(&of_seat, &left, Before::Has(of_term))];
        actions.extend(lanes.iter().map(|(key, item)| Action::Put(key, item, Before::Any)));
        self.made(&actions).await.map(drop)
    }
}

impl TableSeat {
    /// Makes a transaction, after those of the leader that are under way. False: the seat has changed.
    async fn made(&self, actions: &[Action<'_>]) -> Result<bool, Error> {
        loop {
            match self.table.transact(actions).await {
                Ok(()) => return Ok(true),
                Err(Cancelled::Unexpected) => return Ok(false),
                Err(Cancelled::Fault(Fault::Busy(_))) => sleep(PAUSE).await,
                Err(Cancelled::Fault(fault)) => return Err(self.table.failed(&fault)),
            }
        }
    }
}
