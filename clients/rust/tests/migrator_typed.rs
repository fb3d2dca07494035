//! The migrator with the application's own types, and the fake controller.

use std::{sync::Arc, time::Duration};

use cutover_client::{
    Client,
    migrator::{Edit, Migrator, ReadError, Unavailable, WriteError},
    report::Event,
    routing::{Policy, Rung},
    testing::{FakeController, Fault, Faulty, Gate, MemoryStore, Verb, memory},
    watch::BeginError,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    items: u32,
}

const STORED: &str = r#"{"items":{"N":"3"},"region":{"S":"eu"}}"#;

type Memory = Arc<Faulty<MemoryStore>>;

struct World {
    controller: FakeController,
    client: Client,
    source: Memory,
    target: Memory,
    orders: Migrator,
}

impl World {
    fn at(rung: Rung) -> Self {
        let controller = FakeController::at("orders", rung);
        let client = controller.client();
        let (source, target) = (memory(), memory());
        let orders = client.migrator("orders", source.clone(), target.clone());
        Self { controller, client, source, target, orders }
    }

    async fn bytes(&self) -> String {
        let bytes = self.orders.get_bytes("acme", "1").await.expect("readable").expect("there");
        String::from_utf8(bytes).expect("JSON")
    }
}

#[tokio::test]
async fn a_put_replaces_and_a_mutation_keeps_what_the_type_does_not_know_at_every_rung() {
    for rung in [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly] {
        let world = World::at(rung);
        let orders = &world.orders;
        assert_eq!(orders.get::<Order>("acme", "1").await, Ok(None));
        orders.put_bytes("acme", "1", STORED.into()).await.expect("acknowledged");
        assert_eq!(orders.get("acme", "1").await, Ok(Some(Order { items: 3 })));
        let add =
            |order: Option<Order>| order.map_or(Edit::Keep, |o| Edit::Put(Order { items: o.items + 1 }));
        assert!(orders.mutate("acme", "1", add).await.expect("acknowledged").is_some());
        assert_eq!(world.bytes().await, STORED.replace('3', "4"));
        assert_eq!(orders.mutate("acme", "2", add).await, Ok(None), "kept");
        orders.put("acme", "1", &Order { items: 9 }).await.expect("acknowledged");
        assert_eq!(world.bytes().await, r#"{"items":{"N":"9"}}"#);
        orders.mutate("acme", "1", |_: Option<Order>| Edit::Delete).await.expect("acknowledged");
        assert_eq!(orders.get::<Order>("acme", "1").await, Ok(None));
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_writes_nothing_and_is_nobodys_failure() {
    let world = World::at(Rung::Dual);
    let orders = &world.orders;
    orders.put_bytes("acme", "1", br#"{"items":{"S":"x"}}"#.to_vec()).await.expect("acknowledged");
    let error = orders.get::<Order>("acme", "1").await.expect_err("text");
    assert!(matches!(error, ReadError::Value(_)));
    assert_eq!(error.to_string(), "the record can't be read as this type: items: text where u32 is needed");
    let error = orders.mutate("acme", "1", |_: Option<Order>| Edit::Delete).await.expect_err("text");
    assert_eq!(error.to_string(), "nothing was written: items: text where u32 is needed");
    let error = orders.put("acme", "1", "text").await.expect_err("no document");
    assert!(matches!(error, WriteError::Value(_)));
    assert_eq!(world.bytes().await, r#"{"items":{"S":"x"}}"#);
    assert_eq!(world.client.recorder().total("orders", Event::NotApplied), 0);
}

#[tokio::test(start_paused = true)]
async fn the_fake_controller_holds_expires_evicts_and_forgets() {
    let world = World::at(Rung::Hold);
    let (controller, orders) = (&world.controller, &world.orders);
    controller.set_policy("orders", Policy { hold_timeout_ms: 100, ..Policy::default() });
    let held = orders.get_bytes("acme", "1").await;
    assert_eq!(held, Err(Unavailable::Held { waited_ms: 100 }.into()));
    controller.pin("orders", "acme", Rung::Dual);
    orders.put("acme", "1", &Order { items: 1 }).await.expect("acknowledged");
    assert_eq!((world.source.inner().dump().len(), world.target.inner().dump().len()), (1, 1));
    controller.unpin("orders", "acme");
    controller.move_all("orders", Rung::SourceOnly);
    orders.put("acme", "2", &Order { items: 1 }).await.expect("acknowledged");
    assert_eq!((world.source.inner().dump().len(), world.target.inner().dump().len()), (2, 1));

    controller.expire();
    let expired = Unavailable::Begin(BeginError::FileExpired);
    assert_eq!(orders.get_bytes("acme", "1").await, Err(expired.into()));
    controller.recover();
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    let migrator = orders.clone();
    let write = tokio::spawn(async move { migrator.put("acme", "1", &Order { items: 2 }).await });
    gate.reached().await;
    controller.evict();
    gate.open();
    assert!(matches!(write.await.expect("no panic"), Err(WriteError::Indeterminate(_))));
    assert_eq!(orders.get("acme", "1").await, Ok(Some(Order { items: 1 })), "nothing more was sent");

    controller.remove("orders");
    let Err(ReadError::Unavailable(why)) = orders.get_bytes("acme", "1").await else {
        panic!("no such migration")
    };
    assert!(why.is_unknown_migration());
    let other = controller.client();
    controller.move_all("orders", Rung::Dual);
    assert!(other.decide("orders", "acme").is_ok() && world.client.decide("orders", "acme").is_ok());
    assert!(world.client.close().await && !world.client.close().await, "once");
    assert!(orders.get_bytes("acme", "1").await.is_err());
    controller.move_all("orders", Rung::Mirrored);
    assert!(world.client.begin("orders", "acme").is_err(), "closed for good");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(other.begin("orders", "acme").is_ok());
}

#[cfg(all(feature = "spec", feature = "sqlite"))]
#[tokio::test]
async fn a_spec_file_is_all_that_a_migrator_needs() {
    use cutover_client::spec::{Missing, Spec};

    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "migration = \"orders\"\n[source]\nurl = \"sqlite:{}?table=orders\"\n[target]\nurl = \"sqlite:{}\"\n\
         table = \"orders\"\ncolumns = [{{ name = \"items\", type = \"bigint\" }}]\n",
        path("source.db"),
        path("target.db"),
    );
    let client = FakeController::at("orders", Rung::Mirrored).client();
    let file = path("orders.toml");
    let error = client.migrator_from_spec(&file).await.expect_err("no file").to_string();
    assert!(error.starts_with("can't read the spec file /") && error.contains("orders.toml"), "{error}");
    std::fs::write(&file, text.replace("bigint", "float")).expect("written");
    let error = client.migrator_from_spec(&file).await.expect_err("no such type").to_string();
    assert!(error.contains("orders.toml: line 7, column "), "{error}");
    std::fs::write(&file, format!("residual_ms = 60_001\n{text}")).expect("written");
    let error = client.migrator_from_spec(&file).await.expect_err("its puts land too late").to_string();
    assert!(error.contains("60001 ms late") && error.contains("drain is 60000 ms"), "{error}");
    // What is just covered is not refused for that.
    std::fs::write(&file, format!("residual_ms = 60_000\n{text}")).expect("written");
    let spec: Spec = text.parse().expect("valid");
    spec.source.open(Missing::Create, |_| None).await.expect("created");
    let error = client.migrator_from_spec(&file).await.expect_err("no target").to_string();
    assert!(error.starts_with("the target of /"), "{error}");
    spec.target.open(Missing::Create, |_| None).await.expect("created");

    let orders = client.migrator_from_spec(&file).await.expect("opened");
    orders.put("acme", "1", &Order { items: 3 }).await.expect("acknowledged");
    assert_eq!(orders.get("acme", "1").await, Ok(Some(Order { items: 3 })));
    let odd = orders.put("acme", "1", &std::collections::BTreeMap::from([("more", 1)])).await;
    let error = odd.expect_err("the target has no column for it").to_string();
    assert!(error.contains("more"), "{error}");
}
