//! A real controller notifies real receivers, which fail, hang and come back.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use cutover::{config::Serve, notify::Secret, store::open_store};
use cutover_proto::v1;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::server::Controller;

const SECRET: &str = "s3cret";

/// A receiver that refuses as many requests as it is told to.
#[derive(Clone, Default)]
struct Receiver {
    /// Status, headers and body of each request, in order.
    seen: Arc<Mutex<Vec<(StatusCode, HeaderMap, Bytes)>>>,
    failures: Arc<AtomicU32>,
    failure: Arc<Mutex<StatusCode>>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let fails =
        receiver.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    let status = if fails.is_ok() { *receiver.failure.lock().unwrap() } else { StatusCode::NO_CONTENT };
    receiver.seen.lock().unwrap().push((status, headers, body));
    status
}

impl Receiver {
    /// Starts it; returns its URL.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn fail(&self, times: u32, status: StatusCode) {
        *self.failure.lock().unwrap() = status;
        self.failures.store(times, Ordering::SeqCst);
    }

    /// Kinds of the accepted messages, in order, once there are this many requests.
    async fn taken(&self, requests: usize) -> Vec<String> {
        let enough = async {
            while self.seen.lock().unwrap().len() < requests {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), enough).await;
        let seen = self.seen.lock().unwrap();
        assert!(waited.is_ok(), "{} of {requests} requests", seen.len());
        let taken = seen.iter().filter(|(status, ..)| status.is_success());
        taken.map(|(_, _, body)| change(body)).collect()
    }
}

fn change(body: &[u8]) -> String {
    let read: Value = serde_json::from_slice(body).unwrap();
    read["change"].as_str().unwrap().to_owned()
}

async fn start(dir: &Path, webhooks: &[(&str, &str)]) -> Controller {
    let secret = dir.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let webhook = webhooks.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let sign = |(name, _): &(&str, &str)| format!("{name}={}", secret.display());
    let webhook_secret_file = webhooks.iter().map(sign).collect();
    Controller::start_with(dir, 0, Serve { webhook, webhook_secret_file, ..Serve::default() }).await
}

/// Waits until the store has recorded that all endpoints have got everything.
async fn kept(dir: &Path) {
    let store = open_store(&format!("sqlite:{}", dir.join("cutover.db").display())).await.unwrap();
    let all = async {
        loop {
            let state = store.snapshot().await.unwrap();
            if state.cursors.iter().all(|cursor| cursor.revision == state.revision) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
}

async fn create(controller: &Controller, key: &str) {
    let create = v1::CreateMigrationRequest {
        key: key.to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        ..Default::default()
    };
    controller.admin().await.create_migration(create).await.unwrap();
}

fn why() -> Option<v1::Mutation> {
    Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() })
}

async fn pause(controller: &Controller, key: &str) {
    let pause = v1::PauseRequest { mutation: why(), key: key.to_owned() };
    controller.admin().await.pause(pause).await.unwrap();
}

async fn resume(controller: &Controller, key: &str) {
    let resume = v1::ResumeRequest { mutation: why(), key: key.to_owned() };
    controller.admin().await.resume(resume).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_twice_is_told_again_with_the_same_key_and_a_signature() {
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::default());
    receiver.fail(2, StatusCode::SERVICE_UNAVAILABLE);
    let controller = start(dir.path(), &[("ops", &receiver.listen().await)]).await;
    create(&controller, "orders").await;
    pause(&controller, "orders").await;
    assert_eq!(receiver.taken(3).await, ["pause"], "nobody asked to hear of a creation");
    {
        let seen = receiver.seen.lock().unwrap();
        let (_, first, body) = &seen[0];
        for (_, headers, again) in seen.iter() {
            assert_eq!((&headers["idempotency-key"], again), (&first["idempotency-key"], body));
            let signature = headers["cutover-signature"].to_str().unwrap();
            let unix_s = signature.strip_prefix("t=").unwrap().split_once(',').unwrap().0.parse().unwrap();
            assert_eq!(signature, Secret::new(SECRET).unwrap().sign(unix_s, again));
            let now_s = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
            assert!(unix_s <= now_s && now_s - unix_s < 60, "{unix_s} is not now, {now_s}");
        }
        let read: Value = serde_json::from_slice(body).unwrap();
        assert_eq!((&read["migration"], &read["reason"]), (&"orders".into(), &"a test".into()));
        assert_eq!(read["idempotency_key"], first["idempotency-key"].to_str().unwrap());
    }
    // A message that it will never accept does not block later ones.
    receiver.fail(1, StatusCode::BAD_REQUEST);
    resume(&controller, "orders").await;
    pause(&controller, "orders").await;
    assert_eq!(receiver.taken(5).await, ["pause", "pause"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_delays_neither_a_rollback_nor_the_others() {
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::default());
    // The kernel accepts connections; nobody ever reads from them.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}/", hanging.local_addr().unwrap());
    let controller = start(dir.path(), &[("hangs", &hangs), ("ops", &receiver.listen().await)]).await;
    create(&controller, "orders").await;
    pause(&controller, "orders").await;
    let (asked, _) = hanging.accept().await.unwrap();
    let ramp = v1::SetRolloutRequest {
        mutation: why(),
        key: "orders".to_owned(),
        mirrored_ppm: Some(1_000_000),
        override_gates: vec!["full-pass".to_owned()],
        ..Default::default()
    };
    resume(&controller, "orders").await;
    controller.admin().await.set_rollout(ramp).await.unwrap();
    let began = Instant::now();
    let rollback = v1::RollbackRequest { mutation: why(), key: "orders".to_owned(), ..Default::default() };
    controller.admin().await.rollback(rollback).await.unwrap();
    assert_eq!(receiver.taken(3).await, ["pause", "resume", "rollback"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}: that is the hanging one's", began.elapsed());
    drop(asked);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_and_a_new_endpoint_hears_only_what_is_new() {
    let (dir, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let url = receiver.listen().await;
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/hook", away.local_addr().unwrap());
    drop(away);
    let controller = start(dir.path(), &[("ops", &nobody)]).await;
    create(&controller, "orders").await;
    pause(&controller, "orders").await;
    resume(&controller, "orders").await;
    controller.stop().await;

    let late = Receiver::default();
    let late_url = late.listen().await;
    let endpoints = [("late", &*late_url), ("ops", &*url)];
    let controller = start(dir.path(), &endpoints).await;
    assert_eq!(receiver.taken(2).await, ["pause", "resume"], "what it missed, in order");
    pause(&controller, "orders").await;
    assert_eq!(receiver.taken(3).await, ["pause", "resume", "pause"]);
    assert_eq!(late.taken(1).await, ["pause"], "a new endpoint begins now");
    kept(dir.path()).await;
    controller.stop().await;

    // What was delivered is not sent again.
    let controller = start(dir.path(), &endpoints).await;
    resume(&controller, "orders").await;
    assert_eq!(late.taken(2).await, ["pause", "resume"]);
    assert_eq!(receiver.taken(4).await.last().unwrap(), "resume");
    controller.stop().await;
}
