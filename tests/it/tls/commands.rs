//! Commands over TLS.

use super::Encrypted;
use crate::{
    cli::{run, run_with_env},
    support::server::Controller,
};

#[tokio::test(flavor = "multi_thread")]
async fn commands_connect_by_flags_or_by_the_environment() {
    let encrypted = Encrypted::start_with(true).await;
    let url = encrypted.url();
    let ca = encrypted.ca.file.display().to_string();
    let client = encrypted.certificates.signed(&encrypted.ca, "client", &["ada"]);
    let [cert, key] = [&client.cert, &client.key].map(|path| path.display().to_string());
    let flags = ["--server", &url, "--ca", &ca, "--client-cert", &cert, "--client-key", &key];
    let created = run(["create", "orders", "--source", "old", "--target", "new"].iter().chain(&flags)).await;
    assert_eq!(created.code, 0, "{created:?}");
    let environment = [
        ("CUTOVER_SERVER", url.as_str()),
        ("CUTOVER_CA", &ca),
        ("CUTOVER_CLIENT_CERT", &cert),
        ("CUTOVER_CLIENT_KEY", &key),
    ];
    let listed = run_with_env(["list"], &environment).await;
    assert!(listed.code == 0 && listed.out.contains("orders"), "{listed:?}");

    let none = run(["list", "--server", &url, "--ca", &ca]).await;
    assert!(none.code == 69 && none.err.contains("requires a client certificate"), "{none:?}");
    let unknown = run(["list", "--server", &url]).await;
    assert!(unknown.code == 69 && unknown.err.contains("--ca FILE (CUTOVER_CA)"), "{unknown:?}");
    let halved = run(["list", "--server", &url, "--client-cert", &cert]).await;
    assert!(halved.code == 64 && halved.err.contains("--client-key"), "{halved:?}");
    let missing = run(["list", "--server", &url, "--ca", "/nowhere/ca.pem"]).await;
    assert!(missing.code == 64 && missing.err.contains("can't read /nowhere/ca.pem"), "{missing:?}");
    let no_pem = run(["list", "--server", &url, "--ca", &key]).await;
    assert!(no_pem.code == 64 && no_pem.err.contains("has no valid certificate"), "{no_pem:?}");
    encrypted.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_scheme_is_named() {
    let encrypted = Encrypted::start().await;
    let plain = run(["list", "--server", &encrypted.controller.url]).await;
    assert!(plain.code == 65 && plain.err.contains("use https:// instead of http://"), "{plain:?}");
    let dir = tempfile::tempdir().unwrap();
    let open = Controller::start(dir.path(), 0).await;
    let url = format!("https://localhost:{}", open.port());
    let ca = encrypted.ca.file.display().to_string();
    let refused = run(["list", "--server", &url, "--ca", &ca]).await;
    assert!(
        refused.code == 69 && refused.err.contains("connect with http:// instead of https://"),
        "{refused:?}"
    );
    open.stop().await;
    encrypted.controller.stop().await;
}

#[tokio::test]
async fn a_token_does_not_leave_this_machine_unencrypted() {
    let server = ["list", "--server", "http://cutover.invalid:7070"];
    let token = [("CUTOVER_TOKEN", "cutover_0123")];
    let refused = run_with_env(server, &token).await;
    assert!(
        refused.code == 64 && refused.err.contains("a token would cross the network unencrypted"),
        "{refused:?}"
    );
    assert!(!refused.err.contains("0123"), "{refused:?}");
    let allowed = run_with_env(server.iter().chain(&["--insecure"]), &token).await;
    assert!(allowed.code == 69 && allowed.err.contains("can't reach"), "{allowed:?}");
    for yes in ["true", "1", "yes"] {
        let allowed = run_with_env(server, &[token[0], ("CUTOVER_INSECURE", yes)]).await;
        assert_eq!(allowed.code, 69, "{allowed:?}");
    }
    for no in ["false", "0", ""] {
        let refused = run_with_env(server, &[token[0], ("CUTOVER_INSECURE", no)]).await;
        assert!(refused.code == 64 && refused.err.contains("unencrypted"), "{no:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_ca_is_not_left_unused() {
    let server = ["list", "--server", "http://cutover.invalid:7070"];
    let refused = run_with_env(server, &[("CUTOVER_CA", "/nowhere/ca.pem")]).await;
    assert!(refused.code == 64 && refused.err.contains("anybody could answer as"), "{refused:?}");
}

#[tokio::test]
async fn an_empty_variable_is_none() {
    let server = ["list", "--server", "http://cutover.invalid:7070"];
    let names =
        ["CUTOVER_CA", "CUTOVER_CLIENT_CERT", "CUTOVER_TOKEN_FILE", "CUTOVER_TOKEN", "CUTOVER_INSECURE"];
    let said = run_with_env(server, &names.map(|name| (name, ""))).await;
    assert!(said.code == 69 && said.err.contains("can't reach"), "{said:?}");
}
