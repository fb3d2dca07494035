//! DynamoDB, by the JSON of its API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::super::sets::{At, Set};

/// Calls the local server, which checks no signature but has tables for each access key.
async fn call(url: &str, action: &str, body: Value) -> Value {
    let address = url.split("http://").nth(1).unwrap();
    let address = address.split(['/', '&', '?']).next().unwrap();
    let key = std::env::var("AWS_ACCESS_KEY_ID").unwrap_or_else(|_| "test".to_owned());
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.0\r\nhost: {address}\r\nx-amz-target: DynamoDB_20120810.{action}\r\n\
         content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
         Signature=0\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{action}: {answer}");
    serde_json::from_str(body).unwrap()
}

pub async fn fill(url: &str, table: &str, set: &Set) -> BTreeMap<At, Map<String, Value>> {
    let key = |name: &str, role: &str| json!({ "AttributeName": name, "KeyType": role });
    let text = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let create = json!({
        "TableName": table,
        "KeySchema": [key("owner", "HASH"), key("no", "RANGE")],
        "AttributeDefinitions": [text("owner"), text("no")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    call(url, "CreateTable", create).await;
    let put = |((tenant, key), record): &(At, Map<String, Value>)| {
        let mut item: Map<String, Value> =
            record.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
        item.insert("owner".to_owned(), json!({ "S": tenant }));
        item.insert("no".to_owned(), json!({ "S": key }));
        json!({ "PutRequest": { "Item": item } })
    };
    for records in set.records.chunks(25) {
        let puts: Vec<Value> = records.iter().map(put).collect();
        call(url, "BatchWriteItem", json!({ "RequestItems": { table: puts } })).await;
    }
    set.records.iter().cloned().collect()
}

pub async fn read(url: &str, table: &str, spec: &toml::Value) -> BTreeMap<At, Map<String, Value>> {
    let [tenant, key] = ["tenant", "key"].map(|name| spec[name].as_str().unwrap().to_owned());
    let (mut records, mut start) = (BTreeMap::new(), Value::Null);
    loop {
        let mut scan = json!({ "TableName": table });
        if !start.is_null() {
            scan["ExclusiveStartKey"] = start;
        }
        let mut page = call(url, "Scan", scan).await;
        for item in page["Items"].as_array().unwrap() {
            let item = item.as_object().unwrap().iter();
            let mut record: Map<String, Value> =
                item.map(|(name, value)| (name.clone(), untyped(value))).collect();
            record.remove("cutover_version");
            let mut id = |name: &str| record.remove(name).unwrap().as_str().unwrap().to_owned();
            records.insert((id(&tenant), id(&key)), record);
        }
        start = page["LastEvaluatedKey"].take();
        if start.is_null() {
            return records;
        }
    }
}

/// A value as DynamoDB writes it.
fn typed(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(is) => json!({ "BOOL": is }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(list) => json!({ "L": list.iter().map(typed).collect::<Vec<_>>() }),
        Value::Object(map) => {
            let typed = map.iter().map(|(name, value)| (name.clone(), typed(value)));
            json!({ "M": typed.collect::<Map<_, _>>() })
        }
    }
}

/// The value that DynamoDB, or a column of typed JSON, writes so.
pub fn untyped(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("N", Value::String(number)) => serde_json::from_str(number).unwrap(),
        ("L", Value::Array(list)) => list.iter().map(untyped).collect(),
        ("M", Value::Object(map)) => map.iter().map(|(name, value)| (name.clone(), untyped(value))).collect(),
        (_, value) => value.clone(),
    }
}
