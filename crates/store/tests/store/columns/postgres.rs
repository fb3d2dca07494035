//! Mapped columns of a PostgreSQL server.

use cutover_store::PostgresStore;
use sqlx::PgPool;

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
    super::super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES")
}

async fn create(url: &str, table: SqlTable) -> PostgresStore {
    PostgresStore::create(url, table, options()).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_in_columns() {
    let Some(url) = url() else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..suite::STORES {
        tables.push(table(&format!("documents_{n}")));
        stores.push(Documents(create(&url, documents::table(Dialect::Postgres, &tables[n])).await));
    }
    suite::run(|| stores.pop().expect("one for each story")).await;
    let admin = PgPool::connect(&url).await.expect("connected");
    sql(&admin, &format!("DROP TABLE {}", tables.join(","))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_promises_of_columns() {
    let Some(url) = url() else { return };
    let names = ["bytes", "misfits", "overflow", "own"].map(|story| table(&format!("columns_{story}")));
    let strict = |name: &str| orders(Dialect::Postgres, name, OnMisfit::Quarantine);
    documents_come_back_byte_by_byte(&create(&url, strict(&names[0])).await).await;
    let store = create(&url, strict(&names[1])).await;
    a_record_that_does_not_fit_is_refused_and_its_column_named(&store).await;
    let nul = record(9, r#"{"id":{"N":"1"},"note":{"S":"a\u0000b"}}"#);
    let (named, told) = refused(store.put_if_newer(&id("k"), &nul).await, ErrorClass::Constraint);
    assert!(named == "note" && told.contains("NUL"), "{told}");
    let lenient = create(&url, orders(Dialect::Postgres, &names[2], OnMisfit::Overflow)).await;
    a_misfit_goes_to_the_overflow_if_that_is_asked_for(&lenient).await;
    assert_eq!(lenient.put_if_newer(&id("k"), &nul).await, Ok(Put::Applied), "JSON escapes it");
    assert_eq!(lenient.get(&id("k")).await, Ok(Some(nul)));
    let own = create(&url, own_tenants(Dialect::Postgres, &names[3])).await;
    a_record_can_be_a_tenant_of_its_own(&own).await;
    let admin = PgPool::connect(&url).await.expect("connected");
    sql(&admin, &format!("DROP TABLE {}", names.join(","))).await;
}

#[tokio::test]
async fn a_row_of_a_foreign_writer_is_read_or_refused_and_never_guessed_at() {
    let Some(url) = url() else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("columns_foreign"));
    let store = create(&url, orders(Dialect::Postgres, &name, OnMisfit::Quarantine)).await;
    let insert = format!("INSERT INTO {name} (tenant, key, id");
    sql(
        &admin,
        &format!(
            "{insert}, price, name, paid) VALUES ('t', 'k', 1, 9.90, 'by hand', true); \
             {insert}, name, cutover_deleted) VALUES ('t', 'gone', 1, 'kept', true); \
             {insert}, name, cutover_version, cutover_deleted) VALUES ('t', 'ghost', 1, 'kept', 3, true); \
             {insert}, cutover_version) VALUES ('t', 'minus', 1, -1); \
             {insert}, price) VALUES ('t', 'price', 1, 'NaN'); \
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
        ("price", "price", "can't be read as decimal"),
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
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("columns_fit"));
    let good = "tenant text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL, cutover_version bigint NOT NULL, \
                cutover_deleted boolean NOT NULL, id bigint, price numeric(38,10), name varchar(12), \
                note varchar, paid boolean, sig bytea, photo bytea, at_city text, lines text, rest text, \
                UNIQUE (tenant, key)";
    let cases = [
        (
            good.replace("varchar(12)", "varchar(11)"),
            "column name is character varying(11) and has to be varchar(12)",
        ),
        (good.replace("(38,10)", "(38,9)"), "column price is numeric(38,9) and has to be numeric(38,10)"),
        (good.replace("(38,10)", "(38,11)"), "column price is numeric(38,11)"),
        (good.replace("numeric(38,10)", "double precision"), "column price is double precision"),
        (good.replace("note varchar", "note varchar(9)"), "column note is character varying(9)"),
        (good.replace("lines text", "lines jsonb"), "column lines is jsonb and has to be text"),
        (good.replace("id bigint", "id int"), "column id is integer and has to be bigint"),
        (good.replace("deleted boolean", "deleted int"), "column cutover_deleted is integer"),
        (good.replace("id bigint", "id bigint NOT NULL"), "column id has to allow NULL"),
        (good.replace(" rest text,", ""), "it has no column rest"),
        (format!("{good} DEFERRABLE"), "its key on (tenant,key) is DEFERRABLE"),
        (format!("{good}, UNIQUE (key, tenant) DEFERRABLE"), "its key on (key,tenant) is DEFERRABLE"),
    ];
    let table = || orders(Dialect::Postgres, &name, OnMisfit::Quarantine);
    for (columns, told) in &cases {
        sql(&admin, &format!("CREATE TABLE {name} ({columns})")).await;
        let error = PostgresStore::create(&url, table(), options()).await.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
        sql(&admin, &format!("DROP TABLE {name}")).await;
    }
    let both = good.replace("varchar(12)", "varchar(3)").replace("(38,10)", "(5,2)");
    sql(&admin, &format!("CREATE TABLE {name} ({both})")).await;
    let error = PostgresStore::open(&url, table(), options()).await.expect_err("two faults").to_string();
    assert!(error.contains("varying(3)") && error.contains("numeric(5,2)"), "every fault: {error}");
    let plain = good.replace("numeric(38,10)", "numeric").replace("varchar(12)", "text");
    let plain = format!("{plain}, UNIQUE (tenant, id) DEFERRABLE INITIALLY DEFERRED");
    sql(&admin, &format!("DROP TABLE {name}; CREATE TABLE {name} ({plain})")).await;
    let store = PostgresStore::open(&url, table(), options()).await.expect("it fits");
    documents_come_back_byte_by_byte(&store).await;
    sql(&admin, &format!("DROP TABLE {name}")).await;
}
