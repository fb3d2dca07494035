//! What both tables lack, and the statements that create the target's.

use cutover_store::{
    Described, StoreError,
    mapping::{KeyHolds, create_sql, create_typed_sql},
    spec::{Missing, OpenError, Spec},
};

use super::{super::super::passes, one_line};

/// What the source's table needs before a pass.
pub(super) async fn of_source(spec: &Spec) -> anyhow::Result<Vec<String>> {
    Ok(match spec.source.open(Missing::Refuse, |name| std::env::var(name).ok()).await {
        Ok(_) => vec!["The source's table can be used as it is.".to_owned()],
        Err(OpenError::Store(told @ StoreError::Permanent { .. })) => {
            told_lines("Before the first pass, the source's table needs this:", &told)
        }
        Err(other) => vec![format!("The source could not be opened: {}", one_line(&other))],
    })
}

/// What is known about the target's table: the statements that would create it, or what it lacks. `source`: the types of
/// its keys. `is_there`: the target has the table, whatever else is missing.
pub(super) async fn of_target(
    spec: &Spec,
    source: Option<&Described>,
    is_there: bool,
) -> anyhow::Result<Vec<String>> {
    let error = match spec.target.open(Missing::Refuse, |name| std::env::var(name).ok()).await {
        Ok(_) => return Ok(vec!["The target has this table, and it fits.".to_owned()]),
        Err(error) => error,
    };
    Ok(match &error {
        told if !is_there && passes::is_absent(told) => created(spec, source)?,
        OpenError::Store(told @ StoreError::Permanent { field, .. }) if is_there || field == "table" => {
            told_lines("The target's table can't be used as it is:", told)
        }
        // A draft can be made without the target.
        other => vec![format!("The target could not be asked: {}", one_line(other))],
    })
}

fn told_lines(head: &str, told: &StoreError) -> Vec<String> {
    let mut lines = vec![head.to_owned()];
    lines.extend(told.to_string().lines().map(|line| format!("    {line}")));
    lines
}

fn created(spec: &Spec, source: Option<&Described>) -> anyhow::Result<Vec<String>> {
    let mut lines = vec!["The target has no such table yet. --create-tables runs:".to_owned()];
    let (Some(dialect), Some(table)) = (spec.target.url.dialect(), spec.target.sql_table()) else {
        return Ok(vec!["The target has no such table yet. --create-tables creates it.".to_owned()]);
    };
    let mut add = |created: &str| lines.extend(created.lines().map(|line| format!("    {line}")));
    create_sql(dialect, &table)?.iter().for_each(|sql| add(sql));
    let holds = |name: &str| source.and_then(|source| source.column(name)?.key);
    let fields = &spec.source.fields;
    let kinds = [holds(&fields.tenant), holds(&fields.key)].map(|holds| holds.unwrap_or(KeyHolds::Texts));
    if let Some(sql) = create_typed_sql(dialect, &table, kinds)? {
        lines.push("Its keys are texts. For keys like the source's run this yourself instead:".to_owned());
        lines.extend(sql.lines().map(|line| format!("    {line}")));
    }
    Ok(lines)
}
