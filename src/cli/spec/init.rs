//! `spec init`: a first draft of a spec, from both tables as they are and a sample of the source.

mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Context as _;
use cutover_store::{
    Described, Referencing, Store, StoreError,
    mapping::{KeyType, Versions},
    spec::{Draft, DraftSide, Missing, OpenError, Sample, Secret, Spec, StoreUrl, TableHas, column_name},
};
use serde_json::json;

use super::super::{
    Global,
    exit::{Failure, Reason},
    out,
};
use crate::jobs::{
    sample::{self, Looked, RECORDS_MAX},
    side::Side,
};

/// Where the passwords are, here and for the draft.
const PASSWORD_ENV: [&str; 2] = ["CUTOVER_SOURCE_PASSWORD", "CUTOVER_TARGET_PASSWORD"];
/// Times that other types are tried for columns whose values do not have the first one.
const ROUNDS: usize = 8;

/// What `spec init` takes.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Init {
    /// The table that has the records: dynamodb://TABLE?region=eu-west-1, or as in a spec with ?table=NAME. Its
    /// password comes from CUTOVER_SOURCE_PASSWORD
    #[arg(long, value_name = "URL")]
    source: String,
    /// Where they go, as in a spec: docs/spec.md. The password comes from CUTOVER_TARGET_PASSWORD
    #[arg(long, value_name = "URL")]
    target: String,
    /// The table there; default: the source's name, in SQL in lower case
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The migration's key; default: the table's name in lower case
    #[arg(long, value_name = "KEY")]
    migration: Option<String>,
}

/// One of the two stores.
struct Place {
    url: StoreUrl,
    table: String,
    keys: Vec<(String, KeyType)>,
    columns: Option<Described>,
    /// The tables that refer to it.
    children: Vec<(Referencing, Described)>,
    removes_by: Option<String>,
}

impl Place {
    fn side(&self, password_env: &'static str) -> DraftSide<'_> {
        let has = match (&self.columns, self.keys.as_slice()) {
            (Some(columns), _) => TableHas::Columns(columns),
            (None, []) => TableHas::Nothing,
            (None, keys) => TableHas::Items(keys),
        };
        let password_env = self.url.has_password().then_some(password_env);
        DraftSide { url: &self.url, table: &self.table, password_env, has }
    }
}

impl Init {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<()> {
        let (source, target) = self.places().await?;
        let default = || column_name(&[source.table.to_ascii_lowercase()]).to_ascii_lowercase();
        let migration = self.migration.clone().unwrap_or_else(default);
        let mut passed = BTreeMap::new();
        let removes_by = [&source.removes_by, &target.removes_by].into_iter().flatten().next();
        let removes_by = removes_by.map(String::as_str);
        let draft = |sample: &Sample, passed: &BTreeMap<String, usize>| {
            let [of_source, of_target] = PASSWORD_ENV;
            let target_children = &target.children;
            let (source, target) = (source.side(of_source), target.side(of_target));
            Draft { migration: &migration, source, target, target_children, sample, removes_by, passed }
                .text()
        };
        let (text, _) = draft(&Sample::default(), &passed);
        let mut spec = read(&text, [&source.url, &target.url])?;
        let mut store = opened(&spec, &source).await?;
        // A column has a type that its values need not have: then another one is tried.
        let mut rounds = 0;
        let (seen, unreadable) = loop {
            let (mut seen, mut unreadable, mut failing) = (Sample::default(), 0_u64, BTreeSet::new());
            let mut fail = |error: StoreError| {
                if let StoreError::Permanent { field, .. } = error {
                    failing.insert(field);
                }
            };
            let take = |found: sample::Found| match found {
                Ok((id, record)) => {
                    record.value.iter().for_each(|value| seen.take(&id, value));
                    spec.source.fit(&id, &record).unwrap_or_else(&mut fail);
                }
                Err(it) => {
                    unreadable += 1;
                    fail(it.error);
                }
            };
            sample::each(Side::Source, &*store, RECORDS_MAX, take).await?;
            rounds += 1;
            if rounds > ROUNDS || !pass(&source, &failing, &mut passed) {
                break (seen, unreadable);
            }
            spec = read(&draft(&seen, &passed).0, [&source.url, &target.url])?;
            store = opened(&spec, &source).await?;
        };
        let (text, undecided) = draft(&seen, &passed);
        // With the draft's own columns, as a dry run of it would.
        let spec = read(&text, [&source.url, &target.url])?;
        let looked = sample::look(&spec, Side::Source, &*store, None, false).await?;
        let mut of_tables = Vec::new();
        if source.columns.is_some() {
            of_tables.extend(tables::of_source(&spec).await?);
        }
        of_tables.extend(tables::of_target(&spec, source.columns.as_ref(), target.columns.is_some()).await?);
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
        of_tables.iter().for_each(|line| out::line(format!("# {line}").trim_end()));
        Ok(())
    }

    /// Both stores, and what their tables have.
    async fn places(&self) -> anyhow::Result<(Place, Place)> {
        let [of_source, of_target] = PASSWORD_ENV;
        let secret = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty()).map(Secret::new);
        let (source, from) = located("--source", &self.source, of_source, secret(of_source))?;
        let (target, to) = located("--target", &self.target, of_target, secret(of_target))?;
        let Some(from) = from else {
            return Err(Failure::usage("--source: name the table: add ?table=NAME").into());
        };
        let keys = source.key_attributes(&from).await.context("the source")?;
        let columns = source.describe(&from).await.context("the source")?;
        if keys.is_empty() && columns.is_none() {
            let what = format!("--source: there is no table {from:?} in {source}");
            return Err(Failure::refused(what, Vec::new()).into());
        }
        let default = match target.dialect() {
            Some(_) => column_name(&[from.to_ascii_lowercase()]),
            None => from.clone(),
        };
        let table = self.table.clone().or(to).unwrap_or(default);
        // A draft can be made without the target.
        let of_target = target.describe(&table).await.unwrap_or_default();
        let mut children = Vec::new();
        for referencing in of_target.iter().flat_map(|columns| &columns.referencing) {
            let child = target.describe(&referencing.table).await.unwrap_or_default();
            children.extend(child.map(|child| (referencing.clone(), child)));
        }
        let there = Place {
            keys: target.key_attributes(&table).await.unwrap_or_default(),
            children,
            columns: of_target,
            removes_by: target.removes_by(&table).await.unwrap_or_default(),
            url: target,
            table,
        };
        let removes_by = source.removes_by(&from).await.context("the source")?;
        let children = Vec::new();
        Ok((Place { url: source, table: from, keys, columns, children, removes_by }, there))
    }
}

/// A place with its password, which is in the environment.
fn located(
    flag: &str,
    url: &str,
    password_env: &str,
    secret: Option<Secret>,
) -> anyhow::Result<(StoreUrl, Option<String>)> {
    let parse = |url: &str| {
        StoreUrl::parse(url).map_err(|mistakes| {
            let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Failure::usage(format!("{flag}: {}", all.join("; ")))
        })
    };
    let (place, table) = parse(url)?;
    if place.has_password() {
        let what = format!(
            "{flag}: everybody on this machine can read a password on the command line (ps). Leave it out, and set \
             {password_env}"
        );
        return Err(Failure::usage(what).into());
    }
    match secret {
        Some(secret) if matches!(place, StoreUrl::Server { .. }) => {
            Ok((parse(place.connect_url(Some(&secret)).expose())?.0, table))
        }
        _ => Ok((place, table)),
    }
}

/// The draft, with the passwords that the urls have.
fn read(text: &str, urls: [&StoreUrl; 2]) -> anyhow::Result<Spec> {
    let mut with_passwords = text.to_owned();
    for (url, name) in urls.into_iter().zip(PASSWORD_ENV).filter(|(url, _)| url.has_password()) {
        let (shown, secret) = (format!("{:?}", url.to_string()), url.connect_url(None));
        let lines = format!("url = {shown}\npassword_env = \"{name}\"\n");
        with_passwords = with_passwords.replacen(&lines, &format!("url = {:?}\n", secret.expose()), 1);
    }
    Spec::read(&with_passwords).map_err(|mistakes| {
        // Names on the command line and of tables are all that nobody has checked.
        let reasons = mistakes.iter().map(|mistake| Reason::mistake(mistake.to_string())).collect();
        Failure::refused("no spec can be drafted with these names", reasons).into()
    })
}

/// Opens the source as it is: a table without versions is read as if all its rows had none.
async fn opened(spec: &Spec, source: &Place) -> anyhow::Result<Arc<dyn Store>> {
    let mut from = spec.source.clone();
    if source.columns.is_some() {
        from.versions = Versions::Absent;
    }
    from.open(Missing::Refuse, |_| None).await.context("the source")
}

/// Tries the next type for each column that does not hold its values. False: there is none.
fn pass(source: &Place, failing: &BTreeSet<String>, passed: &mut BTreeMap<String, usize>) -> bool {
    let Some(described) = &source.columns else { return false };
    let mut changed = false;
    for column in failing.iter().filter_map(|field| described.column(field)) {
        let at = passed.entry(column.name.clone()).or_default();
        if *at + 1 < column.kinds.len() {
            *at += 1;
            changed = true;
        }
    }
    changed
}

fn head(looked: &Looked, undecided: usize) -> Vec<String> {
    let mut lines = vec![match looked.checked {
        1 => "A draft from 1 record of the source.".to_owned(),
        records => format!("A draft from {records} records of the source, spread over its parts."),
    }];
    match looked.misfits {
        0 => lines.push("All of them fit and come back as they are.".to_owned()),
        some => {
            lines.push(format!("{some} of them do not fit:"));
            lines.extend(looked.places.iter().map(|place| out::one_line(&format!("  {place}"))));
        }
    }
    if undecided > 0 {
        let many = if undecided == 1 { "1 thing is".to_owned() } else { format!("{undecided} things are") };
        lines.push(format!("{many} for you to decide: look for NOT DECIDED."));
    }
    lines.push("Review it, then check it against all records:".to_owned());
    lines.push("    cutover backfill FILE --create-tables --dry-run --full".to_owned());
    lines
}

/// An error in one line of a draft.
fn one_line(error: &OpenError) -> String {
    out::one_line(&error.to_string())
}
