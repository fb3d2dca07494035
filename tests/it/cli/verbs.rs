//! Every verb once as people read it, and once as scripts do.

use cutover_proto::v1;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{at, has, run_with};
use crate::support::{instance::Instance, server::Controller};

/// The fields of every change's answer with `--json`.
const CHANGED: [&str; 7] = ["migration", "changes", "waiting", "ways", "consequences", "dry_run", "repeated"];

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_created_shown_listed_and_deleted() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    assert!(at(url, "list").await.done().contains("cutover create KEY"));
    assert!(at(url, "list --json").await.objects().is_empty());

    let told = at(url, "create orders --source ddb --target mysql --salt s1").await.done();
    assert_eq!(told, "created migration orders, everybody at source-only\n");
    let created = at(url, "create users --source ddb --target mysql --json").await.object();
    has(&created, &CHANGED);
    assert_eq!(created["migration"]["key"], "users");

    let listed = at(url, "list").await.done();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.starts_with("MIGRATION") && listed.contains("\norders    idle "), "{listed}");
    let listed = at(url, "list --json").await.objects();
    assert_eq!((listed.len(), &listed[1]["key"]), (2, &json!("users")));

    assert!(at(url, "show orders").await.done().contains("ddb -> mysql"));
    let shown = at(url, "show orders --json").await.object();
    has(&shown, &["key", "salt", "revision", "state", "rollout", "pins"]);
    has(&shown["rollout"], &["dual_ppm", "mirrored_ppm", "target_first_ppm", "target_only_ppm"]);
    let values = ["key", "salt", "revision", "state", "pins"].map(|field| shown[field].clone());
    assert_eq!(values, [json!("orders"), json!("s1"), json!(1), json!("idle"), json!(0)]);

    assert!(at(url, "delete users --dry-run").await.done().starts_with("dry run: deleted migration users"));
    assert_eq!(at(url, "delete users").await.done(), "deleted migration users\n");
    let deleted = at(url, "delete orders --json").await.object();
    assert_eq!((&deleted["migration"], &deleted["dry_run"]), (&Value::Null, &json!(false)));
    assert!(at(url, "list --json").await.objects().is_empty());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_ramped_pinned_and_looked_up() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    assert!(at(url, "ramp orders --dual 25").await.done().contains("source-only -> dual"));
    let ramped = at(url, "ramp orders --dual 50.5% --reason more --actor operator:bob --json").await.object();
    has(&ramped, &CHANGED);
    assert_eq!(ramped["migration"]["rollout"]["dual_ppm"], 505_000);
    assert_eq!(
        at(url, "ramp orders --dual 50.5").await.done(),
        "nothing to do: it is there already: dual 50.5 %\n"
    );

    assert!(at(url, "pin orders acme dual").await.done().contains("pinned tenant acme to dual"));
    has(&at(url, "pin orders zeta source-only --json").await.object(), &CHANGED);
    assert_eq!(
        at(url, "pins orders").await.done(),
        "TENANT  PINNED TO    NOW AT\nacme    dual         dual\nzeta    source-only  source-only\n"
    );
    let pins = at(url, "pins orders --json").await.objects();
    assert_eq!(pins[0], json!({ "tenant": "acme", "rung": "dual", "at": "dual" }));
    assert!(at(url, "unpin orders acme").await.done().contains("unpinned tenant acme"));
    has(&at(url, "unpin orders zeta --json").await.object(), &CHANGED);
    assert_eq!(
        at(url, "unpin orders nobody").await.done(),
        "nothing to do: tenant nobody is not pinned: cutover pins orders lists those that are\n"
    );
    let nothing = [
        ("resume orders", "nothing to do: orders is not paused\n"),
        ("pin orders acme source-only --dry-run", "dry run: pinned tenant acme to source-only\n"),
        ("guards orders --set error_absolute", "nothing to do: no setting of error_absolute was given: "),
        (
            "guards orders --set error_absolute --operation read --rate 5%",
            "nothing to do: the guard is set so already",
        ),
    ];
    for (line, told) in nothing {
        let said = at(url, line).await.done();
        assert!(said.starts_with(told), "{line}: {said}");
    }

    let import = |args: &'static str| ["--server", url].into_iter().chain(args.split_whitespace());
    let told = run_with(import("import-pins orders -"), "acme,dual\n\n\"a,b\",source-only\r\n").await.done();
    assert!(told.starts_with("imported 2 pins"), "{told}");
    let file = dir.path().join("pins.csv");
    std::fs::write(&file, "zeta, dual\n").unwrap();
    let told = at(url, &format!("import-pins orders {} --json", file.display())).await.object();
    assert_eq!(told["imported"], 1);
    assert_eq!(
        at(url, "pins orders").await.done(),
        "TENANT  PINNED TO    NOW AT\na,b     source-only  source-only\nacme    dual         dual\nzeta    dual         dual\n"
    );

    assert!(at(url, "decide orders acme").await.done().contains("): reads the source; writes the"));
    let decided = at(url, "decide orders acme --json").await.object();
    has(&decided, &["migration", "tenant", "stage", "rung", "revision", "reason"]);
    assert_eq!((&decided["stage"], &decided["reason"]), (&json!("dual"), &json!("pin")));
    assert_eq!(decided["valid_for_ms"], 0, "nobody may act on it");
    assert!(
        at(url, "explain orders acme")
            .await
            .done()
            .contains("it is pinned to dual since operator:ada pinned it (revision ")
    );
    let explained = at(url, "explain orders acme --json").await.object();
    assert_eq!((&explained["pin"], &explained["wanted"]), (&json!("dual"), &json!("dual")));

    assert!(
        at(url, "status orders").await.done().contains("  state  idle, revision "),
        "a look-up is not waited for"
    );
    let status = at(url, "status orders --json").await.object();
    has(&status, &["migration", "settled", "waiting", "instances", "rates", "totals", "at_ms", "plan"]);

    let history = at(url, "history orders").await.done();
    assert!(history.contains("by operator:bob because more"), "{history}");
    let newest = at(url, "history --limit 1 --json").await.objects();
    assert_eq!(
        (newest.len(), &newest[0]["change"], &newest[0]["actor"]),
        (1, &json!("pin"), &json!("operator:ada"))
    );
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_paused_rolled_back_and_finished() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    assert!(at(url, "pause orders").await.done().contains("paused"));
    assert_eq!(at(url, "resume orders --json").await.object()["changes"], json!(["resumed"]));
    has(&at(url, "pause orders --json").await.object(), &CHANGED);
    // The first pause stays; a reason is not lost without a word.
    assert_eq!(at(url, "pause orders").await.done(), "nothing to do: orders is paused already\n");
    let both = at(url, "pause orders --reason lunch").await.done();
    assert!(both.contains("paused already, by operator:ada") && both.contains("ends both"), "{both}");
    assert!(at(url, "history orders --limit 1").await.done().contains("lunch"));
    assert_eq!(at(url, "resume orders").await.done(), "resumed\n");

    at(url, "ramp orders --dual 100").await.done();
    let back = at(url, "rollback orders --reason slow").await.done();
    assert!(back.contains("rolled back to source-only"), "{back}");
    assert!(at(url, "show orders").await.done().contains("cutover ack orders"));
    assert!(at(url, "ack orders --reason repaired").await.done().contains("acknowledged"));
    at(url, "pin orders acme dual").await.done();
    has(&at(url, "rollback orders --tenant acme --json").await.object(), &CHANGED);
    assert_eq!(at(url, "show orders --json").await.object()["state"], "tripped");
    let acked = at(url, "ack orders --reason repaired --json").await.object();
    has(&acked, &CHANGED);
    let change = acked["changes"][0].as_str().unwrap();
    assert!(
        change.contains("acme stays pinned to source-only") && change.contains("cutover unpin orders acme")
    );
    for (verb, lifts) in [
        ("show orders", "cutover unpin orders TENANT"),
        ("status orders", "cutover unpin orders TENANT"),
        ("explain orders acme", " acknowledged a rollback (revision "),
    ] {
        let told = at(url, verb).await.done();
        assert!(told.contains(lifts), "{verb}: {told}");
    }

    at(url, "unpin orders acme").await.done();
    let overrides = "--override full-pass --override soak --reason empty";
    let up = at(url, &format!("ramp orders --target-only 100 --wait {overrides}")).await;
    assert_eq!(up.code, 0, "{up:?}");
    let would =
        at(url, "finish orders --confirm orders --override soak --reason empty --dry-run").await.done();
    assert!(would.starts_with("dry run: "), "{would}");
    let finished =
        at(url, "finish orders --confirm orders --override soak --reason empty --json").await.object();
    assert_eq!(finished["migration"]["state"], "finished");
    at(url, "delete orders").await.refused(&["orders is finished", "cutover delete orders --confirm orders"]);
    at(url, "delete orders --dry-run").await.refused(&["orders is finished"]);
    let request = v1::DeleteMigrationRequest { key: "orders".to_owned(), ..Default::default() };
    let refused = controller.admin().await.delete_migration(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "over the API as well");
    at(url, "delete orders --confirm users").await.misused(&["--confirm", "orders"]);
    assert_eq!(at(url, "delete orders --confirm orders").await.done(), "deleted migration orders\n");

    // Whoever was at target-only would be at source-only, without its newest writes.
    let again = "create orders --source ddb --target mysql";
    let why = ["[finished]", "was finished and deleted", "--confirm orders"];
    at(url, again).await.refused(&why);
    at(url, &format!("{again} --dry-run")).await.refused(&why);
    at(url, &format!("{again} --confirm users")).await.misused(&["--confirm", "orders"]);
    at(url, &format!("{again} --confirm orders")).await.done();
    assert_eq!(at(url, "delete orders").await.done(), "deleted migration orders\n");
    at(url, again).await.done();
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_services_use_is_not_deleted() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let mut instance = Instance::register(url, "a", 1).await;
    let calls = v1::StoreCalls {
        store: v1::StoreRole::Source.into(),
        operation: v1::Operation::Read.into(),
        calls: 20,
        ..Default::default()
    };
    let (migration, stores) = ("orders".to_owned(), vec![calls]);
    instance.report(vec![v1::Cell { migration, revision: 1, stores, ..Default::default() }]).await;
    at(url, "delete orders").await.refused(&[
        "[services]",
        "2.0 reads/s of the source",
        "cutover instances orders",
    ]);
    assert!(at(url, "show orders").await.done().contains("orders"));
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_listed_and_the_dead_evicted() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    assert!(at(url, "instances").await.done().starts_with("no instances"));
    let (one, two) = (controller.sdk("one").await, controller.sdk("two").await);
    let listed = at(url, "instances orders").await.done();
    assert!(
        listed.lines().count() == 3 && listed.starts_with("INSTANCE ") && listed.contains("orders-api"),
        "{listed}"
    );
    let listed = at(url, "instances --json").await.objects();
    has(&listed[0], &["instance_id", "service", "lost", "settled", "received_revision", "applied_revision"]);

    // Neither lives on after this: a live one would register again.
    drop((one, two));
    // Another process by mistake has the same id.
    drop(Instance::register(url, "one", 7).await);
    let listed = at(url, "instances").await.done();
    assert!(listed.contains("one#7 "), "{listed}");
    // Each was heard a moment ago.
    at(url, "evict one#7 --reason burnt").await.refused(&["one#7 is not lost", "cutover evict one#7 --lost"]);
    at(url, "evict one#7 --lost --reason burnt").await.refused(&["one#7 is not lost"]);
    at(url, "evict three --lost --reason burnt")
        .await
        .refused(&["no instance \"three\"", "cutover instances"]);
    assert!(at(url, "evict --lost --reason burnt").await.done().starts_with("nobody was evicted: no lost"));
    assert_eq!(at(url, "evict one#7 --force --reason burnt").await.done(), "evicted one#7\n");
    let listed = at(url, "instances").await.done();
    assert!(listed.contains("one ") && !listed.contains("one#"), "{listed}");

    let evict = at(url, "evict one --force --reason burnt --json").await.object();
    assert_eq!(evict, json!({ "evicted": "one" }));
    assert_eq!(at(url, "evict two --force --reason drowned").await.done(), "evicted two\n");
    let kept = at(url, "history orders --json").await.objects();
    let newest = |at: usize| ["change", "summary", "reason", "actor"].map(|field| kept[at][field].clone());
    assert_eq!(newest(0), ["evict", "evicted instance two", "drowned", "operator:ada"]);
    assert_eq!(newest(1), ["evict", "evicted instance one", "burnt", "operator:ada"]);
    assert_eq!(newest(2), ["evict", "evicted instance one#7", "burnt", "operator:ada"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_shown_and_how_many_reads_are_compared_is_set() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql --shadow 12.5 --soak 2h").await.done();
    let shown = at(url, "policy orders").await.done();
    for part in ["level              acknowledged", "soak               2h at", "shadow             12.5 %"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(
        at(url, "policy orders --shadow 100% --dry-run").await.done(),
        "dry run: policy changed: shadow 12.5 % -> 100 %\n"
    );
    assert_eq!(
        at(url, "policy orders --shadow 0 --reason load").await.done(),
        "policy changed: shadow 12.5 % -> 0 %\n"
    );
    let policy = at(url, "policy orders --json").await.object();
    assert_eq!((&policy["shadow_ppm"], &policy["soak_ms"]), (&json!(0), &json!(7_200_000)), "{policy}");
    let again = at(url, "policy orders --shadow 0").await.done();
    assert_eq!(again, "nothing to do: all of these settings are so already\n");
    at(url, "policy orders --shadow 100.1").await.fails(&["--shadow", "over 100 %"]);
    at(url, "policy orders --shadow some").await.fails(&["--shadow", "no percentage"]);
    let limits = "guards orders --local off --local-reads 10 --local-writes 0.5";
    let told = "policy changed: local guard for reads 5 % -> 10 %, local guard for writes 2 % -> 0.5 %\n";
    assert_eq!(at(url, limits).await.done(), told);
    let shown = at(url, "policy orders").await.done();
    assert!(shown.contains("local guard        off, at 10 % of the reads or 0.5 % of the writes"), "{shown}");
    assert!(at(url, "guards orders --local on").await.done().contains("local guard on"));
    let policy = at(url, "policy orders --json").await.object();
    assert_eq!((&policy["local_guard"], &policy["local_guard_read_ppm"]), (&json!(true), &json!(100_000)));
    at(url, "guards orders --local on --local-writes 51").await.misused(&["--local-writes", "0.01 to 50"]);
    at(url, "guards orders --local on --local-reads 0").await.misused(&["--local-reads", "0.01 to 50"]);
    at(url, "guards orders --local-reads 5").await.fails(&["--local"]);
    let all = "policy orders --level linearizable --fence-after 5 --soak 20 --finish-soak 5m --hold-timeout 1s \
               --required-service a --required-service b --local-guard off";
    let told = at(url, all).await.done();
    let policy = "level acknowledged -> linearizable, required services none -> a, b, soak 2 h -> 20 s, finish soak 30 d -> \
                  5 min, hold timeout 2 s -> 1 s, fence never -> after 5 s, local guard on -> off";
    assert_eq!(told, format!("local guard off\npolicy changed: {policy}\n"));
    let policy = at(url, "policy orders --json").await.object();
    let set =
        ["level", "fence_after_ms", "soak_ms", "finish_soak_ms", "hold_timeout_ms", "required_services"];
    let set = set.map(|field| policy[field].clone());
    let expected =
        [json!("linearizable"), json!(5_000), json!(20_000), json!(300_000), json!(1_000), json!(["a", "b"])];
    assert_eq!(set, expected);
    at(url, "policy orders --no-required-services").await.done();
    assert_eq!(at(url, "policy orders --json").await.object()["required_services"], json!([]));
    at(url, "policy nope").await.fails(&["nope"]);
    at(url, "policy orders --shadow 5 --expected-revision 1").await.fails(&["revision"]);
    controller.stop().await;
}
