//! Tokens on the command line, and where their texts may be.

use std::path::Path;

use crate::{
    cli::{Said, run, run_with, run_with_env},
    support::process::Process,
};
use tempfile::TempDir;

/// Whether any file below contains a text.
fn anywhere(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(anywhere(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Runs a command against a controller, with the token in this file. Empty: with none.
async fn say_to(server: &str, args: &[&str], token: &str) -> Said {
    let mut all = args.to_vec();
    all.extend(["--server", server]);
    if !token.is_empty() {
        all.extend(["--token-file", token]);
    }
    run(all).await
}

#[tokio::test]
async fn from_the_first_token_to_the_last() {
    let (dir, tokens) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let controller = Process::start(dir.path()).await;
    let file = |name: &str| tokens.path().join(name).display().to_string();
    let server = controller.url.clone();
    let say = async |args: &[&str], token: &str| say_to(&server, args, token).await;
    let none = say(&["token", "list"], "").await;
    assert!(none.code == 0 && none.out.starts_with("no tokens: everybody"), "{none:?}");
    let call = say(&["token", "create", "root", "--role", "admin"], "").await;
    assert!(call.code == 65 && call.err.contains("--role admin --store URL"), "{call:?}");
    controller.end(nix::sys::signal::Signal::SIGTERM).await;
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let root = run(["token", "create", "root", "--role", "admin", "--store", &store]).await;
    let controller = Process::start(dir.path()).await;
    let server = controller.url.clone();
    let say = async |args: &[&str], token: &str| say_to(&server, args, token).await;
    let root_text = root.out.trim().to_owned();
    assert!(
        root.code == 0 && root_text.starts_with("cutover_") && !root.err.contains(&root_text),
        "{root:?}"
    );
    std::fs::write(file("root"), &root.out).unwrap();

    let denied = say(&["list"], "").await;
    assert!(denied.code == 65 && denied.err.contains("requires a token"), "{denied:?}");
    let args =
        ["token", "create", "ada", "--role", "operator", "--role", "approver", "--expires", "90d", "--json"];
    let ada = say(&args, &file("root")).await;
    let ada: serde_json::Value = serde_json::from_str(&ada.out).unwrap();
    let ada_text = ada["token"].as_str().unwrap().to_owned();
    std::fs::write(file("ada"), &ada_text).unwrap();
    let created = ["create", "orders", "--source", "old", "--target", "new", "--actor", "operator:eve"];
    assert_eq!(say(&created, &file("ada")).await.code, 0);
    let history = say(&["history", "orders"], &file("ada")).await;
    assert!(history.out.contains("token:ada") && !history.out.contains("operator:eve"), "{history:?}");
    let by_env = run_with_env(["list", "--server", &server], &[("CUTOVER_TOKEN", &ada_text)]).await;
    assert!(by_env.code == 0 && by_env.out.contains("orders"), "{by_env:?}");
    let not_ada = say(&["token", "list"], &file("ada")).await;
    assert!(not_ada.code == 65 && not_ada.err.contains("needs the role admin"), "{not_ada:?}");

    let listed = say(&["token", "list"], &file("root")).await;
    assert!(listed.out.contains("operator,approver") && listed.out.contains("in 90 d"), "{listed:?}");
    let rotated = say(&["token", "rotate", "ada", "--keep-old", "1h"], &file("root")).await;
    assert_ne!(rotated.out.trim(), ada_text);
    assert_eq!(say(&["list"], &file("ada")).await.code, 0, "the old one is kept");
    let out = file("ada-2");
    std::fs::write(&out, "older").unwrap();
    let unknown = say(&["token", "rotate", "nobody", "--out", &out], &file("root")).await;
    assert!(unknown.code == 65 && std::fs::read_to_string(&out).unwrap() == "older", "{unknown:?}");
    let nowhere = say(&["token", "rotate", "ada", "--out", "/nowhere/token"], &file("root")).await;
    assert!(nowhere.code == 64 && nowhere.err.contains("can't write /nowhere/token"), "{nowhere:?}");
    assert_eq!(say(&["list"], &file("ada")).await.code, 0, "nothing was rotated before it could be written");
    let written = say(&["token", "rotate", "ada", "--keep-old", "1h", "--out", &out], &file("root")).await;
    assert!(written.code == 0 && !written.out.contains("cutover_"), "{written:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
    assert_eq!((say(&["list"], &out).await.code, mode & 0o777), (0, 0o600));
    assert_eq!(say(&["token", "revoke", "ada", "--reason", "left"], &file("root")).await.code, 0);
    let revoked = say(&["list"], &file("ada")).await;
    assert!(revoked.code == 65 && revoked.err.contains("the token is not known"), "{revoked:?}");
    let last = say(&["token", "revoke", "root"], &file("root")).await;
    assert!(last.code == 65 && last.err.contains("last admin"), "{last:?}");
    let told = say(&["token", "history"], &file("root")).await;
    assert!(
        told.out.lines().next().unwrap().ends_with("token:root  revoked ada: operator, approver: left"),
        "{told:?}"
    );

    let backup = dir.path().join("backup.db").display().to_string();
    assert_eq!(say(&["backup", &backup], &file("root")).await.code, 0);
    // No store, log or backup has a text: hashes only.
    for text in [&root_text, &ada_text, &rotated.out.trim().to_owned()] {
        assert_eq!(anywhere(dir.path(), &text["cutover_".len()..]), Vec::<String>::new());
        assert!(!controller.said(text));
    }
    controller.end(nix::sys::signal::Signal::SIGTERM).await;
}

#[tokio::test]
async fn an_admins_token_is_made_in_the_store_while_no_controller_runs() {
    let dir = TempDir::new().unwrap();
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let create = ["token", "create", "root", "--store", store.as_str(), "--role"];
    let viewer = run(create.iter().chain(&["viewer"])).await;
    assert!(viewer.code == 64 && viewer.err.contains("--role admin"), "{viewer:?}");
    let root = run(create.iter().chain(&["admin"])).await;
    assert!(root.code == 0, "{root:?}");
    let controller = Process::start(dir.path()).await;
    let server = controller.url.clone();
    let held = run(["token", "create", "more", "--role", "admin", "--store", &store]).await;
    assert!(held.code == 1 && held.err.contains("gRPC"), "a controller runs on it: {held:?}");
    let environment = [("CUTOVER_TOKEN", root.out.trim())];
    let listed = run_with_env(["token", "list", "--json", "--server", &server], &environment).await;
    assert!(listed.code == 0 && listed.out.contains("\"name\":\"root\""), "{listed:?}");
    // A pipe can be read once.
    let by_pipe = ["list", "--server", &server, "--token-file", "/dev/stdin"];
    let listed = run_with(by_pipe, &root.out).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    let empty = run_with(by_pipe, "").await;
    assert!(empty.code == 64 && empty.err.contains("is empty"), "{empty:?}");
    controller.end(nix::sys::signal::Signal::SIGTERM).await;
}

#[tokio::test]
async fn a_token_is_no_argument() {
    let said = run(["list", "--token", "cutover_0123"]).await;
    assert_eq!(said.code, 64, "other users see arguments: {said:?}");
    let missing = run(["list", "--server", "http://127.0.0.1:1", "--token-file", "/nowhere/token"]).await;
    assert!(
        missing.code == 64 && missing.err.contains("can't read the token file /nowhere/token"),
        "{missing:?}"
    );
}
