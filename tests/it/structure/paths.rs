//! The paths that a source file names: enough of Rust's syntax to follow `use`, `crate`, `super` and aliases.
//! Comments and literals are skipped; macros are read like code.

use std::collections::HashMap;

/// Identifiers, `::` and single punctuation marks.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let rest = &chars[i..];
        if rest.starts_with(&['/', '/']) {
            i += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        } else if rest.starts_with(&['/', '*']) {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => depth += 1,
                    ('*', '/') => depth -= 1,
                    ('\0', _) => break,
                    _ => {
                        i += 1;
                        continue;
                    }
                }
                i += 2;
                if depth == 0 {
                    break;
                }
            }
        } else if is_letter(at(i)) {
            let name: String = rest.iter().take_while(|c| is_letter(**c)).collect();
            i += name.chars().count();
            let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
            let raw = matches!(name.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"';
            if raw {
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                i += hashes + 1;
                while i < chars.len() && !chars[i..].starts_with(&end) {
                    i += 1;
                }
                i += end.len();
            } else {
                tokens.push(name);
            }
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && at(i + 1) == '\\' {
            i += 3;
            i += chars.get(i..).unwrap_or_default().iter().take_while(|c| **c != '\'').count() + 1;
        } else if at(i) == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if rest.starts_with(&[':', ':']) {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !at(i).is_whitespace() {
                tokens.push(at(i).to_string());
            }
            i += 1;
        }
    }
    tokens
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(token: &str) -> bool {
    token.chars().all(is_letter)
}

/// Every path that the file of module `module` names, from the crate's root (`crate::a::b`) or from
/// an external crate's (`tokio::fs`). Paths through an alias of a `use` are followed.
pub(super) fn named(module: &[&str], source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut aliases: HashMap<String, String> = HashMap::new();
    let mut named: Vec<String> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        match token(i) {
            "mod" if token(i + 2) == "{" => {
                module.push(token(i + 1).to_owned());
                inline.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    module.pop();
                }
            }
            "use" if token(i + 1) != "<" => {
                let mut leaves = Vec::new();
                i = leaves_of(&tokens, i + 1, &[], &mut leaves);
                for (alias, path) in leaves {
                    let path = absolute(&module, &path).join("::");
                    aliases.insert(alias, path.clone());
                    named.push(path);
                }
                continue;
            }
            name if token(i + 1) == "::" && is_name(name) => {
                let mut path = vec![token(i).to_owned()];
                while token(i + 1) == "::" && is_name(token(i + 2)) {
                    path.push(token(i + 2).to_owned());
                    i += 2;
                }
                named.push(match aliases.get(&path[0]) {
                    Some(whole) => [std::slice::from_ref(whole), &path[1..]].concat().join("::"),
                    None => absolute(&module, &path).join("::"),
                });
            }
            _ => {}
        }
        i += 1;
    }
    named
}

/// Collects the leaves of a `use` tree that begins at `i`; returns where it ends.
fn leaves_of(
    tokens: &[String],
    mut i: usize,
    prefix: &[String],
    leaves: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(i).map(String::as_str) {
        match token {
            "::" => {}
            "{" => {
                while tokens.get(i).is_some_and(|token| token != "}") {
                    i = leaves_of(tokens, i + 1, &path, leaves);
                }
                return i + 1;
            }
            "as" => {
                leaves.push((tokens[i + 1].clone(), path));
                return i + 2;
            }
            "," | "}" | ";" => break,
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        i += 1;
    }
    if path.len() > prefix.len() || tokens.get(i.wrapping_sub(1)).is_some_and(|token| token == "self") {
        leaves.push((path.last().cloned().unwrap_or_default(), path));
    }
    i
}

/// Resolves `self`, `super` and the library's own name.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let root = || vec!["crate".to_owned()];
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path[0].as_str() {
        "crate" => path.to_vec(),
        "cutover" => [&root()[..], &path[1..]].concat(),
        "self" => [&root()[..], module, &path[1..]].concat(),
        "super" => [&root()[..], &module[..module.len().saturating_sub(ups)], &path[ups..]].concat(),
        _ => path.to_vec(),
    }
}
