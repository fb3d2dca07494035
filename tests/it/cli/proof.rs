//! `cutover history --verify` finds what somebody changed by hand, and a checkpoint what somebody wrote anew.

use std::{fs, path::Path, sync::Arc};

use cutover::{
    domain::{
        Change, Document, Trip, TripOutcome,
        guard::{Action, Cause, Guard, GuardEvidence, GuardKind, Operation, Scope, Verdict},
    },
    store::{Expired, Store, memory::MemoryStore, sqlite::SqliteStore},
};
use cutover_core::routing::Rung;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{at, run};
use crate::support::{commit, create, describe, key, pin, server::Controller};

/// Two pairs of keys, as openssl writes them; for these stories alone.
const KEYS: [[&str; 2]; 2] = [
    [
        "MC4CAQAwBQYDK2VwBCIEIBrU2H7uJi4vf0+7O+jB2/rezc77Q4OcL2mlWmM2phcG",
        "MCowBQYDK2VwAyEAlvMC+APxyuYYi0PSDWlv1Unly01HO5f7cajGtdmjL5k=",
    ],
    [
        "MC4CAQAwBQYDK2VwBCIEIGH5xvjbn3faNjNk9XXu7jSZ1bWVYZPJ9NjHMxhVtIBu",
        "MCowBQYDK2VwAyEAOXzCkXptFYpl3+ZdK67IbnLI2DpHbrB9CZcYevGivgM=",
    ],
];

/// A directory with the store, the keys `a.pem` and `b.pem`, and their public halves.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        for (name, [private, public]) in ["a", "b"].iter().zip(KEYS) {
            for (end, label, key) in [("pem", "PRIVATE", private), ("pub", "PUBLIC", public)] {
                let pem = format!("-----BEGIN {label} KEY-----\n{key}\n-----END {label} KEY-----\n");
                fs::write(place.path(&format!("{name}.{end}")), pem).unwrap();
            }
        }
        place
    }

    /// With seven events in the store.
    async fn used() -> Self {
        let place = Self::new();
        let store = place.store().await;
        put(&store, &create()).await;
        put(&store, &pin(["acme".to_owned()], Rung::SourceOnly)).await;
        for n in 3..=7 {
            put(&store, &describe(format!("change {n}"))).await;
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path("cutover.db")).await.unwrap()
    }

    async fn by_hand(&self, statements: &[&'static str]) {
        let options = SqliteConnectOptions::new().filename(self.path("cutover.db"));
        let mut raw = options.connect().await.unwrap();
        for statement in statements {
            raw.execute(*statement).await.unwrap();
        }
        raw.close().await.unwrap();
    }

    /// `--verify` against a signed checkpoint.
    fn against(&self, checkpoint: &str, key: &str) -> String {
        format!(
            "history --verify --checkpoint {} --public-key {}",
            self.path(checkpoint),
            self.path(&format!("{key}.pub"))
        )
    }

    async fn sign(&self, url: &str, checkpoint: &str) -> String {
        let (file, key) = (self.path(checkpoint), self.path("a.pem"));
        at(url, &format!("history --checkpoint {file} --key {key}")).await.done()
    }
}

/// Commits a change now: an older one would expire when a controller starts.
async fn put(store: &dyn Store, change: &Change) {
    let state = store.snapshot().await.unwrap();
    let mut made = commit(state.migrations.first(), &key("orders"), change, state.revision + 1);
    made.event.at_ms = cutover_clock::now_ms();
    store.commit(&made).await.unwrap();
}

/// Ways to change history by hand, and what each is called. The rest of the file is as the controller wrote it.
const BY_HAND: &[(&[&str], &str)] = &[
    (&["UPDATE events SET reason = 'another' WHERE revision = 3"], "revision 3 does not fit its hash"),
    (&["UPDATE events SET actor = 'operator:eve' WHERE revision = 1"], "revision 1 does not fit its hash"),
    (&["UPDATE events SET at_ms = at_ms + 1 WHERE revision = 7"], "revision 7 does not fit its hash"),
    (&["UPDATE events SET request_id = 'r' WHERE revision = 4"], "revision 4 does not fit its hash"),
    (&["UPDATE events SET change = 'pause' WHERE revision = 4"], "revision 4 does not fit its hash"),
    (&["UPDATE events SET key = 'carts' WHERE revision = 4"], "revision 4 does not fit its hash"),
    (&["UPDATE events SET summary = '[]' WHERE revision = 4"], "revision 4 does not fit its hash"),
    (&["UPDATE events SET document = document || ' ' WHERE revision = 5"], "revision 5 does not fit its hash"),
    (&["UPDATE events SET document = NULL WHERE revision = 5"], "revision 5 does not fit its hash"),
    (&["UPDATE events SET rows = '[]' WHERE revision = 2"], "revision 2 does not fit its hash"),
    (&["UPDATE events SET history_id = 'x' WHERE revision = 2"], "revision 2 does not fit its hash"),
    (&["UPDATE events SET hash = zeroblob(32) WHERE revision = 6"], "revision 6 does not fit its hash"),
    (&["UPDATE events SET hash = x'00' WHERE revision = 6"], "revision 6 does not fit its hash"),
    (&["DELETE FROM events WHERE revision = 3"], "revision 3 is missing: 4 follows 2"),
    (&["DELETE FROM events WHERE revision = 1"], "revision 1 is missing: 2 follows 0"),
    (&["DELETE FROM events WHERE revision = 7"], "ends at revision 6, but the newest commit was 7"),
    (
        &[
            "UPDATE events SET revision = 100 WHERE revision = 3",
            "UPDATE events SET revision = 3 WHERE revision = 4",
            "UPDATE events SET revision = 4 WHERE revision = 100",
        ],
        "revision 3 does not fit its hash",
    ),
    (
        &["INSERT INTO events SELECT 8, key, at_ms, actor, reason, 'r', change, summary, document, rows, hash,
           history_id FROM events WHERE revision = 7"],
        "revision 8 does not fit its hash",
    ),
    (
        &["INSERT INTO events (revision, key, at_ms, actor, reason, request_id, change, summary, document, rows)
           SELECT 8, key, at_ms, actor, reason, 'r', change, summary, document, rows FROM events WHERE revision = 7"],
        "revision 8 does not fit its hash",
    ),
    (
        &[
            "UPDATE counter SET dropped_through = 3",
            "DELETE FROM events WHERE revision <= 3",
        ],
        "revision 4 does not fit its hash",
    ),
    (&["UPDATE events SET document = '{' WHERE revision = 5"], "the event of revision 5 can't be read"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_found_and_named() {
    let place = Place::used().await;
    let controller = Controller::start(place.0.path(), 0).await;
    let url = controller.url.as_str();
    let fine = at(url, "history --verify").await.done();
    assert!(fine.starts_with("verified: 7 events, revision 1 to 7\nlast hash: "), "{fine}");
    let counts = at(url, "history --verify --json").await.object();
    assert_eq!((&counts["verified"], &counts["events"]), (&Value::Bool(true), &Value::from(7)));
    place
        .by_hand(&[
            "CREATE TABLE kept AS SELECT * FROM events",
            "CREATE TABLE kept_counter AS SELECT * FROM counter",
        ])
        .await;
    for (statements, says) in BY_HAND {
        place.by_hand(statements).await;
        let found = at(url, "history --verify").await;
        assert_eq!(found.code, 1, "{statements:?}: {found:?}");
        found.fails(&[*says]);
        place
            .by_hand(&[
                "DELETE FROM events",
                "INSERT INTO events SELECT * FROM kept",
                "UPDATE counter SET dropped_through = (SELECT dropped_through FROM kept_counter)",
            ])
            .await;
        assert_eq!(at(url, "history --verify").await.done(), fine);
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_file_is_verified_without_a_controller() {
    let place = Place::new();
    let store = MemoryStore::default();
    put(&store, &create()).await;
    put(&store, &pin(["acme".to_owned()], Rung::SourceOnly)).await;
    trip(&store).await;
    put(&store, &describe("later")).await;
    let controller = Controller::start_on(Arc::new(store)).await;
    let exported = at(&controller.url, "history --export").await.done();
    place.sign(&controller.url, "checkpoint").await;
    controller.stop().await;

    let file = place.path("history.jsonl");
    let verify = async |text: &str| {
        fs::write(&file, text).unwrap();
        run(["history", "--verify", &file]).await
    };
    assert!(verify(&exported).await.done().starts_with("verified: 4 events, revision 1 to 4\n"));
    let (file, checkpoint, public) = (&file, place.path("checkpoint"), place.path("a.pub"));
    let against = ["history", "--verify", file, "--checkpoint", &checkpoint, "--public-key", &public];
    assert!(run(against).await.done().contains("it contains revision 4, which was signed on 20"));

    let lines: Vec<&str> = exported.lines().collect();
    let of = |at: usize| serde_json::from_str::<Value>(lines[at]).unwrap();
    let with = |at: usize, change: &dyn Fn(&mut Value)| {
        let mut line = of(at);
        change(&mut line);
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines[at] = line.to_string();
        lines.join("\n")
    };
    for field in ["actor", "reason", "change", "summary", "request_id", "migration"] {
        let changed = with(1, &|line| line[field] = "another".into());
        verify(&changed).await.fails(&["revision 2 "]);
    }
    verify(&with(1, &|line| line["at_ms"] = 1.into())).await.fails(&["revision 2 does not fit its hash"]);
    verify(&with(1, &|line| line["proof"]["rows_sha256"] = "x".into()))
        .await
        .fails(&["revision 2 has a malformed hash"]);
    verify(&with(1, &|line| line["note"] = "all is well".into()))
        .await
        .fails(&["line 2 of", "unknown field"]);
    verify(&with(1, &|line| line["trip"] = of(2)["trip"].clone()))
        .await
        .fails(&["revision 2 shows another trip"]);
    assert_eq!(of(2)["trip"]["guard"], "write_divergence", "{}", lines[2]);
    let worse = |line: &mut Value| line["trip"]["target_bad"] = 1_000.into();
    verify(&with(2, &worse)).await.fails(&["revision 3 shows another trip"]);
    let other = |line: &mut Value| {
        let document = line["proof"]["document"].as_str().unwrap();
        line["proof"]["document"] = format!("{document} ").into();
    };
    verify(&with(2, &other)).await.fails(&["revision 3 shows another trip"]);
    verify(&[lines[0], lines[2], lines[3]].join("\n")).await.fails(&["revision 2 is missing: 3 follows 1"]);
    verify(&[lines[0], lines[2], lines[3]].join("\n")).await.fails(&["exported with a key"]);
    verify(&[lines[0], lines[2], lines[1], lines[3]].join("\n")).await.fails(&["revision 2 is missing"]);
    verify(&[lines[0], lines[1], lines[1]].join("\n")).await.fails(&["revision 2 is in the wrong place"]);
    verify("").await.fails(&["has no events"]);
    verify("{}").await.fails(&["line 1 of", "cutover history --export"]);
    // The end can be cut off, and the beginning as well: only the checkpoint shows that.
    let rest = verify(&lines[1..].join("\n")).await.done();
    assert!(rest.contains("nothing is proven of events before revision 2"), "{rest}");
    verify(&lines[..3].join("\n")).await.done();
    run(against).await.fails(&["it had revision 4, and this one ends at 3"]);
}

/// Commits a guard's verdict as the next revision.
async fn trip(store: &MemoryStore) {
    let orders = store.migration(&key("orders")).unwrap();
    let mut tripped = commit(Some(&orders), &key("orders"), &describe("tripped"), 3);
    let verdict = Verdict {
        guard: Guard { kind: GuardKind::WriteDivergence, operation: Operation::Write },
        scope: Scope::Migration,
        action: Action::Rollback,
        cause: Cause::Breach,
        evidence: GuardEvidence { ln_m: 0.1 + 0.2, ln_c: 9.210_340_371_976_184, ..GuardEvidence::default() },
    };
    let trip = Trip { revision: 3, at_ms: 7, outcome: TripOutcome::RolledBack(Rung::Dual), verdict };
    let document: &mut Document = tripped.event.document.as_mut().unwrap();
    document.trips.push(trip);
    tripped.event.at_ms = cutover_clock::now_ms();
    store.commit(&tripped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_refuses_a_history_that_was_written_anew() {
    let place = Place::used().await;
    let controller = Controller::start(place.0.path(), 0).await;
    let url = controller.url.as_str();
    assert!(place.sign(url, "checkpoint").await.contains("verified: 7 events"));
    at(url, "pause orders").await.done();
    let contained = at(url, &place.against("checkpoint", "a")).await.done();
    assert!(contained.contains("8 events") && contained.contains("it contains revision 7"), "{contained}");

    at(url, &place.against("checkpoint", "b")).await.fails(&["the signature of", "another key signed it"]);
    let signed = fs::read_to_string(place.path("checkpoint")).unwrap();
    fs::write(place.path("forged"), signed.replace("revision 7", "revision 6")).unwrap();
    at(url, &place.against("forged", "a")).await.fails(&["the signature of"]);
    fs::write(place.path("torn"), &signed[..signed.len() / 2]).unwrap();
    at(url, &place.against("torn", "a")).await.fails(&["is no checkpoint"]);
    at(url, &place.against("checkpoint", "a").replace("a.pub", "a.pem"))
        .await
        .fails(&["is no Ed25519 public key"]);
    let again = format!("history --checkpoint {} --key {}", place.path("checkpoint"), place.path("a.pem"));
    at(url, &again).await.fails(&["exists"]);
    at(url, &again.replace("a.pem", "a.pub")).await.fails(&["is no Ed25519 private key", "openssl genpkey"]);
    at(url, &format!("history --checkpoint {}", place.path("new"))).await.fails(&["--key"]);
    let keyless = format!("history --verify --checkpoint {}", place.path("checkpoint"));
    at(url, &keyless).await.fails(&["--public-key"]);
    controller.stop().await;

    // Whoever can write the file can make all hashes anew: the controller does it for them.
    place
        .by_hand(&[
            "UPDATE events SET reason = 'another' WHERE revision = 3",
            "UPDATE counter SET hashed_through = NULL",
        ])
        .await;
    let controller = Controller::start(place.0.path(), 0).await;
    let url = controller.url.as_str();
    let anew = at(url, "history --verify").await.done();
    assert!(anew.contains("revisions up to 8 got their hashes on"), "{anew}");
    let anew = at(url, &place.against("checkpoint", "a")).await;
    assert_eq!(anew.code, 1, "{anew:?}");
    anew.fails(&["not the history that was signed on", "revision 7 had another hash"]);
    controller.stop().await;

    // Nothing is signed that does not fit.
    place.by_hand(&["UPDATE events SET reason = '' WHERE revision = 3"]).await;
    let controller = Controller::start(place.0.path(), 0).await;
    let sign = format!("history --checkpoint {} --key {}", place.path("new"), place.path("a.pem"));
    at(&controller.url, &sign).await.fails(&["revision 3 does not fit its hash"]);
    assert!(!Path::new(&place.path("new")).exists());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_after_events_were_dropped_is_proven() {
    let place = Place::used().await;
    let controller = Controller::start(place.0.path(), 0).await;
    for n in 1..=2 {
        place.sign(&controller.url, &format!("at-{}", 6 + n)).await;
        at(&controller.url, if n == 1 { "pause orders" } else { "resume orders" }).await.done();
    }
    controller.stop().await;
    let expired = Expired { through: 7, below: u64::MAX, limit: 100, now_ms: 1, before_ms: 0 };
    assert_eq!(place.store().await.compact(&expired).await.unwrap().through, 7);

    let controller = Controller::start(place.0.path(), 0).await;
    let url = controller.url.as_str();
    let rest = at(url, "history --verify").await.done();
    assert!(rest.starts_with("verified: 2 events, revision 8 to 9\n"), "{rest}");
    assert!(rest.contains("nothing is proven of events before revision 8"), "{rest}");
    let contained = at(url, &place.against("at-7", "a")).await.done();
    assert!(
        contained.contains("it contains revision 7"),
        "the hash of the last dropped one is kept: {contained}"
    );
    at(url, &place.against("at-8", "a")).await.done();
    controller.stop().await;

    let expired = Expired { through: 8, ..expired };
    assert_eq!(place.store().await.compact(&expired).await.unwrap().through, 8);
    let controller = Controller::start(place.0.path(), 0).await;
    at(&controller.url, &place.against("at-7", "a")).await.fails(&["its revision 7 is not kept any more"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_goes_on_from_its_last_hash_and_says_so() {
    let place = Place::used().await;
    let controller = Controller::start(place.0.path(), 0).await;
    let url = controller.url.as_str();
    place.sign(url, "before").await;
    at(url, &format!("backup {}", place.path("backup.db"))).await.done();
    at(url, "pause orders").await.done();
    place.sign(url, "after").await;
    let old = at(url, "history --verify --json").await.object();
    controller.stop().await;

    let elsewhere = TempDir::new().unwrap();
    let store = format!("sqlite:{}", elsewhere.path().join("cutover.db").display());
    run(["restore", &place.path("backup.db"), "--store", &store]).await.done();
    let restored = Controller::start(elsewhere.path(), 0).await;
    let url = restored.url.as_str();
    let text = at(url, "history --verify").await.done();
    assert!(text.contains("revision 8 began history ") && text.contains("restored from a backup"), "{text}");
    let new = at(url, "history --verify --json").await.object();
    let histories = new["histories"].as_array().unwrap();
    assert_eq!((histories.len(), &histories[0]["history_id"]), (2, &old["histories"][0]["history_id"]));
    assert_eq!(histories[1]["from"], 8);
    at(url, &place.against("before", "a")).await.done();
    at(url, &place.against("after", "a")).await.fails(&["revision 8 had another hash"]);
    restored.stop().await;
}
