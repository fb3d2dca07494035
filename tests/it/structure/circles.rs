//! Modules beside each other that name each other in a circle can only be read together. There are none.

use std::collections::{BTreeMap, BTreeSet};

use super::{File, assert_none, files, paths};

/// A module's path within its crate; the crate's root has none.
type Module = Vec<String>;

const CRATES: &[&str] = &[
    "src/",
    "crates/core/src/",
    "crates/clock/src/",
    "crates/domain/src/",
    "crates/dynamodb/src/",
    "crates/store/src/",
    "clients/rust/src/",
    "tests/torturer/src/",
];

#[test]
fn modules_beside_each_other_name_each_other_one_way() {
    assert_none(CRATES.iter().flat_map(|folder| circles(folder, &files(&[folder]))));
}

/// One line for each circle of siblings.
fn circles(folder: &str, files: &[File]) -> Vec<String> {
    let modules: BTreeMap<Module, String> = files
        .iter()
        .filter_map(|(path, text)| {
            Some((module(path.strip_prefix(folder)?)?, without_tests(text).to_owned()))
        })
        .collect();
    let exports: BTreeMap<&Module, BTreeMap<String, String>> =
        modules.iter().map(|(module, text)| (module, exports(&modules, module, text))).collect();
    // For each parent, which of its children names which others.
    let mut named: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, text) in &modules {
        let own: Vec<&str> = module.iter().map(String::as_str).collect();
        for path in paths::named(&own, text) {
            let Some(of_crate) = path.strip_prefix("crate::") else { continue };
            let target = resolved(&modules, &exports, of_crate);
            let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.get(common), target.get(common)) {
                let siblings = named.entry(module[..common].to_vec()).or_default();
                siblings.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let found = named.iter().flat_map(|(parent, siblings)| {
        let place = format!("{folder}{}", parent.join("/"));
        let in_circle = siblings.keys().filter(|name| reaches(siblings, name, name));
        let names: Vec<_> = in_circle.map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{place}: a circle through {}", names.join(", ")))
    });
    found.collect()
}

fn reaches(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(at) = ahead.pop() {
        for next in edges.get(at).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next.as_str()) {
                ahead.push(next);
            }
        }
    }
    false
}

/// The module that defines what a path names, as far as `use` in its parents tells.
fn resolved(
    modules: &BTreeMap<Module, String>,
    exports: &BTreeMap<&Module, BTreeMap<String, String>>,
    path: &str,
) -> Module {
    let mut at = Module::new();
    for name in path.split("::") {
        let below = [at.as_slice(), &[name.to_owned()]].concat();
        if modules.contains_key(&below) {
            at = below;
        } else {
            at.extend(exports.get(&at).and_then(|exports| exports.get(name)).cloned());
            break;
        }
    }
    at
}

/// The names that a module takes from its children, and from which.
fn exports(modules: &BTreeMap<Module, String>, module: &Module, text: &str) -> BTreeMap<String, String> {
    let own: Vec<&str> = module.iter().map(String::as_str).collect();
    let paths = paths::named(&own, text);
    let of_child = paths.iter().filter_map(|path| {
        let (child, rest) = path.split_once("::")?;
        let name = rest.rsplit("::").next()?;
        let below = [module.as_slice(), &[child.to_owned()]].concat();
        modules.contains_key(&below).then(|| (name.to_owned(), child.to_owned()))
    });
    of_child.collect()
}

fn module(inside: &str) -> Option<Module> {
    let names = inside.strip_suffix(".rs")?.split('/').filter(|name| !matches!(*name, "lib" | "main"));
    Some(names.map(str::to_owned).collect())
}

/// Tests at the end of a file may name anything.
fn without_tests(text: &str) -> &str {
    match text.find("#[cfg(test)]") {
        Some(at) if text[at..].contains("mod tests {") => &text[..at],
        _ => text,
    }
}

#[test]
fn a_circle_is_found_also_through_a_parents_export() {
    let file = |path: &str, text: &str| (format!("src/{path}"), text.to_owned());
    let lib = file("lib.rs", "mod a; mod b; mod c; pub use b::{B, other::Name};");
    let b = file("b.rs", "use crate::c::C; pub struct B;");
    let found = circles("src/", &[lib.clone(), file("a.rs", "use super::B;"), b.clone(), file("c.rs", "")]);
    assert_eq!(found, [""; 0]);
    let found = circles("src/", &[lib, file("a.rs", "use super::B;"), b, file("c.rs", "use crate::{a};")]);
    assert_eq!(found, ["src/: a circle through a, b, c"]);
}
