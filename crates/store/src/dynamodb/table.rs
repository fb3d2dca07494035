//! Creates, checks and measures the table.

use std::time::Duration;

use aws_sdk_dynamodb::{
    client::Waiters,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, MultiRegionConsistency,
        ScalarAttributeType, TableDescription, TableStatus, TimeToLiveStatus,
    },
};

use super::{
    Client, DynamoDbOptions,
    error::{Access, of_request, permanent},
    retry::Retries,
};
use crate::{Identity, StoreError, mapping};
use cutover_core::outcome::ErrorClass;

/// Longest wait for a new table. It usually takes about ten seconds.
const CREATED_WITHIN: Duration = Duration::from_secs(120);

/// Creates the table unless it exists: billed per request, with the tenant as its partition key.
pub(super) async fn create(
    client: &Client,
    table: &str,
    options: &DynamoDbOptions,
) -> Result<(), StoreError> {
    let fields = &options.fields;
    let mut names = vec![(&fields.tenant, fields.tenant_type, KeyType::Hash)];
    if !fields.is_own_tenant() {
        names.push((&fields.key, fields.key_type, KeyType::Range));
    }
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind, role) in names {
        let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
        let defined =
            AttributeDefinition::builder().attribute_name(name).attribute_type(scalar(kind)).build();
        const WHOLE: &str = "both of its fields were given";
        request = request.key_schema(key.expect(WHOLE)).attribute_definitions(defined.expect(WHOLE));
    }
    let create = async || match request.clone().send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(())
        }
        Err(error) => Err(set_up_error(of_request(Access::Read, table, error))),
    };
    Retries::within(options.retry_timeout).run(create).await?;
    match client.wait_until_table_exists().table_name(table).wait(CREATED_WITHIN).await {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::NotApplied {
            class: ErrorClass::Timeout,
            what: format!("the table {table:?} is not ready ({error}): open it again later"),
        }),
    }
}

/// The table's current description.
pub(super) async fn describe(client: &Client, table: &str) -> Result<TableDescription, StoreError> {
    let answer = client.describe_table().table_name(table).send().await;
    let answer = answer.map_err(|error| set_up_error(of_request(Access::Read, table, error)))?;
    answer.table.ok_or_else(|| StoreError::NotApplied {
        class: ErrorClass::Server,
        what: format!("DynamoDB does not describe {table:?}"),
    })
}

/// Whether it has transactions: a global table with multi-Region strong consistency has none.
pub(super) fn has_transactions(described: &TableDescription) -> bool {
    described.multi_region_consistency() != Some(&MultiRegionConsistency::Strong)
}

/// The attributes of the key, the partition key first.
pub(super) fn keys(described: &TableDescription) -> Vec<(String, mapping::KeyType)> {
    let mut parts: Vec<&KeySchemaElement> = described.key_schema().iter().collect();
    parts.sort_by_key(|part| *part.key_type() != KeyType::Hash);
    let kind = |name: &str| {
        let defined = described.attribute_definitions().iter().find(|it| it.attribute_name() == name);
        match defined.map(AttributeDefinition::attribute_type) {
            Some(ScalarAttributeType::N) => mapping::KeyType::N,
            Some(ScalarAttributeType::B) => mapping::KeyType::B,
            _ => mapping::KeyType::S,
        }
    };
    parts.into_iter().map(|part| (part.attribute_name().to_owned(), kind(part.attribute_name()))).collect()
}

/// The attribute by which the table removes items, if its TTL is on. A user who may not ask learns nothing.
pub(super) async fn removes_by(client: &Client, table: &str) -> Option<String> {
    let answer = client.describe_time_to_live().table_name(table).send().await.ok()?;
    let described = answer.time_to_live_description?;
    // It may remove items until it is off.
    let is_on = described.time_to_live_status.is_some_and(|status| status != TimeToLiveStatus::Disabled);
    described.attribute_name.filter(|_| is_on)
}

/// The table's identity. `region` is for people: the ARN contains it, except on a local server.
pub(super) fn identity(described: &TableDescription, region: &str) -> Identity {
    let arn = described.table_arn().unwrap_or_default();
    let made = described.creation_date_time().map(ToString::to_string).unwrap_or_default();
    let table_id = described.table_id().unwrap_or(&made);
    Identity::of_table(format!("{arn} {table_id}"), format!("{arn} (made {made}, asked for in {region})"))
}

/// Its partition key, if the table is ready and has the key that the options name.
pub(super) fn partition_of(
    described: &TableDescription,
    table: &str,
    options: &DynamoDbOptions,
) -> Result<String, StoreError> {
    if let Some(status @ (TableStatus::Creating | TableStatus::Deleting)) = described.table_status() {
        return Err(StoreError::NotApplied {
            class: ErrorClass::Server,
            what: format!("the table {table:?} is {status}: wait until it is ACTIVE"),
        });
    }
    let named = |role: &KeyType| {
        described.key_schema().iter().find(|key| key.key_type() == role).map(|key| key.attribute_name())
    };
    let type_of = |name: &str| {
        let mut defined = described.attribute_definitions().iter();
        defined.find(|defined| defined.attribute_name() == name).map(|defined| defined.attribute_type())
    };
    let (tenant, key) = (options.fields.tenant.as_str(), options.fields.key.as_str());
    let (partition, sort) = (named(&KeyType::Hash).unwrap_or_default(), named(&KeyType::Range));
    let fits = match sort {
        None => partition == tenant && tenant == key,
        Some(sort) => tenant != key && [(tenant, key), (key, tenant)].contains(&(partition, sort)),
    };
    if !fits {
        let sort = sort.map_or_else(|| "no sort key".to_owned(), |sort| format!("sort key {sort:?}"));
        let what = format!(
            "{table:?} has the partition key {partition:?} and {sort}, but the tenant is to be in {tenant:?} \
             and the key in {key:?}: name its attributes in the spec (tenant = \"..\", key = \"..\"), or another table"
        );
        return Err(permanent(ErrorClass::Other, "table", what));
    }
    let fields = &options.fields;
    for (name, of, kind) in [(tenant, "tenant", fields.tenant_type), (key, "key", fields.key_type)] {
        let is = type_of(name).map_or("?", ScalarAttributeType::as_str);
        if is != scalar(kind).as_str() {
            let what = format!(
                "the attribute {name:?} of {table:?} is of the type {is}, and {} was expected: give it as \
                 {of}_type",
                kind.words()
            );
            return Err(permanent(ErrorClass::Other, "table", what));
        }
    }
    Ok(partition.to_owned())
}

fn scalar(kind: mapping::KeyType) -> ScalarAttributeType {
    match kind {
        mapping::KeyType::S => ScalarAttributeType::S,
        mapping::KeyType::N => ScalarAttributeType::N,
        mapping::KeyType::B => ScalarAttributeType::B,
    }
}

/// Here an invalid name or key is the table's fault, not a record's.
fn set_up_error(error: StoreError) -> StoreError {
    match error {
        StoreError::Permanent { class, field, what } if field == "record" => {
            StoreError::Permanent { class, field: "table".to_owned(), what }
        }
        other => other,
    }
}
