//! A first draft of a spec, from the keys and columns of both tables and a sample of the source's records.

mod children;
mod columns;
mod decide;
mod ids;
mod name;
mod prefixes;
mod seen;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write as _};

pub use name::column_name;
use name::{Names, quoted};
pub use seen::Sample;

use children::SECTION;

use super::{Spec, StoreUrl};
use crate::{
    Described, Referencing,
    mapping::{Fields, KeyHolds, KeyType},
};

/// What a spec is drafted from.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The migration's key.
    pub migration: &'a str,
    /// Where the records are.
    pub source: DraftSide<'a>,
    /// Where they go.
    pub target: DraftSide<'a>,
    /// The tables of the target that refer to its table.
    pub target_children: &'a [(Referencing, Described)],
    /// Records of the source.
    pub sample: &'a Sample,
    /// The attribute by which one of the tables removes records itself.
    pub removes_by: Option<&'a str>,
    /// How many types of a column of the source do not hold its values.
    pub passed: &'a BTreeMap<String, usize>,
}

/// One of the two stores of a draft.
#[derive(Clone, Debug)]
pub struct DraftSide<'a> {
    /// Where it is.
    pub url: &'a StoreUrl,
    /// The table.
    pub table: &'a str,
    /// The environment variable that holds the password; `None`: it needs none.
    pub password_env: Option<&'a str>,
    /// What the table has.
    pub has: TableHas<'a>,
}

/// What is known of a table.
#[derive(Clone, Copy, Debug)]
pub enum TableHas<'a> {
    /// It is not there, or could not be asked.
    Nothing,
    /// A DynamoDB table: its key attributes, the partition key first.
    Items(&'a [(String, KeyType)]),
    /// A SQL table.
    Columns(&'a Described),
}

impl Draft<'_> {
    /// The text of the spec, with a comment on each column, and how many things nobody could decide.
    pub fn text(&self) -> (String, usize) {
        let mut text = self.written(None);
        if text.contains(SECTION)
            && let Err(mistakes) = Spec::read(&text)
        {
            // A section that does not go with the columns must not cost the whole draft.
            text = self.written(Some(&children::reason(mistakes)));
        }
        let undecided = text.lines().filter(|line| line.contains("NOT DECIDED")).count();
        (text, undecided)
    }

    /// `no_children`: why no list has a child table.
    fn written(&self, no_children: Option<&str>) -> String {
        let mut text = format!("migration = {}\n", quoted(self.migration));
        if let Some(attribute) = self.removes_by {
            line(&mut text, "# When a record expires: DynamoDB's TTL is on for this attribute.");
            line(&mut text, &format!("ttl = {}", quoted(attribute)));
        }
        line(&mut text, "\n[source]");
        let source = ids::of_source(&self.source);
        self.source.head(&mut text);
        source.lines(&mut text, self.source.url.dialect().is_none());
        if let TableHas::Columns(described) = self.source.has {
            self.source.versions(&mut text, described, &source);
            self.source_columns(&mut text, described, &source);
            foreign_keys(&mut text, described);
        }
        line(&mut text, "\n[target]");
        self.target.head(&mut text);
        let mut names = Names::default();
        let fields = Fields::default();
        [&fields.version, &fields.deleted, "rest"].into_iter().for_each(|name| drop(names.take(name)));
        let target = ids::of_target(&self.target, &source, &mut names);
        target.lines(&mut text, self.target.url.dialect().is_none());
        if let TableHas::Columns(described) = self.target.has {
            self.target.versions(&mut text, described, &target);
        }
        if let Some(dialect) = self.target.url.dialect() {
            self.target.prefixes(&mut text, &target, self.sample);
            let mut decided = self.decided(&source, dialect);
            let mut lists = self.lists(&target, &decided, dialect);
            if let Some(why) = no_children {
                lists.iter_mut().for_each(|list| list.section = Err(why.to_owned()));
            }
            decided.retain(|it| !lists.iter().any(|list| list.section.is_ok() && list.path == it.path));
            match self.target.has {
                TableHas::Columns(described) => self.matched(&mut text, described, &target, &decided),
                _ => self.new_columns(&mut text, &decided, &mut names, dialect),
            }
            for list in lists {
                let path = name::shown(&list.path.join("."));
                match list.section {
                    Ok(section) => text += &section,
                    Err(why) => line(
                        &mut text,
                        &format!("# NOT DECIDED: {path} has no child table: {}", name::shown(&why)),
                    ),
                }
            }
        }
        text
    }
}

impl DraftSide<'_> {
    /// Where it is.
    fn head(&self, text: &mut String) {
        let url = self.url.to_string();
        let is_sql = self.url.dialect().is_some();
        let url =
            if is_sql { url } else { url.replacen("dynamodb:", &format!("dynamodb://{}", self.table), 1) };
        line(text, &format!("url = {}", quoted(&url)));
        if let Some(name) = self.password_env {
            line(text, &format!("password_env = {}", quoted(name)));
        }
        if is_sql {
            line(text, &format!("table = {}", quoted(self.table)));
        }
    }

    /// Where versions are.
    fn versions(&self, text: &mut String, described: &Described, ids: &ids::Ids) {
        if has_versions(described) {
            return;
        }
        let column = |name: &str| described.column(name);
        let loose = [&ids.tenant.0, &ids.key.0].into_iter().filter_map(|name| column(name));
        let loose = loose.into_iter().find(|column| column.key == Some(KeyHolds::LooseTexts));
        match loose {
            None => line(
                text,
                "# Versions are in a table beside it, so this one stays as it is.\nversions = \"ledger\"",
            ),
            Some(column) => line(
                text,
                &format!(
                    "# NOT DECIDED: different texts are equal in {} ({}), so the table can't have a ledger. It needs \
                     the columns at the end, or a collation that tells all texts apart.",
                    column.name, column.shown
                ),
            ),
        }
    }
}

/// Whether it has the columns that Cutover keeps versions in.
pub(super) fn has_versions(described: &Described) -> bool {
    let Fields { version, deleted, .. } = Fields::default();
    described.column(&version).is_some() && described.column(&deleted).is_some()
}

fn foreign_keys(text: &mut String, described: &Described) {
    for foreign in &described.foreign {
        line(text, &format!("# Foreign key: {}", name::shown(foreign)));
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all");
}
