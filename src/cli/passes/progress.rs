//! How far a pass is: a bar on a terminal, a line every few seconds elsewhere, JSON on request.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use console::Term;
use cutover_proto::v1;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::super::{out, render};
use crate::{gist, jobs};

/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Rates are those of about this time.
const RATE_OVER: Duration = Duration::from_secs(5);
/// A worker reports at least every 5 s.
const SILENT_MS: u64 = 7_000;
/// What a worker notes that its limits slow down.
const AT_ITS_LIMIT: &str = "at its limit of ";
/// Before this share is done nobody can say how long the rest takes.
const ETA_FROM: f64 = 0.01;

/// Shows a pass until it ends.
pub(super) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    kind: v1::PassKind,
    json: bool,
    bar: Option<ProgressBar>,
    began: Instant,
    /// When a line was written last; the first one is not due at once.
    told: Instant,
    /// It has been shown once.
    is_shown: bool,
    /// Why no gate will accept it, once that was said.
    warning: String,
    /// What has to be done before another pass counts.
    action: String,
    /// When, and how many were done; the oldest within [`RATE_OVER`] first.
    samples: Vec<(Instant, u64)>,
}

impl Progress {
    /// The first answer says how long its bar is, if anybody knows.
    pub(super) fn new(kind: v1::PassKind, json: bool) -> Self {
        let bar = (!json && Term::stderr().is_term()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
            bar.set_style(style("{spinner} {msg}"));
            bar
        });
        let began = Instant::now();
        let state = State {
            kind,
            json,
            bar,
            began,
            told: began,
            is_shown: false,
            warning: String::new(),
            action: String::new(),
            samples: vec![(began, 0)],
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Shows the progress of the pass.
    pub(super) fn callback(&self) -> impl Fn(&v1::Job) + Send + 'static {
        let state = self.state.clone();
        move |job| state.lock().unwrap_or_else(PoisonError::into_inner).show(job)
    }

    /// Takes the bar away; says why no gate will accept the pass, or nothing.
    pub(super) fn end(&self) -> Useless {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bar.iter().for_each(ProgressBar::finish_and_clear);
        Useless { why: state.warning.clone(), action: state.action.clone() }
    }
}

/// Why no gate accepts a pass; empty: one may.
pub(super) struct Useless {
    pub(super) why: String,
    action: String,
}

impl Useless {
    /// What to say when it has ended.
    pub(super) fn at_the_end(&self, kind: v1::PassKind) -> String {
        let first = match self.action.as_str() {
            "" => String::new(),
            action => format!(". First: {action}"),
        };
        match kind {
            v1::PassKind::Verify => format!("no gate accepts this pass: {}{first}", self.why),
            _ => format!(
                "warning: no gate accepts this pass (see above): run it again for one that counts{first}"
            ),
        }
    }
}

/// What to say when it begins.
fn useless(job: &v1::Job) -> String {
    let again = format!(
        "stop this pass (Ctrl-C; cutover cancel {}) and run it again; with --wait-settled it waits until it counts",
        job.id
    );
    let how = match job.warning_action.as_str() {
        "" => again,
        action => format!("{action}\nwarning: then {again}"),
    };
    format!(
        "warning: no gate will accept this pass: {}. It copies all the same\nwarning: for one that counts: {how}",
        job.warning
    )
}

/// Which pass it works on, if others began that, and its limits, which may not be those of this spec.
fn joins(job: &v1::Job) -> String {
    let begun = match job.age_ms {
        0 => String::new(),
        age_ms => format!(", begun {} ago", gist::short(age_ms)),
    };
    let mut text = format!("joins {}{begun}", job.id);
    let limits = jobs::limits(&job.tuning.unwrap_or_default());
    if !limits.is_empty() {
        text.push_str(&format!(
            ", limited to {limits}: cutover tune {} --records-per-s 0 --bytes-per-s 0 lifts that",
            job.id
        ));
    }
    text
}

impl State {
    fn show(&mut self, job: &v1::Job) {
        // Only the first answer says whether it was there already.
        if !std::mem::replace(&mut self.is_shown, true) && job.joined && !self.json {
            out::error(&joins(job));
        }
        let is_new = self.warning.is_empty() && !job.warning.is_empty();
        // A sweep is not meant for a gate, and neither are samples and reverse passes.
        if matches!(self.kind, v1::PassKind::Full | v1::PassKind::Verify) {
            self.warning.clone_from(&job.warning);
            self.action.clone_from(&job.warning_action);
            // A comparison is of use in any case, so it says that at its end.
            if is_new && self.kind == v1::PassKind::Full && !self.json {
                out::error(&useless(job));
            }
        }
        let now = Instant::now();
        // What is read counts against the limits, whichever store it is in.
        let read = gist::read(job);
        self.samples.push((now, read));
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) > RATE_OVER {
            self.samples.remove(0);
        }
        let rate = self.rate(now, read);
        let eta = eta(job, rate);
        if let Some(bar) = &self.bar {
            if job.expected > 0 && bar.length() != Some(job.expected) {
                bar.set_length(job.expected);
                bar.set_style(style("{bar:30} {percent:>3} % {msg}"));
            }
            bar.set_position(read);
            bar.set_message(line(self.kind, job, rate, eta));
            return;
        }
        if now.duration_since(self.told) < LINE_EVERY {
            return;
        }
        self.told = now;
        if self.json {
            let mut value = job_json(job);
            value["records_per_s"] = json!(rate.round());
            value["eta_s"] = json!(eta.map(|eta| eta.as_secs()));
            value["elapsed_ms"] = json!(self.began.elapsed().as_millis() as u64);
            out::json(&value);
        } else {
            out::error(&line(self.kind, job, rate, eta));
        }
    }

    fn rate(&self, now: Instant, read: u64) -> f64 {
        let Some((since, before)) = self.samples.first() else { return 0.0 };
        read.saturating_sub(*before) as f64 / now.duration_since(*since).as_secs_f64().max(0.001)
    }
}

/// How long the rest takes at this rate. `None`: it is too early to tell, or there are more than expected.
fn eta(job: &v1::Job, rate: f64) -> Option<Duration> {
    let (read, expected) = (gist::read(job), job.expected);
    let is_known = read as f64 >= expected as f64 * ETA_FROM && read < expected && rate > 0.0;
    is_known.then(|| Duration::from_secs((expected.saturating_sub(read) as f64 / rate) as u64))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(kind: v1::PassKind, job: &v1::Job, rate: f64, eta: Option<Duration>) -> String {
    let mut parts = vec![gist::far(job)];
    parts.extend(gist::checked(job));
    parts.push(format!("{rate:.0}/s"));
    parts.extend(did(kind, job));
    parts.push(format!("segments {}/{}", job.segments_done, job.segments));
    parts.extend(eta.map(|eta| format!("about {} left", render::span(eta))));
    parts.extend(slow(job).map(|why| format!("slow: {why}")));
    parts.join(", ")
}

/// The outcome of the records so far, by the names that the end of the pass uses.
fn did(kind: v1::PassKind, job: &v1::Job) -> Vec<String> {
    let counts = job.counts.unwrap_or_default();
    let v1::Differences { missing, stale, ahead, extra, different, .. } = counts.found.unwrap_or_default();
    let (repaired, other) = match kind {
        v1::PassKind::Verify | v1::PassKind::Sample => ("repaired", "target"),
        v1::PassKind::Reverse => ("copied", "source"),
        _ => ("copied", "target"),
    };
    let newer = format!("newer in the {other}");
    let mut parts = vec![format!("{} {repaired}", counts.copied)];
    for (count, what) in [
        (counts.stale, newer.as_str()),
        (missing, "missing"),
        (stale, "stale"),
        (ahead, "ahead"),
        (extra, "extra"),
        (different, "different"),
        (counts.quarantined, "quarantined"),
        (counts.failed, "failed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts
}

/// Why it is slow. A worker that is silent is not slowed by what it said last.
fn slow(job: &v1::Job) -> Option<String> {
    if !job.waiting.is_empty() {
        return Some(job.waiting.clone());
    }
    let is_silent = |claim: &&v1::Claim| claim.silent_ms > SILENT_MS;
    let note = job.claims.iter().filter(|claim| !is_silent(claim)).map(|claim| claim.note.as_str());
    // The worker's note is older than a limit that was just changed.
    let limits = jobs::limits(&job.tuning.unwrap_or_default());
    let limit = |note: &str| match note.starts_with(AT_ITS_LIMIT) {
        true if limits.is_empty() => None,
        true => Some(format!("{AT_ITS_LIMIT}{limits}")),
        false => Some(note.to_owned()),
    };
    let note = note.filter(|note| !note.is_empty()).find_map(limit);
    let silent = job.claims.iter().find(is_silent).map(|claim| {
        format!("worker {} has said nothing for {} s", claim.instance_id, claim.silent_ms / 1000)
    });
    silent.or(note)
}

/// One pass under way, for people: how far it is, then what it did and who works on it.
pub(super) fn job_lines(job: &v1::Job) -> Vec<String> {
    let tuning = job.tuning.unwrap_or_default();
    let mut far = vec![gist::far(job)];
    far.extend(gist::checked(job));
    far.extend(left(job).map(|left| format!("about {} left", render::span(left))));
    let mut lines = vec![format!("{} {}: {}", job.id, render::pass_kind(job.kind()), far.join(", "))];
    let mut by = did(job.kind(), job);
    by.push(format!("{} of {} segments", job.segments_done, job.segments));
    let workers: std::collections::BTreeSet<&str> =
        job.claims.iter().map(|claim| claim.instance_id.as_str()).collect();
    by.push(if workers.len() == 1 { "1 worker".to_owned() } else { format!("{} workers", workers.len()) });
    let limits = jobs::limits(&tuning);
    if !limits.is_empty() {
        by.push(format!("at most {limits}"));
    }
    lines.push(format!("  {}", by.join(", ")));
    if tuning.paused {
        lines.push(format!("  PAUSED: cutover tune {} --resume", job.id));
    } else if job.claims.is_empty() && job.waiting.is_empty() && job.segments > 0 {
        lines.push(format!("  no worker; {} continues it", gist::command(job)));
    } else if let Some(why) = slow(job).filter(|why| !why.starts_with(AT_ITS_LIMIT)) {
        lines.push(format!("  slow: {why}"));
    }
    if !job.warning.is_empty() {
        lines.push(format!("  no gate will accept it: {}", job.warning));
        if !job.warning_action.is_empty() {
            lines.push(format!("  for one that counts: {}", job.warning_action));
        }
    }
    lines
}

/// How long the rest takes at the rate so far.
fn left(job: &v1::Job) -> Option<Duration> {
    let works = !job.tuning.unwrap_or_default().paused && !job.claims.is_empty() && job.age_ms > 0;
    let rate = gist::read(job) as f64 * 1000.0 / job.age_ms.max(1) as f64;
    eta(job, rate).filter(|left| works && !left.is_zero())
}

/// One pass under way.
pub(super) fn job_json(job: &v1::Job) -> Value {
    let tuning = job.tuning.unwrap_or_default();
    let claims = job.claims.iter().map(|claim| {
        json!({
            "segment": claim.segment, "instance": claim.instance_id, "silent_ms": claim.silent_ms,
            "note": claim.note,
        })
    });
    json!({
        "job": job.id,
        "migration": job.migration,
        "kind": render::pass_kind(job.kind()),
        "segments": job.segments,
        "segments_done": job.segments_done,
        "read": gist::read(job),
        "counts": render::counts_json(&job.counts.unwrap_or_default()),
        "paused": tuning.paused,
        "limit_records_per_s": tuning.records_per_s,
        "limit_bytes_per_s": tuning.bytes_per_s,
        "waiting": job.waiting,
        "warning": Some(&job.warning).filter(|warning| !warning.is_empty()),
        "warning_action": Some(&job.warning_action).filter(|action| !action.is_empty()),
        "expected": Some(job.expected).filter(|expected| *expected > 0),
        "age_ms": Some(job.age_ms).filter(|ms| *ms > 0),
        "claims": claims.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pass_that_checks_the_target_shows_how_far_it_is() {
        let counts = v1::PassCounts { checked: 340, ..Default::default() };
        let note = "at its limit of 20 records/s".to_owned();
        let claims = vec![v1::Claim { note, ..Default::default() }];
        let tuning = Some(v1::Tuning { records_per_s: 20, ..Default::default() });
        let job = v1::Job { segments: 17, counts: Some(counts), claims, tuning, ..Default::default() };
        assert_eq!(
            line(v1::PassKind::Full, &job, 20.0, None),
            "340 records read, 340 of them in the target, 20/s, 0 copied, segments 0/17, slow: at its limit of 20 records/s"
        );
    }

    #[test]
    fn a_limit_that_was_lifted_makes_nothing_slow() {
        let note = "at its limit of 20 records/s".to_owned();
        let claims = vec![v1::Claim { note, ..Default::default() }];
        let job = v1::Job { claims, tuning: Some(v1::Tuning::default()), ..Default::default() };
        assert_eq!(slow(&job), None);
    }

    #[test]
    fn the_eta_of_a_comparison_is_over_what_is_expected_and_no_more() {
        let job = |scanned, checked| v1::Job {
            expected: 400_000,
            counts: Some(v1::PassCounts { scanned, checked, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(eta(&job(300_000, 0), 10_000.0), Some(Duration::from_secs(10)));
        assert_eq!(eta(&job(200_000, 100_000), 10_000.0), Some(Duration::from_secs(10)));
        assert_eq!(eta(&job(100, 0), 10_000.0), None, "too early to tell");
        assert_eq!(eta(&job(400_000, 0), 10_000.0), None, "there are more than expected");
        assert_eq!(eta(&v1::Job { expected: 0, ..job(300_000, 0) }, 10_000.0), None, "nobody knows");
    }

    #[test]
    fn the_bar_is_as_long_as_the_whole_pass_expects_whoever_joins_it() {
        let progress = Progress::new(v1::PassKind::Full, true);
        let mut state = progress.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bar = Some(ProgressBar::hidden());
        let counts = Some(v1::PassCounts { scanned: 900_000, ..Default::default() });
        state.show(&v1::Job { counts, ..Default::default() });
        let length = |state: &State| state.bar.as_ref().and_then(ProgressBar::length);
        assert_eq!(length(&state), None, "an older worker began it");
        state.show(&v1::Job { expected: 1_000_000, counts, ..Default::default() });
        assert_eq!(length(&state), Some(1_000_000));
    }
}
