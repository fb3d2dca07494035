//! Lists of records that a target has a table for: one with a foreign key to the records' table.

use super::{
    Draft, DraftSide, TableHas,
    columns::column_lines,
    decide::{self, Decision},
    ids::Ids,
    line,
    name::{self, column_name, is_alike, quoted, shown},
    seen::Seen,
};
use crate::{
    Described, DescribedColumn, Referencing,
    mapping::{ColumnType, Dialect},
    spec::{Spec, SpecError},
};

/// How the section of a child table begins.
pub(super) const SECTION: &str = "[[target.children]]";

/// What becomes of a list, or of a table that may have its elements.
pub(super) struct Proposal {
    /// The list.
    pub(super) path: Vec<String>,
    /// The section of the spec, with comments; `Err`: why there is none.
    pub(super) section: Result<String, String>,
}

/// A list of a sample.
struct List<'s> {
    path: Vec<String>,
    count: u64,
    elements: &'s Seen,
}

/// What a table's columns are for.
struct Roles<'d> {
    /// Those of tenant and key.
    ids: [&'d str; 2],
    position: &'d str,
    content: Vec<&'d DescribedColumn>,
}

impl Draft<'_> {
    /// The lists that a table of the target has columns for. A spec with each section has been read: what it refuses, such as
    /// a server without child tables, is the reason why there is none.
    pub(super) fn lists(&self, ids: &Ids, decided: &[Decision], dialect: Dialect) -> Vec<Proposal> {
        let TableHas::Columns(described) = self.target.has else { return Vec::new() };
        let mut lists = Vec::new();
        for (name, seen) in &self.sample.names {
            find(vec![name.clone()], seen, &mut lists);
        }
        // A column of the records' table that has the name of the list, or of an attribute that it is in, takes it.
        let has_column =
            |path: &[String]| described.columns.iter().any(|it| is_alike(&it.name, &column_name(path)));
        let is_in = |list: &List<'_>, path: &[String]| list.path.starts_with(path) && has_column(path);
        lists.retain(|list| !is_in(list, &list.path) && !decided.iter().any(|it| is_in(list, &it.path)));
        let mut found: Vec<Proposal> = Vec::new();
        for (referencing, child) in self.target_children {
            let table = shown(&referencing.table);
            let scores: Vec<usize> = lists.iter().map(|list| score(list, referencing, child)).collect();
            let best = scores.iter().copied().max().filter(|best| *best > 0);
            let of_best = lists.iter().zip(&scores).filter(|(_, score)| Some(**score) == best);
            let fitting: Vec<&List<'_>> = of_best.map(|(list, _)| list).collect();
            for list in &fitting {
                if let Some(other) = found.iter_mut().find(|it| it.path == list.path) {
                    let why = format!("the tables of several foreign keys fit it, {table} as well");
                    other.section = Err(why);
                    continue;
                }
                let section = if fitting.len() > 1 {
                    let paths: Vec<String> = fitting.iter().map(|it| shown(&it.path.join("."))).collect();
                    Err(format!("{} fit {table} alike", paths.join(" and ")))
                } else {
                    let section = self.section(list, referencing, child, ids, dialect);
                    section.and_then(|section| self.target.read(section, ids))
                };
                found.push(Proposal { path: list.path.clone(), section });
            }
        }
        found
    }

    fn section(
        &self,
        list: &List<'_>,
        referencing: &Referencing,
        child: &Described,
        ids: &Ids,
        dialect: Dialect,
    ) -> Result<String, String> {
        let Roles { ids: [tenant, key], position, content } = roles(referencing, child, ids)?;
        let table = shown(&referencing.table);
        let decided = decided(list, dialect);
        let has = |column: &str| decided.iter().find(|it| is_alike(column, &column_name(&it.path)));
        if let Some(attribute) = has(position) {
            return Err(format!(
                "the element's {} is in the primary key of {table}, where Cutover needs its place in the list: 0, 1, 2",
                attribute.path.join(".")
            ));
        }
        if child.column(position).is_some_and(|column| column.fills_itself) {
            return Err(format!(
                "column {} of {table} fills itself, and Cutover needs the element's place in the list there: 0, 1, 2",
                shown(position)
            ));
        }
        let mut free = content;
        let rest = free.iter().position(|column| column.name == "rest" && has("rest").is_none());
        let rest = rest.map(|at| free.remove(at));
        let (mut lines, mut left) = (Vec::new(), Vec::new());
        for it in &decided {
            let name = column_name(&it.path);
            match free.iter().position(|column| is_alike(&column.name, &name)) {
                Some(at) => {
                    let column = free.remove(at);
                    let of_column = column_lines(it, column);
                    lines.extend(of_column.map_err(|_| {
                        let name = shown(&column.name);
                        format!(
                            "no column of a spec can be {name} of {table}, and each write replaces the rows"
                        )
                    })?);
                }
                None => left.push(shown(&it.path.join("."))),
            }
        }
        if let Some(column) = free.first() {
            return Err(format!(
                "no element has an attribute for column {} of {table}, and each write replaces the rows",
                shown(&column.name)
            ));
        }
        let share = decide::percent(100.0 * list.count as f64 / self.sample.documents.max(1) as f64);
        let mut text = String::new();
        let has_rows = if child.has_rows { " The table has rows." } else { "" };
        line(
            &mut text,
            &format!(
                "\n# NOT DECIDED: each write of a record replaces all its rows in {table}, also of a record without this \
                 list.{has_rows} Remove this section if another program writes rows there."
            ),
        );
        line(&mut text, SECTION);
        line(
            &mut text,
            &format!("# in {share} of {}, {} elements", self.sample.documents, list.elements.count),
        );
        line(&mut text, name::from(&list.path, "").trim_end_matches(", "));
        line(&mut text, &format!("table = {}", quoted(&referencing.table)));
        for (own, column) in [("tenant", tenant), ("key", key)] {
            if column != (if own == "tenant" { &ids.tenant.0 } else { &ids.key.0 }) {
                line(&mut text, &format!("{own} = {}", quoted(column)));
            }
        }
        if position != "position" {
            line(&mut text, &format!("position = {}", quoted(position)));
        }
        let attributes = left.join(", ");
        if rest.is_some() {
            line(&mut text, "overflow = \"rest\"");
        }
        if rest.is_some() && !left.is_empty() {
            let kept = format!("# These have no column, so they stay in the column \"rest\": {attributes}");
            line(&mut text, &kept);
        } else if !left.is_empty() {
            line(
                &mut text,
                &format!(
                    "# NOT DECIDED: no column takes {attributes} of an element. A list with that does not fit the table"
                ),
            );
        }
        line(&mut text, "columns = [");
        lines.iter().for_each(|it| line(&mut text, it));
        line(&mut text, "]");
        Ok(text)
    }
}

impl DraftSide<'_> {
    /// The section, if a spec takes it for this store.
    fn read(&self, section: String, ids: &Ids) -> Result<String, String> {
        let mut text = "migration = \"m\"\n[source]\nurl = \"dynamodb://Source\"\n[target]\n".to_owned();
        self.head(&mut text);
        ids.lines(&mut text, false);
        line(&mut text, "overflow = \"cutover_rest\"");
        match Spec::read(&(text + &section)) {
            Ok(_) => Ok(section),
            Err(mistakes) => Err(reason(mistakes)),
        }
    }
}

/// The first mistake, without its place in the text.
pub(super) fn reason(mistakes: Vec<SpecError>) -> String {
    match mistakes.into_iter().next() {
        Some(SpecError::Invalid { what, .. }) => what,
        mistake => mistake.map(|mistake| mistake.to_string()).unwrap_or_default(),
    }
}

/// Lists of maps, in the document or in maps.
fn find<'s>(path: Vec<String>, seen: &'s Seen, lists: &mut Vec<List<'s>>) {
    let is_only = |seen: &Seen, kind: &str| seen.kinds.keys().all(|it| *it == kind || *it == "null (NULL)");
    if path.iter().any(String::is_empty) {
        return;
    }
    if let Some(elements) = seen.elements.as_deref()
        && is_only(seen, "a list (L)")
        && elements.kinds.keys().eq(["a map (M)"].iter())
        && !elements.has_more
    {
        lists.push(List { path, count: seen.count, elements });
    } else if is_only(seen, "a map (M)") {
        for (name, inner) in &seen.inner {
            find(path.iter().cloned().chain([name.clone()]).collect(), inner, lists);
        }
    }
}

/// What becomes of the attributes of the elements.
fn decided(list: &List<'_>, dialect: Dialect) -> Vec<Decision> {
    decide::of_elements(list.elements, dialect)
}

/// How many columns have attributes of the elements, and whether the table is called like the list; 0: none has.
fn score(list: &List<'_>, referencing: &Referencing, child: &Described) -> usize {
    let names: Vec<String> =
        decided(list, Dialect::Sqlite).iter().map(|decision| column_name(&decision.path)).collect();
    let of_ids = |column: &str| referencing.columns.iter().any(|it| it.eq_ignore_ascii_case(column));
    let content = child.columns.iter().filter(|column| !of_ids(&column.name));
    let alike = content.filter(|column| names.iter().any(|name| is_alike(name, &column.name))).count();
    let last = list.path.last().map(|name| column_name(std::slice::from_ref(name)).to_lowercase());
    let is_called = last.is_some_and(|last| referencing.table.to_lowercase().ends_with(&last));
    if alike == 0 { 0 } else { 2 * alike + usize::from(is_called) }
}

/// `Err`: why it can't have the elements of a list.
fn roles<'d>(referencing: &'d Referencing, child: &'d Described, ids: &Ids) -> Result<Roles<'d>, String> {
    let table = shown(&referencing.table);
    let refers = |to: &str| {
        let at = referencing.to.iter().position(|it| it.eq_ignore_ascii_case(to))?;
        referencing.columns.get(at).map(String::as_str)
    };
    let (Some(tenant), Some(key)) = (refers(&ids.tenant.0), refers(&ids.key.0)) else {
        return Err(format!("the foreign key of {table} is not that of tenant and key"));
    };
    let is_id = |name: &str| [tenant, key].iter().any(|id| id.eq_ignore_ascii_case(name));
    let others: Vec<&String> = child.primary.iter().filter(|name| !is_id(name)).collect();
    let is_number = |name: &str| {
        let integer = |kind: &ColumnType| matches!(kind, ColumnType::Bigint | ColumnType::Integer { .. });
        child.column(name).is_some_and(|column| column.kinds.first().is_some_and(integer))
    };
    let has_ids =
        [tenant, key].iter().all(|id| child.primary.iter().any(|name| name.eq_ignore_ascii_case(id)));
    let position = match others.as_slice() {
        [position] if has_ids && is_number(position) => position.as_str(),
        _ => {
            return Err(format!(
                "the primary key of {table} is not tenant, key, and a number for the element's place"
            ));
        }
    };
    let is_content =
        |column: &&DescribedColumn| !is_id(&column.name) && column.name != position && !column.generated;
    Ok(Roles { ids: [tenant, key], position, content: child.columns.iter().filter(is_content).collect() })
}
