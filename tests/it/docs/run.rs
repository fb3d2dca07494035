//! Runs the blocks of a document in a directory of their own, as somebody would who copies them.

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Doc,
    blocks::{self, Kind},
    commands, is_not_run,
};

/// A document takes no longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// A spec of two SQLite files.
macro_rules! spec {
    () => {
        r#"
cat >orders.toml <<EOF
migration = "orders"
[source]
url = "sqlite:old.db"
table = "orders"
[target]
url = "sqlite:new.db"
table = "orders"
EOF
"#
    };
}

/// A migration, and its spec.
pub const MIGRATION: &str = concat!(
    spec!(),
    r#"
cutover demo-service orders.toml --seed 500
cutover backfill orders.toml --create-tables --dry-run
cutover create orders --source 'old' --target 'new'
"#
);

/// The database that the guide's `stores` makes.
pub const FIRST: &str = r#"
mariadb -u cutover -e "CREATE DATABASE IF NOT EXISTS shop"
mariadb -u cutover shop -e "DROP TABLE IF EXISTS orders, orders_away, cutover_quarantine"
"#;

/// An existing table, and a spec of other ones.
pub const EXISTING: &str = concat!(
    r#"
mariadb -u cutover -e "CREATE DATABASE IF NOT EXISTS shop"
mariadb -u cutover shop -e "DROP TABLE IF EXISTS existing_orders"
"#,
    spec!(),
    r#"
cutover demo-service orders.toml --seed 10
cutover backfill orders.toml --create-tables --dry-run
"#
);

/// What the script of a document begins with: `expect CODE LINE` after each command, and the end of everything
/// that runs in the background.
const PREAMBLE: &str = r#"
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
expect() {
    local code=$?
    if ((code != $1)); then echo "@@FAILED line $2: exit code $code instead of $1"; exit 1; fi
    echo "@@LINE $2"
}
controller() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do cutover list >/dev/null 2>&1 && return; sleep 0.05; done
    cat controller.log
    return 1
}
"#;

/// The exit code that the comment after a command announces.
fn expected(command: &str) -> u8 {
    let comment =
        command.lines().next().and_then(|line| line.split_once(" # ")).map(|(_, comment)| comment.trim());
    match comment {
        Some(comment) if comment.starts_with("refused") => 65,
        Some(comment) => match comment.strip_prefix("exits with ") {
            Some(rest) => rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap(),
            None => 0,
        },
        None => 0,
    }
}

/// The script of a document, and what its output has to show: lines, after the command in this line.
fn script(doc: &Doc, text: &str, dir: &Path) -> (String, Vec<(usize, String)>) {
    let mut script = PREAMBLE.to_owned();
    if !text.contains("cutover serve --store") {
        script.push_str(
            "cutover serve --store sqlite:cutover.db >controller.log 2>&1 &\ncontroller\nexpect 0 0\n",
        );
    }
    script.push_str(&format!("{}\nexpect 0 0\n", doc.given.trim()));
    let (mut shown, mut last) = (Vec::new(), None);
    for block in blocks::of(text) {
        match block.kind {
            _ if block.not_run.is_some() => last = None,
            Kind::File(name) => fs::write(dir.join(name), block.text).unwrap(),
            Kind::Shell => {
                for (line, command) in commands::split(&block) {
                    if is_not_run(&command) {
                        continue;
                    }
                    script.push_str(&format!("{command}\nexpect {} {line}\n", expected(&command)));
                    if command.starts_with("cutover serve") {
                        script.push_str(&format!("controller\nexpect 0 {line}\n"));
                    }
                    last = Some(line);
                }
            }
            Kind::Output => shown.extend(last.map(|line| (line, block.text))),
            Kind::Other => {}
        }
    }
    (script, shown)
}

pub async fn run(doc: &Doc) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(doc.path)).unwrap();
    let dir = TempDir::new().unwrap();
    let (script, shown) = script(doc, &text, dir.path());
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (grpc, http) = (free(), free());
    let bin = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("CUTOVER_GRPC", &grpc)
        .env("CUTOVER_HTTP", http)
        .env("CUTOVER_SERVER", format!("http://{grpc}"))
        .env("USER", "ada")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if let Ok(address) = std::env::var("CUTOVER_TEST_DYNAMODB") {
        let table = format!("dynamodb://docs_{}_{:08x}", std::process::id(), rand::random::<u32>());
        bash.env("SOURCE", address.replace("dynamodb://", &table));
    }
    if let Ok(address) = std::env::var("CUTOVER_TEST_MYSQL") {
        let (user, place) = address.strip_prefix("mysql://").unwrap().split_once('@').unwrap();
        let (server, _) = place.split_once('/').unwrap();
        bash.env("TARGET", format!("mysql://{user}@{server}/shop"))
            .env("MYSQL_HOST", server.split_once(':').unwrap().0)
            .env("MYSQL_TCP_PORT", server.split_once(':').unwrap().1)
            .env("MYSQL_PWD", user.split_once(':').unwrap().1);
    }
    let ended =
        tokio::time::timeout(PATIENCE, bash.output()).await.expect("it ends in bounded time").unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && !said.contains("@@FAILED"), "{}: {said}", doc.path);
    let said = by_line(&said);
    for (line, expected) in shown {
        let found = said.get(&line).map_or("", String::as_str);
        if let Some(missing) = missing(&expected, found) {
            panic!("{}:{line}: it does not print {missing:?}:\n{found}", doc.path);
        }
    }
}

/// What each command printed, by its line.
fn by_line(said: &str) -> BTreeMap<usize, String> {
    let (mut by_line, mut text) = (BTreeMap::new(), String::new());
    for line in said.lines() {
        match line.strip_prefix("@@LINE ") {
            Some(line) => by_line
                .entry(line.parse().unwrap())
                .or_insert_with(String::new)
                .push_str(&std::mem::take(&mut text)),
            None => text.extend([line, "\n"]),
        }
    }
    by_line
}

/// The first line of what a document shows that was not printed, in this order. Numbers may be others, and `..`
/// stands for anything.
fn missing(shown: &str, printed: &str) -> Option<String> {
    let mut printed = printed.lines().map(plain);
    let mut shown = shown.lines().filter(|line| !line.trim().is_empty() && line.trim() != "...");
    shown
        .find(|line| {
            let parts: Vec<String> = line.split("..").map(plain).collect();
            !printed.any(|printed| {
                let mut rest = printed.as_str();
                parts.iter().all(|part| match rest.split_once(part.as_str()) {
                    Some((_, after)) => {
                        rest = after;
                        true
                    }
                    None => false,
                })
            })
        })
        .map(ToOwned::to_owned)
}

/// Without numbers, and with single blanks.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for letter in line.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match letter {
            '0'..='9' if plain.ends_with('0') => {}
            '0'..='9' => plain.push('0'),
            _ => plain.push(letter),
        }
    }
    plain
}

#[test]
fn what_a_document_shows_is_compared_with_what_is_printed() {
    let printed = "a\nclean: 10000 scanned, 9990 copied in 2 s\nend\n";
    assert_eq!(missing("clean: 8 scanned, 8 copied ..", printed), None);
    assert_eq!(missing("a\n...\nend", printed), None);
    assert_eq!(missing("end\na", printed).as_deref(), Some("a"), "in this order");
    assert_eq!(
        missing("clean: 8 scanned, 8 moved ..", printed).as_deref(),
        Some("clean: 8 scanned, 8 moved ..")
    );
}

#[test]
fn a_comment_announces_the_exit_code() {
    for (command, code) in [
        ("cutover ramp orders --dual 1  # refused: lists all", 65),
        ("cutover wait orders  # exits with 2: rolled back", 2),
        ("cutover list  # all", 0),
        ("cutover list", 0),
    ] {
        assert_eq!(expected(command), code, "{command}");
    }
}
