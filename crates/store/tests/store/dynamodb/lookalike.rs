//! Servers that answer transactions in other ways than the one that `tests/run` starts.

use std::sync::Arc;

use cutover_store::PutAll;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;

const TABLE: &str = r#"{"Table": {"TableName": "t", "TableStatus": "ACTIVE", MORE
    "KeySchema": [{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "key", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": "tenant", "AttributeType": "S"}, {"AttributeName": "key", "AttributeType": "S"}]}}"#;

/// Item `b` has version 9.
const FOUND: &str =
    r#"{"Responses": {"t": [{"tenant": {"S": "t"}, "key": {"S": "b"}, "cutover_version": {"N": "9"}}]}}"#;

/// A server whose table is described with these fields, and which cancels each transaction for these reasons.
async fn lookalike(more: &str, reasons: &str) -> DynamoDbStore {
    answering(more, reasons, "").await
}

/// The same, and which refuses each `PutItem` so.
async fn answering(more: &str, reasons: &str, put: &str) -> DynamoDbStore {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("dynamodb://?endpoint=http://{}", listener.local_addr().expect("bound"));
    let canceled =
        format!(r#"{{"__type": "x#TransactionCanceledException", "CancellationReasons": [{reasons}]}}"#);
    let answers = Arc::new([TABLE.replace("MORE", more), FOUND.to_owned(), canceled, put.to_owned()]);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, answers.clone()));
        }
    });
    let credentials = Credentials::new("test", "test", None, None, "test");
    let options = DynamoDbOptions { retry_timeout: Duration::from_millis(300), ..DynamoDbOptions::default() };
    DynamoDbStore::open_with(&config(&url, Some(credentials)), "t", options).await.expect("opened")
}

async fn serve(connection: TcpStream, answers: Arc<[String; 4]>) {
    let mut connection = BufReader::new(connection);
    loop {
        let (mut length, mut answer) = (0, (400, &answers[2]));
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().expect("a number");
            }
            if line.ends_with(".putitem") && !answers[3].is_empty() {
                answer = (400, &answers[3]);
            } else if line.ends_with(".describetable") {
                answer = (200, &answers[0]);
            } else if line.ends_with(".batchgetitem") {
                answer = (200, &answers[1]);
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await.expect("the rest of the request");
        let (status, text) = answer;
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        connection.get_mut().write_all((head + text).as_bytes()).await.expect("answered");
    }
}

fn both(version: u64) -> [(Id, Record); 2] {
    ["a", "b"].map(|key| (id(key), record(version)))
}

#[tokio::test]
async fn a_failed_condition_without_an_item_is_looked_up() {
    let store = lookalike("", r#"{"Code": "None"}, {"Code": "ConditionalCheckFailed"}"#).await;
    assert_eq!(store.check_all(&[]), Ok(()));
    let put = store.put_all_if_newer(&both(7)).await;
    assert_eq!(put, Ok(PutAll::Refused(vec![(1, Version(9))])));
    let gone = store.put_all_if_newer(&both(10)).await;
    assert!(matches!(gone, Err(StoreError::Throttled { .. })), "nothing keeps it out any more: {gone:?}");
}

#[tokio::test]
async fn an_unknown_reason_is_told_and_not_retried() {
    let store = lookalike("", r#"{"Code": "None"}, {"Code": "AccessDenied", "Message": "no"}"#).await;
    let error = store.put_all_if_newer(&both(7)).await.expect_err("refused");
    assert!(matches!(error, StoreError::Permanent { .. }), "{error:?}");
    let told = "DynamoDB canceled the transaction: AccessDenied: no (key \"b\" of tenant \"t\")";
    assert!(error.to_string().ends_with(told), "{error}");
    let store = lookalike("", r#"{"Code": "None"}, {"Code": "TransactionConflict"}"#).await;
    let error = store.put_all_if_newer(&both(7)).await.expect_err("busy");
    assert!(matches!(error, StoreError::Throttled { .. }), "{error:?}");
}

#[tokio::test]
async fn a_table_of_several_strongly_consistent_regions_has_no_transactions() {
    let store = lookalike(r#""MultiRegionConsistency": "STRONG","#, "").await;
    let error = store.check_all(&[id("a")]).expect_err("refused").to_string();
    assert!(error.contains("multi-Region strong consistency") && error.contains("one by one"), "{error}");
    let store = lookalike(r#""MultiRegionConsistency": "EVENTUAL","#, "").await;
    assert_eq!(store.check_all(&[id("a")]), Ok(()));
}

#[tokio::test]
async fn a_missing_right_to_write_is_told_before_anything_is_written() {
    let denied = r#"{"__type": "x#AccessDeniedException", "message": "no PutItem for you"}"#;
    let missing = answering("", "", denied).await.missing_privileges().await.expect("asked");
    let [missing] = missing.as_slice() else { panic!("{missing:?}") };
    assert!(missing.contains("table t") && missing.contains("no PutItem for you"), "{missing}");
    let never = r#"{"__type": "x#ConditionalCheckFailedException", "message": "no"}"#;
    assert_eq!(answering("", "", never).await.missing_privileges().await, Ok(Vec::new()));
    let Some(url) = server() else { return };
    let store = DynamoDbStore::create(&url, &table(), patient()).await.expect("created");
    assert_eq!(store.missing_privileges().await, Ok(Vec::new()));
    let page = store.scan(&Scope::All, Segment { index: 0, of: 1 }, None, 1000).await.expect("read");
    assert!(page.records.is_empty(), "nothing was written");
}
