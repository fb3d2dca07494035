//! `cutover serve` with settings that it can't use: one line that says what to do, and nothing lost.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::Child,
};

use super::{Said, at, binary, run};

/// Ports that do not matter here.
const ANY: [&str; 4] = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];

async fn serve(args: &[&str]) -> Said {
    run(["serve"].iter().chain(args)).await
}

async fn on_store(store: &str) -> Said {
    serve(&[&ANY[..], &["--store", store]].concat()).await
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn a_url_that_names_no_store_is_a_wrong_command_line() {
    on_store("cutover.db").await.misused(&["names no store", "sqlite:PATH"]);
}

#[tokio::test]
async fn ports_that_can_not_be_had() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cutover.db");
    let store = sqlite(&path);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let other = "127.0.0.1:0";
    let in_use = [&address, "another controller", "--grpc"];
    serve(&["--store", &store, "--grpc", &address, "--http", other]).await.fails(&in_use);
    let in_use = [&address, "--http"];
    serve(&["--store", &store, "--grpc", other, "--http", &address]).await.fails(&in_use);
    let same = ["--grpc", "--http", "different ports"];
    serve(&["--store", &store, "--grpc", "127.0.0.1:7000", "--http", "127.0.0.1:7000"]).await.fails(&same);
    let typo = ["--grpc", "\"localhst:70\"", "127.0.0.1:7070"];
    serve(&["--store", &store, "--grpc", "localhst:70", "--http", other]).await.fails(&typo);
    serve(&["--store", &store, "--grpc", "192.0.2.1:7070", "--http", other])
        .await
        .fails(&["192.0.2.1", "--grpc"]);
    assert!(!path.exists(), "no store is made by who can't serve it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_damaged_foreign_or_nowhere() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cutover.db");
    let (url, child) = child(&path).await;
    at(&url, "create orders --source ddb --target mysql").await.done();
    terminate(child).await;
    // A log that has not been merged yet is part of the store.
    let logs = ["-wal", "-shm"].map(|end| dir.path().join(format!("cutover.db{end}")));
    let backup: Vec<_> = logs.iter().chain([&path]).filter_map(|at| Some((at, fs::read(at).ok()?))).collect();
    logs.iter().for_each(|log| drop(fs::remove_file(log)));
    let good = fs::read(&path).unwrap();

    for damaged in [&b"not a database at all, but a text of some length"[..], &damaged(&good)] {
        fs::write(&path, damaged).unwrap();
        on_store(&sqlite(&path)).await.fails(&["is damaged", "restore it from a backup"]);
        assert!(fs::read(&path).unwrap() == damaged, "it is left as it was found");
    }
    logs.iter().for_each(|log| drop(fs::remove_file(log)));
    backup.iter().for_each(|(at, bytes)| fs::write(at, bytes).unwrap());
    let (url, child) = self::child(&path).await;
    assert_eq!(at(&url, "list --json").await.objects().len(), 1, "the backup is all that it takes");
    terminate(child).await;

    on_store(&sqlite(dir.path())).await.fails(&["is a directory", "cutover.db"]);
    on_store(&sqlite(&dir.path().join("no/where.db"))).await.fails(&["there is no directory", "create it"]);
    for (url, part) in [
        ("sqlte:cutover.db", "\"sqlte\" is no store"),
        ("cutover.db", "names no store"),
        ("", "names no store"),
        ("sqlite:", "give sqlite:PATH"),
        ("sqlite::memory:", "survive a restart"),
    ] {
        on_store(url).await.fails(&[part, "sqlite:PATH"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_controller_on_one_file_is_refused_until_the_first_is_dead() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cutover.db");
    let (url, first) = child(&path).await;
    at(&url, "create orders --source ddb --target mysql").await.done();
    let before = fs::read(&path).unwrap();
    let pid = first.id().unwrap().to_string();
    let in_use = ["in use by another controller", &pid, url.trim_start_matches("http://"), "another --store"];
    on_store(&sqlite(&path)).await.fails(&in_use);
    let other_name = dir.path().join("link.db");
    std::os::unix::fs::symlink(&path, &other_name).unwrap();
    on_store(&sqlite(&other_name)).await.fails(&in_use);
    assert!(fs::read(&path).unwrap() == before, "nothing is written by who is refused");
    at(&url, "pause orders").await.done();

    kill(Pid::from_raw(first.id().unwrap().cast_signed()), Signal::SIGKILL).unwrap();
    let mut first = first;
    first.wait().await.unwrap();
    let (url, second) = child(&path).await;
    assert_eq!(at(&url, "show orders --json").await.object()["paused"], true);
    terminate(second).await;
}

/// A controller in its own process: once that has ended, nobody has the file open.
async fn child(store: &Path) -> (String, Child) {
    let mut command = binary();
    command.arg("serve").args(ANY).args(["--store", &sqlite(store)]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = told.next_line().await.unwrap().unwrap();
    // It keeps logging, and must not find the pipe closed or full.
    tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
    let address = line.split("grpc=\"").nth(1).and_then(|rest| rest.split('"').next());
    (format!("http://{}", address.expect("it says where it serves")), child)
}

async fn terminate(mut child: Child) {
    let id = Pid::from_raw(child.id().unwrap().cast_signed());
    kill(id, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0), "it stops in order");
}

/// The same file with its pages overwritten, except the header.
fn damaged(good: &[u8]) -> Vec<u8> {
    good.iter().enumerate().map(|(at, byte)| if at < 4096 { *byte } else { 0xa5 }).collect()
}

#[tokio::test]
async fn a_path_that_can_not_be_written() {
    // For root no directory is closed, except one of the kernel's.
    on_store("sqlite:/proc/cutover.db").await.fails(&[
        "/proc/cutover.db",
        "can't be written",
        "right to write",
    ]);
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(dir.path().join("probe"), "").is_err() {
        on_store(&sqlite(&dir.path().join("cutover.db"))).await.fails(&["can't be written"]);
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_configuration_with_a_typo() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("cutover.toml");
    let path = file.display().to_string();
    serve(&["--config", &path]).await.fails(&[&path, "--config"]);
    for (text, parts) in [
        ("store = \"sqlite:a.db\"\ngrcp = \"127.0.0.1:0\"\n", &["line 2", "grcp", "grpc"][..]),
        ("store = sqlite\n", &["line 1"]),
        ("\n\nstore = 5\n", &["line 3", "string"]),
        ("grpc = \"here\"\n", &["--grpc", "\"here\""]),
        ("statsd = \"localhost\"\nstore = \"sqlite:/proc/a.db\"\n", &["statsd", "HOST:PORT"]),
    ] {
        fs::write(&file, text).unwrap();
        serve(&["--config", &path]).await.fails(parts);
    }
    fs::write(&file, [0xff, 0xfe]).unwrap();
    serve(&["--config", &path]).await.fails(&[&path]);
    serve(&["--config", &dir.path().display().to_string()]).await.fails(&["can't read the configuration"]);
}

#[tokio::test]
async fn logs_are_json_on_request_name_both_addresses_and_warn_of_public_ones() {
    let dir = TempDir::new().unwrap();
    let mut command = binary();
    command.args([
        "serve",
        "--grpc",
        "0.0.0.0:0",
        "--http",
        "0.0.0.0:0",
        "--log-format",
        "json",
        "--insecure",
    ]);
    command.args(["--store", &sqlite(&dir.path().join("cutover.db"))]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = async || -> serde_json::Value {
        let line = told.next_line().await.unwrap().expect("it logs");
        serde_json::from_str(&line).expect("a line is an object")
    };
    let serving = next().await;
    assert_eq!(serving["fields"]["message"], "serving", "{serving}");
    for field in ["grpc", "http"] {
        let address = serving["fields"][field].as_str().unwrap();
        assert!(address.contains(':') && !address.ends_with(":0"), "{serving}");
    }
    for flag in ["--grpc", "--http"] {
        let warning = next().await;
        assert_eq!(warning["level"], "WARN", "{warning}");
        let message = warning["fields"]["message"].as_str().unwrap();
        assert!(message.starts_with(flag) && message.contains("is not a loopback address"), "{warning}");
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn others_than_this_machines_users_are_let_in_only_on_request() {
    let dir = TempDir::new().unwrap();
    let store = sqlite(&dir.path().join("cutover.db"));
    for flags in
        [["--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0"], ["--grpc", "127.0.0.1:0", "--http", "[::]:0"]]
    {
        let refused = serve(&[&flags[..], &["--store", &store]].concat()).await;
        let create = format!("cutover token create NAME --role admin --store {store}");
        refused.misused(&["is not a loopback address", "there is no token", &create, "--insecure"]);
    }
    let token = run(["token", "create", "root", "--role", "admin", "--store", &store]).await;
    assert_eq!(token.code, 0, "{token:?}");
    let refused = serve(&["--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0", "--store", &store]).await;
    refused.misused(&["calls are not encrypted", "TLS", "--insecure"]);
}

#[tokio::test]
async fn a_quiet_controller_logs_warnings_only() {
    let dir = TempDir::new().unwrap();
    let mut command = binary();
    command.args([
        "serve",
        "--grpc",
        "0.0.0.0:0",
        "--http",
        "127.0.0.1:0",
        "--log-level",
        "warn",
        "--insecure",
    ]);
    command.args(["--store", &sqlite(&dir.path().join("cutover.db"))]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = told.next_line().await.unwrap().unwrap();
    assert!(first.contains("WARN") && first.contains("is not a loopback"), "{first}");
    child.kill().await.unwrap();
    serve(&["--log-level", "loud"]).await.misused(&["\"loud\"", "error, warn, info"]);
    serve(&["--log-format", "xml"]).await.misused(&["\"xml\"", "text, json"]);
}

/// A copy of its memory has tokens and passwords.
#[tokio::test]
async fn it_leaves_no_core_dump_unless_it_is_asked_to() {
    for (flag, is_kept) in [("", false), ("--core-dumps", true)] {
        let dir = TempDir::new().unwrap();
        let store = sqlite(&dir.path().join("cutover.db"));
        let serve =
            format!("ulimit -c unlimited; exec \"$0\" serve {} --store {store} {flag}", ANY.join(" "));
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &serve, env!("CARGO_BIN_EXE_cutover")]).current_dir(&dir);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = told.next_line().await.unwrap().unwrap();
        assert!(first.contains("serving"), "{first}");
        kill(Pid::from_raw(child.id().unwrap() as i32), Signal::SIGABRT).unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(status.signal(), Some(Signal::SIGABRT as i32));
        assert_eq!(status.core_dumped(), is_kept, "{flag}");
    }
}

#[tokio::test]
async fn the_url_of_a_slack_webhook_on_the_command_line_is_warned_of() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("cutover.toml");
    fs::write(&file, "[slack]\nops = \"https://hooks.slack.com/services/s3cret\"\n").unwrap();
    let in_file = ["--config", file.to_str().unwrap()];
    for (flags, is_warned) in
        [(&["--slack", "ops=https://hooks.slack.com/services/s3cret"][..], true), (&in_file, false)]
    {
        let mut command = binary();
        command.arg("serve").args(ANY).args(flags).stderr(Stdio::piped());
        command.args(["--store", &sqlite(&dir.path().join("cutover.db"))]);
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = told.next_line().await.unwrap().unwrap();
        assert_eq!(first.contains("[slack] of --config FILE"), is_warned, "{first}");
        assert!(!first.contains("s3cret"), "{first}");
        child.kill().await.unwrap();
    }
}
