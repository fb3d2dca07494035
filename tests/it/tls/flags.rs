//! `cutover serve` with files for TLS that it can't use, and what it takes to be reachable.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Certificates, handshake};
use crate::{
    cli::{Said, run},
    support::process::Process,
};

async fn serve(dir: &Path, flags: &[&str]) -> Said {
    let store = format!("sqlite:{}", dir.join("cutover.db").display());
    let any = ["serve", "--http", "127.0.0.1:0", "--store", &store];
    let grpc: &[&str] = if flags.contains(&"--grpc") { &[] } else { &["--grpc", "127.0.0.1:0"] };
    run(any.iter().chain(grpc).chain(flags)).await
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_without_their_contents() {
    let (dir, certificates) = (TempDir::new().unwrap(), Certificates::new());
    let ca = certificates.ca("ca");
    let (one, other) =
        (certificates.signed(&ca, "one", &["localhost"]), certificates.signed(&ca, "other", &["localhost"]));
    let text = |path: &Path| path.display().to_string();
    let (cert, key, other) = (text(&one.cert), text(&one.key), text(&other.key));
    let secret = fs::read_to_string(&one.key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let damaged = text(&certificates.path("damaged.pem"));
    fs::write(&damaged, format!("-----BEGIN PRIVATE KEY-----\n{}\n", secret.replacen('M', "%", 1))).unwrap();
    for (flags, parts) in [
        (vec!["--tls-cert", &cert], vec!["--tls-key is missing"]),
        (vec!["--tls-key", &key], vec!["--tls-cert is missing"]),
        (vec!["--tls-client-ca", &cert], vec!["--tls-cert and --tls-key are missing"]),
        (vec!["--tls-cert", "/nowhere/a", "--tls-key", &key], vec!["can't read --tls-cert /nowhere/a"]),
        (vec!["--tls-cert", &key, "--tls-key", &key], vec!["--tls-cert", "has no valid certificate"]),
        (vec!["--tls-cert", &cert, "--tls-key", &cert], vec!["--tls-key", "has no valid private key"]),
        (vec!["--tls-cert", &cert, "--tls-key", &damaged], vec!["--tls-key", "has no valid private key"]),
        (vec!["--tls-cert", &cert, "--tls-key", &other], vec![&other, &cert, "both of one pair"]),
        (
            vec!["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &key],
            vec!["--tls-client-ca", "has no valid certificate"],
        ),
    ] {
        let said = serve(dir.path(), &flags).await;
        assert_eq!(said.code, 64, "{flags:?}: {said:?}");
        assert!(parts.iter().all(|part| said.err.contains(part)), "{flags:?}: {said:?}");
        assert!(!said.err.contains(&secret[..20]) && !said.err.contains(&secret[20..40]), "{said:?}");
    }
    assert!(!dir.path().join("cutover.db").exists(), "no store is made by who can't serve it");
}

#[tokio::test]
async fn beyond_loopback_tls_needs_tokens_or_client_certificates_beside_it() {
    let (dir, certificates) = (TempDir::new().unwrap(), Certificates::new());
    let authority = certificates.ca("ca");
    let pair = certificates.signed(&authority, "server", &["localhost"]);
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).unwrap();
    let [cert, key, ca] = [&pair.cert, &pair.key, &authority.file].map(|path| path.display().to_string());
    let tls = ["--tls-cert", cert.as_str(), "--tls-key", &key];
    let public = ["--grpc", "0.0.0.0:0"];
    let refused = serve(dir.path(), &[&public[..], &tls].concat()).await;
    let parts = ["there is no token, and clients need no certificate", "--tls-client-ca", "--insecure"];
    assert!(refused.code == 64 && parts.iter().all(|part| refused.err.contains(part)), "{refused:?}");

    let mutual = [&tls[..], &["--tls-client-ca", &ca]].concat();
    let client = certificates.signed(&authority, "client", &["ada"]);
    let listens = async |flags: &[&str]| {
        let process = Process::start_with(dir.path(), &[&public[..], flags].concat(), &[]).await;
        let port = process.url.rsplit(':').next().unwrap().parse().unwrap();
        // From then on it serves, and has logged its warnings.
        handshake(port, &authority.file, Some(&client), "h2").await.unwrap();
        assert!(!process.said("is not a loopback address"));
        assert!(!process.before.contains("private key"), "{}", process.before);
        process.end(Signal::SIGTERM).await;
    };
    listens(&mutual).await;
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    assert_eq!(run(["token", "create", "root", "--role", "admin", "--store", &store]).await.code, 0);
    listens(&tls).await;
    let plain = serve(dir.path(), &public).await;
    assert!(plain.code == 64 && plain.err.contains("--tls-cert FILE --tls-key FILE"), "{plain:?}");
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_warned_of_and_the_file_may_name_it() {
    let (dir, certificates) = (TempDir::new().unwrap(), Certificates::new());
    let pair = certificates.signed(&certificates.ca("ca"), "server", &["localhost"]);
    fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o644)).unwrap();
    let config = certificates.path("cutover.toml");
    let text = format!("tls-cert = {:?}\ntls-key = {:?}\n", pair.cert, pair.key);
    fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let process = Process::start_with(dir.path(), &["--config", &config], &[]).await;
    assert!(process.before.contains("can read the private key. Run: chmod 600"), "{}", process.before);
    process.end(Signal::SIGTERM).await;
}
