//! The walks of docs/ARCHITECTURE.md: each names fewer than ten files, and the files and functions exist.

use super::{File, assert_none, files};

/// Most files of a walk.
const FILES_MAX: usize = 9;

/// The walks, and how each begins.
const WALKS: &[&str] = &["**Ramp**:", "**Rollback**:"];

#[test]
fn the_walks_lead_through_files_and_functions_that_exist() {
    let text = include_str!("../../../docs/ARCHITECTURE.md");
    let files = files(&["src", "crates", "clients"]);
    assert_none(WALKS.iter().flat_map(|walk| violations(walk, text, &files)));
}

fn violations(walk: &str, text: &str, files: &[File]) -> Vec<String> {
    let items = items(walk, text);
    let mut violations = Vec::new();
    if items.is_empty() || items.len() > FILES_MAX {
        violations.push(format!("{walk} has {} files: 1 to {FILES_MAX} are allowed", items.len()));
    }
    for item in items {
        let mut code = item.split('`').skip(1).step_by(2);
        let path = code.next().unwrap_or_default();
        let Some((_, source)) = files.iter().find(|(known, _)| known == path) else {
            violations.push(format!("{walk} names {path:?}, which is no file"));
            continue;
        };
        let functions: Vec<&str> = code.filter(|name| is_function(name)).collect();
        if functions.is_empty() {
            violations.push(format!("{walk} names no function of {path}"));
        }
        let is_there =
            |name: &str| source.contains(&format!("fn {name}(")) || source.contains(&format!("fn {name}<"));
        let lost = functions.into_iter().filter(|name| !is_there(name));
        violations.extend(lost.map(|name| format!("{walk} names {name}, which {path} does not have")));
    }
    violations
}

/// The numbered items behind the beginning of a walk, each with its further lines.
fn items(walk: &str, text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once(walk) else { return Vec::new() };
    let lines = rest.lines().skip(2).take_while(|line| !line.is_empty());
    let mut items: Vec<String> = Vec::new();
    for line in lines {
        match items.last_mut().filter(|_| line.starts_with(' ')) {
            Some(item) => item.push_str(line),
            None => items.push(line.to_owned()),
        }
    }
    items
}

fn is_function(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn a_walk_that_has_rotted_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [file("src/a.rs", "fn begin() {}"), file("src/b.rs", "fn end<T>(it: T) {}")];
    let found = |text: &str| violations("**Ramp**:", text, &files);
    assert_eq!(
        found("**Ramp**: now.\n\n1. `src/a.rs`: `begin` asks.\n2. `src/b.rs`: the\n   `end`.\n"),
        [""; 0]
    );
    assert_eq!(
        found("**Ramp**:\n\n1. `src/c.rs`: `begin`.\n"),
        [r#"**Ramp**: names "src/c.rs", which is no file"#]
    );
    assert_eq!(found("**Ramp**:\n\n1. `src/a.rs`: begins.\n"), ["**Ramp**: names no function of src/a.rs"]);
    let lost = "**Ramp**: names end, which src/a.rs does not have";
    assert_eq!(found("**Ramp**:\n\n1. `src/a.rs`: `begin`,\n   then `end`.\n"), [lost]);
    assert!(
        found("nothing").len() == 1
            && found(&format!("**Ramp**:\n\n{}", "1. `src/a.rs`: `begin`.\n".repeat(10))).len() == 1
    );
}
