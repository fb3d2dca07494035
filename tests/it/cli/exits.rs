//! What exit codes and, with `--json`, the objects tell a script. docs/commands.md has the table.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{Said, at, has, run, run_with};
use crate::support::server::Controller;

async fn orders(dir: &TempDir) -> Controller {
    let controller = Controller::start(dir.path(), 0).await;
    at(&controller.url, "create orders --source ddb --target mysql").await.done();
    controller
}

/// The one object on stderr, with nothing on stdout.
#[track_caller]
fn error(said: &Said, code: i32, name: &str) -> Value {
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!((said.code, said.out.as_str(), lines.len()), (code, "", 1), "{said:?}");
    let object: Value = serde_json::from_str(lines[0]).unwrap();
    has(&object, &["error", "exit_code", "message", "reasons"]);
    assert_eq!((&object["error"], &object["exit_code"]), (&json!(name), &json!(code)), "{object}");
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_is_1() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let store =
        |name: &str| format!("url = \"sqlite:{}/{name}.db\"\ntable = \"orders\"", dir.path().display());
    let spec = dir.path().join("orders.toml");
    let text = format!("migration = \"orders\"\n[source]\n{}\n[target]\n{}\n", store("one"), store("other"));
    std::fs::write(&spec, text).unwrap();
    let backfill = format!("backfill {} --json", spec.display());
    let object = error(&at(&controller.url, &backfill).await, 1, "failed");
    assert!(
        object["message"].as_str().unwrap().contains("the source"),
        "a table that is not there: {object}"
    );
    controller.stop().await;
}

/// As the table of docs/commands.md has them: what is wrong with the command line, with a file, with the moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_64_on_the_command_line_and_65_in_a_file() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "ramp orders --dual 50").await.done();
    at(url, "rollback orders --reason first").await.done();
    for (line, parts) in [
        ("ack orders", &["ack also needs --reason <REASON>"][..]),
        ("ramp orders --mirrored 50 --dual 20", &["--mirrored: 50 % is over dual 20 %"]),
        ("create Orders --source a --target b", &["Orders"]),
        (
            "guards orders --set error_absolut --mode off",
            &["--set: \"error_absolut\"", "did you mean error_absolute?"],
        ),
        ("abandon orders", &["abandon also needs --reason <REASON>"]),
        ("policy orders --hold-timeout 10m", &["--hold-timeout: is 10 min: give at most "]),
    ] {
        let said = at(url, line).await;
        assert_eq!(said.code, 64, "{line}: {said:?}");
        assert!(parts.iter().all(|part| said.err.contains(part)), "{line}: {said:?}");
    }
    std::fs::write(dir.path().join("bad"), "steps:\n- stage: duel\n").unwrap();
    let bad = dir.path().join("bad").display().to_string();
    for line in [
        "backfill nowhere.toml",
        "verify nowhere.toml",
        "quarantine list nowhere.toml",
        "plan lint nowhere.yaml",
        "plan apply orders nowhere.yaml",
        "import-pins orders nowhere.csv",
        &format!("plan apply orders {bad}"),
        &format!("backfill {bad}"),
        &format!("import-pins orders {bad}"),
    ] {
        let said = at(url, line).await;
        assert_eq!(said.code, 65, "{line}: {said:?}");
        let is_missing = line.contains("nowhere");
        let cause = said.err.starts_with("cutover: can't read nowhere")
            && said.err.contains(": No such file or directory. ");
        assert!(!is_missing || cause, "the cause comes first: {said:?}");
    }
    at(url, "ack orders --reason repaired").await.done();
    at(url, "ack orders --reason again").await.refused(&["no rollback is active", "nothing to do"]);
    at(url, "rollback orders").await.refused(&["nothing to roll back"]);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_is_0_2_3_or_4_and_one_object() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let wait = async |code: i32, outcome: &str| {
        let said = at(url, "wait orders --timeout 1 --json").await;
        assert_eq!((said.code, said.out.lines().count()), (code, 1), "{said:?}");
        let object: Value = serde_json::from_str(&said.out).unwrap();
        let told = ["migration", "outcome", "exit_code"].map(|field| object[field].clone());
        assert_eq!(told, [json!("orders"), json!(outcome), json!(code)], "{object}");
        (object, said.err)
    };
    assert_eq!(wait(0, "done").await.0["waiting"], json!([]));
    at(url, "ramp orders --mirrored 100 --wait").await;
    let ramp = at(url, "ramp orders --target-first 1 --wait --timeout 300ms --json").await;
    assert_eq!((ramp.code, ramp.out.lines().count()), (3, 1), "the change, and no more: {ramp:?}");
    let last: Value = serde_json::from_str(ramp.err.lines().last().unwrap()).unwrap();
    assert_eq!(last["outcome"], "timeout", "{last}");
    let (late, progress) = wait(3, "timeout").await;
    has(&late["waiting"][0], &["gate", "step", "whom", "message", "action", "by_itself"]);
    assert_eq!(late["waiting"][0]["gate"], "full-pass", "{late}");
    let progress: Value = serde_json::from_str(progress.lines().next().unwrap()).unwrap();
    assert_eq!(progress["waiting"][0]["gate"], "full-pass", "what it waits for is an object, too");
    at(url, "pause orders").await.done();
    wait(4, "held").await;
    at(url, "rollback orders --reason why").await.done();
    wait(2, "rolled_back").await;
    controller.stop().await;
}

#[tokio::test]
async fn usage_is_64() {
    for line in
        ["crate orders", "ramp orders --daul 1", "ramp orders", "wait orders --for never", "list --server x"]
    {
        assert_eq!(run(line.split_whitespace()).await.code, 64, "{line}");
        let object = error(&run(line.split_whitespace().chain(["--json"])).await, 64, "usage");
        assert_eq!(object["reasons"], json!([]));
    }
    run(["serve", "--grpc", "nowhere"]).await.misused(&["--grpc", "nowhere"]);
    for (line, parts) in [
        ("create o --source= --target b", ["--source", "cutover help create"]),
        ("create o --source a --target=", ["--target", "cutover help create"]),
        ("history --limit 0", ["--limit", "\"0\""]),
        ("history orders --limit 1001", ["--limit", "1..=1000"]),
        ("quarantine list orders.toml --limit 0", ["--limit", "\"0\""]),
    ] {
        run(line.split_whitespace()).await.misused(&parts);
    }
    run(["create", "o", "--source", "a", "--target", " "]).await.misused(&["--target", "it is empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_is_65_with_every_reason_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    at(url, "create users --source a --target b --required-service users-api").await.done();
    let jump = "ramp users --target-only 100";
    let told = at(url, jump).await;
    assert_eq!((told.code, told.out.as_str()), (65, ""), "{told:?}");
    let lines: Vec<&str> = told.err.lines().collect();
    assert_eq!(lines[0], "cutover: refused: 3 conditions are not met");
    let heads: Vec<&&str> = lines.iter().filter(|line| line.starts_with("  [")).collect();
    assert_eq!(heads.len(), 3, "a line each: {told:?}");
    assert!(
        heads[0].starts_with("  [services] 100 % of the tenants source-only -> mirrored: no live instance"),
        "{told:?}"
    );
    assert!(lines[2].starts_with("      start it"), "what to do is below: {told:?}");

    let object = error(&at(url, &format!("{jump} --json")).await, 65, "refused");
    let gates: Vec<&Value> = object["reasons"].as_array().unwrap().iter().map(|it| &it["gate"]).collect();
    assert_eq!(gates, ["services", "full-pass", "full-pass"]);
    let first = &object["reasons"][0];
    assert_eq!((&first["whom"], &first["step"]), (&json!("0-100 %"), &json!("source-only -> mirrored")));
    assert!(first["action"].as_str().unwrap().contains("start it"), "{first}");

    error(&at(url, "show nope --json").await, 65, "refused");
    error(&at(url, "create orders --source a --target b --json").await, 65, "refused");
    error(&at(url, "pause orders --expected-revision 99 --json").await, 65, "refused");
    let plan = run_with(["plan", "lint", "-", "--json"], "steps:\n- stage: duel\n- percent: 1\n").await;
    let object = error(&plan, 65, "refused");
    assert_eq!(object["reasons"].as_array().unwrap().len(), 3, "{object}");
    assert!(object["reasons"][0]["message"].as_str().unwrap().starts_with("line 2: "), "{object}");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_hundred_reasons_arrives_whole() {
    let dir = TempDir::new().unwrap();
    let controller = orders(&dir).await;
    let url = controller.url.as_str();
    let pins: String = (0..150).map(|at| format!("tenant-with-a-long-name-{at:03},mirrored\n")).collect();
    run_with(["--server", url, "import-pins", "orders", "-"], &pins).await.done();
    let pins = pins.replace("mirrored", "target-first");
    let refused = run_with(["--server", url, "import-pins", "orders", "-", "--json"], &pins).await;
    let reasons = error(&refused, 65, "refused")["reasons"].as_array().unwrap().len();
    assert!((10..=100).contains(&reasons), "{reasons}");
    controller.stop().await;
}

#[tokio::test]
async fn unreachable_is_69() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for line in ["list", "ramp orders --dual 1", "wait orders", "import-pins orders /dev/null"] {
        assert_eq!(at(&url, line).await.code, 69, "{line}");
        let object = error(&at(&url, &format!("{line} --json")).await, 69, "unreachable");
        assert!(object["message"].as_str().unwrap().contains("cutover serve"), "{object}");
    }
}

#[tokio::test]
async fn help_has_groups_exit_codes_and_an_example_of_each_verb() {
    let help = run(["help"]).await.done();
    for part in
        ["Routing:\n  create ", "Plans:\n", "Data:\n", "Watching:\n", "Running:\n", "\n  65  refused "]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
    let ours = help.split("Routing:").nth(1).unwrap().split("\nOptions:").next().unwrap();
    assert!(ours.lines().all(|line| line.chars().count() <= 80), "{help}");
    assert!(run(["help", "ramp"]).await.done().contains("Example:\n  cutover ramp orders"));
    assert!(run(["plan", "apply", "--help"]).await.done().contains("Example:\n  cutover plan apply orders"));
}

#[tokio::test]
async fn completions_and_manual_pages() {
    for (shell, part) in
        [("bash", "complete -F _cutover"), ("zsh", "#compdef cutover"), ("fish", "complete -c cutover")]
    {
        let script = run(["completions", shell]).await.done();
        assert!(script.contains(part) && script.contains("target-first"), "{shell}: {script}");
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().display().to_string();
    run(["man", &path]).await.done();
    let page = std::fs::read_to_string(dir.path().join("cutover-ramp.1")).unwrap();
    assert!(page.contains("target\\-first") && page.contains("cutover ramp orders"), "{page}");
    assert!(dir.path().join("cutover.1").exists());
    run(["man", "/no/such"]).await.fails(&["/no/such"]);
}
