//! The Terraform module of the table that controllers share.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use cutover::store::open_store;

use crate::store::{
    schema::{Kind, Schema},
    table::Table,
};

/// What the module's text gives these names.
fn given<'t>(module: &'t str, name: &str) -> Vec<&'t str> {
    let assigned = module.lines().filter_map(|line| line.trim().split_once('='));
    let named = assigned.filter(|(found, _)| found.trim() == name);
    named.map(|(_, value)| value.trim().trim_matches('"')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_takes_the_table_that_the_module_makes() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let url = schema.url.replace("create=true&", "");
    let told = open_store(&url).await.unwrap_err().to_string();
    assert!(told.contains("check table and region"), "{told}");

    let module = include_str!("../../../deploy/dynamodb/main.tf");
    let table = module.split_once("resource \"aws_dynamodb_table\"").unwrap().1;
    let table = table.split_once("\n}\n").unwrap().0;
    let billing = BillingMode::from(given(table, "billing_mode")[0]);
    let Table { client, name } = Table::of(&url).await;
    let mut request = client.create_table().table_name(name).billing_mode(billing);
    for (key, role) in [("hash_key", KeyType::Hash), ("range_key", KeyType::Range)] {
        let element = KeySchemaElement::builder().attribute_name(given(table, key)[0]).key_type(role);
        request = request.key_schema(element.build().unwrap());
    }
    let (names, types) = (&given(table, "name")[1..], given(table, "type"));
    assert_eq!(names.len(), types.len());
    for (name, of_type) in names.iter().zip(types) {
        let defined = AttributeDefinition::builder().attribute_name(*name);
        let defined = defined.attribute_type(ScalarAttributeType::from(of_type)).build().unwrap();
        request = request.attribute_definitions(defined);
    }
    request.send().await.unwrap();
    let store = open_store(&url).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().revision, 0);
    for setting in ["deletion_protection_enabled = true", "prevent_destroy = true", "enabled = true"] {
        assert!(table.contains(setting), "{setting}: state is not deleted by mistake");
    }
    assert!(!table.contains("ttl {") && !table.contains("replica {"));
}
