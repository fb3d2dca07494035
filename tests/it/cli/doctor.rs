//! `cutover doctor` against controllers, stores and files that are well, and against broken ones.

use std::{collections::BTreeSet, path::Path};

use cutover_store::spec::{Missing, Spec};
use rcgen::date_time_ymd;
use serde_json::Value;
use tempfile::TempDir;

use super::{Said, at, run};
use crate::{
    support::server::{Controller, given},
    tls::Encrypted,
};

/// The line of a finding that contains this.
fn line<'a>(said: &'a Said, part: &str) -> &'a str {
    said.out
        .lines()
        .find(|line| line.contains(part))
        .unwrap_or_else(|| panic!("no line has {part:?}: {said:?}"))
}

fn store(name: &str, dir: &Path) -> String {
    format!("[{name}]\nurl = \"sqlite:{}/{name}.db\"\ntable = \"orders\"\n", dir.display())
}

/// A spec file whose source and target are files in a directory.
fn spec(dir: &Path) -> String {
    let path = dir.join("orders.toml");
    let text = format!("migration = \"orders\"\n{}{}", store("source", dir), store("target", dir));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The same, and both tables are there.
async fn spec_with_tables(dir: &Path) -> String {
    let path = spec(dir);
    let parsed: Spec = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    for side in [&parsed.source, &parsed.target] {
        side.open(Missing::Create, |_| None).await.unwrap();
    }
    path
}

fn files(dir: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir).unwrap();
    names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_well_and_nothing_is_written() {
    let (dir, stores) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.clone();
    at(&url, "create orders --source old --target new").await.done();
    let path = spec_with_tables(stores.path()).await;
    let before = files(stores.path());
    let own = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let said = at(&url, &format!("doctor {path} --store {own}")).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    for part in [
        &format!("controller {url}"),
        "  ok       it answers, version ",
        "  ok       its store answers",
        "  ok       its clock agrees with this machine's",
        "  ok       it needs no token",
        &format!("store {own}"),
        "  ok       the file is intact, at revision 1, ",
        ", the newest",
        &format!("spec {path}"),
        "  ok       it has no mistakes (migration orders)",
        "has the migration orders",
        "  ok       the source answers: ",
        "  ok       the target answers: ",
        "checks, none failed",
    ] {
        line(&said, part);
    }
    assert!(files(stores.path()).is_subset(&before), "nothing was made");
    controller.stop().await;

    // Its file is closed now, and reading it makes no other beside it.
    let before = files(dir.path());
    let said = at(&url, &format!("doctor --store {own}")).await;
    assert!(line(&said, "the file is intact").starts_with("  ok "), "{said:?}");
    assert!(files(dir.path()).is_subset(&before), "nothing was made");
    assert_eq!(said.code, 1, "the controller is gone: {said:?}");
    assert!(line(&said, "can't reach the controller").starts_with("  failed   "), "{said:?}");
    assert!(said.err.starts_with("cutover: 1 of "), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_thing_is_a_finding_and_the_others_are_still_looked_at() {
    let (dir, stores) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.clone();
    let path = spec(stores.path());
    let mistaken = stores.path().join("mistaken.toml");
    std::fs::write(&mistaken, "migration = \"orders\"\nsauce = 1\n").unwrap();
    let foreign = stores.path().join("foreign.db");
    std::fs::write(&foreign, "no database at all, but long enough to be one").unwrap();
    let doctor = format!("doctor {} {path} --store sqlite:{}", mistaken.display(), foreign.display());
    let said = at(&url, &doctor).await;
    assert_eq!(said.code, 1, "{said:?}");
    for (part, level) in [
        ("it answers, version", "ok"),
        ("foreign.db is", "failed"),
        ("sauce", "failed"),
        ("the migration: migration orders does not exist", "failed"),
        ("the source: ", "failed"),
        ("the target: ", "warning"),
    ] {
        let found = line(&said, part);
        assert!(found.starts_with(&format!("  {level:<7}  ")), "{part}: {found}");
    }
    assert!(line(&said, "the target: ").contains("--create-tables"), "{said:?}");
    assert!(!stores.path().join("target.db").exists(), "nothing was made");

    let absent = format!("doctor --json --store sqlite:{}", stores.path().join("absent.db").display());
    let said = at(&url, &absent).await;
    let found: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<&Value> = found.iter().filter(|it| it["level"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{said:?}");
    assert!(failed[0]["message"].as_str().unwrap().contains("No such file"), "{failed:?}");
    assert!(failed[0]["subject"].as_str().unwrap().starts_with("store sqlite:"), "{failed:?}");
    let error: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((&error["exit_code"], &error["error"]), (&1.into(), &"failed".into()), "{error}");
    assert!(!stores.path().join("absent.db").exists(), "nothing was made");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_migrations_do_is_a_finding() {
    let (dir, stores) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.clone();
    at(&url, "create orders --source old --target new").await.done();
    let path = spec_with_tables(stores.path()).await;
    at(&url, "ramp orders --dual 100").await.done();
    let said = at(&url, &format!("doctor {path}")).await;
    assert!(line(&said, "orders is idle: 100 % dual").starts_with("  ok "), "{said:?}");
    at(&url, "pause orders --reason incident").await.done();
    let said = at(&url, &format!("doctor {path}")).await;
    assert_eq!(said.code, 0, "a warning is none: {said:?}");
    assert!(line(&said, "orders is paused by").starts_with("  warning "), "{said:?}");
    at(&url, "rollback orders --reason latency").await.done();
    for doctor in [format!("doctor {path}"), "doctor".to_owned()] {
        let said = at(&url, &doctor).await;
        assert_eq!(said.code, 1, "{said:?}");
        let found = line(&said, "orders is rolled back to source-only");
        assert!(found.starts_with("  failed ") && found.contains("Next: cutover ack orders"), "{said:?}");
    }
    let said = at(&url, "doctor --store postgres://u@127.0.0.1:1/x").await;
    assert!(line(&said, "no connection (").starts_with("  failed "), "{said:?}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_ports_schemes_and_certificates_are_named() {
    let encrypted = Encrypted::start_with(true).await;
    let ca = encrypted.ca.file.display().to_string();
    let good = encrypted.certificates.signed(&encrypted.ca, "good", &["ada"]);
    let old = encrypted.certificates.signed_with(&encrypted.ca, "old", &["ada"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let url = encrypted.url();
    let with = |pair: &crate::tls::Pair| {
        let [cert, key] = [&pair.cert, &pair.key].map(|path| path.display().to_string());
        ["doctor".to_owned(), "--ca".to_owned(), ca.clone(), "--client-cert".to_owned(), cert]
            .into_iter()
            .chain(["--client-key".to_owned(), key, "--server".to_owned()])
    };
    let said = run(with(&good).chain([url.clone()])).await;
    assert_eq!(said.code, 0, "{said:?}");
    for part in ["the CA in ", "the client certificate in ", "its certificate expires in "] {
        assert!(line(&said, part).starts_with("  ok "), "{said:?}");
    }
    let said = run(with(&old).chain([url.clone()])).await;
    assert_eq!(said.code, 1, "{said:?}");
    let expired = line(&said, "the client certificate in ");
    assert!(expired.starts_with("  failed   ") && expired.contains(" expired "), "{said:?}");
    assert!(line(&said, "does not accept this client's certificate").starts_with("  failed   "), "{said:?}");

    let plain = at(&encrypted.controller.url, "doctor").await;
    assert!(plain.code == 1 && line(&plain, "use https://").starts_with("  failed   "), "{plain:?}");
    let dir = TempDir::new().unwrap();
    let open = Controller::start(dir.path(), 0).await;
    let said = run(with(&good).chain([format!("https://localhost:{}", open.port())])).await;
    assert!(said.code == 1 && line(&said, "connect with http://").starts_with("  failed   "), "{said:?}");
    let http = at(&format!("http://{}", open.http), "doctor").await;
    assert!(
        http.code == 1 && line(&http, "no cutover controller answers").starts_with("  failed "),
        "{http:?}"
    );
    let not_there = at("http://127.0.0.1:1", "doctor").await;
    assert!(not_there.code == 1 && not_there.out.contains("can't reach the controller"), "{not_there:?}");
    open.stop().await;
    encrypted.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_or_password_of_a_server_is_named() {
    let Some(server) = given("CUTOVER_TEST_POSTGRES") else { return };
    let (dir, stores) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source one --target other").await.done();
    let name = format!("doctor_{}", std::process::id());
    let path = stores.path().join("orders.toml");
    let text = |url: &str, more: &str| {
        format!(
            "migration = \"orders\"\n{}[target]\nurl = \"{url}\"\ntable = \"{name}\"\n{more}",
            store("source", stores.path())
        )
    };
    std::fs::write(&path, text(&server, "")).unwrap();
    let parsed: Spec = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    parsed.source.open(Missing::Create, |_| None).await.unwrap();
    let doctor = format!("doctor {}", path.display());
    let said = at(&controller.url, &doctor).await;
    let target = line(&said, "the target: ");
    assert!(said.code == 0 && target.starts_with("  warning  ") && target.contains(&name), "{said:?}");

    parsed.target.open(Missing::Create, |_| None).await.unwrap();
    let said = at(&controller.url, &doctor).await;
    assert!(line(&said, "the target answers: ").contains(&name), "{said:?}");

    let (scheme, rest) = server.split_once("://").unwrap();
    let (user, place) = rest.rsplit_once('@').unwrap();
    let user = user.split(':').next().unwrap();
    let asks = text(&format!("{scheme}://{user}@{place}"), "password_env = \"DOCTOR_TEST_PASSWORD\"\n");
    std::fs::write(&path, asks).unwrap();
    let said = at(&controller.url, &doctor).await;
    let unset = line(&said, "DOCTOR_TEST_PASSWORD");
    assert!(said.code == 1 && unset.starts_with("  failed   the target: "), "{said:?}");
    let admin = sqlx::PgPool::connect(&server).await.unwrap();
    let drop = format!("DROP TABLE {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&admin).await.unwrap();
    controller.stop().await;
}
