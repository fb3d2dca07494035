//! Connections that begin a handshake and do not end it.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::{Encrypted, handshake};

async fn from(address: &str, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

/// Idle from the start, or after the first byte: one address has half of the handshakes, and the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_delay_nobody_and_have_an_end() {
    let encrypted = Encrypted::start().await;
    for (kind, port) in [("grpc", encrypted.controller.port()), ("http", encrypted.controller.http.port())] {
        let mut held = Vec::new();
        for number in 0..700 {
            let mut stream = from("127.0.0.2", port).await;
            if number % 2 == 0 {
                stream.write_all(&[0x16]).await.unwrap();
            }
            held.push(stream);
        }
        let begun = Instant::now();
        let protocol = if kind == "grpc" { "h2" } else { "http/1.1" };
        handshake(port, &encrypted.ca.file, None, protocol).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3), "{kind}: {:?}", begun.elapsed());
        let ended = async {
            for mut stream in held {
                // Closed, or reset with the byte unread.
                let _ = stream.read(&mut [0; 64]).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("all of them end");
        let of = async |reason: &str| -> u64 {
            let name = format!("cutover_refused_connections_total{{port=\"{kind}\",reason=\"{reason}\"}} ");
            let metrics = encrypted.scrape().await;
            metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        };
        // Each is counted just after it is closed.
        while of("busy").await + of("timeout").await < 700 {
            assert!(begun.elapsed() < Duration::from_secs(20), "all of them are counted");
        }
        // Half of the places, and its part of the spare ones, which are free again after 2 s.
        assert!((528..=600).contains(&of("timeout").await), "one address has half: {}", of("timeout").await);
    }
    encrypted.controller.stop().await;
}

/// They hold all places: a probe gets one of those that are kept for such a moment.
#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_with_all_handshakes_delay_no_third() {
    let encrypted = Encrypted::start().await;
    for (port, protocol) in
        [(encrypted.controller.port(), "h2"), (encrypted.controller.http.port(), "http/1.1")]
    {
        let mut held = Vec::new();
        for number in 0..1_060 {
            held.push(from(["127.0.0.2", "127.0.0.3"][number % 2], port).await);
        }
        let begun = Instant::now();
        handshake(port, &encrypted.ca.file, None, protocol).await.unwrap();
        // The first of the places is free after 5 s.
        assert!(begun.elapsed() < Duration::from_secs(1), "{protocol}: {:?}", begun.elapsed());
        drop(held);
    }
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn a_controller_stops_although_handshakes_are_under_way() {
    let encrypted = Encrypted::start().await;
    let held = [
        from("127.0.0.1", encrypted.controller.port()).await,
        from("127.0.0.1", encrypted.controller.http.port()).await,
    ];
    encrypted.sdk(encrypted.access()).await.unwrap().close().await;
    let begun = Instant::now();
    encrypted.controller.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "it does not wait for them: {:?}", begun.elapsed());
    drop(held);
}
