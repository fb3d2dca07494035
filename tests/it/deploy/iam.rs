//! The IAM policies of deploy/iam allow what the DynamoDB store calls, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use cutover_client::migrator::Migrator;
use cutover_store::{
    Id, Record, Version,
    spec::{Missing, Spec},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    cli::run,
    support::server::{Controller, given},
};

/// Names of calls, as `GetItem`.
type Calls = BTreeSet<String>;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn calls<const N: usize>(names: [&str; N]) -> Calls {
    names.map(str::to_owned).into()
}

/// The role of a controller on the table of its own store. The others are for tables of migrations.
const CONTROLLER: &str = "controller";

/// What each policy for tables of migrations allows.
fn policies() -> BTreeMap<String, Calls> {
    let mut policies = all_policies();
    policies.remove(CONTROLLER).unwrap();
    policies
}

/// What each policy allows.
fn all_policies() -> BTreeMap<String, Calls> {
    let files = repository().join("deploy/iam").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let is_policy = |path: &PathBuf| path.extension().is_some_and(|it| it == "json");
    let read = |path: PathBuf| {
        let policy: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let [statement] = &policy["Statement"].as_array().unwrap()[..] else { panic!("{path:?}") };
        assert_eq!(statement["Resource"], "${table_arn}", "{path:?} is for one table");
        assert_eq!(statement["Effect"], "Allow", "{path:?}");
        let actions = statement["Action"].as_array().unwrap().iter();
        let allowed = actions.map(|action| {
            let call = action.as_str().unwrap().strip_prefix("dynamodb:").expect("of DynamoDB");
            assert!(call.chars().all(|c| c.is_ascii_alphanumeric()), "{path:?}: {call} is no single call");
            call.to_owned()
        });
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), allowed.collect())
    };
    files.filter(is_policy).map(read).collect()
}

/// The calls in a source file: whatever is called on the clients, except what makes no request.
fn called(source: &str) -> Vec<String> {
    let code: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    let after = code.split("client.").skip(1).chain(code.split("pages.").skip(1));
    let names = after.filter_map(|rest| Some(rest.split_once('(')?.0)).filter(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && *name != "config"
    });
    names
        .map(|name| match name {
            "wait_until_table_exists" => "describe_table",
            // Of puts or reads alone: AWS asks for the right to each action, and has none for the transaction.
            "transact_write_items" => "put_item",
            "transact_get_items" => "get_item",
            name => name,
        })
        .map(pascal)
        .collect()
}

/// `GetItem` for `get_item`.
fn pascal(name: &str) -> String {
    let parts = name.split('_').map(|part| part[..1].to_ascii_uppercase() + &part[1..]);
    parts.collect()
}

fn sources(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    path.read_dir().unwrap().map(|entry| sources(&entry.unwrap().path())).collect()
}

#[test]
fn all_policies_together_allow_exactly_the_calls_of_the_store() {
    let store = repository().join("crates/store/src");
    let source = sources(&store.join("dynamodb.rs")) + &sources(&store.join("dynamodb"));
    let found = called(&source);
    let waits = source.matches(".wait_until_table_exists()").count();
    assert_eq!(found.len() - waits, source.matches(".send()").count(), "each request is found: {found:?}");

    let policies = policies();
    let allowed: Calls = policies.values().flatten().cloned().collect();
    assert_eq!(
        allowed,
        found.into_iter().collect(),
        "deploy/iam on the left, crates/store/src/dynamodb on the right"
    );
    let writes = calls(["PutItem", "CreateTable"]);
    let writers: Vec<&str> = policies
        .iter()
        .filter(|(_, allowed)| !allowed.is_disjoint(&writes))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(writers, ["pass-writer", "service", "table-creator"], "nobody else writes");
}

#[test]
fn the_controllers_policy_allows_exactly_the_calls_of_its_store() {
    let store = repository().join("src/store");
    let source = sources(&store.join("dynamodb.rs")) + &sources(&store.join("dynamodb"));
    let found = called(&source);
    let waits = source.matches(".wait_until_table_exists()").count();
    assert_eq!(found.len() - waits, source.matches(".send()").count(), "each request is found: {found:?}");
    let policies = all_policies();
    let allowed: Calls = policies[CONTROLLER].union(&policies["table-creator"]).cloned().collect();
    // What its transactions are made of besides puts.
    let in_transactions = calls(["ConditionCheckItem", "DeleteItem"]);
    let found: Calls = found.into_iter().chain(in_transactions).collect();
    assert_eq!(allowed, found, "deploy/iam on the left, src/store/dynamodb on the right");
}

#[test]
fn the_module_and_the_guide_name_every_policy() {
    let (module, guide) = ["deploy/iam/main.tf", "docs/guides/aws.md"]
        .map(|path| std::fs::read_to_string(repository().join(path)).unwrap())
        .into();
    for name in all_policies().keys() {
        assert_eq!(
            module.matches(&format!("\"{name}\"")).count(),
            1 + usize::from(name == "pass-reader"),
            "{name}"
        );
        assert!(guide.contains(&format!("| `{name}` |")), "docs/guides/aws.md has no row for {name}");
    }
}

#[test]
fn a_call_is_found_however_it_is_laid_out() {
    let source =
        "self\n    .client\n    .put_item()\n    .send(); self.pages.batch_get_item(); client.config()";
    assert_eq!(called(source), ["PutItem", "BatchGetItem"]);
}

/// What is called on both tables while something runs.
struct Watched {
    source: Recorder,
    target: Recorder,
    /// By role: everything that was called.
    called: BTreeMap<&'static str, Calls>,
}

impl Watched {
    /// Adds what was called since the last time to these roles of source and target. The pass or service could have done
    /// it with their policies.
    fn ran(&mut self, source: &'static str, target: &'static str) {
        let policies = policies();
        for (role, recorder) in [(source, &self.source), (target, &self.target)] {
            let called = std::mem::take(&mut *recorder.0.lock().unwrap());
            let refused: Vec<&String> = called.difference(&policies[role]).collect();
            assert!(refused.is_empty(), "deploy/iam/{role}.json does not allow {refused:?}");
            self.called.entry(role).or_default().extend(called);
        }
    }
}

fn id(tenant: &str, n: u64) -> Id {
    Id::new(tenant, &format!("order-{n:03}")).unwrap()
}

fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(br#"{"total":{"N":"1"}}"#.to_vec()) }
}

/// A migration between two tables, with services and passes of every kind.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_calls_what_its_policy_allows() {
    let Some(server) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let (source, over_source) = Recorder::before(&server).await;
    let (target, over_target) = Recorder::before(&server).await;
    let mut watched = Watched { source, target, called: BTreeMap::new() };
    let dir = TempDir::new().unwrap();
    let name = format!("iam_{}", std::process::id());
    let spec = |source: &str, target: &str| {
        let table = |url: &str, end: &str| url.replace("dynamodb://", &format!("dynamodb://{name}_{end}"));
        format!(
            "migration = \"orders\"\nresidual_ms = 0\nquarantine_table = \"{name}_q\"\n\
             [source]\nurl = \"{}\"\n[target]\nurl = \"{}\"\n",
            table(source, "s"),
            table(target, "t")
        )
    };
    let direct: Spec = spec(&server, &server).parse().unwrap();
    let through = spec(&over_source, &over_target);
    let path = dir.path().join("orders.toml");
    std::fs::write(&path, &through).unwrap();
    let (through, path): (Spec, _) = (through.parse().unwrap(), path.display().to_string());

    let old = direct.source.open(Missing::Create, |_| None).await.unwrap();
    let records: Vec<_> =
        ["acme", "globex"].iter().flat_map(|tenant| (0..20).map(|n| (id(tenant, n), record(1)))).collect();
    old.put_many_if_newer(&records).await.unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let at = async |line: &str| {
        let said = run(["--server", &controller.url].into_iter().chain(line.split_whitespace())).await;
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out
    };
    at("create orders --source one --target other").await;

    at(&format!("backfill {path} --dry-run")).await;
    watched.ran("dry-run", "dry-run");
    direct.target.open(Missing::Create, |_| None).await.unwrap();
    direct.open_quarantine(Missing::Create, |_| None).await.unwrap();
    at(&format!("backfill {path} --dry-run")).await;
    watched.ran("dry-run", "dry-run");
    through.target.open(Missing::Create, |_| None).await.unwrap();
    watched.ran("table-creator", "table-creator");

    let client = controller.sdk("shop").await;
    let open = async || {
        let source = through.source.open(Missing::Refuse, |_| None).await.unwrap();
        let target = through.target.open(Missing::Refuse, |_| None).await.unwrap();
        client.migrator("orders", source, target)
    };
    let read = async |orders: &Migrator| {
        orders.get_bytes("acme", "order-001").await.unwrap().unwrap();
        // Neighbors are read by one query, single records by one batch.
        let keys: Vec<String> = (0..20).map(|n| format!("order-{n:03}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for some in [&keys[..], &keys[..3]] {
            assert_eq!(orders.get_many_bytes("acme", some).await.unwrap().len(), some.len());
        }
    };
    let orders = open().await;
    read(&orders).await;
    watched.ran("service-reader", "service");
    orders.put_bytes("acme", "order-100", record(1).value.unwrap()).await.unwrap();
    watched.ran("service", "service");

    let ramp = "--wait --timeout 20s --override soak --reason test";
    at(&format!("ramp orders --mirrored 100 {ramp}")).await;
    read(&orders).await;
    orders.put_bytes("acme", "order-101", record(1).value.unwrap()).await.unwrap();
    watched.ran("service", "service");
    client.close().await;

    let told = at(&format!("backfill {path}")).await;
    assert!(told.contains("clean: "), "{told}");
    watched.ran("pass-reader", "pass-writer");
    at(&format!("verify {path}")).await;
    watched.ran("pass-reader", "pass-reader");
    let few: Vec<_> = records[..3].iter().map(|(id, _)| (id.clone(), record(7))).collect();
    old.put_many_if_newer(&few).await.unwrap();
    at(&format!("verify {path} --repair")).await;
    watched.ran("pass-reader", "pass-writer");

    at(&format!("ramp orders --target-first 100 {ramp}")).await;
    // The gate of the next step wants a pass that began here.
    at(&format!("backfill {path}")).await;
    watched.ran("pass-reader", "pass-writer");
    at(&format!("ramp orders --target-only 100 {ramp}")).await;
    let new = direct.target.open(Missing::Refuse, |_| None).await.unwrap();
    new.put_if_newer(&id("acme", 5), &record(77)).await.unwrap();
    at("ramp orders --target-only 0 --wait --timeout 20s").await;
    let told = at(&format!("reverse {path}")).await;
    assert!(told.contains("1 copied"), "{told}");
    watched.ran("pass-writer", "pass-reader");
    controller.stop().await;

    // A pass times its stores with a GetItem now and then, and asks for tenants' records with a Query.
    let timed = calls(["GetItem", "Query"]);
    for (role, allowed) in policies() {
        let called = &watched.called[role.as_str()];
        let unused: Calls = allowed.difference(called).cloned().collect();
        let is_needed = unused.is_empty() || role.starts_with("pass-") && unused.is_subset(&timed);
        assert!(is_needed, "nobody in the role {role} called {unused:?}: {called:?}");
    }
}

/// Passes requests on to DynamoDB Local, and keeps the names of their calls.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Calls>>);

impl Recorder {
    /// Also returns the URL that leads through it.
    async fn before(url: &str) -> (Self, String) {
        let server = url.rsplit_once("http://").unwrap().1.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let over = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let recorder = Self::default();
        let kept = recorder.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(kept.clone().pass(client, server));
            }
        });
        (recorder, over)
    }

    async fn pass(self, client: TcpStream, server: TcpStream) {
        let ((mut asks, mut answered), (mut answers, mut asked)) = (client.into_split(), server.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut answered).await });
        let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while let Ok(read @ 1..) = asks.read(&mut buffer).await {
            // A header may come in two parts, so all is looked at again; it is little.
            seen.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&seen);
            let targets = text.split("x-amz-target: DynamoDB_20120810.").skip(1);
            let whole = targets.filter_map(|rest| Some(rest.split_once('\r')?.0.to_owned()));
            self.0.lock().unwrap().extend(whole);
            if asked.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    }
}
