//! Nobody there, another server there, or an invalid address: one line, in bounded time.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::{at, run};

/// Longer than a connection may take, shorter than anybody waits.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    // Bound and dropped: nobody has this port now.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for verb in
        ["list", "decide orders acme", "ramp orders --dual 1", "status orders -w", "evict one --reason r"]
    {
        at(&url, verb).await.unreachable(&["can't reach", &url, "cutover serve", "CUTOVER_SERVER"]);
    }
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("orders.toml");
    let store = |name: &str| {
        format!("[{name}]\nurl = \"sqlite:{}/{name}.db\"\ntable = \"orders\"\n", dir.path().display())
    };
    std::fs::write(&spec, format!("migration = \"orders\"\n{}{}", store("source"), store("target"))).unwrap();
    for verb in ["backfill", "verify", "reverse"] {
        let verb = format!("{verb} {} --create-tables", spec.display());
        at(&url, &verb).await.unreachable(&["can't reach", &url, "cutover serve"]);
    }
    assert!(!dir.path().join("target.db").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_answers_or_says_nothing() {
    let junk = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (noisy, quiet) = [&junk, &silent].map(|listener| listener.local_addr().unwrap().port()).into();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = junk.accept().await {
            let _ = caller.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\x1b[31mwho is this?\r\n").await;
        }
    });
    tokio::spawn(async move {
        let mut callers = Vec::new();
        while let Ok((caller, _)) = silent.accept().await {
            callers.push(caller);
        }
    });
    let dir = TempDir::new().unwrap();
    let pins = dir.path().join("pins.csv");
    std::fs::write(&pins, "acme,dual\n").unwrap();
    let import = format!("import-pins orders {}", pins.display());
    for port in [noisy, quiet] {
        let url = format!("http://127.0.0.1:{port}");
        for verb in ["list", "decide orders acme", "status orders -w", &import] {
            let begun = Instant::now();
            at(&url, verb).await.unreachable(&[&url, "cutover controller", "--server"]);
            assert!(begun.elapsed() < SOON, "{verb} took {:?}", begun.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_typo() {
    for url in ["127.0.0.1:7070", "htp://127.0.0.1:7070", "", "not a url", "http://", "https://"] {
        run(["list", "--server", url]).await.misused(&["--server", "http://127.0.0.1:7070"]);
    }
    let away = "http://no-such-host.invalid:7070";
    run(["list", "--server", away]).await.unreachable(&["can't reach", away]);
}
