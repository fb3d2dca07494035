//! Pins from a file of lines TENANT,STAGE: CSV as spreadsheets and databases write it.

use std::{collections::HashMap, io::Read as _, process::ExitCode};

use anyhow::Context as _;
use cutover_core::routing::{Rung, check_tenant};
use cutover_proto::v1;
use serde_json::json;
use tonic::{Code, Status};

use super::{
    ChangeArgs, Global,
    connect::{failure, reasons},
    exit::{Failure, Reason},
    out,
};

/// Most mistakes that are listed.
const MISTAKES_MAX: usize = 20;
/// Pins of one message.
const BATCH: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct ImportPins {
    /// The migration
    key: String,
    /// A CSV file with the columns tenant and stage, with or without a header; - is standard input
    file: String,
    /// Accept stages that must be waited for
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl ImportPins {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self { key, file, wait, change } = self;
        let pins = read(&file)?;
        if pins.is_empty() {
            return Err(
                Failure::refused(format!("{file} has no pins: nothing was imported"), Vec::new()).into()
            );
        }
        let mut admin = global.admin().await?;
        let head = v1::ImportPinsHead { mutation: Some(change.to_wire()), key, wait };
        let first = v1::ImportPinsRequest { head: Some(head), pins: Vec::new() };
        let rest: Vec<_> = pins
            .chunks(BATCH)
            .map(|pins| v1::ImportPinsRequest { head: None, pins: pins.to_vec() })
            .collect();
        let messages = tokio_stream::iter(std::iter::once(first).chain(rest));
        let done = admin.import_pins(messages).await.map_err(|status| half_way(&status))?.into_inner();
        let (v1::ImportPinsResponse { imported, revision }, dry_run) = (done, change.dry_run);
        if global.json {
            out::json(&json!({ "imported": imported, "revision": revision, "dry_run": dry_run }));
        } else if dry_run {
            out::line(&format!("would import {imported} pins"));
        } else {
            out::line(&format!("imported {imported} pins, revision {revision}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// All of them. Nothing is sent of a file with a mistake.
fn read(file: &str) -> anyhow::Result<Vec<v1::Pin>> {
    let mut bytes = Vec::new();
    match file {
        "-" => _ = std::io::stdin().read_to_end(&mut bytes).context("can't read standard input")?,
        path => {
            _ = std::fs::File::open(path)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map_err(|error| Failure::unreadable(path, &error, ". Nothing was imported"))?
        }
    }
    parse(&bytes).map_err(|mut mistakes| {
        let message = format!("nothing was imported: {file} has {}", counted(mistakes.len()));
        let left = mistakes.len().saturating_sub(MISTAKES_MAX);
        mistakes.truncate(MISTAKES_MAX);
        mistakes.extend((left > 0).then(|| format!("and {left} more")));
        Failure::refused(message, mistakes.into_iter().map(Reason::mistake).collect()).into()
    })
}

fn counted(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

/// The pins of a CSV file, or every mistake with its line.
pub fn parse(bytes: &[u8]) -> Result<Vec<v1::Pin>, Vec<String>> {
    // Excel writes a byte order mark; it is part of no tenant.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let (mut pins, mut mistakes) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut is_first = true;
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                mistakes.push(error.to_string());
                break;
            }
        }
        let (line, text) = record.position().map_or((0, bytes), |at| place(bytes, at));
        let is_blank = record.len() == 1 && record.iter().all(|field| field.trim_ascii().is_empty());
        if is_blank || (std::mem::take(&mut is_first) && is_header(&record)) {
            continue;
        }
        match pin(&record, text) {
            Ok((tenant, rung)) => match lines.insert(tenant.clone(), line) {
                Some(before) => {
                    mistakes.push(format!("line {line}: tenant {tenant:?} is on line {before} already"));
                }
                None => {
                    pins.push(v1::Pin { tenant, rung: v1::Rung::from(rung).into(), ..v1::Pin::default() });
                }
            },
            Err(why) => mistakes.push(format!("line {line}: {why}")),
        }
    }
    if mistakes.is_empty() { Ok(pins) } else { Err(mistakes) }
}

/// The line of a record, and the file from there on. The reader has a record begin at the blank lines before it.
fn place<'a>(bytes: &'a [u8], at: &csv::Position) -> (u64, &'a [u8]) {
    let rest = usize::try_from(at.byte()).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let text = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
    let (blank, text) = rest.split_at(text);
    (at.line() + blank.iter().filter(|byte| **byte == b'\n').count() as u64, text)
}

/// The names of the columns, and no pin: `stage` is no stage.
fn is_header(record: &csv::ByteRecord) -> bool {
    let is = |at: usize, names: &[&str]| {
        let named = record.get(at).map(<[u8]>::trim_ascii);
        named.is_some_and(|name| names.iter().any(|is| name.eq_ignore_ascii_case(is.as_bytes())))
    };
    record.len() == 2 && is(1, &["stage", "rung"])
}

/// `text`: the file from this record on.
fn pin(record: &csv::ByteRecord, text: &[u8]) -> Result<(String, Rung), String> {
    let fields: Vec<&str> = record
        .iter()
        .map(std::str::from_utf8)
        .collect::<Result<_, _>>()
        .map_err(|_| "is not UTF-8: save the file as UTF-8".to_owned())?;
    let [tenant, stage] = fields[..] else {
        let quotes = match fields[..] {
            [_, _, _, ..] => "; quote a tenant that has a comma",
            [one] if one.contains(['\n', '\r']) || one.contains(',') => "; a quote is not closed",
            _ => "",
        };
        return Err(format!("{:?} is not TENANT,STAGE{quotes}", fields.join(",")));
    };
    // A quote that is not where CSV has one is a part of the text, and nobody's tenant.
    let is_quoted = || text.starts_with(format!("\"{}\",", tenant.replace('"', "\"\"")).as_bytes());
    if tenant.contains('"') && !is_quoted() {
        return Err(format!("tenant {tenant:?} has a stray quote: write it as \"..\" with each \" doubled"));
    }
    if tenant.trim() != tenant {
        return Err(format!("tenant {tenant:?} has a blank before or behind it: remove that"));
    }
    check_tenant(tenant).map_err(|why| why.to_string())?;
    let rung = stage.trim().parse::<Rung>().map_err(|why| why.to_string())?;
    Ok((tenant.to_owned(), rung))
}

/// An import that was refused by the controller says itself what is in.
fn half_way(status: &Status) -> anyhow::Error {
    let first = status.message().lines().next().unwrap_or_default();
    match (status.code(), reasons(status)) {
        (Code::FailedPrecondition, reasons) if !reasons.is_empty() => {
            // "N pins are imported, then: <the first reason>"
            let done = first.split(", then: ").next().unwrap_or_default();
            Failure::refused(format!("{done}; the next batch was refused"), reasons).into()
        }
        (Code::InvalidArgument, _) => Failure::refused(first, Vec::new()).into(),
        _ => failure(status),
    }
}
