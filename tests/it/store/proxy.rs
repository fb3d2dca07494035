//! A proxy to a database server that can be cut, can hang or be slow, and can lose the answer to a commit.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Network {
    #[default]
    Whole,
    /// Every connection is closed, and none is taken.
    Cut,
    /// Nothing gets through, and nothing is closed.
    Hangs,
}

/// What becomes of messages to the server.
#[derive(Default)]
struct Messages {
    /// The next commit arrives, and its answer does not.
    is_answer_lost: AtomicBool,
    /// The next commit does not arrive.
    is_lost: AtomicBool,
    /// Whoever loses a commit is cut off from then on.
    is_cut_then: AtomicBool,
    /// The next commit arrives so much later.
    is_late: Mutex<Option<Duration>>,
    /// Of the next message, `Sync` does not arrive, nor does anything after it.
    is_sync_withheld: AtomicBool,
    /// The next message with this text arrives without so many bytes of its end, and nothing after it.
    stalls_at: Mutex<Option<(&'static [u8], usize)>>,
    /// So many bytes pass in a millisecond. 0: as fast as they come.
    bytes_per_ms: AtomicUsize,
}

/// A proxy as long as the tests run.
pub struct Proxy {
    network: watch::Sender<Network>,
    messages: Arc<Messages>,
    /// Connections that were open then pass nothing any more, and are not closed.
    frozen: watch::Sender<()>,
}

impl Proxy {
    /// A proxy in front of the server in `url`; also returns the URL through it.
    pub async fn before(url: &str) -> (Self, String) {
        let place = url.rsplit_once("://").unwrap().1.split('/').next().unwrap();
        let server = place.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let over = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let (network, messages) = (watch::Sender::new(Network::Whole), Arc::<Messages>::default());
        let frozen = watch::Sender::new(());
        let freezes = frozen.clone();
        let (state, of_next) = (network.clone(), messages.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut freezes = freezes.subscribe();
                let (server, cuts, messages) = (server.clone(), state.clone(), of_next.clone());
                let state = cuts.subscribe();
                tokio::spawn(async move {
                    if *state.borrow() == Network::Cut {
                        return;
                    }
                    if let Ok(server) = TcpStream::connect(server).await {
                        let (client, server) = (&mut { client }, &mut { server });
                        tokio::select! {
                            // First: otherwise a question and its answer may still pass.
                            biased;
                            Ok(()) = freezes.changed() => std::future::pending().await,
                            () = pass(client, server, state, &messages, &cuts) => {}
                        }
                    }
                });
            }
        });
        (Self { network, messages, frozen }, over)
    }

    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    pub fn hang(&self) {
        self.network.send_replace(Network::Hangs);
    }

    pub fn heal(&self) {
        self.network.send_replace(Network::Whole);
    }

    /// Connections that are open now pass nothing any more. Later ones do.
    pub fn freeze(&self) {
        self.frozen.send_replace(());
    }

    /// The next message arrives without its end.
    pub fn withhold_sync(&self) {
        self.messages.is_sync_withheld.store(true, SeqCst);
    }

    /// The next message with this text arrives without so many bytes of its end, and nothing after it.
    pub fn stall_at(&self, text: &'static str, withheld: usize) {
        *self.messages.stalls_at.lock().unwrap() = Some((text.as_bytes(), withheld));
    }

    /// So many bytes reach the server in a millisecond.
    pub fn slow(&self, bytes_per_ms: usize) {
        self.messages.bytes_per_ms.store(bytes_per_ms, SeqCst);
    }

    /// The same, and then everything is cut.
    pub fn lose_commit_and_network(&self, arrives: bool) {
        self.messages.is_cut_then.store(true, SeqCst);
        self.lose_commit(arrives);
    }

    /// The next commit arrives so much later, whoever still waits for it.
    pub fn delay_commit(&self, by: Duration) {
        *self.messages.is_late.lock().unwrap() = Some(by);
    }

    /// The next commit's connection is cut, before the commit arrives or after.
    pub fn lose_commit(&self, arrives: bool) {
        let lost = if arrives { &self.messages.is_answer_lost } else { &self.messages.is_lost };
        lost.store(true, SeqCst);
    }
}

/// What a commit ends with in PostgreSQL and in MySQL, and what it is called in DynamoDB. `READ COMMITTED` is no commit.
const COMMITS: [&[u8]; 3] = [b"COMMIT\0", b"COMMIT;", b".TransactWriteItems"];
const SYNC: &[u8] = b"S\0\0\0\x04";

fn has(message: &[u8], text: &[u8]) -> bool {
    message.windows(text.len()).any(|part| part == text)
}

fn cut_then(network: &watch::Sender<Network>, messages: &Messages) {
    if messages.is_cut_then.swap(false, SeqCst) {
        network.send_replace(Network::Cut);
    }
}

async fn until(network: &mut watch::Receiver<Network>, is: Network) {
    _ = network.wait_for(|network| *network == is).await;
}

async fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mut network: watch::Receiver<Network>,
    messages: &Messages,
    cuts: &watch::Sender<Network>,
) {
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut was_cut = network.clone();
    loop {
        // Who hangs does not hear of the other side's end either.
        if network.wait_for(|network| *network != Network::Hangs).await.is_err() {
            return;
        }
        tokio::select! {
            () = until(&mut was_cut, Network::Cut) => return,
            () = until(&mut network, Network::Hangs) => {}
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                let is_commit = COMMITS.iter().any(|text| has(&asked[..count], text));
                if is_commit && messages.is_lost.swap(false, SeqCst) {
                    cut_then(cuts, messages);
                    return;
                }
                let late = messages.is_late.lock().unwrap().take_if(|_| is_commit);
                if let Some(by) = late {
                    tokio::time::sleep(by).await;
                }
                let bytes_per_ms = messages.bytes_per_ms.load(SeqCst);
                if let Some(ms) = count.checked_div(bytes_per_ms) {
                    tokio::time::sleep(Duration::from_millis(ms as u64)).await;
                }
                let stalls = messages.stalls_at.lock().unwrap().take_if(|(text, _)| has(&asked[..count], text));
                if let Some((_, withheld)) = stalls {
                    _ = server.write_all(&asked[..count - withheld]).await;
                    std::future::pending::<()>().await;
                }
                let is_withheld = asked[..count].ends_with(SYNC) && messages.is_sync_withheld.swap(false, SeqCst);
                let passes = if is_withheld { count - SYNC.len() } else { count };
                if server.write_all(&asked[..passes]).await.is_err() {
                    return;
                }
                if is_withheld {
                    std::future::pending::<()>().await;
                }
                if is_commit && messages.is_answer_lost.swap(false, SeqCst) {
                    _ = server.read(&mut answered).await;
                    cut_then(cuts, messages);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
