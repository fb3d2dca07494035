//! Opens the table, creates it if that is asked for, and checks that it can be used.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::{
    client::Waiters as _,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
        TableStatus,
    },
};
use cutover_dynamodb::{Address, client, renewed};
use tokio::time::{Instant, sleep};

use super::{
    AGAIN, DynamoDb, READINGS, counter_key,
    events::{dropped_key, event_key},
    identity_key,
    item::{Before, Item, Key, PARTITION, SORT},
    lane::{LANES, Lane, lane_item, lane_key},
    request::{Action, Cancelled, Fault, PAUSE, Table, fault},
    seat::{FORMAT, TableSeat, newer, seat_key},
};
use crate::{
    domain::Hash,
    store::{Error, Inspected, Lease, OpenError, entry::new_id, lease::look},
};

/// Longest wait for a connection, and for a sign of an answer.
const SILENT: Duration = Duration::from_secs(5);
/// Longest wait for an answer to a request with much in it.
const WHOLE: Duration = Duration::from_secs(20);
/// Longest wait for a new table.
const CREATED_WITHIN: Duration = Duration::from_secs(60);

const FORM: &str = "write dynamodb://TABLE?region=eu-west-1, and &endpoint=http://... for another server";

/// Opens a table. Nothing is written before this controller leads, except into an empty one.
pub(in crate::store) async fn open(url: &str) -> Result<DynamoDb, OpenError> {
    let (table, creates) = at(url).await?;
    if creates {
        table.create().await?;
    }
    table.described().await?;
    table.begin().await?;

    let table = Arc::new(table);
    let lease = Arc::new(Lease::new(TableSeat { table: table.clone() }));
    let [commits, records, windows] = LANES.map(Lane::new);
    Ok(DynamoDb { table, lease, commits, records, windows, known: 0.into() })
}

/// Looks at a table, also while controllers use it. Writes nothing.
pub(in crate::store) async fn inspect(url: &str) -> Result<Inspected, OpenError> {
    let (table, _) = at(url).await?;
    table.described().await?;
    let Some(counter) = table.get(&counter_key()).await? else {
        return Err(OpenError::unmade(&table.place));
    };
    let revision = counter.number("revision")?;
    let format = (table.always(&seat_key()).await?.number("format")?, FORMAT);
    let (leader, is_renewed) = look(&TableSeat { table: Arc::new(table) }).await?;
    Ok(Inspected::Shared { schema: None, format, revision, leader, is_renewed })
}

/// The table that a URL names, and whether to create it.
async fn at(url: &str) -> Result<(Table, bool), OpenError> {
    let wrong = |what: &str| OpenError::Url(format!("{url}: {what}: {FORM}"));
    let address = Address::parse(url).map_err(|why| wrong(&why))?;
    let Some(name) = &address.table else { return Err(wrong("it names no table")) };
    let (mut creates, mut account) = (false, None);
    if address.region.is_none() {
        return Err(wrong("it names no region, and controllers in two Regions would lead two stores"));
    }
    for (parameter, value) in &address.others {
        match (&**parameter, &**value) {
            ("create", "true") => creates = true,
            ("account", id) if !id.is_empty() => account = Some(id.to_owned()),
            _ => return Err(wrong(&format!("{parameter}={value} is not understood"))),
        }
    }
    let config = address.configuration().await;
    let config = config.ok_or_else(|| wrong("it names no region"))?;
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    let endpoint = address.endpoint.as_ref().map(|endpoint| format!("&endpoint={endpoint}"));
    let place = format!("dynamodb://{name}?region={region}{}", endpoint.unwrap_or_default());
    let table = Table {
        client: client(&renewed(config).await, SILENT, WHOLE),
        name: name.clone(),
        place,
        account,
        uploads: Mutex::default(),
        beaten: Mutex::default(),
    };
    Ok((table, creates))
}

impl Table {
    /// Creates the table, billed by request, unless it is there.
    async fn create(&self) -> Result<(), OpenError> {
        const WHOLE: &str = "both of its fields were given";
        let mut request = self.client.create_table().table_name(&self.name);
        request = request.billing_mode(BillingMode::PayPerRequest);
        for (name, role) in [(PARTITION, KeyType::Hash), (SORT, KeyType::Range)] {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
            let defined = AttributeDefinition::builder().attribute_name(name);
            let defined = defined.attribute_type(ScalarAttributeType::S).build();
            request = request.key_schema(key.expect(WHOLE)).attribute_definitions(defined.expect(WHOLE));
        }
        let made = request.send().await;
        if made.is_ok() {
            tracing::warn!(
                "created the table of an empty store, {}: take create=true out of the URL",
                self.place
            );
        }
        if let Err(error) = made
            && !error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception())
        {
            return Err(self.not_opened(&fault(&error)));
        }
        let made = self.client.wait_until_table_exists().table_name(&self.name).wait(CREATED_WITHIN).await;
        made.map(drop).map_err(|error| {
            OpenError::Unavailable(format!("{} is not ready ({error}): start again later", self.place))
        })
    }

    /// Checks the table, and returns its id: a table that is made from a backup has another one.
    pub(super) async fn described(&self) -> Result<String, OpenError> {
        let described = self.client.describe_table().table_name(&self.name).send().await;
        let described = described.map_err(|error| match fault(&error) {
            Fault::Missing(why) => OpenError::Place(format!(
                "{}: {why}: check table and region, or add &create=true to create it",
                self.place
            )),
            fault => self.not_opened(&fault),
        })?;
        let described = described.table.ok_or_else(|| {
            OpenError::Unavailable(format!("{}: DynamoDB does not describe it", self.place))
        })?;
        if let Some(why) = refusal(&described) {
            return Err(OpenError::Place(format!("{} {why}", self.place)));
        }
        match described.table_status() {
            Some(TableStatus::Active | TableStatus::Updating) => {}
            status => {
                let status = status.map_or("unknown", TableStatus::as_str);
                return Err(OpenError::Unavailable(format!(
                    "{} is in the state {status}: wait until it is ACTIVE",
                    self.place
                )));
            }
        }
        let arn = described.table_arn().unwrap_or_default();
        // arn:aws:dynamodb:REGION:ACCOUNT:table/NAME
        let found = arn.split(':').nth(4).unwrap_or_default();
        if let Some(account) = self.account.as_ref().filter(|account| *account != found) {
            return Err(OpenError::Place(format!(
                "{} is in account {found} ({arn}), not in {account}: check the credentials",
                self.place
            )));
        }
        tracing::debug!(arn, "the table of the store");
        let created = || described.creation_date_time().map(ToString::to_string);
        let id = described.table_id().map(str::to_owned).or_else(created);
        id.ok_or_else(|| OpenError::Place(format!("{} has no id", self.place)))
    }

    /// Writes the first items into an empty table, or checks those that are there.
    async fn begin(&self) -> Result<(), OpenError> {
        if self.get(&seat_key()).await?.is_none() {
            let any = self.client.scan().table_name(&self.name).consistent_read(true).limit(1).send().await;
            let any = any.map_err(|error| self.not_opened(&fault(&error)))?;
            let is_ours = self.get(&seat_key()).await?.is_some();
            if any.count() > 0 && !is_ours {
                return Err(OpenError::Foreign(format!(
                    "{} has items that are not cutover's: name another table",
                    self.place
                )));
            }
            if !is_ours {
                self.write_first_items().await?;
            }
        }
        let seat = self.always(&seat_key()).await?;
        let format = seat.number("format")?;
        if format > FORMAT {
            return Err(OpenError::Newer(newer(&self.place, format)));
        }
        // While a commit is applied, one of them may be visible before the other.
        for _ in 1..READINGS {
            if self.is_at_its_event().await?.is_ok() {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
        let found = self.is_at_its_event().await?;
        found.map_err(|revision| {
            OpenError::Corrupt(format!(
                "{} is damaged (its counter is at revision {revision}, and that event is missing or another one): \
                 restore it from a backup",
                self.place
            ))
        })
    }

    /// Whether the counter is of the newest event. The error is its revision.
    async fn is_at_its_event(&self) -> Result<Result<(), u64>, Error> {
        let counter = self.always(&counter_key()).await?;
        let revision = counter.number("revision")?;
        if revision == 0 {
            return Ok(Ok(()));
        }
        let event = self.get(&event_key(revision)).await?;
        let hash = event.as_ref().and_then(|event| event.find_text("hash"));
        let is_same = hash.is_some() && hash == counter.find_text("hash");
        Ok(if is_same { Ok(()) } else { Err(revision) })
    }

    /// All at once, unless another controller does.
    async fn write_first_items(&self) -> Result<(), OpenError> {
        let none = Hash::NONE.to_string();
        let seat = Item::default().with("epoch", 0).with("beat", 0).with("holder", "");
        let identity = Item::default().with("history_id", new_id()).with("put_back", 0);
        let dropped = Item::default().with("through", 0).with("at_ms", 0).with("deleted", 0);
        let mut items: Vec<(Key, Item)> = vec![
            (seat_key(), seat.with("format", FORMAT).with("table", "")),
            (counter_key(), Item::default().with("revision", 0).with("hash", &*none)),
            (identity_key(), identity.with("seal_key", new_id() + &new_id())),
            (dropped_key(), dropped.with("hash", &*none)),
        ];
        items.extend(LANES.map(|name| (lane_key(name), lane_item(0, "", 0, ""))));
        let until = Instant::now() + CREATED_WITHIN;
        loop {
            let actions: Vec<_> =
                items.iter().map(|(key, item)| Action::Put(key, item, Before::Absent)).collect();
            match self.transact(&actions).await {
                Ok(()) | Err(Cancelled::Unexpected) => return Ok(()),
                Err(Cancelled::Fault(fault)) if fault.is_passing() && Instant::now() < until => {
                    sleep(PAUSE).await;
                }
                Err(Cancelled::Fault(fault)) => return Err(self.not_opened(&fault)),
            }
        }
    }
}

/// Why a table can't be used.
fn refusal(described: &TableDescription) -> Option<String> {
    if !described.replicas().is_empty() || described.global_table_version().is_some() {
        return Some(
            "is a global table: its Regions do not agree on one leader. Remove its replicas, or name another table"
                .to_owned(),
        );
    }
    let named = |role: &KeyType| {
        let part = described.key_schema().iter().find(|key| key.key_type() == role);
        part.map_or("", |part| part.attribute_name())
    };
    let is_text = |name: &str| {
        let mut defined = described.attribute_definitions().iter();
        defined.any(|it| it.attribute_name() == name && *it.attribute_type() == ScalarAttributeType::S)
    };
    let is_ours = named(&KeyType::Hash) == PARTITION && named(&KeyType::Range) == SORT;
    if !is_ours || !is_text(PARTITION) || !is_text(SORT) {
        return Some(format!(
            "has another key: its partition key has to be {PARTITION} and its sort key {SORT}, both of type S. Name \
             another table"
        ));
    }
    None
}
