//! Every target with its examples, whole and damaged, and with any bytes.

use cutover_fuzz::{TARGETS, Target, seeds};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseError, TestRunner},
};

/// Damaged inputs of each target.
const CASES: u32 = 1_500;

/// What happens to an example.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Word(Index, Index),
    Remove(Index, usize),
    /// Twice what is there.
    Repeat(Index, usize),
    /// The rest is that of another example.
    Splice(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Damage::Word(at, word)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, other)| Damage::Splice(at, other)),
    ]
}

fn damaged(target: &Target, seeds: &[Vec<u8>], seed: &Index, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = seed.get(seeds).clone();
    for damage in damages {
        // May be its end.
        let place = |at: &Index| at.index(bytes.len() + 1);
        match damage {
            Damage::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..bytes.len().min(at + 1), [*byte]);
            }
            Damage::Insert(at, inserted) => {
                let at = place(at);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Damage::Word(at, word) if !target.words.is_empty() => {
                let (at, word) = (place(at), word.get(target.words).bytes());
                bytes.splice(at..at, word);
            }
            Damage::Word(..) => {}
            Damage::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Damage::Repeat(at, length) => {
                let at = place(at);
                let twice = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, twice);
            }
            Damage::Splice(at, other) => {
                let (at, other) = (place(at), other.get(seeds));
                bytes.truncate(at);
                bytes.extend_from_slice(&other[other.len().min(at)..]);
            }
        }
    }
    bytes
}

fn run(name: &str) {
    let target = cutover_fuzz::target(name).expect("a target");
    let seeds = seeds::all(&target);
    for seed in &seeds {
        (target.check)(seed);
    }
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let anything = vec(any::<u8>(), 0..200);
    let examples = (any::<Index>(), vec(damage(), 1..6));
    let inputs = prop_oneof![
        1 => anything.prop_map(|bytes| (bytes, None)),
        9 => examples.prop_map(|example| (Vec::new(), Some(example))),
    ];
    let checked = TestRunner::new(config).run(&inputs, |(bytes, example)| {
        let input = match &example {
            Some((seed, damages)) => damaged(&target, &seeds, seed, damages),
            None => bytes,
        };
        let checked = std::panic::catch_unwind(|| (target.check)(&input));
        checked.map_err(|_| TestCaseError::fail(format!("with the input \"{}\"", input.escape_ascii())))
    });
    checked.unwrap_or_else(|failed| panic!("{name}: {failed}"));
}

#[test]
fn cursors() {
    run("cursor");
}

#[test]
fn documents() {
    run("document");
}

#[test]
fn mappings() {
    run("mapping");
}

#[test]
fn persisted_snapshots() {
    run("persisted");
}

#[test]
fn files_of_pins() {
    run("pins");
}

#[test]
fn plans() {
    run("plan");
}

#[test]
fn reports() {
    run("report");
}

#[test]
fn specs_of_any_text() {
    run("spec");
}

#[test]
fn specs_of_known_keys() {
    run("spec-drawn");
}

#[test]
fn tokens() {
    run("token");
}

#[test]
fn streams_of_states() {
    run("wire");
}

/// What a parser may take too much stack, memory or time for.
#[test]
fn nested_and_repeated_inputs_are_answered() {
    let nested = |open: &str, close: &str| [open.repeat(50_000), close.repeat(50_000)].concat();
    // Each list has the last one ten times.
    let aliases = (1..30).fold("a0: &a0 [x]\n".to_owned(), |text, at| {
        let all = vec![format!("*a{}", at - 1); 10].join(", ");
        format!("{text}a{at}: &a{at} [{all}]\n")
    });
    let toml = [
        format!("a = {}", nested("[", "]")),
        format!("a = {}", nested("{ a = ", "}")),
        format!("{}a = 1", "a.".repeat(50_000)),
        format!("[{}a]", "a.".repeat(50_000)),
        "= 1\n".repeat(20_000),
        "[[source]]\n".repeat(20_000),
        format!("migration = \"{}\"", "x".repeat(1 << 20)),
    ];
    let yaml = [
        nested("[", "]"),
        nested("{a: ", "}"),
        nested("- ", ""),
        nested("? ", ""),
        format!("steps:\n{}", "- x\n".repeat(20_000)),
        aliases,
    ];
    let document = [
        nested("{\"L\":[", "]}"),
        nested("{\"M\":{\"a\":", "}}"),
        format!("{{\"N\":\"{}\"}}", "9".repeat(1 << 20)),
    ];
    let pins = ["\n".repeat(200_000), "a,dual\n".repeat(20_000), format!("\"{}", "a,dual\n".repeat(20_000))];
    let check = |name: &str, input: Vec<u8>| {
        let (target, begun) = (cutover_fuzz::target(name).expect("a target"), std::time::Instant::now());
        (target.check)(&input);
        let start = input[..input.len().min(30)].escape_ascii();
        assert!(begun.elapsed().as_secs() < 60, "{name} took {:?} for {start}", begun.elapsed());
    };
    for text in toml {
        check("spec", text.clone().into_bytes());
        check("plan", [b"\0", text.as_bytes()].concat());
    }
    for text in yaml {
        check("plan", [b"\x01", text.as_bytes()].concat());
    }
    document.into_iter().for_each(|text| check("document", format!("{{\"a\":{text}}}").into_bytes()));
    pins.into_iter().for_each(|text| check("pins", text.into_bytes()));
}

#[test]
fn every_target_has_a_test() {
    let text = include_str!("properties.rs");
    for Target { name, .. } in TARGETS {
        assert!(text.contains(&format!("run(\"{name}\")")), "{name}");
    }
}
