//! Names and texts of a draft.

use std::collections::BTreeSet;

use crate::mapping::check_name;

/// Names of columns that are in use, ignoring case as SQL does.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The name, or one like it that is free.
    pub(super) fn take(&mut self, name: &str) -> String {
        let free = (2..).map(|n| format!("{name:.58}_{n}"));
        let mut all = std::iter::once(name.to_owned()).chain(free);
        all.find(|name| self.0.insert(name.to_ascii_lowercase())).unwrap_or_default()
    }
}

/// A name for a column, from the attribute's.
pub fn column_name(path: &[String]) -> String {
    let joined = path.join("_");
    let plain: String =
        joined.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).take(63).collect();
    match check_name(&plain) {
        Ok(()) => plain,
        Err(_) => format!("c_{plain:.61}"),
    }
}

/// Whether people would take both for the same: `createdAt` and `created_at`.
pub(super) fn is_alike(one: &str, other: &str) -> bool {
    let bare = |text: &str| -> String {
        text.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    !bare(one).is_empty() && bare(one) == bare(other)
}

/// What `from` says of an attribute; empty: the column has its name.
pub(super) fn from(path: &[String], name: &str) -> String {
    match path {
        [only] if only == name => String::new(),
        path if path.iter().any(|part| part.contains(['.', '[', ']'])) => {
            format!("from = [{}], ", path.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(", "))
        }
        path => format!("from = {}, ", quoted(&path.join("."))),
    }
}

/// A basic string of TOML, which JSON's are, too.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// For a comment, in which a line must not end.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}
