//! What all tenants or keys of a sample begin with, and whether the columns of a target take them without that.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{DraftSide, TableHas, ids::Ids, line, name::quoted, name::shown, seen::Sample};
use crate::{
    Described, DescribedColumn, Id,
    mapping::{ColumnType, KeyHolds},
};

/// What separates a prefix from the rest.
const SEPARATORS: [char; 8] = ['#', '/', ':', '|', '-', '_', '.', '~'];
/// Those that hardly are a part of an id itself.
const STRONG: [char; 4] = ['#', '/', ':', '|'];
/// Beginnings that are listed.
const GROUPS_MAX: usize = 16;

/// What all begin with, up to each separator, the shortest first. Something is behind it in each of them.
fn common<'t>(texts: &[&'t str], separators: &[char]) -> Vec<&'t str> {
    let Some((first, others)) = texts.split_first() else { return Vec::new() };
    let same = |one: &str, other: &str| -> usize {
        let same = one.char_indices().zip(other.chars()).find(|((_, one), other)| one != other);
        same.map_or(one.len().min(other.len()), |((at, _), _)| at)
    };
    let length = others.iter().fold(first.len(), |length, other| length.min(same(first, other)));
    let is_name = first.starts_with(|it: char| it.is_ascii_alphabetic());
    let ends = first[..length].match_indices(separators).map(|(at, _)| at + 1).filter(|_| is_name);
    ends.filter(|end| texts.iter().all(|text| text.len() > *end)).map(|end| &first[..end]).collect()
}

/// Whether a column that holds numbers or UUIDs gives this text back.
fn takes(column: &DescribedColumn, holds: KeyHolds, text: &str) -> bool {
    if holds == KeyHolds::Uuids {
        return Uuid::parse_str(text).is_ok_and(|uuid| uuid.to_string() == text);
    }
    let (bits, unsigned) = match column.kinds.first() {
        Some(ColumnType::Integer { bits, unsigned }) => (u32::from(*bits), *unsigned),
        // MySQL's TINYINT(1).
        Some(ColumnType::Boolean) => (8, false),
        _ => (64, false),
    };
    let range = if unsigned { 0..1_i128 << bits } else { -(1_i128 << (bits - 1))..1_i128 << (bits - 1) };
    text.parse::<i128>().is_ok_and(|number| number.to_string() == text && range.contains(&number))
}

/// The lines about one column: its prefix, or why there is none. `key`: that of the spec. `texts`: each once.
fn of_column(what: &str, key: &str, column: Option<&DescribedColumn>, texts: &[&str]) -> Vec<String> {
    let count = texts.len();
    let typed = column.and_then(|column| {
        let holds = column.key.filter(|holds| matches!(holds, KeyHolds::Numbers | KeyHolds::Uuids))?;
        Some((column, holds))
    });
    let Some((column, holds)) = typed else {
        let Some(prefix) = common(texts, &STRONG).first().map(|prefix| shown(&quoted(prefix))) else {
            return Vec::new();
        };
        if count < 2 {
            return Vec::new();
        }
        return vec![format!(
            "# All {count} sampled {what}s begin with {prefix}. To leave that out of the column: {key} = {prefix}"
        )];
    };
    let misfits = |prefix: &str| {
        let rest = |text: &&&str| text.strip_prefix(prefix).is_some_and(|rest| takes(column, holds, rest));
        count - texts.iter().filter(rest).count()
    };
    let whole = misfits("");
    if whole == 0 {
        return Vec::new();
    }
    let is = format!("{} is {}", shown(&column.name), shown(&column.shown));
    let prefixes = common(texts, &SEPARATORS);
    let fitting = prefixes.iter().find(|prefix| misfits(prefix) == 0);
    let Some(prefix) = fitting.or(prefixes.last()) else {
        return vec![format!("# NOT DECIDED: {is}, which does not take {whole} of {count} sampled {what}s")];
    };
    let (some, prefix) = (misfits(prefix), shown(&quoted(prefix)));
    if some > 0 {
        return vec![format!(
            "# NOT DECIDED: {is}. All {count} sampled {what}s begin with {prefix}, and it does not take the rest of {some} of \
             them"
        )];
    }
    if count < 2 {
        return vec![format!(
            "# NOT DECIDED: {is}, and the sample has only one {what}. If every {what} begins with {prefix}: {key} = {prefix}"
        )];
    }
    vec![
        format!("# All {count} sampled {what}s begin with this, and {is}, which takes the rest of each."),
        format!("# A record whose {what} begins otherwise is refused."),
        format!("{key} = {prefix}"),
    ]
}

/// The beginnings of keys up to the first separator, if each has one and there are few.
fn groups(keys: &[&str]) -> Option<BTreeMap<String, usize>> {
    let mut groups = BTreeMap::new();
    for key in keys {
        let end = key.find(STRONG)? + 1;
        *groups.entry(key[..end].to_owned()).or_default() += 1;
        if groups.len() > GROUPS_MAX {
            return None;
        }
    }
    (groups.len() > 1).then_some(groups)
}

impl DraftSide<'_> {
    /// What the columns of tenant and key leave out, and which record types there may be.
    pub(super) fn prefixes(&self, text: &mut String, ids: &Ids, sample: &Sample) {
        let described: Option<&Described> = match self.has {
            TableHas::Columns(described) => Some(described),
            _ => None,
        };
        let column = |name: &String| described.and_then(|described| described.column(name));
        let once = |of: fn(&Id) -> &str| -> Vec<&str> {
            let texts: BTreeSet<&str> = sample.ids.iter().map(of).collect();
            texts.into_iter().collect()
        };
        let (tenants, keys) = (once(|id| &id.tenant), once(|id| &id.key));
        let mut lines = of_column("key", "strip_prefix", column(&ids.key.0), &keys);
        if ids.tenant.0 != ids.key.0 {
            lines.extend(of_column("tenant", "strip_tenant_prefix", column(&ids.tenant.0), &tenants));
        }
        if let Some(groups) = groups(&keys) {
            let all: Vec<String> = groups
                .iter()
                .map(|(prefix, count)| format!("{} in {count}", shown(&quoted(prefix))))
                .collect();
            lines.push(format!(
                "# Keys begin with {}. If these are record types, [[target.types]] gives each a table of its own.",
                all.join(", ")
            ));
        }
        lines.iter().for_each(|it| line(text, it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_separator_and_leaves_something() {
        for (texts, prefixes) in [
            (&["ORG#42", "ORG#7"][..], &["ORG#"][..]),
            (&["order-17", "order-18"], &["order-"]),
            (&["a#b#1", "a#b#2"], &["a#", "a#b#"]),
            (&["a#b", "a#c"], &["a#"]),
            (&["ORG#", "ORG#7"], &[]),
            (&["ORG#1", "USER#1"], &[]),
            (&["42#1", "42#2"], &[]),
            (&["abc1", "abc2"], &[]),
            (&["é#1", "ë#1"], &[]),
            (&["x#é", "x#ë"], &["x#"]),
            (&["ORG#1"], &["ORG#"]),
            (&["a-b-"], &["a-"]),
            (&[], &[]),
        ] {
            assert_eq!(common(texts, &SEPARATORS), prefixes, "{texts:?}");
        }
    }

    #[test]
    fn the_shortest_prefix_whose_rest_fits_is_proposed_if_several_values_have_it() {
        let column = |kind: ColumnType, holds| DescribedColumn {
            key: Some(holds),
            ..DescribedColumn::new("id", "its type".to_owned(), vec![kind], |_, _| true)
        };
        let (number, uuid) =
            (column(ColumnType::Bigint, KeyHolds::Numbers), column(ColumnType::Uuid, KeyHolds::Uuids));
        let flag = column(ColumnType::Boolean, KeyHolds::Numbers);
        let uuids = ["0190a5b4-7e2c-7abc-9def-000000000001", "0190a5b4-7e2c-7abc-9def-000000000002"];
        let uuids = uuids.map(|uuid| format!("ORG#{uuid}"));
        let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
        let said = |column, texts: &[&str]| of_column("tenant", "strip", Some(column), texts).join("\n");
        let proposal = |count: usize, prefix: &str| {
            format!(
                "# All {count} sampled tenants begin with this, and id is its type, which takes the rest of each.\n\
                 # A record whose tenant begins otherwise is refused.\nstrip = \"{prefix}\""
            )
        };
        assert_eq!(said(&uuid, &uuids), proposal(2, "ORG#"));
        assert_eq!(said(&number, &["inv-2024-17", "inv-2024-18"]), proposal(2, "inv-2024-"));
        assert_eq!(
            said(&number, &["T-1#7", "T-2#8"]),
            "# NOT DECIDED: id is its type. All 2 sampled tenants begin with \"T-\", and it does not take the rest of 2 of them"
        );
        for (column, text, prefix) in [(&number, "acme-7", "acme-"), (&uuid, uuids[0], "ORG#")] {
            assert_eq!(
                said(column, &[text]),
                format!(
                    "# NOT DECIDED: id is its type, and the sample has only one tenant. If every tenant begins with \
                     \"{prefix}\": strip = \"{prefix}\""
                )
            );
        }
        assert!(
            said(&flag, &["T-1", "T-200"]).contains("does not take the rest of 1 of them"),
            "it has 8 bits"
        );
    }

    #[test]
    fn record_types_are_few_and_every_key_is_of_one() {
        let found = groups(&["ORDER#1", "USER#2", "ORDER#3#4"]).expect("two");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("ORDER#".to_owned(), 2), ("USER#".to_owned(), 1)]
        );
        assert_eq!(groups(&["ORDER#1", "ORDER#2"]), None);
        assert_eq!(groups(&["ORDER#1", "2"]), None);
        let many: Vec<String> = (0..20).map(|n| format!("{n}#")).collect();
        assert_eq!(groups(&many.iter().map(String::as_str).collect::<Vec<_>>()), None);
    }
}
