//! Whether the user may write the table, asked before anything moves.

use cutover_core::outcome::ErrorClass;

use super::{DynamoDbStore, Id, KeyType, Record, StoreError, Version};

impl DynamoDbStore {
    /// By a put whose condition never holds: it takes the same privilege as every write, and writes nothing. A policy that
    /// names keys may refuse this one and take all others.
    pub(super) async fn missing_rights(&self) -> Result<Vec<String>, StoreError> {
        let fields = &self.options.fields;
        let text = |kind| match kind {
            KeyType::S => "cutover".to_owned(),
            KeyType::N => "0".to_owned(),
            KeyType::B => "AA==".to_owned(),
        };
        let id = Id { tenant: text(fields.tenant_type), key: text(fields.key_type) };
        let record = Record { version: Version(1), value: None };
        match self.put(&id, &record, "attribute_exists(#p) AND attribute_not_exists(#p)", None).await {
            Err(StoreError::Permanent { field, what, .. }) if field == "credentials" => {
                Ok(vec![format!("the credentials of table {}: {what}", self.table)])
            }
            Ok(Ok(())) => Err(StoreError::Permanent {
                class: ErrorClass::Other,
                field: "table".to_owned(),
                what: format!(
                    "the server wrote an item although its condition never holds, so it is no DynamoDB that Cutover can use. \
                     Delete the item with {} {:?} and {} {:?} from table {}",
                    fields.tenant, id.tenant, fields.key, id.key, self.table
                ),
            }),
            // A condition that did not hold, or whatever else is wrong with the item, says nothing about privileges. Nor
            // does a table that is busy.
            Ok(Err(_)) | Err(_) => Ok(Vec::new()),
        }
    }
}
