//! `cutover help`: verbs by what they are for, an example of each, and what exit codes mean.

use clap::{Command, CommandFactory as _};

use super::{Cli, exit::Exit};

/// Verbs that belong together, each with an example.
struct Group {
    name: &'static str,
    verbs: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 6] = [
    Group {
        name: "Routing",
        verbs: &[
            ("create", "cutover create orders --source dynamodb --target mysql"),
            ("ramp", "cutover ramp orders --dual 10 --wait"),
            ("pin", "cutover pin orders acme mirrored --reason 'first customer'"),
            ("unpin", "cutover unpin orders acme"),
            ("import-pins", "cutover import-pins orders pins.csv"),
            ("rollback", "cutover rollback orders --reason 'p99 doubled'"),
            ("ack", "cutover ack orders --reason 'index added'"),
            ("pause", "cutover pause orders --reason 'incident 17'"),
            ("resume", "cutover resume orders"),
            ("guards", "cutover guards orders --set error_absolute --operation write --rate 0.001"),
            ("policy", "cutover policy orders --soak 2h"),
            ("approve", "cutover approve orders 42 --reason 'reviewed INC-7'"),
            ("withdraw", "cutover withdraw orders 42 --reason 'not needed any more'"),
            ("finish", "cutover finish orders --confirm orders"),
            ("abandon", "cutover abandon orders --reason 'the target is too slow'"),
            ("delete", "cutover delete orders"),
        ],
    },
    Group {
        name: "Plans",
        verbs: &[
            ("plan", "cutover plan apply orders ramp.yaml"),
            ("plan lint", "cutover plan lint ramp.yaml"),
            ("plan simulate", "cutover plan simulate ramp.yaml --fault target-writes=5% --at-step 2"),
            ("plan apply", "cutover plan apply orders ramp.yaml"),
            ("plan show", "cutover plan show orders"),
            ("plan approve", "cutover plan approve orders --step 3"),
            ("plan skip", "cutover plan skip orders --reason 'no traffic at night'"),
            ("plan stop", "cutover plan stop orders"),
            ("wait", "cutover wait orders --for step=2 --timeout 30m"),
        ],
    },
    Group {
        name: "Data",
        verbs: &[
            ("backfill", "cutover backfill orders.toml --create-tables"),
            ("verify", "cutover verify orders.toml --repair"),
            ("reverse", "cutover reverse orders.toml"),
            ("quarantine", "cutover quarantine list orders.toml"),
            ("quarantine list", "cutover quarantine list orders.toml"),
            ("quarantine retry", "cutover quarantine retry orders.toml"),
            ("spec", "cutover spec lint orders.toml"),
            ("spec lint", "cutover spec lint orders.toml"),
            (
                "spec init",
                "cutover spec init --source 'dynamodb://Orders?region=eu-west-1' --target mysql://cutover@db/shop > orders.toml",
            ),
            ("spec triggers", "cutover spec triggers orders.toml > triggers.sql"),
            ("jobs", "cutover jobs orders"),
            ("tune", "cutover tune orders/pass-0a1b2c3d --records-per-s 500"),
            ("cancel", "cutover cancel orders/pass-0a1b2c3d --reason 'wrong table'"),
        ],
    },
    Group {
        name: "Watching",
        verbs: &[
            ("list", "cutover list"),
            ("status", "cutover status orders -w"),
            ("show", "cutover show orders"),
            ("decide", "cutover decide orders acme"),
            ("explain", "cutover explain orders acme"),
            ("history", "cutover history orders --limit 50"),
            ("progress", "cutover progress orders --since 24h"),
            ("pins", "cutover pins orders"),
            ("instances", "cutover instances orders"),
            ("doctor", "cutover doctor orders.toml"),
            ("evict", "cutover evict --lost --older-than 10m --reason 'node replaced'"),
        ],
    },
    Group {
        name: "Access",
        verbs: &[
            ("token", "cutover token create ada --role operator --expires 90d > ada.token"),
            ("token create", "cutover token create ada --role operator --expires 90d > ada.token"),
            ("token list", "cutover token list"),
            ("token rotate", "cutover token rotate ada --keep-old 1h > ada.token"),
            ("token revoke", "cutover token revoke ada --reason 'left the team'"),
            ("token history", "cutover token history"),
        ],
    },
    Group {
        name: "Running",
        verbs: &[
            ("serve", "cutover serve --store sqlite:cutover.db"),
            (
                "sidecar",
                "cutover sidecar --socket /run/cutover/orders.sock --service orders-api --spec orders.toml",
            ),
            ("demo", "cutover demo"),
            ("demo-service", "cutover demo-service orders.toml --per-second 50"),
            ("bench", "cutover bench decide"),
            ("bench decide", "cutover bench decide"),
            ("bench grpc", "cutover bench grpc"),
            ("bench fanout", "cutover bench fanout"),
            ("bench report", "cutover bench report"),
            ("bench guards", "cutover bench guards"),
            ("bench rollback", "cutover bench rollback"),
            ("bench backfill", "cutover bench backfill"),
            ("bench web", "cutover bench web"),
            ("bench sidecar", "cutover bench sidecar"),
            ("bench start", "cutover bench start"),
            ("backup", "cutover backup cutover-backup.db"),
            ("restore", "cutover restore cutover-backup.db --store sqlite:cutover.db"),
            ("confirm", "cutover confirm orders --target-only 25 --reason 'history until 14:05'"),
            ("completions", "cutover completions bash > /etc/bash_completion.d/cutover"),
            ("man", "cutover man /usr/local/share/man/man1"),
        ],
    },
];

/// Verbs that do nothing without a reason.
const WANT_REASON: [&[&str]; 4] = [&["ack"], &["confirm"], &["abandon"], &["plan", "skip"]];

/// The command line with its help.
pub(super) fn command() -> Command {
    // `cutover help plan apply` is the way to all of them.
    let command = Cli::command().mut_subcommands(|verb| verb.disable_help_subcommand(true));
    let footer = format!("{}\n\n{}", groups(&command), exit_codes());
    let command = GROUPS.iter().flat_map(|group| group.verbs).fold(command, |command, (path, example)| {
        let path: Vec<&str> = path.split(' ').collect();
        with_example(command, &path, example)
    });
    let command = WANT_REASON.iter().fold(command, |command, path| with_reason(command, path));
    command
        .help_template("{about}\n\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}")
        .after_help(footer)
}

fn with_example(command: Command, path: &[&str], example: &str) -> Command {
    match path.split_first() {
        // Without a store of its own the binary lacks some verbs.
        Some((verb, rest)) if command.find_subcommand(verb).is_some() => {
            command.mut_subcommand(*verb, |verb| with_example(verb, rest, example))
        }
        Some(_) => command,
        None => command.after_help(format!("Example:\n  {example}")),
    }
}

fn with_reason(command: Command, path: &[&'static str]) -> Command {
    match path.split_first() {
        Some((verb, rest)) => command.mut_subcommand(*verb, |verb| with_reason(verb, rest)),
        None => command.mut_arg("reason", |arg| arg.default_value(None::<&'static str>).required(true)),
    }
}

/// The verbs by what they are for.
fn groups(command: &Command) -> String {
    let mut lines = Vec::new();
    for group in &GROUPS {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("{}:", group.name));
        for (verb, _) in group.verbs {
            let Some(known) = command.find_subcommand(verb) else { continue };
            let about = known.get_about().map(ToString::to_string).unwrap_or_default();
            lines.push(hanging(&format!("  {verb:<12} "), &about));
        }
    }
    let help = "This, or a verb's flags and an example: cutover help ramp";
    lines.push(hanging(&format!("  {:<12} ", "help"), help));
    lines.join("\n")
}

/// Text beside `head`, in lines of at most 80 columns.
fn hanging(head: &str, text: &str) -> String {
    let room = 80 - head.len();
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= room => *line = format!("{line} {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    format!("{head}{}", lines.join(&format!("\n{}", " ".repeat(head.len()))))
}

/// What exit codes mean, as docs/commands.md has it.
fn exit_codes() -> String {
    let line = |exit: &Exit| hanging(&format!("  {:<3} {:<12} ", *exit as u8, exit.name()), exit.meaning());
    let lines: Vec<String> = Exit::ALL.iter().map(line).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verbs and theirs, but for hidden ones and those that only choose among others.
    fn visible(command: &Command, prefix: &str) -> Vec<String> {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
        verbs
            .flat_map(|verb| {
                let path = format!("{prefix}{}", verb.get_name());
                let below = visible(verb, &format!("{path} "));
                std::iter::once(path).chain(below)
            })
            .collect()
    }

    #[test]
    fn every_verb_is_in_one_group_and_has_an_example_that_parses() {
        let command = command();
        let mut grouped: Vec<&str> =
            GROUPS.iter().flat_map(|group| group.verbs).map(|(verb, _)| *verb).collect();
        grouped.sort_unstable();
        let mut known = visible(&command, "");
        known.sort_unstable();
        assert_eq!(grouped, known);
        for (verb, example) in GROUPS.iter().flat_map(|group| group.verbs) {
            let words = example.split(" > ").next().unwrap_or_default().replace('\'', "\"");
            let words = shell_words(&words);
            let parsed = command.clone().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{verb}: {example}: {:?}", parsed.err());
        }
    }

    /// Words, where quotes keep blanks together.
    fn shell_words(line: &str) -> Vec<String> {
        let parts = line.split('"').enumerate();
        parts
            .flat_map(|(at, part)| {
                if at % 2 == 1 {
                    vec![part.to_owned()]
                } else {
                    part.split_whitespace().map(str::to_owned).collect()
                }
            })
            .collect()
    }

    #[test]
    fn the_documentation_has_the_same_exit_codes() {
        let documented = include_str!("../../docs/commands.md");
        for exit in Exit::ALL {
            let row = format!("| {} | `{}` | {} |", exit as u8, exit.name(), exit.meaning());
            assert!(documented.contains(&row), "docs/commands.md lacks: {row}");
        }
    }
}
