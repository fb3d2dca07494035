//! The columns of both sides.

use super::{
    Draft, decide,
    decide::Decision,
    foreign_keys,
    ids::Ids,
    line,
    name::{Names, column_name, from, is_alike, quoted, shown},
};
use crate::{
    Described, DescribedColumn,
    mapping::{ColumnType, Dialect, Fields, check_name},
};

/// MySQL's rows have at most 65,535 bytes without texts and blobs; keys and other columns need some of them.
const ROW_BYTES_MAX: usize = 40_000;

impl Draft<'_> {
    /// What becomes of each attribute of the source's records.
    pub(super) fn decided(&self, ids: &Ids, dialect: Dialect) -> Vec<Decision> {
        let fields = Fields::default();
        let leave_out = [&ids.tenant.0, &ids.key.0, &fields.version, &fields.deleted].map(String::as_str);
        let super::TableHas::Columns(described) = self.source.has else {
            return decide::all(self.sample, &leave_out, dialect);
        };
        let columns = described.columns.iter().filter(|it| self.can_be_mapped(it, ids).is_ok());
        columns
            .filter_map(|column| {
                let kind = self.kind_of_source(column)?;
                Some(decide::of_column(self.sample, column, kind, dialect))
            })
            .collect()
    }

    /// The columns of a SQL source.
    pub(super) fn source_columns(&self, text: &mut String, described: &Described, ids: &Ids) {
        line(text, "columns = [");
        for column in described.columns.iter().filter(|column| !is_own(column, ids)) {
            let null = if column.nullable { "" } else { " NOT NULL" };
            let coverage = decide::coverage(self.sample, &column.name);
            let comment = format!("    # {}{null}{coverage}", shown(&column.shown));
            match (self.can_be_mapped(column, ids), self.kind_of_source(column)) {
                (Ok(()), Some(kind)) => {
                    let zone = match kind {
                        ColumnType::Datetime(_) => {
                            "; local times count as UTC, else give zone = \"Europe/Berlin\""
                        }
                        _ => "",
                    };
                    line(text, &format!("{comment}{zone}"));
                    line(text, &format!("    {},", column_line(&column.name, "", kind, &column.labels)));
                }
                (Err(why), _) => line(
                    text,
                    &format!(
                        "{comment}\n    # NOT DECIDED: {} {why}, so it is NOT copied",
                        shown(&column.name)
                    ),
                ),
                (Ok(()), None) => {
                    let name = &column.name;
                    line(
                        text,
                        &format!(
                            "{comment}\n    # NOT DECIDED: no type of a spec holds {name}, so it is NOT copied"
                        ),
                    );
                }
            }
        }
        line(text, "]");
    }

    fn can_be_mapped(&self, column: &DescribedColumn, ids: &Ids) -> Result<(), &'static str> {
        match () {
            () if is_own(column, ids) => Err("is Cutover's"),
            () if check_name(&column.name).is_err() => Err("is no name that a spec takes: rename the column"),
            () if column.generated => Err("is generated and takes no value"),
            () => Ok(()),
        }
    }

    fn kind_of_source(&self, column: &DescribedColumn) -> Option<ColumnType> {
        let passed = self.passed.get(&column.name).copied().unwrap_or_default();
        column.kinds.get(passed.min(column.kinds.len().saturating_sub(1))).copied()
    }

    /// The columns of a table that is to be created.
    pub(super) fn new_columns(
        &self,
        text: &mut String,
        decided: &[Decision],
        names: &mut Names,
        dialect: Dialect,
    ) {
        let mut bytes = 0;
        let has_rest = decided.iter().any(|it| it.kind.is_none())
            || !matches!(self.source.has, super::TableHas::Columns(_));
        if has_rest {
            line(text, "overflow = \"rest\"");
        }
        line(text, "columns = [");
        for it in decided {
            let Some(kind) = it.kind else { continue };
            let name = names.take(&column_name(&it.path));
            let length = if let ColumnType::Varchar(most) = kind { Some(most as usize) } else { None };
            bytes += length.map_or(16, |length| 4 * length);
            let is_full = dialect == Dialect::MySql && length.is_some() && bytes > ROW_BYTES_MAX;
            let kind = if is_full { ColumnType::Text } else { kind };
            line(text, &format!("    # {}", shown(&it.comment)));
            line(text, &format!("    {},", column_line(&name, &from(&it.path, &name), kind, &it.labels)));
        }
        line(text, "]");
        self.left(text, decided.iter().filter(|it| it.kind.is_none()));
        if !has_rest {
            line(
                text,
                "# An attribute without a column does not fit. With overflow = \"rest\" such attributes are kept.",
            );
        }
    }

    /// Attributes without a column.
    fn left<'d>(&self, text: &mut String, left: impl Iterator<Item = &'d Decision>) {
        let left: Vec<&Decision> = left.collect();
        if !left.is_empty() || self.sample.has_more {
            line(text, "# These have no column, so they stay in the column \"rest\":");
        }
        for it in left {
            line(text, &format!("#   {}: {}", shown(&it.path.join(".")), shown(&it.comment)));
        }
        if self.sample.has_more {
            line(text, "#   and more: the records have too many names for columns");
        }
    }

    /// The columns of a table that is there, by name.
    pub(super) fn matched(&self, text: &mut String, described: &Described, ids: &Ids, decided: &[Decision]) {
        let mut free: Vec<&DescribedColumn> =
            described.columns.iter().filter(|column| !is_own(column, ids)).collect();
        let rest = free.iter().position(|column| column.name == "rest").map(|at| free.remove(at));
        let (mut lines, mut left) = (Vec::new(), Vec::new());
        for it in decided {
            let name = column_name(&it.path);
            let at = (free.iter().position(|column| column.name.eq_ignore_ascii_case(&name)))
                .or_else(|| free.iter().position(|column| is_alike(&column.name, &name)));
            let Some(column) = at.map(|at| free.remove(at)) else {
                left.push(it);
                continue;
            };
            match column_lines(it, column) {
                Ok(of_column) => lines.extend(of_column),
                Err(why) => {
                    lines.push(why);
                    left.push(it);
                }
            }
        }
        // A spec needs a column, also before anything was sampled.
        let has_rest = !left.is_empty() || rest.is_some() || self.sample.has_more || lines.is_empty();
        if has_rest && rest.is_none() {
            line(
                text,
                "# NOT DECIDED: the table has no column for the attributes below: add it, or map them.",
            );
        }
        if has_rest {
            line(text, "overflow = \"rest\"");
        }
        line(text, "columns = [");
        lines.iter().for_each(|it| line(text, it));
        line(text, "]");
        self.left(text, left.into_iter());
        for column in free {
            let fills = match (column.nullable || column.fills_itself, column.generated) {
                (_, true) => "is generated",
                (true, _) => "has no attribute of this name; it stays as it is",
                (false, _) => "NOT DECIDED: it is NOT NULL, and no attribute has this name",
            };
            line(text, &format!("# Column {} ({}): {fills}", shown(&column.name), shown(&column.shown)));
        }
        foreign_keys(text, described);
    }
}

/// What a column that is there takes, with comments; or a comment that says why it takes nothing.
pub(super) fn column_lines(it: &Decision, column: &DescribedColumn) -> Result<Vec<String>, String> {
    let seen = format!("    # {}; the column is {}", shown(&it.comment), shown(&column.shown));
    let (kind, more) = match it.in_column(column) {
        Ok(found) => found,
        Err(why) => return Err(format!("{seen}\n    # NOT DECIDED: {} {why}", shown(&column.name))),
    };
    let labels = if kind == ColumnType::Enum { &column.labels } else { &it.labels };
    let labels = if it.labels.is_empty() { labels } else { &it.labels };
    let line = column_line(&column.name, &from(&it.path, &column.name), kind, labels);
    let line = match it.epoch.filter(|_| kind.is_time()) {
        Some(format) => line.replace(" }", &format!(", format = \"{format}\" }}")),
        None => line,
    };
    Ok([Some(seen), more.map(|more| format!("    # {more}")), Some(format!("    {line},"))]
        .into_iter()
        .flatten()
        .collect())
}

/// Tenant, key, and the columns that Cutover keeps versions in.
fn is_own(column: &DescribedColumn, ids: &Ids) -> bool {
    let Fields { version, deleted, .. } = Fields::default();
    ids.has(&column.name) || [version, deleted].iter().any(|name| name.eq_ignore_ascii_case(&column.name))
}

fn column_line(name: &str, from: &str, kind: ColumnType, labels: &[String]) -> String {
    let labels = match kind {
        ColumnType::Enum => {
            let labels: Vec<String> = labels.iter().map(|label| quoted(label)).collect();
            format!(", labels = [{}]", labels.join(", "))
        }
        _ => String::new(),
    };
    format!("{{ name = {}, {from}type = \"{kind}\"{labels} }}", quoted(name))
}
