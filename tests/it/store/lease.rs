//! At most one controller leads, whatever freezes, is cut off or ends.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use cutover::store::{Error, Leader, Lease, SILENT, Seat, SeatStore, TRUSTED, Term};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, advance, sleep, timeout},
};

/// A row in memory, as one controller sees it.
#[derive(Clone, Debug)]
struct Row {
    seat: Arc<Mutex<Seat>>,
    is_cut: Arc<AtomicBool>,
}

impl Row {
    fn fresh() -> Self {
        let seat = Seat { epoch: 0, beat: 0, holder: String::new(), history: "one".to_owned() };
        Self { seat: Arc::new(Mutex::new(seat)), is_cut: Arc::default() }
    }

    /// The same row, seen by another one.
    fn other(&self) -> Self {
        Self { seat: self.seat.clone(), is_cut: Arc::default() }
    }

    async fn of<T>(&self, act: impl FnOnce(&mut Seat) -> T + Send) -> Result<T, Error> {
        sleep(Duration::from_millis(5)).await;
        if self.is_cut.load(SeqCst) {
            // Some calls fail at once, others hang.
            let hangs_ms = rand::rng().random_range(0..2_000);
            sleep(Duration::from_millis(hangs_ms)).await;
            return Err(Error::Unavailable("cut off".to_owned()));
        }
        let done = act(&mut self.seat.lock().unwrap());
        sleep(Duration::from_millis(5)).await;
        Ok(done)
    }
}

#[async_trait]
impl SeatStore for Row {
    async fn read(&self) -> Result<Seat, Error> {
        self.of(|seat| seat.clone()).await
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        let next = Seat { epoch: seen.epoch + 1, beat: 0, holder: holder.to_owned(), ..seen.clone() };
        self.of(|seat| {
            *seat == *seen && {
                *seat = next;
                true
            }
        })
        .await
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        let is = |seat: &Seat| seat.epoch == term.epoch && seat.holder == term.holder;
        self.of(|seat| {
            is(seat) && {
                seat.beat += 1;
                true
            }
        })
        .await
    }

    async fn vacate(&self, term: &Term) -> Result<(), Error> {
        self.of(|seat| {
            if seat.holder == term.holder {
                (seat.epoch, seat.beat, seat.holder) = (term.epoch + 1, 0, String::new());
            }
        })
        .await
    }
}

/// Leads, keeps leading, and starts again when it has lost the lease, as a controller does.
fn run(lease: Arc<Lease>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            lease.lead("somebody", |_| {}).await;
            lease.keep().await;
        }
    })
}

async fn until_led(leases: &[Arc<Lease>]) -> usize {
    loop {
        if let Some(leads) = leases.iter().position(|lease| lease.is_held()) {
            return leads;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_first_leads_and_the_next_one_once_it_is_silent() {
    let row = Row::fresh();
    let leases = [Arc::new(Lease::new(row.clone())), Arc::new(Lease::new(row.other()))];
    let first = run(leases[0].clone());
    assert_eq!(timeout(Duration::from_millis(100), until_led(&leases)).await, Ok(0), "at once");
    let _second = run(leases[1].clone());
    sleep(Duration::from_secs(60)).await;
    assert!(leases[0].is_held() && !leases[1].is_held());
    first.abort();
    let ended = Instant::now();
    while !leases[1].is_held() {
        assert!(ended.elapsed() < SILENT + Duration::from_secs(1), "it takes over");
        assert!(!leases[0].is_held() || ended.elapsed() < TRUSTED);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!leases[0].is_held());
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_is_followed_at_once_and_is_named_until_then() {
    let row = Row::fresh();
    let (first, second) = (Lease::new(row.clone()), Lease::new(row.other()));
    first.lead("ada, gRPC 127.0.0.1:1", |_| {}).await;
    let mut news = Vec::new();
    assert!(
        timeout(Duration::from_secs(1), second.lead("bob", |leader| news.push(leader.clone())))
            .await
            .is_err()
    );
    assert_eq!(news, [Leader::Known("ada, gRPC 127.0.0.1:1".to_owned())]);
    first.vacate().await;
    assert!(!first.is_held());
    timeout(Duration::from_millis(300), second.lead("bob", |_| {})).await.expect("at once");
    assert_eq!(second.term().unwrap().epoch, 3, "the seat was empty for an epoch");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_stops_before_the_next_one_starts() {
    let row = Row::fresh();
    let leases = [Arc::new(Lease::new(row.clone())), Arc::new(Lease::new(row.other()))];
    leases[0].lead("ada", |_| {}).await;
    let kept = tokio::spawn({
        let lease = leases[0].clone();
        async move { (lease.keep().await, Instant::now()) }
    });
    sleep(Duration::from_secs(5)).await;
    row.is_cut.store(true, SeqCst);
    leases[1].lead("bob", |_| {}).await;
    let took_over = Instant::now();
    let (why, stopped) = kept.await.unwrap();
    assert!(why.contains("could not renew"), "{why}");
    assert!(stopped < took_over, "{:?}", took_over.duration_since(stopped));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_frozen_does_not_lead_when_it_comes_back() {
    let row = Row::fresh();
    let lease = Lease::new(row.clone());
    lease.lead("ada", |_| {}).await;
    assert!(lease.is_held());
    // Nothing of it runs meanwhile.
    advance(TRUSTED).await;
    assert!(!lease.is_held(), "whatever it does first");
    assert!(lease.keep().await.contains("could not renew"), "also if nobody took over");
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_ends_its_own_term_only() {
    let lease = Arc::new(Lease::new(Row::fresh()));
    lease.lead("ada", |_| {}).await;
    let old = lease.term().unwrap();
    lease.vacate().await;
    lease.lead("ada", |_| {}).await;
    lease.depose(&old);
    assert!(lease.is_held(), "a straggler of an earlier term");
    let kept = tokio::spawn({
        let lease = lease.clone();
        async move { lease.keep().await }
    });
    sleep(Duration::from_secs(1)).await;
    lease.depose(&lease.term().unwrap());
    assert!(timeout(Duration::from_secs(1), kept).await.unwrap().unwrap().contains("another controller"));
}

/// Answers a beat only when it may.
#[derive(Clone, Debug, Default)]
struct Slow {
    beats: Arc<Notify>,
    answers: Arc<Notify>,
}

#[async_trait]
impl SeatStore for Slow {
    async fn read(&self) -> Result<Seat, Error> {
        Err(Error::Unavailable("not asked".to_owned()))
    }

    async fn take(&self, _: &Seat, _: &str) -> Result<bool, Error> {
        Ok(false)
    }

    async fn beat(&self, _: &Term) -> Result<bool, Error> {
        self.beats.notify_one();
        self.answers.notified().await;
        Ok(true)
    }

    async fn vacate(&self, _: &Term) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_beat_under_way_does_not_bring_a_deposed_term_back() {
    let slow = Slow::default();
    let lease = Arc::new(Lease::new(slow.clone()));
    let term = Term { epoch: 1, holder: "ada".to_owned() };
    lease.join(term.clone());
    let kept = tokio::spawn({
        let lease = lease.clone();
        async move { lease.keep().await }
    });
    slow.beats.notified().await;
    lease.depose(&term);
    slow.answers.notify_one();
    let why = timeout(Duration::from_millis(100), kept).await.expect("it ends").unwrap();
    assert!(why.contains("another controller"), "{why}");
    assert_eq!(lease.term(), None);
}

/// Each of three is cut off, stopped and started at random. At any moment at most one may answer calls.
#[tokio::test(start_paused = true)]
async fn never_do_two_lead() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let row = Row::fresh();
        let rows = [row.other(), row.other(), row.other()];
        let mut running: Vec<Option<(Arc<Lease>, JoinHandle<()>)>> = vec![None, None, None];
        let (mut led, mut leaders) = (0, std::collections::BTreeSet::new());
        for step in 0..4_000 {
            if step % 20 == 0 {
                let at = random.random_range(0..3);
                match random.random_range(0..6) {
                    0 => rows[at].is_cut.store(true, SeqCst),
                    1 | 2 => rows[at].is_cut.store(false, SeqCst),
                    // What it granted while it ran counts until its lease ends: it is kept in `running`.
                    3 if running[at].is_some() => running[at].as_ref().unwrap().1.abort(),
                    4 | 5
                        if running[at]
                            .as_ref()
                            .is_none_or(|(lease, task)| task.is_finished() && !lease.is_held()) =>
                    {
                        let lease = Arc::new(Lease::new(rows[at].clone()));
                        running[at] = Some((lease.clone(), run(lease)));
                    }
                    _ => {}
                }
            }
            let leading: Vec<_> =
                (0..3).filter(|at| running[*at].as_ref().is_some_and(|(lease, _)| lease.is_held())).collect();
            assert!(leading.len() <= 1, "seed {seed}, step {step}: {leading:?}");
            led += leading.len();
            leaders.extend(leading);
            sleep(Duration::from_millis(25)).await;
        }
        assert!(
            led > 400 && leaders.len() > 1,
            "seed {seed}: it is led for a while, by several: {led} {leaders:?}"
        );
        running.iter().flatten().for_each(|(_, task)| task.abort());
    }
}
