//! `spec init`: a first draft of a spec, from a sample of a DynamoDB table.

use anyhow::Context as _;
use cutover_store::{
    StoreError,
    mapping::create_sql,
    spec::{Draft, Missing, OpenError, Sample, Spec, StoreUrl, column_name},
};
use serde_json::json;

use super::super::{
    Global,
    exit::{Failure, Reason},
    out, passes,
};
use crate::jobs::{
    sample::{self, Looked, RECORDS_MAX},
    side::Side,
};

/// Where the draft expects the target's password, if its url has one.
const PASSWORD_ENV: &str = "CUTOVER_TARGET_PASSWORD";

/// What `spec init` takes.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Init {
    /// The DynamoDB table that has the records: dynamodb://TABLE?region=eu-west-1
    #[arg(long, value_name = "URL")]
    source: String,
    /// Where they go, as in a spec: docs/spec.md. A password in it is not printed
    #[arg(long, value_name = "URL")]
    target: String,
    /// The table there; default: the source's name in lower case
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The migration's key; default: the table's name in lower case
    #[arg(long, value_name = "KEY")]
    migration: Option<String>,
}

impl Init {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<()> {
        let (source, from) = located("--source", &self.source)?;
        let (target, named) = located("--target", &self.target)?;
        let (StoreUrl::DynamoDb { .. }, Some(from)) = (&source, from) else {
            let why = "--source: a draft is made from a DynamoDB table only. For a SQL table write the spec by hand: \
                       docs/spec.md";
            return Err(Failure::usage(why).into());
        };
        let default = column_name(&[from.to_ascii_lowercase()]);
        let table = self.table.or(named).unwrap_or(default);
        let migration = self.migration.unwrap_or_else(|| table.to_ascii_lowercase());
        let keys = source.key_attributes(&from).await.context("the source")?;
        let draft = |sample: &Sample| {
            let draft = Draft {
                migration: &migration,
                source: &self.source,
                keys: &keys,
                target: &target,
                table: &table,
                password_env: target.has_password().then_some(PASSWORD_ENV),
                sample,
            };
            draft.text()
        };
        // The key is enough to read records.
        let spec = read(&draft(&Sample::default()).0, &target)?;
        let lookup = |name: &str| std::env::var(name).ok();
        let store = spec.source.open(Missing::Refuse, lookup).await.context("the source")?;
        let (mut seen, mut unreadable) = (Sample::default(), 0_u64);
        let take = |found: sample::Found| match found {
            Ok((_, record)) => record.value.iter().for_each(|value| seen.take(value)),
            Err(_) => unreadable += 1,
        };
        sample::each(Side::Source, &*store, RECORDS_MAX, take).await?;
        let (text, undecided) = draft(&seen);
        let spec = read(&text, &target)?;
        // With the draft's own columns, as a dry run of it would.
        let looked = sample::look(&spec, Side::Source, &*store, None, false).await?;
        let of_target = of_target(&spec).await?;
        if global.json {
            out::json(&json!({
                "spec": text, "sampled": looked.checked, "undecided": undecided, "misfits": looked.misfits,
                "unreadable": unreadable,
            }));
            return Ok(());
        }
        head(&looked, undecided).iter().for_each(|line| out::line(&format!("# {line}")));
        out::line("");
        out::line(text.trim_end());
        out::line("");
        of_target.iter().for_each(|line| out::line(format!("# {line}").trim_end()));
        Ok(())
    }
}

fn located(flag: &str, url: &str) -> anyhow::Result<(StoreUrl, Option<String>)> {
    StoreUrl::parse(url).map_err(|mistakes| {
        let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::usage(format!("{flag}: {}", all.join("; "))).into()
    })
}

/// The draft, with the target's password if its url has one.
fn read(text: &str, target: &StoreUrl) -> anyhow::Result<Spec> {
    let with_password = text.replacen(&format!("password_env = \"{PASSWORD_ENV}\"\n"), "", 1).replacen(
        &target.to_string(),
        target.connect_url(None).expose(),
        usize::from(target.has_password()),
    );
    Spec::read(&with_password).map_err(|mistakes| {
        // Names on the command line are all that nobody has checked.
        let reasons = mistakes.iter().map(|mistake| Reason::mistake(mistake.to_string())).collect();
        Failure::refused("no spec can be drafted with these names", reasons).into()
    })
}

fn head(looked: &Looked, undecided: usize) -> Vec<String> {
    let mut lines =
        vec![format!("A draft from {} records of the source, spread over its parts.", looked.checked)];
    match looked.misfits {
        0 => lines.push("All of them fit and come back as they are.".to_owned()),
        some => {
            lines.push(format!("{some} of them do not fit:"));
            lines.extend(looked.places.iter().map(|place| out::one_line(&format!("  {place}"))));
        }
    }
    if undecided > 0 {
        lines.push(format!("{undecided} attributes are for you to decide: look for NOT DECIDED."));
    }
    lines.push("Review it, then check it against all records:".to_owned());
    lines.push("    cutover backfill FILE --create-tables --dry-run --full".to_owned());
    lines
}

/// What is known about the target's table: the statements that would create it, or what it lacks.
async fn of_target(spec: &Spec) -> anyhow::Result<Vec<String>> {
    let lookup = |name: &str| std::env::var(name).ok();
    let error = match spec.target.open(Missing::Refuse, lookup).await {
        Ok(_) => return Ok(vec!["The target has this table, and it fits.".to_owned()]),
        Err(error) => error,
    };
    let created = match (spec.target.url.dialect(), spec.target.sql_table()) {
        (Some(dialect), Some(table)) => create_sql(dialect, &table)?,
        _ => Vec::new(),
    };
    Ok(match &error {
        told if passes::is_absent(told) => {
            let mut lines = vec!["The target has no such table yet. --create-tables runs:".to_owned()];
            lines.extend(created.iter().flat_map(|sql| sql.lines()).map(|line| format!("    {line}")));
            lines
        }
        OpenError::Store(told @ StoreError::Permanent { field, .. }) if field == "table" => {
            let mut lines = vec!["The target's table can't be used as it is:".to_owned()];
            lines.extend(told.to_string().lines().map(|line| format!("    {line}")));
            lines
        }
        // A draft can be made without the target.
        other => vec![format!("The target could not be asked: {}", out::one_line(&other.to_string()))],
    })
}
