//! Mapped columns of a MySQL or MariaDB server.

use cutover_store::MySqlStore;
use sqlx::MySqlPool;

use super::{
    super::{
        documents,
        documents::Documents,
        servers::{options, sql, table},
        suite,
    },
    *,
};

fn url() -> Option<String> {
    super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")
}

async fn create(url: &str, table: SqlTable) -> MySqlStore {
    MySqlStore::create(url, table, options()).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_in_columns() {
    let Some(url) = url() else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..suite::STORES {
        tables.push(table(&format!("documents_{n}")));
        stores.push(Documents(create(&url, documents::table(Dialect::MySql, &tables[n])).await));
    }
    suite::run(|| stores.pop().expect("one for each story")).await;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    sql(&admin, &format!("DROP TABLE {}", tables.join(","))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_promises_of_columns() {
    let Some(url) = url() else { return };
    let names = ["bytes", "misfits", "overflow", "own"].map(|story| table(&format!("columns_{story}")));
    let strict = |name: &str| orders(Dialect::MySql, name, OnMisfit::Quarantine);
    documents_come_back_byte_by_byte(&create(&url, strict(&names[0])).await).await;
    let store = create(&url, strict(&names[1])).await;
    a_record_that_does_not_fit_is_refused_and_its_column_named(&store).await;
    let lenient = create(&url, orders(Dialect::MySql, &names[2], OnMisfit::Overflow)).await;
    a_misfit_goes_to_the_overflow_if_that_is_asked_for(&lenient).await;
    let own = create(&url, own_tenants(Dialect::MySql, &names[3])).await;
    a_record_can_be_a_tenant_of_its_own(&own).await;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    sql(&admin, &format!("DROP TABLE {}", names.join(","))).await;
}

#[tokio::test]
async fn a_row_of_a_foreign_writer_is_read_or_refused_and_never_guessed_at() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("columns_foreign"));
    let store = create(&url, orders(Dialect::MySql, &name, OnMisfit::Quarantine)).await;
    let insert = format!("INSERT INTO {name} (tenant, `key`, id");
    sql(
        &admin,
        &format!(
            "{insert}, price, name, paid) VALUES ('t', 'k', 1, 9.90, 'by hand', 1); \
             {insert}, name, cutover_deleted) VALUES ('t', 'gone', 1, 'kept', 1); \
             {insert}, name, cutover_version, cutover_deleted) VALUES ('t', 'ghost', 1, 'kept', 3, 1); \
             {insert}, cutover_version) VALUES ('t', 'minus', 1, -1); \
             {insert}, paid) VALUES ('t', 'paid', 1, 7); \
             {insert}, rest) VALUES ('t', 'rest', 1, '{{'); \
             {insert}, rest) VALUES ('t', 'both', 1, '{{\"id\":{{\"N\":\"2\"}}}}'); \
             {insert}) VALUES ('t', 'id', NULL)"
        ),
    )
    .await;
    let by_hand = r#"{"id":{"N":"1"},"price":{"N":"9.9"},"name":{"S":"by hand"},"paid":{"BOOL":true}}"#;
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(0, by_hand))));
    let unreadable = [
        ("gone", "cutover_deleted", "marked as deleted but has no version"),
        ("ghost", "cutover_deleted", "marked as deleted but has content"),
        ("minus", "cutover_version", "-1 is negative"),
        ("paid", "paid", "can't be read as boolean"),
        ("rest", "rest", "no typed JSON"),
        ("both", "id", "both its column and the overflow"),
        ("id", "id", "it is missing"),
    ];
    is_unreadable_until_it_is_mended(&store, &unreadable).await;
    sql(&admin, &format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_column_that_is_too_small_is_told_before_anything_is_written() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("columns_fit"));
    let good = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, cutover_version BIGINT NOT NULL, \
                cutover_deleted TINYINT(1) NOT NULL, id BIGINT, price DECIMAL(38,10), name VARCHAR(12), \
                note MEDIUMTEXT, paid BOOLEAN, sig VARBINARY(4), photo MEDIUMBLOB, at_city LONGTEXT, \
                `lines` LONGTEXT, rest LONGTEXT, PRIMARY KEY (tenant, `key`)";
    let cases = [
        (good.replace("VARCHAR(12)", "VARCHAR(11)"), "column name is varchar(11) and has to be varchar(12)"),
        (good.replace("VARCHAR(12)", "VARCHAR(12) CHARACTER SET greek"), "CHARACTER SET greek"),
        (good.replace("(38,10)", "(38,9)"), "column price is decimal(38,9) and has to be decimal(38,10)"),
        (good.replace("(38,10)", "(38,11)"), "column price is decimal(38,11)"),
        (good.replace("note MEDIUMTEXT", "note TEXT"), "column note is text and has to be longtext"),
        (good.replace("MEDIUMBLOB", "BLOB"), "column photo is blob and has to be longblob"),
        (good.replace("sig VARBINARY(4)", "sig BINARY(5)"), "column sig is binary(5)"),
        (good.replace("id BIGINT", "id INT"), "column id is int"),
        (good.replace("deleted TINYINT(1)", "deleted VARCHAR(1)"), "column cutover_deleted is varchar(1)"),
        (good.replace("id BIGINT", "id BIGINT NOT NULL"), "column id has to allow NULL"),
        (good.replace(" rest LONGTEXT,", ""), "it has no column rest"),
    ];
    let table = || orders(Dialect::MySql, &name, OnMisfit::Quarantine);
    for (columns, told) in &cases {
        sql(&admin, &format!("CREATE TABLE {name} ({columns}) CHARACTER SET utf8mb4")).await;
        let error = MySqlStore::create(&url, table(), options()).await.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
        sql(&admin, &format!("DROP TABLE {name}")).await;
    }
    let both = good.replace("VARCHAR(12)", "VARCHAR(3)").replace("(38,10)", "(5,2)");
    sql(&admin, &format!("CREATE TABLE {name} ({both}) CHARACTER SET utf8mb4")).await;
    let error = MySqlStore::open(&url, table(), options()).await.expect_err("two faults").to_string();
    assert!(error.contains("varchar(3)") && error.contains("decimal(5,2)"), "every fault: {error}");
    sql(&admin, &format!("DROP TABLE {name}; CREATE TABLE {name} ({good}) CHARACTER SET utf8mb4")).await;
    let store = MySqlStore::open(&url, table(), options()).await.expect("it fits");
    documents_come_back_byte_by_byte(&store).await;
    sql(&admin, &format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_json_overflow_takes_as_many_levels_as_the_warning_says() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("columns_levels"));
    let store = create(&url, orders(Dialect::MySql, &name, OnMisfit::Quarantine)).await;
    sql(&admin, &format!("ALTER TABLE {name} MODIFY rest JSON NULL")).await;
    // MySQL's own JSON takes 100 levels, but is another type.
    let Ok(_) = MySqlStore::open(&url, orders(Dialect::MySql, &name, OnMisfit::Quarantine), options()).await
    else {
        sql(&admin, &format!("DROP TABLE {name}")).await;
        return;
    };
    let warnings = store.warnings().await.expect("told");
    assert!(warnings.len() == 1 && warnings[0].contains("with more than 14 maps or lists"), "{warnings:?}");
    let nested = |open: &str, close: &str, levels| {
        let value = format!("{}{{\"S\":\"x\"}}{}", open.repeat(levels), close.repeat(levels));
        record(1, &format!("{{\"id\":{{\"N\":\"1\"}},\"deep\":{value}}}"))
    };
    for (kind, open, close) in [("maps", "{\"M\":{\"a\":", "}}"), ("lists", "{\"L\":[", "]}")] {
        let fits = store.put_if_newer(&id(kind), &nested(open, close, 14)).await;
        assert_eq!(fits, Ok(Put::Applied), "{kind}");
        let put = store.put_if_newer(&id(&format!("{kind} more")), &nested(open, close, 15)).await;
        refused(put, ErrorClass::Constraint);
    }
    sql(&admin, &format!("DROP TABLE {name}")).await;
}
