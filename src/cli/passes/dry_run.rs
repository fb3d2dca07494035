//! What a pass would do, and whether the records would come through: said before anything moves.

use std::process::ExitCode;

use cutover_proto::v1;
use cutover_store::spec::Spec;
use serde_json::json;

use super::super::{Global, out};
use crate::jobs::{Plan, Stores, page::Side, sample};

/// `verb`: what it would do to records. Fails if records that were looked at do not fit.
pub(super) async fn say(
    global: &Global,
    verb: &str,
    spec: &Spec,
    stores: &Stores,
    plan: &Plan,
) -> anyhow::Result<ExitCode> {
    let (source, target) = (stores.source.estimate().await?, stores.target.estimate().await?);
    let (side, scanned) = match plan.kind {
        v1::PassKind::Reverse => (Side::Target, &stores.target),
        _ => (Side::Source, &stores.source),
    };
    let tables = stores.tables().await?;
    let looked = sample::look(spec, side, &**scanned).await?;
    if global.json {
        out::json(&json!({
            "migration": spec.migration,
            "source": tables[0],
            "target": tables[1],
            "source_records": source.records,
            "target_records": target.records,
            "segments": plan.segments,
            "fingerprint": plan.fingerprint,
            "checked": looked.checked,
            "misfits": looked.misfits,
            "reasons": looked.places.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    } else {
        let (of_scanned, other, of_other) = match side {
            Side::Source => (source.records, Side::Target, target.records),
            Side::Target => (target.records, Side::Source, source.records),
        };
        for (side, table) in ["source", "target"].into_iter().zip(&tables) {
            out::line(&format!("{side}: {}", table.as_deref().unwrap_or("it can't tell which table it is")));
        }
        let about = |records: Option<u64>| records.map_or("?".to_owned(), |records| records.to_string());
        out::line(&format!(
            "would {verb} about {} records in {}; the {} has about {}; nothing was copied",
            about(of_scanned),
            if plan.segments == 1 { "1 segment".to_owned() } else { format!("{} segments", plan.segments) },
            other.name(),
            about(of_other),
        ));
        let (checked, misfits) = (looked.checked, looked.misfits);
        let verdict = match misfits {
            0 => "all fit and come back as they are".to_owned(),
            some => format!("{some} do not fit:"),
        };
        out::line(&format!("checked {checked} records of the {}: {verdict}", side.name()));
        looked.places.iter().for_each(|place| out::line(&format!("  {place}")));
        let told: u64 = looked.places.iter().map(|place| place.records).sum();
        if misfits > told {
            out::line(&format!("  and {} elsewhere", misfits - told));
        }
    }
    Ok(if looked.misfits == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
