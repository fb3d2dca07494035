//! A proxy to the server that can be cut, and what no store may say of a write when that happens.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
};

use cutover_store::{Id, Put, PutAll, Record, Store, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes bytes on between its port and the server's.
pub(crate) struct Proxy {
    state: Arc<State>,
}

struct State {
    /// Reads of requests still passed on; below 0 every connection is cut.
    requests_left: AtomicI64,
    answers_pass: AtomicBool,
    /// The answer to the last request was not passed on.
    has_cut: AtomicBool,
    /// A request with any of these in it is the last one whose answer could have passed.
    last: Mutex<Vec<Vec<u8>>>,
    /// 0: unlimited.
    answer_bytes_per_s: AtomicU64,
    /// Bytes of answers that were passed on.
    answered: watch::Sender<u64>,
    accepted: AtomicU64,
    /// Connections accepted before this number have become silent.
    silent_before: watch::Sender<u64>,
    let_through: watch::Sender<bool>,
    silent: watch::Sender<Silent>,
}

/// For connections that are open, and silent: on how many something has happened.
#[derive(Clone, Copy, Default)]
struct Silent {
    kept: u64,
    clients_hung_up: u64,
    servers_hung_up: u64,
    ended: u64,
}

impl Proxy {
    /// A proxy in front of the server in `url`; also returns the URL through it.
    pub(crate) async fn before(url: &str) -> (Self, String) {
        let rest = url.rsplit_once("://").expect("the script writes it").1;
        let place = rest.split('/').next().expect("it has one");
        let server = place.rsplit('@').next().expect("it has one").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("bound").to_string();
        let over = url.replace(&server, &own);
        let state = Arc::new(State {
            requests_left: AtomicI64::new(i64::MAX),
            answers_pass: AtomicBool::new(true),
            has_cut: AtomicBool::new(false),
            last: Mutex::default(),
            answer_bytes_per_s: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
            silent_before: watch::Sender::new(0),
            let_through: watch::Sender::new(false),
            silent: watch::Sender::default(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, server) = (shared.clone(), server.clone());
                let number = state.accepted.fetch_add(1, SeqCst);
                tokio::spawn(async move { pass(client, number, &server, &state).await });
            }
        });
        (Self { state }, over)
    }

    /// Cuts every connection, old and new, once this many requests have passed.
    pub(crate) fn cut_after_requests(&self, requests: i64) {
        self.state.requests_left.store(requests, SeqCst);
    }

    /// The server executes requests up to the one that contains this key; when it answers that, every
    /// connection is cut.
    pub(crate) fn cut_instead_of_answer(&self, key: &str) {
        self.state.has_cut.store(false, SeqCst);
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        *self.state.last.lock().expect("no panic") = vec![key.as_bytes().to_vec(), hex.into_bytes()];
    }

    /// A slow connection. 0: unlimited.
    pub(crate) fn slow_answers(&self, bytes_per_s: u64) {
        self.state.answer_bytes_per_s.store(bytes_per_s, SeqCst);
    }

    /// Waits until this many more bytes of answers have been passed on.
    pub(crate) async fn answered(&self, bytes: u64) {
        let mut answered = self.state.answered.subscribe();
        let until = *answered.borrow() + bytes;
        answered.wait_for(|answered| *answered >= until).await.expect("the proxy has it");
    }

    /// Open connections stay open, and nothing more gets through. New ones work.
    pub(crate) fn keep_back(&self) {
        self.state.silent_before.send_replace(self.state.accepted.load(SeqCst));
    }

    /// Nothing comes through any more, on no connection.
    #[allow(dead_code, reason = "for tests/it/passes/connections.rs")]
    pub(crate) fn freeze(&self) {
        self.state.silent_before.send_replace(u64::MAX);
    }

    /// New connections work again. Those that were frozen stay so.
    #[allow(dead_code, reason = "for tests/it/passes/connections.rs")]
    pub(crate) fn thaw(&self) {
        self.keep_back();
    }

    /// What came on silent connections goes to the server after all. Returns when it has answered.
    pub(crate) async fn let_through(&self) {
        self.state.let_through.send_replace(true);
        self.until(|silent| silent.ended == silent.kept).await;
    }

    pub(crate) async fn servers_hung_up(&self) {
        self.until(|silent| silent.kept > 0 && silent.servers_hung_up == silent.kept).await;
    }

    pub(crate) async fn clients_hung_up(&self) {
        self.until(|silent| silent.kept > 0 && silent.clients_hung_up == silent.kept).await;
    }

    async fn until(&self, holds: impl Fn(&Silent) -> bool) {
        self.state.silent.subscribe().wait_for(|silent| holds(silent)).await.expect("the proxy has it");
    }

    pub(crate) fn mend(&self) {
        self.state.requests_left.store(i64::MAX, SeqCst);
        self.state.last.lock().expect("no panic").clear();
        self.state.answers_pass.store(true, SeqCst);
    }
}

impl State {
    fn is_last(&self, request: &[u8]) -> bool {
        let last = self.last.lock().expect("no panic");
        last.iter().any(|key| request.windows(key.len()).any(|part| part == key))
    }
}

/// Until either side ends, or the proxy is cut; both are dropped then.
async fn pass(mut client: TcpStream, number: u64, server: &str, state: &State) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut request, mut answer) = ([0; 65_536], [0; 65_536]);
    let mut has_asked = false;
    let mut silent_before = state.silent_before.subscribe();
    loop {
        let rate = state.answer_bytes_per_s.load(SeqCst);
        let part = if rate > 0 { 8_192 } else { answer.len() };
        tokio::select! {
            biased;
            () = async { drop(silent_before.wait_for(|before| number < *before).await) } => break,
            read = client.read(&mut request) => {
                let Ok(bytes @ 1..) = read else { return };
                if state.requests_left.fetch_sub(1, SeqCst) <= 0 {
                    return;
                }
                if state.is_last(&request[..bytes]) {
                    state.answers_pass.store(false, SeqCst);
                    has_asked = true;
                }
                if server.write_all(&request[..bytes]).await.is_err() { return }
            }
            read = server.read(&mut answer[..part]) => {
                let Ok(bytes @ 1..) = read else { return };
                if !state.answers_pass.load(SeqCst) {
                    // Another connection's answer is cut too, and says nothing about the last request.
                    state.has_cut.fetch_or(has_asked, SeqCst);
                    return;
                }
                if let Some(takes_us) = (bytes as u64 * 1_000_000).checked_div(rate) {
                    tokio::time::sleep(std::time::Duration::from_micros(takes_us)).await;
                }
                if client.write_all(&answer[..bytes]).await.is_err() { return }
                state.answered.send_modify(|answered| *answered += bytes as u64);
            }
        }
    }
    keep(client, server, state).await;
}

/// Like a middlebox that forgot the connection, or a network that is cut and recovers later.
async fn keep(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let happens = |what: fn(&mut Silent) -> &mut u64| state.silent.send_modify(|silent| *what(silent) += 1);
    happens(|silent| &mut silent.kept);
    let (mut request, mut answer, mut kept) = ([0; 65_536], [0; 65_536], Vec::new());
    let (mut from_client, mut from_server) = (true, true);
    let mut let_through = state.let_through.subscribe();
    loop {
        tokio::select! {
            () = async { drop(let_through.wait_for(|is| *is).await) } => break,
            read = client.read(&mut request), if from_client => match read {
                Ok(bytes @ 1..) => kept.extend_from_slice(&request[..bytes]),
                _ => {
                    from_client = false;
                    happens(|silent| &mut silent.clients_hung_up);
                }
            },
            read = server.read(&mut answer), if from_server => if !matches!(read, Ok(1..)) {
                from_server = false;
                happens(|silent| &mut silent.servers_hung_up);
            }
        }
    }
    // The server may be gone.
    let _ = server.write_all(&kept).await;
    let _ = server.shutdown().await;
    while matches!(server.read(&mut answer).await, Ok(1..)) {}
    happens(|silent| &mut silent.ended);
}

/// `far` goes through the proxy; `near` goes to the same table directly.
pub(crate) async fn a_lost_answer_is_not_called_unwritten(far: &dyn Store, near: &dyn Store, proxy: &Proxy) {
    let id = |name: &str| Id::new("t", name).expect("valid");
    let record = |version| Record {
        version: Version(version),
        value: Some(format!(r#"{{"n":{{"N":"{version}"}}}}"#).into_bytes()),
    };
    for (key, exists) in [("if-newer", false), ("if-none", false), ("if-unchanged", true)] {
        if exists {
            assert_eq!(near.put_if_newer(&id(key), &record(1)).await, Ok(Put::Applied));
        }
        proxy.cut_instead_of_answer(key);
        let put = match key {
            "if-newer" => far.put_if_newer(&id(key), &record(2)).await,
            _ => far.put_if_unchanged(&id(key), &record(2), exists.then_some(Version(1))).await,
        };
        assert_eq!(near.get(&id(key)).await, Ok(Some(record(2))), "{key}: it was written");
        let error = put.expect_err("no answer");
        assert!(error.may_apply(), "{key}: {error}");
        proxy.mend();
        let again = far.put_if_newer(&id(key), &record(2)).await;
        assert!(
            matches!(again, Ok(Put::Present | Put::Applied)),
            "by an attempt, or by this one's: {again:?}"
        );
    }

    // Another write comes before the retry: it is then unknown whether ours was there, and writing it once
    // more could let readers see it twice.
    let (id, ours, theirs) = (id("replaced"), record(1), record(2));
    proxy.cut_instead_of_answer(&id.key);
    let replace = async {
        while !proxy.state.has_cut.load(SeqCst) {
            tokio::task::yield_now().await;
        }
        assert_eq!(near.get(&id).await, Ok(Some(ours.clone())));
        assert_eq!(near.put_if_newer(&id, &theirs).await, Ok(Put::Applied));
        proxy.mend();
    };
    let (put, ()) = tokio::join!(far.put_if_newer(&id, &ours), replace);
    let error = put.expect_err("no answer, or theirs is there");
    assert!(error.may_apply(), "{error}");
}

/// The same of several records at once. `last`: what the request has whose answer is lost, and which has them written.
pub(crate) async fn a_lost_answer_of_several_is_not_called_unwritten(
    far: &dyn Store,
    near: &dyn Store,
    proxy: &Proxy,
    last: &str,
) {
    let ids = ["several-1", "several-2"].map(|key| Id::new("t", key).expect("valid"));
    let record = |version| Record {
        version: Version(version),
        value: Some(format!(r#"{{"n":{{"N":"{version}"}}}}"#).into_bytes()),
    };
    let all = |version| ids.clone().map(|id| (id, record(version)));
    proxy.cut_instead_of_answer(last);
    let error = far.put_all_if_newer(&all(2)).await.expect_err("no answer");
    assert!(error.may_apply(), "{error}");
    assert_eq!(near.get_versions(&ids).await, Ok(vec![Some(Version(2)); 2]), "all were written");
    proxy.mend();
    let there = PutAll::Refused(vec![(0, Version(2)), (1, Version(2))]);
    assert_eq!(far.put_all_if_newer(&all(2)).await, Ok(there), "by another call");

    // It may find its own records when it tries again, or what others have put in the place of one or of both.
    for (version, replaced) in [(10, 0), (20, 1), (30, 2)] {
        proxy.cut_instead_of_answer(last);
        let replace = async {
            while !proxy.state.has_cut.load(SeqCst) {
                tokio::task::yield_now().await;
            }
            for id in &ids[..replaced] {
                assert_eq!(near.put_if_newer(id, &record(version + 1)).await, Ok(Put::Applied));
            }
            proxy.mend();
        };
        let ours = all(version);
        let (put, ()) = tokio::join!(far.put_all_if_newer(&ours), replace);
        match put {
            Ok(PutAll::Applied) => assert!(replaced < 2, "nothing shows that it was"),
            Ok(refused) => panic!("called unwritten: {refused:?}"),
            Err(error) => assert!(error.may_apply(), "{error}"),
        }
        let versions = [0, 1].map(|at| Some(Version(if at < replaced { version + 1 } else { version })));
        assert_eq!(near.get_versions(&ids).await, Ok(versions.to_vec()), "it is not written again");
    }
}
