//! Record types of which one has triggers for programs without the SDK.

use super::*;

/// A trigger of the application writes a user for each order. It is also stamped on a connection whose last transaction was
/// refused, and had written a user.
#[tokio::test]
async fn a_refused_transaction_hides_no_later_write_from_triggers() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let [orders, users] = ["orders", "users"].map(|of| table(&format!("stamped_{of}")));
    let store = opened(&url, &format!("connections = 2\n{}", types(&orders, &users))).await;
    for trigger in store.triggers() {
        sql(&admin, trigger.create).await;
    }
    sql(&admin, format!("CREATE TRIGGER user_{orders} AFTER UPDATE ON {orders} FOR EACH ROW UPDATE {users} SET name = 'Eve'")).await;
    let order = |version| record(version, r#"{"total":{"N":"7"}}"#);
    let user = |version| record(version, r#"{"name":{"S":"Ada"}}"#);
    let [of_order, of_user] = [id("a", "ORDER#1"), id("a", "USER#1")];
    assert_eq!(store.put_if_newer(&of_order, &order(5)).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&of_user, &user(5)).await, Ok(Put::Applied));
    for _ in 0..8 {
        let stale = [(of_order.clone(), order(6)), (of_user.clone(), user(4))];
        assert!(!matches!(store.put_all_if_newer(&stale).await, Ok(PutAll::Applied)));
    }
    assert_eq!(store.put_if_newer(&of_order, &order(7)).await, Ok(Put::Applied));
    let stamp = store.get_versions(&[of_user]).await.expect("read")[0].expect("a record");
    assert_eq!(stamp.slot(), Version::TRIGGER_SLOT, "{stamp}");
}
