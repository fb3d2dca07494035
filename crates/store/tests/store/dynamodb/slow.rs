//! A connection that carries less than a page in the time of an attempt.

use cutover_core::outcome::ErrorClass;

use super::*;

/// 1.1 MB: more than DynamoDB puts into a page.
fn records() -> Vec<(Id, Record)> {
    let text = "x".repeat(20_000);
    let value = format!(r#"{{"text":{{"S":"{text}"}}}}"#).into_bytes();
    let record = Record { version: Version(1), value: Some(value) };
    (0..55).map(|n| (Id::new("t", &format!("key-{n:02}")).expect("valid"), record.clone())).collect()
}

/// All of the table, as a pass reads it: after a page that did not arrive it asks for less. Also gives what
/// went wrong.
async fn scanned(store: &DynamoDbStore) -> (usize, Vec<StoreError>) {
    let (mut found, mut failed, mut cursor, mut limit_bytes) = (0, Vec::new(), None, 4_000_000);
    loop {
        match store.scan(&Scope::All, Segment { index: 0, of: 1 }, cursor.as_ref(), limit_bytes).await {
            Ok(page) => {
                found += page.records.len();
                cursor = page.next;
                if cursor.is_none() {
                    return (found, failed);
                }
            }
            Err(error) => {
                failed.push(error);
                limit_bytes /= 2;
                assert!(failed.len() < 20, "it gets nowhere: {failed:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_arrives_over_a_slow_connection_whole_or_in_parts() {
    let Some(url) = server() else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let near = DynamoDbStore::create(&url, &table, patient()).await.expect("created");
    near.put_many_if_newer(&records()).await.expect("written");

    let store = DynamoDbStore::open(&far, &table, DynamoDbOptions::default()).await.expect("opened");
    proxy.slow_answers(300_000);
    assert_eq!(scanned(&store).await, (55, Vec::new()), "nothing is read in vain");
    let ids: Vec<_> = records().into_iter().take(40).map(|(id, _)| id).collect();
    let many = store.get_many(&ids).await.expect("read");
    assert_eq!(many.iter().flatten().count(), 40, "longer than an attempt of a single item");

    // Too slow even for that.
    let hasty = DynamoDbOptions { attempt_timeout: Duration::from_millis(500), ..DynamoDbOptions::default() };
    proxy.slow_answers(0);
    let store = DynamoDbStore::open(&far, &table, hasty).await.expect("opened");
    proxy.slow_answers(100_000);
    let (found, failed) = scanned(&store).await;
    assert!(found == 55 && !failed.is_empty(), "{found} {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_stops_arriving_is_given_up_long_before_its_time() {
    let Some(url) = server() else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let near = DynamoDbStore::create(&url, &table, patient()).await.expect("created");
    near.put_many_if_newer(&records()).await.expect("written");
    let options = DynamoDbOptions {
        attempt_timeout: Duration::from_secs(3),
        retry_timeout: Duration::ZERO,
        ..DynamoDbOptions::default()
    };
    let store = DynamoDbStore::open(&far, &table, options).await.expect("opened");
    proxy.slow_answers(300_000);
    let freeze = async {
        proxy.answered(100_000).await;
        proxy.keep_back();
    };
    let ((found, failed), ()) = tokio::join!(scanned(&store), freeze);
    assert_eq!(found, 55, "the next attempt has another connection");
    // A page that took its whole time would be a timeout.
    assert!(
        matches!(&failed[..], [StoreError::NotApplied { class: ErrorClass::Connection, .. }]),
        "{failed:?}"
    );
}
