//! Requests to the table, and what their errors prove.

use std::{collections::BTreeSet, error::Error as _, sync::Mutex, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem},
};
use cutover_dynamodb::{never_connected, root_cause};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::item::{Before, Condition, Expected, Item, Key, PARTITION, SORT, key_attributes};
use crate::store::{Error, OpenError, TRUSTED};

/// Longest wait for an answer to a request about one item.
const SMALL: Duration = Duration::from_secs(2);
/// Attempts to read begin within this time.
const RETRY: Duration = Duration::from_secs(3);
/// Pauses between attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// An upload waits while the leader's last beat is older: what it takes of the table's throughput, beats may need.
const LATE: Duration = Duration::from_secs(1);

/// Why a request failed.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Nothing was done. It may work in a moment.
    Busy(String),
    /// Nothing was done: credentials or rights are missing.
    Access(String),
    /// Nothing was done: there is no such table.
    Missing(String),
    /// Nothing was done, and it fails every time.
    Refused(String),
    /// It may have been done.
    Doubt(String),
}

impl Fault {
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Doubt(_))
    }

    pub(super) fn words(&self) -> &str {
        let (Self::Busy(how)
        | Self::Access(how)
        | Self::Missing(how)
        | Self::Refused(how)
        | Self::Doubt(how)) = self;
        how
    }
}

/// Why a transaction failed.
#[derive(Clone, Debug)]
pub(super) enum Cancelled {
    /// Nothing was done: an item is not as expected.
    Unexpected,
    Fault(Fault),
}

/// What a transaction does to one item.
pub(super) enum Action<'a> {
    Put(&'a Key, &'a Item, Before),
    Delete(&'a Key, Before),
    Check(&'a Key, Before),
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) client: Client,
    pub(super) name: String,
    /// Its URL, for messages.
    pub(super) place: String,
    /// The account that it must be in.
    pub(super) account: Option<String>,
    /// Ids of parts that this process has written and that nothing refers to yet.
    pub(super) uploads: Mutex<BTreeSet<String>>,
    /// When this process began its last beat that was answered.
    pub(super) beaten: Mutex<Option<Instant>>,
}

impl Table {
    /// Waits while beats are late.
    pub(super) async fn after_beat(&self) {
        let is_late = || {
            let beaten = self.beaten.lock().expect("no panic while it is held");
            beaten.is_some_and(|at| at.elapsed() > LATE && at.elapsed() < TRUSTED)
        };
        while is_late() {
            sleep(PAUSE).await;
        }
    }

    pub(super) fn failed(&self, fault: &Fault) -> Error {
        Error::Unavailable(format!("{}: {}", self.place, fault.words()))
    }

    pub(super) fn not_opened(&self, fault: &Fault) -> OpenError {
        let told = format!("{}: {}", self.place, fault.words());
        if fault.is_passing() { OpenError::Unavailable(told) } else { OpenError::Place(told) }
    }

    /// An item as it is now: reads see every write that was answered.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.retried(|| self.get_once(key)).await
    }

    /// The same in one attempt.
    pub(super) async fn get_once(&self, key: &Key) -> Result<Option<Item>, Fault> {
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let answer = small(request.set_key(Some(key_attributes(key))).send()).await?;
        Ok(answer.item.map(|item| Item::of(item).1))
    }

    /// An item that is always there.
    pub(super) async fn always(&self, key: &Key) -> Result<Item, Error> {
        self.get(key).await?.ok_or_else(|| self.lacks(key))
    }

    pub(super) fn lacks(&self, (partition, sort): &Key) -> Error {
        let place = &self.place;
        Error::Corrupt(format!("{place} has no item {partition:?}, {sort:?}: restore it from a backup"))
    }

    /// Items of a partition in order, with their sort keys: those in the range, both ends included, at most `limit`.
    pub(super) async fn query(
        &self,
        partition: &str,
        range: Option<(String, String)>,
        ascending: bool,
        limit: usize,
    ) -> Result<Vec<(String, Item)>, Error> {
        let mut found = Vec::new();
        let mut after = None;
        if range.as_ref().is_some_and(|(from, to)| from > to) {
            return Ok(found);
        }
        while found.len() < limit {
            let page = || {
                let mut request = self.client.query().table_name(&self.name).consistent_read(true);
                request = request.expression_attribute_names("#p", PARTITION);
                request = request
                    .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
                    .scan_index_forward(ascending)
                    .set_exclusive_start_key(after.clone())
                    .set_limit(i32::try_from(limit - found.len()).ok());
                request = match &range {
                    None => request.key_condition_expression("#p = :p"),
                    Some((from, to)) => request
                        .key_condition_expression("#p = :p AND #s BETWEEN :from AND :to")
                        .expression_attribute_names("#s", SORT)
                        .expression_attribute_values(":from", AttributeValue::S(from.clone()))
                        .expression_attribute_values(":to", AttributeValue::S(to.clone())),
                };
                async { request.send().await.map_err(|error| fault(&error)) }
            };
            let page = self.retried(page).await?;
            found.extend(page.items.unwrap_or_default().into_iter().map(Item::of));
            after = page.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// All items of a partition.
    pub(super) async fn all(&self, partition: &str) -> Result<Vec<(String, Item)>, Error> {
        self.query(partition, None, true, usize::MAX).await
    }

    /// Writes an item. False: it is not as expected.
    pub(super) async fn put(&self, key: &Key, item: &Item, expected: &Expected) -> Result<bool, Fault> {
        let mut request = self.client.put_item().table_name(&self.name);
        if let Some(Condition { text, names, values }) = Condition::of(expected) {
            request = request
                .condition_expression(text)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values);
        }
        as_expected(small(request.set_item(Some(item.attributes(key))).send()).await)
    }

    /// Deletes an item. False: it is not as expected.
    pub(super) async fn delete(&self, key: &Key, expected: &Expected) -> Result<bool, Fault> {
        let mut request = self.client.delete_item().table_name(&self.name);
        if let Some(Condition { text, names, values }) = Condition::of(expected) {
            request = request
                .condition_expression(text)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values);
        }
        as_expected(small(request.set_key(Some(key_attributes(key))).send()).await)
    }

    /// All of it or nothing, in one attempt.
    pub(super) async fn transact(&self, actions: &[Action<'_>]) -> Result<(), Cancelled> {
        let items = actions.iter().map(|action| self.part(action)).collect::<Vec<_>>();
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let sent: BoxFuture<'_, _> = Box::pin(request.send());
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => Err(cancelled(&error)),
        }
    }

    fn part(&self, action: &Action<'_>) -> TransactWriteItem {
        const WHOLE: &str = "all that it needs is given";
        let (Action::Put(_, _, before) | Action::Delete(_, before) | Action::Check(_, before)) = action;
        let (text, names, values) = Condition::before(before)
            .map_or((None, None, None), |it| (Some(it.text), Some(it.names), it.values));
        let part = TransactWriteItem::builder();
        match action {
            Action::Put(key, item, _) => part.put(
                Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(item.attributes(key)))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .expect(WHOLE),
            ),
            Action::Delete(key, _) => part.delete(
                Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(key)))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .expect(WHOLE),
            ),
            Action::Check(key, _) => part.condition_check(
                ConditionCheck::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(key)))
                    .set_condition_expression(text)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()
                    .expect(WHOLE),
            ),
        }
        .build()
    }

    /// Repeats what may be repeated.
    pub(super) async fn retried<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let (until, mut pause) = (Instant::now() + RETRY, PAUSE);
        loop {
            let attempt: BoxFuture<'_, _> = Box::pin(attempt());
            match attempt.await {
                Ok(done) => return Ok(done),
                Err(fault) if !fault.is_passing() || Instant::now() + pause > until => {
                    return Err(self.failed(&fault));
                }
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// The answer to a request about one item.
pub(super) async fn small<T, E>(
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
) -> Result<T, Fault>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let request: BoxFuture<'_, _> = Box::pin(request);
    match timeout(SMALL, request).await {
        Ok(answer) => answer.map_err(|error| fault(&error)),
        Err(_) => Err(Fault::Doubt(SILENT.to_owned())),
    }
}

const SILENT: &str = "DynamoDB does not answer in time";
const UNEXPECTED: &str = "ConditionalCheckFailedException";

/// False: the item is not as expected.
pub(super) fn as_expected<T>(answer: Result<T, Fault>) -> Result<bool, Fault> {
    match answer {
        Ok(_) => Ok(true),
        Err(Fault::Refused(how)) if how == UNEXPECTED => Ok(false),
        Err(fault) => Err(fault),
    }
}

fn cancelled(error: &SdkError<TransactWriteItemsError, HttpResponse>) -> Cancelled {
    let Some(TransactWriteItemsError::TransactionCanceledException(why)) = error.as_service_error() else {
        return Cancelled::Fault(fault(error));
    };
    let reasons = || why.cancellation_reasons().iter();
    let has = |code: &str| reasons().any(|it| it.code() == Some(code));
    if has("ConditionalCheckFailed") {
        return Cancelled::Unexpected;
    }
    let said = reasons().filter_map(|it| it.message()).next().unwrap_or("no reason given").to_owned();
    let passes = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    Cancelled::Fault(if passes.into_iter().any(has) {
        Fault::Busy(format!("DynamoDB is busy: {said}"))
    } else {
        Fault::Refused(format!("DynamoDB refuses it: {said}"))
    })
}

/// What one failed request means.
pub(super) fn fault<E>(error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    const GIVE: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role";
    match error {
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            let said = meta.message().unwrap_or("no reason given");
            match meta.code().unwrap_or_default() {
                UNEXPECTED => Fault::Refused(UNEXPECTED.to_owned()),
                "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "ThrottlingException"
                | "Throttling"
                | "LimitExceededException"
                | "TransactionConflictException" => Fault::Busy(format!("DynamoDB is busy: {said}")),
                "ResourceNotFoundException" => Fault::Missing(format!("there is no such table ({said})")),
                "ExpiredTokenException" | "ExpiredToken" => {
                    Fault::Access(format!("the credentials have expired ({said}): renew them"))
                }
                "AccessDeniedException" => Fault::Access(format!(
                    "the credentials do not allow this ({said}): give their role the policy of deploy/iam/controller.json"
                )),
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "MissingAuthenticationToken"
                | "MissingAuthenticationTokenException"
                | "IncompleteSignatureException" => {
                    Fault::Access(format!("DynamoDB does not accept the credentials ({said}): {GIVE}"))
                }
                // Any other code may come from a proxy, or mean that it is being done.
                code @ ("ValidationException"
                | "SerializationException"
                | "UnknownOperationException"
                | "TransactionCanceledException"
                | "ItemCollectionSizeLimitExceededException") => {
                    Fault::Refused(format!("DynamoDB refuses it: {code} {said}"))
                }
                code => Fault::Doubt(format!("DynamoDB failed: {code} {said}")),
            }
        }
        SdkError::ConstructionFailure(_) => Fault::Refused(DisplayErrorContext(error).to_string()),
        _ if never_connected(error) => Fault::Busy(format!(
            "it can't be reached ({}): check endpoint, region and network",
            root_cause(error)
        )),
        SdkError::TimeoutError(_) => Fault::Doubt(SILENT.to_owned()),
        SdkError::DispatchFailure(_)
            if DisplayErrorContext(error).to_string().to_lowercase().contains("credentials") =>
        {
            Fault::Access(format!("there are no credentials ({}): {GIVE}", root_cause(error)))
        }
        _ => Fault::Doubt(format!(
            "the connection was cut off ({})",
            error.source().map_or_else(String::new, root_cause)
        )),
    }
}
