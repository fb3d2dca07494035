//! A proxy to a database server that can be cut, can hang, and can lose the answer to a commit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
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

/// What becomes of the next commit.
#[derive(Default)]
struct Commits {
    /// It arrives, and its answer does not.
    is_answer_lost: AtomicBool,
    /// It does not arrive.
    is_lost: AtomicBool,
}

/// A proxy as long as the tests run.
pub struct Proxy {
    network: watch::Sender<Network>,
    commits: Arc<Commits>,
}

impl Proxy {
    /// A proxy in front of the server in `url`; also returns the URL through it.
    pub async fn before(url: &str) -> (Self, String) {
        let place = url.rsplit_once("://").unwrap().1.split('/').next().unwrap();
        let server = place.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let over = url.replace(&server, &listener.local_addr().unwrap().to_string());
        let (network, commits) = (watch::Sender::new(Network::Whole), Arc::<Commits>::default());
        let (state, of_next) = (network.clone(), commits.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, state, commits) = (server.clone(), state.subscribe(), of_next.clone());
                tokio::spawn(async move {
                    if *state.borrow() == Network::Cut {
                        return;
                    }
                    if let Ok(server) = TcpStream::connect(server).await {
                        pass(client, server, state, &commits).await;
                    }
                });
            }
        });
        (Self { network, commits }, over)
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

    /// The next commit's connection is cut, before the commit arrives or after.
    pub fn lose_commit(&self, arrives: bool) {
        let lost = if arrives { &self.commits.is_answer_lost } else { &self.commits.is_lost };
        lost.store(true, SeqCst);
    }
}

async fn until(network: &mut watch::Receiver<Network>, is: Network) {
    _ = network.wait_for(|network| *network == is).await;
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    mut network: watch::Receiver<Network>,
    commits: &Commits,
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
                let is_commit = asked[..count].windows(6).any(|part| part == b"COMMIT");
                if is_commit && commits.is_lost.swap(false, SeqCst) {
                    return;
                }
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
                if is_commit && commits.is_answer_lost.swap(false, SeqCst) {
                    _ = server.read(&mut answered).await;
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
