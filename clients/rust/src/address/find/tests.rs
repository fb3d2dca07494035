//! A network in memory with controllers that lead, wait, are silent, or are not there.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover_core::servers::{HISTORY_HEADER, PUSHBACK_HEADER};
use futures::{Stream, future::pending};
use tokio::{
    io::{copy_bidirectional, duplex},
    task::AbortHandle,
    time::Instant,
};
use tonic::{Request, Response, Status, codegen::http::Uri, transport::Server};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

use super::{Address, FindError};
use crate::{
    Access,
    host::{Bytes, Simulated},
};

/// What is at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Dead,
    /// Nobody answers, not even to refuse.
    Hole,
    /// It takes connections and says nothing.
    Mute,
    Standby(&'static str),
    Leader(&'static str),
    /// A controller that does not say its history, such as an older one.
    Old,
    /// Something else that serves gRPC, and is healthy.
    Stranger,
    /// Something else that serves HTTP/2.
    Web,
}

#[derive(Clone, Default)]
struct Network {
    hosts: Arc<Mutex<HashMap<String, There>>>,
    /// Who was dialled.
    dialled: Arc<Mutex<Vec<String>>>,
    open: Arc<Mutex<Vec<(String, AbortHandle)>>>,
}

struct Answers(There);

#[tonic::async_trait]
impl Health for Answers {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let about = request.into_inner().service;
        let (status, history) = match self.0 {
            There::Leader(history) => (ServingStatus::Serving, history),
            There::Standby(history) => (ServingStatus::NotServing, history),
            There::Old => {
                return Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }));
            }
            There::Stranger if about.is_empty() => (ServingStatus::Serving, "none"),
            There::Stranger => return Err(again_at_once(Status::not_found("unknown service"))),
            There::Web => return Err(again_at_once(Status::unimplemented("404"))),
            _ => return pending().await,
        };
        let mut response = Response::new(HealthCheckResponse { status: status.into() });
        response.metadata_mut().insert(HISTORY_HEADER, history.parse().expect("a header"));
        response.metadata_mut().insert(PUSHBACK_HEADER, "900".parse().expect("a header"));
        Ok(response)
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

/// As a proxy with a fault may say it.
fn again_at_once(mut status: Status) -> Status {
    status.metadata_mut().insert(PUSHBACK_HEADER, "0".parse().expect("a header"));
    status
}

impl Network {
    fn of(hosts: &[(&str, There)]) -> Self {
        let network = Self::default();
        hosts.iter().for_each(|(host, there)| network.put(host, *there));
        let dials = network.clone();
        let dial = Arc::new(move |uri: Uri| {
            let network = dials.clone();
            let dialled: futures::future::BoxFuture<'static, io::Result<Box<dyn Bytes>>> =
                Box::pin(async move { network.dial(uri.host().unwrap_or_default().to_owned()).await });
            dialled
        });
        Simulated { dial, pause: Arc::new(|| Box::pin(std::future::ready(()))) }.install();
        network
    }

    /// Connections that are open to it break.
    fn put(&self, host: &str, there: There) {
        self.hosts.lock().expect("no panic").insert(host.to_owned(), there);
        self.open.lock().expect("no panic").retain(|(at, wire)| {
            if at == host {
                wire.abort();
            }
            at != host
        });
    }

    async fn dial(&self, host: String) -> io::Result<Box<dyn Bytes>> {
        self.dialled.lock().expect("no panic").push(host.clone());
        let there = self.hosts.lock().expect("no panic")[&host];
        match there {
            There::Dead => return Err(io::ErrorKind::ConnectionRefused.into()),
            There::Hole => return pending().await,
            _ => {}
        }
        let ((near, mut left), (mut right, far)) = (duplex(64 << 10), duplex(64 << 10));
        let connections = futures::stream::once(async { Ok::<_, io::Error>(far) });
        let server = Server::builder().add_service(HealthServer::new(Answers(there)));
        tokio::spawn(server.serve_with_incoming(connections));
        let wire = tokio::spawn(async move { copy_bidirectional(&mut left, &mut right).await });
        self.open.lock().expect("no panic").push((host, wire.abort_handle()));
        Ok(Box::new(near))
    }

    fn dialled(&self) -> Vec<String> {
        std::mem::take(&mut *self.dialled.lock().expect("no panic"))
    }
}

fn address(hosts: &[&str]) -> Address {
    let list: Vec<String> = hosts.iter().map(|host| format!("http://{host}:7070")).collect();
    Address::new(&list.join(","), &Access::default(), Duration::from_secs(2)).expect("addresses")
}

#[tokio::test(start_paused = true)]
async fn the_leader_is_found_behind_addresses_that_are_dead_silent_or_on_standby_in_any_order() {
    let hosts = ["dead", "hole", "mute", "standby", "leader"];
    let network = Network::of(&[
        ("dead", There::Dead),
        ("hole", There::Hole),
        ("mute", There::Mute),
        ("standby", There::Standby("one")),
        ("leader", There::Leader("one")),
    ]);
    for turn in 0..hosts.len() {
        let mut hosts = hosts;
        hosts.rotate_left(turn);
        let address = address(&hosts);
        let began = Instant::now();
        let found = address.leader(None).await.expect("one leads");
        assert_eq!(found.history.as_deref(), Some("one"));
        assert!(began.elapsed() < Duration::from_secs(1), "{hosts:?}: {:?}", began.elapsed());
        network.dialled();
        // It is remembered, so nobody waits for the silent ones again.
        let began = Instant::now();
        address.leader(Some("one")).await.expect("it still leads");
        assert_eq!(network.dialled()[0], "leader");
        assert!(began.elapsed() <= super::HEDGE + Duration::from_millis(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_soon_after_a_standby_has_answered_and_says_when_to_ask_again() {
    Network::of(&[("hole", There::Hole), ("standby", There::Standby("one")), ("dead", There::Dead)]);
    let address = address(&["hole", "standby", "dead"]);
    for round in 0..12 {
        let began = Instant::now();
        let error = address.leader(None).await.err().expect("nobody leads");
        // A slow network may need more time than a short round.
        let limit_ms = if round < super::SHORT_ROUNDS { 1_300 } else { 3_010 };
        assert!(began.elapsed() <= Duration::from_millis(limit_ms), "{round}: {:?}", began.elapsed());
        assert_eq!(error.again(), Some(Duration::from_millis(900)));
        let said = error.to_string();
        for part in ["http://standby:7070 is on standby", "http://dead:7070: ", "http://hole:7070: "] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_goes_to_the_one_that_leads_now() {
    let network = Network::of(&[("a", There::Leader("one")), ("b", There::Standby("one"))]);
    let mut health = HealthClient::new(address(&["b", "a"]).connect_lazy());
    for leads in ["a", "b", "a"] {
        let other = if leads == "a" { "b" } else { "a" };
        network.put(other, There::Standby("one"));
        network.put(leads, There::Leader("one"));
        // The broken connection may be noticed by a call.
        let mut answer = health.check(HealthCheckRequest::default()).await;
        if answer.is_err() {
            answer = health.check(HealthCheckRequest::default()).await;
        }
        let status = answer.expect("it leads").into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
        assert_eq!(network.dialled().last().map(String::as_str), Some(leads));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_from_one_installation_to_another() {
    let network = Network::of(&[("a", There::Leader("one")), ("b", There::Leader("two"))]);
    let both = address(&["a", "b"]);
    for _ in 0..3 {
        let refused = both.leader(None).await.err().expect("they are two, at every attempt");
        assert!(matches!(refused, FindError::Installations { .. }), "{refused}");
    }
    both.leader(Some("one")).await.expect("it stays at its own");

    network.put("a", There::Dead);
    for _ in 0..3 {
        let refused = both.leader(Some("one")).await.err().expect("the other one is not asked");
        assert!(
            refused.to_string().contains("http://b:7070 leads, but its store has the history two"),
            "{refused}"
        );
    }
    network.put("a", There::Leader("one"));
    both.leader(Some("one")).await.expect("it is back");

    // One installation, whose store is restored while the first controller is away.
    network.put("b", There::Standby("one"));
    let pair = address(&["a", "b"]);
    pair.leader(None).await.expect("a leads, and b says the same history");
    network.put("a", There::Dead);
    network.put("b", There::Leader("three"));
    let found = pair.leader(Some("one")).await.expect("b is known by the old history");
    assert_eq!(found.history.as_deref(), Some("three"));
}

#[tokio::test(start_paused = true)]
async fn one_address_is_not_asked_whether_it_leads() {
    let network = Network::of(&[("a", There::Standby("one"))]);
    let found = address(&["a"]).leader(Some("two")).await.expect("its calls are refused in its own words");
    assert_eq!(found.history, None);
    assert_eq!(network.dialled(), ["a"]);
    for probed in address(&["a"]).probe().await {
        assert_eq!((probed.state, probed.history.as_deref()), (crate::AddressState::Standby, Some("one")));
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_else_answers_grpc_is_not_taken_for_a_controller() {
    let network = Network::of(&[
        ("stranger", There::Stranger),
        ("web", There::Web),
        ("old", There::Old),
        ("a", There::Leader("one")),
        ("b", There::Standby("one")),
    ]);
    let all = address(&["stranger", "web", "old", "a", "b"]);
    for _ in 0..3 {
        let found = all.leader(None).await.expect("a leads");
        assert_eq!(found.name.as_deref(), Some("http://a:7070"), "it says its history, unlike the old one");
    }
    // It did not take the process.
    all.found_in_vain();
    network.dialled();
    assert_eq!(all.leader(None).await.expect("it leads").name.as_deref(), Some("http://a:7070"));
    network.put("a", There::Dead);
    network.put("old", There::Dead);
    let error = all.leader(Some("one")).await.err().expect("nobody leads");
    assert_eq!(error.again(), Some(Duration::from_millis(900)), "what strangers say does not count: {error}");
    let strangers = address(&["stranger", "web"]).leader(None).await.err().expect("nobody leads");
    assert_eq!((strangers.again(), strangers.is_passing()), (None, false));
    assert!(strangers.to_string().contains("http://stranger:7070: what answers there is no"), "{strangers}");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_lead_the_one_with_the_own_history_is_taken() {
    let network = Network::of(&[
        ("b", There::Leader("two")),
        ("a1", There::Leader("one")),
        ("a2", There::Standby("one")),
    ]);
    let all = address(&["b", "a1", "a2"]);
    all.leader(Some("one")).await.expect("a1 leads");
    network.put("a1", There::Dead);
    network.put("a2", There::Leader("one"));
    for _ in 0..2 {
        let found = all.leader(Some("one")).await.expect("it took over");
        assert_eq!(found.name.as_deref(), Some("http://a2:7070"));
    }

    // A process that has only its file's history yet.
    let starts = address(&["b", "a1", "a2"]);
    starts.expect("one".to_owned());
    network.put("a2", There::Dead);
    let refused = starts.leader(None).await.err().expect("its own is away");
    assert!(matches!(&refused, FindError::OtherHistory { held, .. } if held == "one"), "{refused}");
    network.put("a2", There::Leader("one"));
    assert_eq!(starts.leader(None).await.expect("it is back").history.as_deref(), Some("one"));
}
