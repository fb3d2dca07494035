//! Which column an attribute gets, from what a sample has of it.

use super::seen::{Sample, Seen};
use crate::{
    DescribedColumn,
    mapping::{ColumnType, Dialect, check_name},
};

/// An attribute that is in fewer records stays in the overflow.
const RARE_PERCENT: f64 = 1.0;
/// A text that is longer gets no limit.
const VARCHAR_MAX: usize = 1_000;

/// What becomes of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) path: Vec<String>,
    /// The column's type; `None`: it stays in the overflow.
    pub(super) kind: Option<ColumnType>,
    /// The labels of an enum.
    pub(super) labels: Vec<String>,
    /// The format if its numbers could be points in time.
    pub(super) epoch: Option<&'static str>,
    /// What was seen, and why there is no column or what to look at.
    pub(super) comment: String,
}

/// Of all attributes, those with columns first, then by how many records have them.
pub(super) fn all(sample: &Sample, leave_out: &[&str], dialect: Dialect) -> Vec<Decision> {
    let mut decided = Vec::new();
    for (name, seen) in sample.names.iter().filter(|(name, _)| !leave_out.contains(&name.as_str())) {
        decide(vec![name.clone()], seen, sample.documents, dialect, &mut decided);
    }
    decided.sort_by_key(|(count, decision)| (decision.kind.is_none(), std::cmp::Reverse(*count)));
    decided.into_iter().map(|(_, decision)| decision).collect()
}

/// Of the attributes of a list's elements.
pub(super) fn of_elements(elements: &Seen, dialect: Dialect) -> Vec<Decision> {
    let mut decided = Vec::new();
    for (name, seen) in &elements.inner {
        decide(vec![name.clone()], seen, elements.count, dialect, &mut decided);
    }
    decided.into_iter().map(|(_, decision)| decision).collect()
}

fn decide(path: Vec<String>, seen: &Seen, of: u64, dialect: Dialect, decided: &mut Vec<(u64, Decision)>) {
    if path.iter().any(String::is_empty) {
        let comment = "its name is empty".to_owned();
        let decision = Decision { path, kind: None, labels: Vec::new(), epoch: None, comment };
        return decided.push((seen.count, decision));
    }
    let null = seen.kinds.get("null (NULL)").copied().unwrap_or_default();
    let mut kinds: Vec<(&str, u64)> = seen.kinds.iter().map(|(kind, count)| (*kind, *count)).collect();
    kinds.retain(|(kind, _)| *kind != "null (NULL)");
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let share = 100.0 * seen.count as f64 / of.max(1) as f64;
    let mut comment = format!("in {} of {of}", percent(share));
    if null > 0 {
        comment += &format!(", null in {null}");
    }
    let mut add = |kind: Option<String>, more: String| {
        let comment = if more.is_empty() { comment.clone() } else { format!("{comment}; {more}") };
        let kind = kind.and_then(|kind| kind.parse().ok());
        let epoch = seen.number.epoch(seen.count - null);
        decided.push((seen.count, Decision { path: path.clone(), kind, labels: Vec::new(), epoch, comment }));
    };
    let [(kind, count), others @ ..] = kinds.as_slice() else {
        return add(None, "always null".to_owned());
    };
    if !others.is_empty() {
        let shown: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} in {count}")).collect();
        return add(None, format!("NOT DECIDED: it has several types: {}", shown.join(", ")));
    }
    if share < RARE_PERCENT {
        return add(None, format!("rare; {kind}"));
    }
    match *kind {
        "a map (M)" if !seen.has_more && !seen.inner.is_empty() => {
            for (name, inner) in &seen.inner {
                let inside = path.iter().cloned().chain([name.clone()]).collect();
                decide(inside, inner, of, dialect, decided);
            }
        }
        "a map (M)" if seen.has_more => add(Some("json".to_owned()), "a map with many names".to_owned()),
        "text (S)" => {
            let (kind, more) = text(seen, *count, dialect);
            add(kind, more);
        }
        "a number (N)" => {
            let (kind, more) = number(seen, *count);
            add(kind, more);
        }
        "a boolean (BOOL)" => add(Some("boolean".to_owned()), String::new()),
        "bytes (B)" => match seen.bytes_max {
            most @ 0..=1_000 => {
                add(Some(format!("varbinary({})", roomy(most))), format!("at most {most} bytes"))
            }
            most => add(Some("blob".to_owned()), format!("at most {most} bytes")),
        },
        kind => add(Some("json".to_owned()), kind.to_owned()),
    }
}

/// What becomes of a column of a SQL source, whose type is this.
pub(super) fn of_column(
    sample: &Sample,
    column: &DescribedColumn,
    kind: ColumnType,
    dialect: Dialect,
) -> Decision {
    let seen = sample.names.get(&column.name);
    let kind = match (kind, dialect) {
        (ColumnType::Array(_), Dialect::Sqlite | Dialect::MySql) => ColumnType::Jsonb,
        // MySQL's TIMESTAMP ends in 2038.
        (ColumnType::Timestamptz(digits), Dialect::MySql) => ColumnType::Datetime(digits),
        // It has no size, so the sample has to give one.
        (ColumnType::Decimal { digits: 65, .. }, _) => seen
            .and_then(|seen| number(seen, seen.number.count).0?.parse().ok())
            .unwrap_or(ColumnType::Decimal { digits: 30, scale: 10 }),
        (kind, _) => kind,
    };
    let mut comment = format!("{}{}", column.shown, coverage(sample, &column.name));
    if dialect == Dialect::Postgres && seen.is_some_and(|seen| seen.text.has_nul) {
        comment += "; NOT DECIDED: some have a NUL, which PostgreSQL can't store as text";
    }
    Decision {
        path: vec![column.name.clone()],
        kind: Some(kind),
        labels: column.labels.clone(),
        epoch: None,
        comment,
    }
}

/// In how many records an attribute of the top is.
pub(super) fn coverage(sample: &Sample, name: &str) -> String {
    let count = sample.names.get(name).map_or(0, |seen| seen.count);
    match sample.documents {
        0 => String::new(),
        of if count == 0 => format!("; in none of {of}"),
        of => format!("; in {} of {of}", percent(100.0 * count as f64 / of as f64)),
    }
}

impl Decision {
    /// The type that its column gets in a table that is there, and what to look at; or why it gets none.
    pub(super) fn in_column(&self, column: &DescribedColumn) -> Result<(ColumnType, Option<String>), String> {
        if check_name(&column.name).is_err() {
            return Err("is no name that a spec takes: rename the column".to_owned());
        }
        if column.generated {
            return Err("is generated and takes no value".to_owned());
        }
        let Some(own) = column.kinds.first().copied() else {
            return Err(format!("is {}, which no type of a spec holds", column.shown));
        };
        let Some(wanted) = self.kind else { return Ok((own, None)) };
        let fits = column.holds(wanted, &self.labels);
        // The number of digits after the second is part of how a document writes a time.
        let is_wanted = fits && (wanted.is_time() || takes(wanted) != takes(own));
        let is_epoch = self.epoch.is_some() && own.is_time();
        let is_text = wanted.is_time() && takes(own) == "S";
        let warn = !fits && !is_epoch && !is_text;
        let why =
            format!("NOT DECIDED: the records have {wanted}, of which this column may not hold everything");
        Ok((if is_wanted { wanted } else { own }, warn.then_some(why)))
    }
}

/// The type of the attributes that a column takes.
const fn takes(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "BOOL",
        ColumnType::Blob | ColumnType::Varbinary(_) => "B",
        ColumnType::Json | ColumnType::Jsonb | ColumnType::Array(_) => "any",
        ColumnType::Bigint
        | ColumnType::Integer { .. }
        | ColumnType::Decimal { .. }
        | ColumnType::Real
        | ColumnType::Double
        | ColumnType::Bit(_) => "N",
        kind if kind.is_time() => "time",
        _ => "S",
    }
}

fn text(seen: &Seen, count: u64, dialect: Dialect) -> (Option<String>, String) {
    let texts = &seen.text;
    if texts.has_nul && dialect == Dialect::Postgres {
        return (None, "NOT DECIDED: some have a NUL, which PostgreSQL can't store as text".to_owned());
    }
    if texts.uuids == count {
        return (Some("uuid".to_owned()), String::new());
    }
    if texts.days == count {
        return (Some("date".to_owned()), String::new());
    }
    match texts.moments.iter().next().map(|(digits, found)| (*digits, *found)) {
        Some((digits @ 0..=6, found)) if found == count => {
            return (Some(format!("datetime({digits})")), "points in time in UTC".to_owned());
        }
        Some(_) => {
            let moments: u64 = texts.moments.values().sum();
            let more = format!(
                "at most {} characters. NOT DECIDED: {moments} of {count} are points in time, not all written alike",
                texts.chars_max
            );
            return (Some(of_length(texts.chars_max)), more);
        }
        None => {}
    }
    let some = [(texts.uuids, "UUIDs"), (texts.days, "days")].into_iter().find(|(found, _)| *found > 0);
    let mut more = format!("at most {} characters", texts.chars_max);
    if let Some((found, what)) = some {
        more += &format!(". NOT DECIDED: {found} of {count} are {what}");
    }
    (Some(of_length(texts.chars_max)), more)
}

fn of_length(chars: usize) -> String {
    if chars > VARCHAR_MAX { "text".to_owned() } else { format!("varchar({})", roomy(chars)) }
}

/// Room for values that the sample lacks.
fn roomy(most: usize) -> usize {
    let sizes = [16, 32, 64, 128, 255, 500, 1_000, 2_000];
    sizes.into_iter().find(|size| *size >= most + most / 2).unwrap_or(2_000)
}

fn number(seen: &Seen, count: u64) -> (Option<String>, String) {
    let numbers = &seen.number;
    if numbers.longs == count {
        let more = numbers.epoch(count).map_or_else(String::new, |format| {
            format!("if these are points in time: type = \"datetime(3)\", format = \"{format}\"")
        });
        return (Some("bigint".to_owned()), more);
    }
    let (whole, fraction) = (numbers.whole_max, numbers.fraction_max);
    let more = format!("at most {whole} digits before the point and {fraction} after it");
    match (whole + 4, fraction) {
        (whole, fraction @ 0..=30) if whole + fraction <= 65 => {
            (Some(format!("decimal({},{fraction})", whole + fraction)), more)
        }
        _ => (None, format!("NOT DECIDED: {more}, which no decimal column takes")),
    }
}

pub(super) fn percent(share: f64) -> String {
    match share {
        100.0.. => "100 %".to_owned(),
        // Not all is not 100.
        99.9.. => "99.9 %".to_owned(),
        share if share < 0.1 => "under 0.1 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}
