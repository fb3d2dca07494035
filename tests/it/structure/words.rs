//! Keeps prose plain: phrases that `words.txt` lists must not come back.

use std::{collections::HashMap, path::Path};

use super::{File, assert_none, read_all};

/// Files that somebody else wrote, or that have to name the phrases.
const EXEMPT: &[&str] =
    &["Cargo.lock", "LICENSE", "tests/it/structure/words.rs", "tests/it/structure/words.txt"];

/// Words, and marks that separate phrases, each with its line (from 1).
type Tokens = Vec<(String, usize)>;

/// A banned phrase in words, and what to write instead.
type Banned = (Vec<String>, String);

#[test]
fn prose_is_plain() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let banned = banned(include_str!("words.txt"));
    let files = read_all(root, root, &|_| true);
    let checked = files.iter().filter(|(path, _)| !EXEMPT.contains(&path.as_str()));
    assert_none(checked.flat_map(|file| violations(file, &banned)));
}

/// Banned phrases by their first word.
fn banned(list: &str) -> HashMap<String, Vec<Banned>> {
    let mut banned: HashMap<String, Vec<Banned>> = HashMap::new();
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (phrase, plain) = line.split_once(" => ").expect("each line is: phrase => plain form");
        let phrase: Vec<String> = tokens(phrase).into_iter().map(|(word, _)| word).collect();
        banned.entry(phrase[0].clone()).or_default().push((phrase, plain.to_owned()));
    }
    banned
}

fn violations((path, text): &File, banned: &HashMap<String, Vec<Banned>>) -> Vec<String> {
    let tokens = tokens(text);
    let mut violations = Vec::new();
    for (at, (first, line)) in tokens.iter().enumerate() {
        for (phrase, plain) in banned.get(first).into_iter().flatten() {
            let found = tokens[at..].iter().map(|(word, _)| word);
            if tokens.len() - at >= phrase.len() && found.zip(phrase).all(|(word, wanted)| word == wanted) {
                violations.push(format!("{path}:{line}: {:?}: write {plain:?}", phrase.join(" ")));
            }
        }
    }
    violations
}

/// Splits a text. White space and the signs of comments separate words; all other signs are tokens of their
/// own, so that no phrase is found across them.
fn tokens(text: &str) -> Tokens {
    let mut tokens = Tokens::new();
    for (at, line) in text.lines().enumerate() {
        for word in line.split(|c: char| c.is_whitespace() || "/!*#".contains(c)) {
            let mut rest = word;
            while let Some(sign) = rest.find(|c: char| !c.is_alphanumeric() && !"'-_".contains(c)) {
                let width = rest[sign..].chars().next().map_or(1, char::len_utf8);
                let parts = [&rest[..sign], &rest[sign..sign + width]];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                tokens.extend(parts.map(|part| (part.to_lowercase(), at + 1)));
                rest = &rest[sign + width..];
            }
            if !rest.is_empty() {
                tokens.push((rest.to_lowercase(), at + 1));
            }
        }
    }
    tokens
}

#[test]
fn a_banned_phrase_is_found() {
    let banned = banned("# of late => no line of the list\nof late => recently\n");
    let found = |text: &str| violations(&("docs/a.md".to_owned(), text.to_owned()), &banned);
    assert_eq!(found("a\nseen Of late."), [r#"docs/a.md:2: "of late": write "recently""#]);
    assert_eq!(found("/// What was reported of\n/// late is gone.").len(), 1);
    assert_eq!(found("of late, and (of late)").len(), 2);
    for fine in ["of lately", "of. Late", "`of` late", "of_late", "late of", "of"] {
        assert!(found(fine).is_empty(), "{fine}");
    }
}
