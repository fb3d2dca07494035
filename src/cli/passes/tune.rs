//! Pauses a pass, or changes its limits.

use std::process::ExitCode;

use cutover_proto::v1;

use super::{
    super::{Global, actor_or_user, connect::answer, exit::Failure, out, render::migration_of},
    progress::{job_json, job_lines},
};

pub(super) async fn tune(
    global: &Global,
    id: String,
    reason: String,
    change: impl FnOnce(&mut v1::Tuning),
) -> anyhow::Result<ExitCode> {
    let mut jobs = global.jobs().await?;
    let migration = migration_of(&id).to_owned();
    let listed = answer(jobs.list_jobs(v1::ListJobsRequest { migration: migration.clone() })).await?.jobs;
    let job = listed.into_iter().find(|job| job.id == id);
    let job = job.ok_or_else(|| {
        let message = format!("job {id:?} is not under way: cutover jobs {migration} lists those");
        Failure::refused(message, Vec::new())
    })?;
    let mut tuning = job.tuning.unwrap_or_default();
    change(&mut tuning);
    let actor = actor_or_user(None);
    let request = v1::TuneJobRequest { id, tuning: Some(tuning), actor, reason, dry_run: false };
    let job = answer(jobs.tune_job(request)).await?;
    if global.json {
        out::json(&job_json(&job));
    } else {
        job_lines(&job).iter().for_each(|line| out::line(line));
    }
    Ok(ExitCode::SUCCESS)
}
