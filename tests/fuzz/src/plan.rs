//! Plans' files: TOML or YAML.

use cutover::{
    cli::parse_plan,
    domain::Change,
    grpc::plan::{apply, to_wire},
};
use cutover_proto::v1;
use prost::Message as _;

use crate::{Target, seeds};

pub(crate) const TARGET: Target = Target {
    name: "plan",
    check,
    seeds: examples,
    words: &[
        "time_zone",
        "windows",
        "days: mon-thu",
        "from = \"09:00\"",
        "to:",
        "on_trip: end",
        "when_blind",
        "steps",
        "[[steps]]",
        "- stage: dual",
        "stage = \"target-only\"",
        "percent: [1, 10]",
        "tenants",
        "bake: 1h",
        "evidence",
        "approval: true",
        "&a",
        "*a",
        "<<: ",
        "!!str ",
        "|\n",
        "---\n",
        "? ",
        "{a: b}",
        "\u{feff}",
        "\"\\u0000\"",
    ],
};

/// The first byte chooses the file's name: by it, or by the text, the format is known.
fn check(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let name = ["plan.toml", "plan.yaml", "-"][usize::from(*first) % 3];
    let parsed = parse_plan(name, text);
    match &parsed {
        Ok(plan) => {
            let sent = to_wire(plan).encode_to_vec();
            let read = v1::Plan::decode(sent.as_slice()).expect("it was encoded");
            match apply(Some(read)) {
                Ok(Change::ApplyPlan(read)) => assert_eq!(*read, *plan, "the controller reads the same plan"),
                other => panic!("lint accepts it, and the controller does not: {other:?}"),
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            // A byte order mark, or a line that YAML alone knows, makes none.
            let lines = text.matches(['\n', '\r']).count() + 2;
            for mistake in mistakes {
                assert!(!mistake.contains('\n'), "several lines: {mistake:?}");
                if let Some(line) = line_of(mistake) {
                    assert!((1..=lines).contains(&line), "there are {lines} lines: {mistake}");
                }
            }
        }
    }
    if !text.starts_with('\u{feff}') && !text.starts_with('%') {
        let later = parse_plan(name, &format!("# why\n{text}"));
        match (parsed, later) {
            (Ok(plan), Ok(later)) => assert_eq!(plan, later, "a comment changes nothing"),
            (Err(mistakes), Err(later)) => {
                assert_eq!(mistakes.len(), later.len(), "a comment hides mistakes: {mistakes:?}, {later:?}");
                for (one, other) in mistakes.iter().zip(&later) {
                    // The TOML parser names no place for some mistakes, which are told at line 1.
                    let is_placeless = one == other && line_of(one) == Some(1);
                    let moved = line_of(one).map(|line| line + 1) == line_of(other);
                    assert!(is_placeless || moved, "a comment before it does not move {one:?}: {other:?}");
                }
            }
            (one, other) => panic!("a comment changes {one:?} into {other:?}"),
        }
    }
}

/// The line that a mistake names: `line 7: ..`.
pub(crate) fn line_of(mistake: &str) -> Option<usize> {
    mistake.strip_prefix("line ")?.split_once(": ")?.0.parse().ok()
}

fn examples() -> Vec<Vec<u8>> {
    let toml = "time_zone = \"Europe/Vienna\"\non_trip = \"end\"\n[[windows]]\ndays = [\"mon-thu\", \"sat\"]\n\
                from = 09:00:00\nto = \"16:00\"\n[[steps]]\ntenants = [\"acme\", 007]\nstage = \"dual\"\n\
                bake = \"1h\"\nevidence = \"none\"\n[[steps]]\nstage = \"mirrored\"\npercent = [1, 10.0, \"100\"]\n\
                approval = true\n";
    let yaml = seeds::blocks("docs/plans.md", "yaml");
    let typo =
        yaml[0].replace("stage: dual", "stage: duall").replace("percent: [10, 100]", "percent: [10, 5]");
    let of = |name: u8, text: &str| [&[name], text.as_bytes()].concat();
    let mut all = vec![of(0, toml), of(2, toml), of(1, &typo), of(1, "a: &a [x]\nsteps: [*a, *a]\n")];
    all.extend(yaml.iter().flat_map(|text| [of(1, text), of(2, text)]));
    all
}
