//! New certificates without a restart.

use std::{fs, path::Path, time::Duration};

use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use nix::sys::signal::Signal;

use super::{Certificates, Encrypted, presented};
use crate::support::process::Process;

/// Longer than two looks at the files, on a slow machine.
const SOON: Duration = Duration::from_secs(20);

fn make_pipe(at: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success());
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let comes = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, comes).await.unwrap_or_else(|_| panic!("{what} does not come"));
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_old_ones_go_on() {
    let encrypted = Encrypted::start().await;
    let (port, ca) = (encrypted.controller.port(), &encrypted.ca.file);
    let address =
        cutover_client::Address::new(&encrypted.url(), &encrypted.access(), Duration::from_secs(3)).unwrap();
    let mut old = AdminServiceClient::new(address.connect().await.unwrap());
    let client = encrypted.sdk(encrypted.access()).await.unwrap();
    let first = encrypted.pair.der();
    assert_eq!(presented(port, ca, "h2").await, first);
    let second = encrypted.certificates.signed(&encrypted.ca, "server", &["localhost"]).der();
    assert_ne!(first, second);
    until("the new certificate", async || presented(port, ca, "h2").await == second).await;
    assert_eq!(presented(encrypted.controller.http.port(), ca, "http/1.1").await, second, "HTTP has it, too");
    old.list_migrations(v1::ListMigrationsRequest::default()).await.unwrap();
    assert!(client.status().connected);
    assert!(client.close().await);
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn files_that_can_not_be_used_leave_the_old_certificate_in_use() {
    let encrypted = Encrypted::start().await;
    let (port, ca) = (encrypted.controller.port(), &encrypted.ca.file);
    let first = encrypted.pair.der();
    let good = fs::read(&encrypted.pair.key).unwrap();
    let other = encrypted.certificates.signed(&encrypted.ca, "other", &["localhost"]);
    let expired = encrypted.certificates.signed_with(&encrypted.ca, "expired", &["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let early = encrypted.certificates.signed_with(&encrypted.ca, "early", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
    });
    let is_stale = async || encrypted.scrape().await.contains("cutover_tls_certificate_stale 1\n");
    assert!(!is_stale().await);
    let (cert, key) = (&encrypted.pair.cert, &encrypted.pair.key);
    let good_cert = fs::read(cert).unwrap();
    let bad = [
        ("a key of another pair", None, Some(fs::read(&other.key).unwrap())),
        ("half of a file", Some(good_cert[..100].to_vec()), None),
        ("no key", None, Some(Vec::new())),
        (
            "a pair that has expired",
            Some(fs::read(&expired.cert).unwrap()),
            Some(fs::read(&expired.key).unwrap()),
        ),
        (
            "a pair that is not valid yet",
            Some(fs::read(&early.cert).unwrap()),
            Some(fs::read(&early.key).unwrap()),
        ),
    ];
    for (what, bad_cert, bad_key) in bad {
        fs::write(cert, bad_cert.unwrap_or_else(|| good_cert.clone())).unwrap();
        fs::write(key, bad_key.unwrap_or_else(|| good.clone())).unwrap();
        until(what, &is_stale).await;
        assert_eq!(presented(port, ca, "h2").await, first, "{what}");
        fs::write(cert, &good_cert).unwrap();
        fs::write(key, &good).unwrap();
        until("what was there before", async || !is_stale().await).await;
    }
    fs::remove_file(key).unwrap();
    until("no file", &is_stale).await;
    let second = encrypted.certificates.signed(&encrypted.ca, "server", &["localhost"]).der();
    until("a certificate that can be used", async || presented(port, ca, "h2").await == second).await;
    until("its metric", async || !is_stale().await).await;
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn a_controller_whose_files_hang_ends() {
    let (dir, certificates) = (tempfile::tempdir().unwrap(), Certificates::new());
    let pair = certificates.signed(&certificates.ca("ca"), "server", &["localhost"]);
    let [cert, key] = [&pair.cert, &pair.key].map(|path| path.display().to_string());
    let process = Process::start_with(dir.path(), &["--tls-cert", &cert, "--tls-key", &key], &[]).await;
    let pipe = certificates.path("pipe");
    make_pipe(&pipe);
    fs::rename(&pipe, &pair.key).unwrap();
    // Several looks.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let ended = tokio::time::timeout(SOON, process.end(Signal::SIGTERM)).await;
    ended.expect("it does not wait for the file");
}

#[tokio::test]
async fn clients_are_judged_by_the_new_ca() {
    judged_by_the_new_ca(false).await;
}

/// A CA that is removed lets nobody in, whatever is wrong with the server's own certificate.
#[tokio::test]
async fn clients_are_judged_by_the_new_ca_although_the_certificate_can_not_be_used() {
    judged_by_the_new_ca(true).await;
}

async fn judged_by_the_new_ca(is_pair_broken: bool) {
    let encrypted = Encrypted::start_with(true).await;
    let access = encrypted.access_with_certificate();
    encrypted.sdk(access.clone()).await.unwrap().close().await;
    if is_pair_broken {
        encrypted.certificates.signed_with(&encrypted.ca, "server", &["localhost"], |params| {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        });
    }
    let other = encrypted.certificates.ca("other");
    let server_ca = encrypted.certificates.path("trusted.pem");
    fs::copy(&encrypted.ca.file, &server_ca).unwrap();
    // The file that the controller reads; clients trust the copy.
    fs::copy(&other.file, &encrypted.ca.file).unwrap();
    let theirs = encrypted.certificates.signed(&other, "theirs", &["orders-api"]);
    let new = access.clone().with_ca_file(&server_ca).with_client_certificate(theirs.cert, theirs.key);
    until("the new CA", async || encrypted.sdk(new.clone()).await.is_ok()).await;
    let old = encrypted.sdk(access.with_ca_file(&server_ca)).await.unwrap_err().to_string();
    assert!(old.contains("does not accept this client's certificate"), "{old}");
    encrypted.controller.stop().await;
}
