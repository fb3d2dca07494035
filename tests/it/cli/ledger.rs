//! A table with a ledger: a dry run before the ledger is there, and a program whose writes triggers stamp.

use cutover_store::spec::{Missing, Spec};
use tempfile::TempDir;

use super::{at, draft_sql::Admin};
use crate::support::server::{Controller, given};

/// `types`: of tenant and key.
async fn lives_beside_a_program(admin: Admin, url: &str, types: [&str; 2]) {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let server = controller.url.as_str();
    at(server, "create orders --source one --target other").await.done();
    let name = format!("beside_{}", std::process::id());
    admin
        .sql(format!(
            "CREATE TABLE {name} (org {} NOT NULL, id {} NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (org, id)); \
             INSERT INTO {name} VALUES ('t', 'a', 1), ('t', 'b', 2), ('t', 'c', 3)",
            types[0], types[1]
        ))
        .await;
    let text = format!(
        "migration = \"orders\"\nresidual_ms = 0\nquarantine_table = \"q_{name}\"\n[source]\nurl = \"{url}\"\n\
         table = \"{name}\"\ntenant = \"org\"\nkey = \"id\"\nversions = \"ledger\"\n\
         columns = [{{ name = \"n\", type = \"bigint\" }}]\n\
         [target]\nurl = \"sqlite:{}/target.db\"\ntable = \"orders\"\ncolumns = [{{ name = \"n\", type = \"bigint\" }}]\n",
        dir.path().display()
    );
    let (path, spec) = (dir.path().join("orders.toml"), text.parse::<Spec>().unwrap());
    std::fs::write(&path, &text).unwrap();
    let path = path.display().to_string();

    // Nothing has been created yet.
    for verb in ["backfill", "verify"] {
        let dry = at(server, &format!("{verb} {path} --create-tables --dry-run")).await;
        assert_eq!(dry.code, 0, "{dry:?}");
        assert!(dry.out.contains("checked 3 records of the source: all fit"), "{dry:?}");
        assert!(dry.err.contains("no ledger, so its records are read without versions"), "{dry:?}");
        let has_created = dry.out.starts_with("created in the target, where it was missing: orders\n");
        assert_eq!(has_created, verb == "backfill", "{dry:?}");
        assert!(dry.err.contains("CREATE TABLE") && dry.err.contains("a random number"), "{dry:?}");
        let dry = at(server, &format!("{verb} {path} --create-tables --dry-run --json")).await.object();
        assert!(dry["no_ledger"].as_str().unwrap().contains("a random number"), "{dry}");
    }
    let error = at(server, &format!("spec triggers {path}")).await;
    assert!(error.code == 1 && error.err.contains(&format!("cutover_ledger_{name}")), "{error:?}");
    let opened = spec.source.open(Missing::Refuse, |_| None).await.err().unwrap().to_string();
    admin.sql(opened.split_once("has to stay:\n").unwrap().1.to_owned()).await;
    let said = at(server, &format!("backfill {path} --create-tables")).await;
    assert!(said.code == 0 && said.out.contains("3 copied"), "{said:?}");

    // The printed text as it is, and then a program.
    let printed = at(server, &format!("spec triggers {path}")).await.done();
    let listed = at(server, &format!("spec triggers {path} --json")).await.object();
    let created = listed["triggers"].as_array().unwrap();
    assert!(!created.is_empty() && created.iter().all(|it| printed.contains(it["create"].as_str().unwrap())));
    at(server, &format!("spec triggers {path} --side target"))
        .await
        .refused(&["the target has no ledger", "versions = \"ledger\""]);
    let expiring = dir.path().join("expiring.toml");
    std::fs::write(&expiring, text.replacen("\n[source]", "\nttl = \"n\"\n[source]", 1)).unwrap();
    at(server, &format!("spec triggers {}", expiring.display()))
        .await
        .refused(&["with ttl there are no triggers"]);
    admin.sql(printed).await;
    admin
        .sql(format!(
            "UPDATE {name} SET n = 10 WHERE id = 'a'; DELETE FROM {name} WHERE id = 'b'; \
             INSERT INTO {name} VALUES ('t', 'd', 4)"
        ))
        .await;
    let said = at(server, &format!("backfill {path}")).await;
    assert!(said.code == 0 && said.out.contains("3 copied"), "{said:?}");
    assert!(!said.err.contains("cutover_stamp"), "{said:?}");
    let source = spec.source.open(Missing::Refuse, |_| None).await.unwrap();
    let target = spec.target.open(Missing::Refuse, |_| None).await.unwrap();
    for key in ["a", "b", "c", "d"] {
        let id = cutover_store::Id::new("t", key).unwrap();
        let [one, other] = [source.get(&id).await.unwrap(), target.get(&id).await.unwrap()];
        assert_eq!(one, other, "{key}");
        assert_eq!(one.unwrap().is_tombstone(), key == "b");
    }
    let said = at(server, &format!("verify {path}")).await;
    assert!(said.code == 0, "{said:?}");

    // What the triggers would stamp could be newer than what only the target has.
    at(server, "ramp orders --mirrored 100 --wait --timeout 20s").await.done();
    let first = created.iter().map(|it| it["drop"].as_str().unwrap()).find(|drop| !drop.is_empty()).unwrap();
    for (verb, why) in
        [("backfill", "with somebody at mirrored or above"), ("reverse", "only the target has")]
    {
        for dry in ["", " --dry-run"] {
            at(server, &format!("{verb} {path}{dry}")).await.refused(&[
                "the source has triggers for programs without the SDK",
                why,
                &format!("\n    {first};"),
            ]);
        }
    }
    at(server, "ramp orders --mirrored 0 --wait --timeout 20s").await.done();

    // A pass looks whether they are all there, and whether they may be.
    let drop = created.last().unwrap()["drop"].as_str().unwrap();
    let (damage, what) = match drop.starts_with("DROP TRIGGER") {
        true => (drop.to_owned(), "is not there"),
        false => (format!("ALTER TABLE {name} DISABLE TRIGGER USER"), "is disabled"),
    };
    admin.sql(damage).await;
    let said = at(server, &format!("backfill {path}")).await;
    let warned = "warning: the source: of the triggers for programs without the SDK, cutover_stamp_";
    assert!(said.code == 0 && said.err.contains(warned) && said.err.contains(what), "{said:?}");
    let dry = at(server, &format!("backfill {path} --dry-run --json")).await.object();
    assert!(dry["warnings"]["source"].to_string().contains(what), "{dry}");
    let drops = created.iter().map(|it| it["drop"].as_str().unwrap()).filter(|drop| !drop.is_empty());
    for dry in ["", " --dry-run"] {
        at(server, &format!("backfill {}{dry}", expiring.display()))
            .await
            .refused(&["the source: it has triggers", drops.clone().next().unwrap()]);
    }

    // Printed and run once more, as after a change of the spec: still one stamp for each write.
    admin.sql(at(server, &format!("spec triggers {path}")).await.done()).await;
    admin.sql(format!("UPDATE {name} SET n = 11 WHERE id = 'a'")).await;
    let said = at(server, &format!("backfill {path}")).await;
    assert!(said.code == 0 && said.out.contains("1 copied"), "{said:?}");
    assert!(!said.err.contains("cutover_stamp"), "{said:?}");
    // Without its triggers the program goes on, also once the ledger is dropped.
    for drop in drops {
        admin.sql(drop.to_owned()).await;
    }
    admin.sql(format!("DROP TABLE cutover_ledger_{name}")).await;
    admin.sql(format!("UPDATE {name} SET n = 12; DELETE FROM {name} WHERE id = 'a'")).await;
    admin.sql(format!("DROP TABLE {name}")).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_table_and_its_program() {
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite:{}/shop.db", dir.path().display());
    lives_beside_a_program(Admin::connect(&url).await, &url, ["TEXT", "TEXT"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_table_and_its_program() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let types = ["VARBINARY(256)", "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"];
    lives_beside_a_program(Admin::connect(&url).await, &url, types).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_table_and_its_program() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    lives_beside_a_program(Admin::connect(&url).await, &url, ["text", "varchar(64)"]).await;
}
