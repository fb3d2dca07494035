//! The commands that README.md and docs/ show: each parses, and each block runs, in the order of its document.

mod blocks;
mod commands;
mod run;
mod tables;

use std::{collections::BTreeSet, fs, path::Path};

use clap::{Command, CommandFactory as _};
use cutover::cli::Cli;
use cutover_client::routing::Mutation;

use blocks::{Block, Kind};

/// Documents with blocks that run.
struct Doc {
    path: &'static str,
    /// Runs before the first block: what the text takes for granted.
    given: &'static str,
    /// Variables of the servers that it needs.
    servers: &'static [&'static str],
}

const DOCS: &[Doc] = &[
    Doc { path: "README.md", given: "", servers: &[] },
    Doc { path: "docs/api.md", given: "cutover create orders --source a --target b", servers: &[] },
    Doc { path: "docs/openfeature.md", given: "cutover create orders --source a --target b", servers: &[] },
    Doc { path: "docs/plans.md", given: "cutover create orders --source a --target b", servers: &[] },
    Doc { path: "docs/guides/running.md", given: run::MIGRATION, servers: &[] },
    Doc { path: "docs/guides/sidecar.md", given: run::MIGRATION, servers: &[] },
    Doc { path: "docs/guides/aws.md", given: run::MIGRATION, servers: &[] },
    Doc { path: "docs/guides/existing-tables.md", given: run::EXISTING, servers: &["CUTOVER_TEST_MYSQL"] },
    Doc {
        path: "docs/guides/first-migration.md",
        given: run::FIRST,
        servers: &["CUTOVER_TEST_DYNAMODB", "CUTOVER_TEST_MYSQL"],
    },
];

/// Commands that no test runs, and why. Those of `cutover` among them are parsed nevertheless.
const NOT_RUN: &[(&str, &str)] = &[
    ("./demo", "it has tests of its own"),
    ("tests/run", "it runs this test"),
    ("tests/simulate", "it has tests of its own"),
    ("cargo", "it builds"),
    ("cutover-simulator", "it has tests of its own"),
    ("docker", "there is no container engine"),
    ("git", "the clone is there already"),
    ("sudo", "it changes the machine"),
    ("eval \"$(docs/guides/stores", "tests/run has started the servers"),
    ("docs/guides/stores", "tests/run has started the servers"),
    ("sqlite3", "it may not be installed"),
];

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "deploy/README.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            if root.join(&name).is_dir() {
                folders.push(name);
            } else if name.ends_with(".md") {
                paths.push(name);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(root.join(path)).unwrap())).collect()
}

/// Is it a command that no test runs?
fn is_not_run(command: &str) -> bool {
    NOT_RUN.iter().any(|(prefix, _)| {
        command.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '/']))
    })
}

/// Mistakes in the `cutover` commands of a document, in blocks and in the text.
fn mistakes(cli: &Command, path: &str, text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    for block in blocks::of(text) {
        if !matches!(block.kind, Kind::Shell) {
            continue;
        }
        for (line, command) in commands::split(&block) {
            for args in commands::cutover_args(&command) {
                if let Err(error) = cli.clone().try_get_matches_from(&args) {
                    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
                    if !matches!(error.kind(), DisplayHelp | DisplayVersion) {
                        let error = error.to_string();
                        mistakes
                            .push(format!("{path}:{line}: {command}\n  {}", error.lines().next().unwrap()));
                    }
                }
            }
        }
    }
    mistakes.extend(
        commands::mistakes_in_text(cli, text).into_iter().map(|mistake| format!("{path}: {mistake}")),
    );
    mistakes
}

#[test]
fn every_command_that_a_document_shows_parses() {
    let cli = Cli::command();
    let mistakes: Vec<String> =
        documents().iter().flat_map(|(path, text)| mistakes(&cli, path, text)).collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn the_document_of_the_simulation_has_every_rule_that_can_be_left_out() {
    let text = include_str!("../../docs/simulation.md");
    let is_missing =
        |rule: &&Mutation| !text.lines().any(|line| line.starts_with(&format!("| `{rule:?}` |")));
    let missing: Vec<_> = Mutation::ALL.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no row tells at which seed these are noticed: {missing:?}");
}

#[test]
fn the_document_of_the_simulation_has_every_rule_that_the_model_leaves_out() {
    let text = include_str!("../../docs/simulation.md");
    let model = include_str!("../../clients/rust/tests/protocol_model/mutation.rs");
    let names: Vec<_> =
        model.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(',')).collect();
    assert!(names.len() > 60, "{names:?}");
    let is_missing = |name: &&&str| !text.lines().any(|line| line.starts_with(&format!("| `{name}` |")));
    let missing: Vec<_> = names.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no row tells which switch leaves these out: {missing:?}");
}

#[test]
fn a_wrong_command_is_found() {
    let cli = Cli::command();
    let found = |text: &str| mistakes(&cli, "docs/a.md", text).len();
    for wrong in [
        "Do\n\n    cutover ramp orders --dul 10\n",
        "Do\n\n    cutover list && cutover rmap orders\n",
        "Do\n\n```sh\ncutover verify a.toml --sample 1 --repair\n```\n",
        "Run `cutover backfill SPEC --dry` first.",
        "Run `cutover\nplan aply` first.",
    ] {
        assert_eq!(found(wrong), 1, "{wrong}");
    }
    for fine in [
        "Do\n\n    cutover ramp orders \\\n      --dual 10 --reason 'it''s time'  # up | up\n",
        "Run `cutover wait KEY --for settled|step=N [--timeout S]`.",
        "    cutover list | grep orders > out.txt\n",
    ] {
        assert_eq!(found(fine), 0, "{fine}");
    }
}

#[test]
fn every_document_with_commands_is_run_or_says_why_not() {
    let run: BTreeSet<&str> = DOCS.iter().map(|doc| doc.path).collect();
    let mut not_run = Vec::new();
    for (path, text) in documents() {
        let runs = |block: &Block| {
            let commands =
                if matches!(block.kind, Kind::Shell) { commands::split(block) } else { Vec::new() };
            block.not_run.is_none() && commands.iter().any(|(_, command)| !is_not_run(command))
        };
        if !run.contains(path.as_str()) && blocks::of(&text).iter().any(runs) {
            not_run.push(path);
        }
    }
    assert!(
        not_run.is_empty(),
        "give these a place in DOCS, or mark blocks `<!-- not run: why -->`: {not_run:?}"
    );
}

async fn runs(path: &str) {
    let doc = DOCS.iter().find(|doc| doc.path == path).unwrap();
    if doc.servers.iter().all(|server| crate::support::server::given(server).is_some()) {
        run::run(doc).await;
    }
}

#[tokio::test]
async fn the_readme_runs() {
    runs("README.md").await;
}

#[tokio::test]
async fn the_documents_run() {
    for doc in ["docs/plans.md", "docs/api.md", "docs/openfeature.md"] {
        runs(doc).await;
    }
}

#[tokio::test]
async fn the_guides_run() {
    for doc in ["docs/guides/running.md", "docs/guides/sidecar.md", "docs/guides/aws.md"] {
        runs(doc).await;
    }
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn existing_tables_become_fit() {
    runs("docs/guides/existing-tables.md").await;
}

#[cfg(all(feature = "dynamodb", feature = "mysql"))]
#[tokio::test]
async fn the_first_migration_runs() {
    runs("docs/guides/first-migration.md").await;
}
