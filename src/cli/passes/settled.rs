//! Waits until a backfill is of use: a gate accepts one only if it began after mirrored had settled.

use cutover_proto::v1;
use cutover_store::spec::Spec;

use super::super::{Global, connect::failure, exit::Failure, out, render};

/// Waits until everybody has acknowledged mirrored.
pub(super) async fn wait(global: &Global, spec: &Spec) -> anyhow::Result<()> {
    let global = global.of_spec(spec);
    let request = v1::GetStatusRequest { key: spec.migration.clone() };
    let mut statuses =
        global.admin().await?.watch_status(request).await.map_err(|status| failure(&status))?;
    let statuses = statuses.get_mut();
    let mut said = Vec::new();
    while let Some(status) = statuses.message().await.map_err(|status| failure(&status))? {
        let is_above = |share: &v1::RungShare| {
            matches!(share.rung(), v1::Rung::Mirrored | v1::Rung::TargetFirst | v1::Rung::TargetOnly)
        };
        let migration = status.migration.unwrap_or_default();
        let goal = migration.goal.unwrap_or_default();
        if status.shares.iter().any(is_above) && status.settled {
            return Ok(());
        }
        if goal.mirrored_ppm == 0 && migration.pins == 0 {
            let message = format!(
                "nobody is to be at mirrored: there is nothing to wait for. First cutover ramp {} --mirrored PCT",
                migration.key
            );
            return Err(Failure::refused(message, Vec::new()).into());
        }
        let lines: Vec<String> = status.waiting.iter().map(render::waiting_line).collect();
        if lines != said {
            lines.iter().for_each(|line| out::error(&format!("waiting: {line}")));
        }
        said = lines;
    }
    Err(Failure::unreachable("the controller stopped while mirrored was waited for: run it again").into())
}
