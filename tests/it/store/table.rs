//! Items of a controller's DynamoDB table, read and changed behind its back.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use cutover_dynamodb::Address;
use tokio::time::sleep;

/// Text.
pub fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A number.
pub fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub struct Table {
    pub client: Client,
    pub name: String,
}

impl Table {
    /// The table that a store's URL names.
    pub async fn of(url: &str) -> Self {
        let address = Address::parse(url).unwrap();
        let config = address.configuration().await.unwrap();
        Self { client: Client::new(&config), name: address.table.unwrap() }
    }

    /// Sets attributes of an item.
    pub async fn set(&self, partition: &str, sort: &str, attributes: &[(&str, AttributeValue)]) {
        let mut request = self.client.update_item().table_name(&self.name);
        request = request.key("pk", s(partition)).key("sk", s(sort));
        let mut sets = Vec::new();
        for (at, (name, value)) in attributes.iter().enumerate() {
            sets.push(format!("#a{at} = :a{at}"));
            request = request.expression_attribute_names(format!("#a{at}"), *name);
            request = request.expression_attribute_values(format!(":a{at}"), value.clone());
        }
        request.update_expression(format!("SET {}", sets.join(", "))).send().await.unwrap();
    }

    pub async fn get(&self, partition: &str, sort: &str) -> Option<HashMap<String, AttributeValue>> {
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        request.key("pk", s(partition)).key("sk", s(sort)).send().await.unwrap().item
    }

    pub async fn delete(&self, partition: &str, sort: &str) {
        let request = self.client.delete_item().table_name(&self.name);
        request.key("pk", s(partition)).key("sk", s(sort)).send().await.unwrap();
    }

    /// The sort keys of all items whose partition begins so.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut pages = self.client.scan().table_name(&self.name).into_paginator().items().send();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            if item["pk"].as_s().unwrap().starts_with(prefix) {
                keys.push(item["sk"].as_s().unwrap().clone());
            }
        }
        keys
    }

    /// Waits until there is no such item: what nothing refers to is deleted while nobody waits.
    pub async fn gone(&self, prefix: &str) {
        self.count(prefix, 0).await;
    }

    /// Waits until there are so many of them.
    pub async fn count(&self, prefix: &str, expected: usize) {
        for _ in 0..100 {
            if self.keys(prefix).await.len() == expected {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.keys(prefix).await.len(), expected, "{prefix}: {:?}", self.keys(prefix).await);
    }

    /// Begins another epoch in which nobody leads, of a table with another id if one is given.
    pub async fn change_leader(&self, table: Option<&str>) {
        let seat = self.get("seat", "leader").await.unwrap();
        let epoch = seat["epoch"].as_n().unwrap().parse::<u64>().unwrap() + 1;
        let nobody = [("epoch", n(epoch)), ("holder", s(""))];
        for lane in ["commits", "records", "windows"] {
            self.set(&format!("lane#{lane}"), "lane", &nobody).await;
        }
        let table = table.map(|table| ("table", s(table)));
        self.set("seat", "leader", &nobody.into_iter().chain(table).collect::<Vec<_>>()).await;
    }

    /// Takes back revision 2, which is the newest one of the only migration.
    pub async fn lose_revision_2(&self) {
        let events = "events#00000000000000000000";
        let first = self.get(events, "00000000000000000001").await.unwrap();
        self.delete(events, "00000000000000000002").await;
        self.set("state", "counter", &[("revision", n(1)), ("hash", first["hash"].clone())]).await;
        self.set("migrations", "orders", &[("revision", n(1))]).await;
    }
}
