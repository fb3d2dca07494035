//! Guards and verdicts on the wire.

use cutover_proto::v1;
use tonic::Status;

use super::{rung, status};
use crate::{
    domain::{
        GuardEdit, GuardMode, GuardSettings, Trip, TripOutcome, Violation,
        guard::{Cause, ErrorClass, Guard, GuardConfig, GuardKind, Level, Limit, Mode, Operation, Scope},
    },
    service::Followed,
};

/// All guards of a migration.
pub(in crate::grpc) fn rules(settings: &GuardSettings) -> Vec<v1::GuardRule> {
    let config = settings.config();
    let one = |guard: Guard| {
        let (rule, standard) = (config.rule(guard), GuardConfig::default().rule(guard));
        let limit = rule.or(standard).map(|rule| rule.limit);
        let mode = rule.map_or(v1::GuardMode::Off, |rule| mode(rule.mode));
        with_limit(v1::GuardRule { mode: mode.into(), ..named(guard) }, limit)
    };
    let mut rules: Vec<_> = Guard::COUNTING.into_iter().map(one).collect();
    let blindness = v1::GuardRule {
        guard: GuardKind::Blindness.name().to_owned(),
        mode: mode(config.blindness).into(),
        ..Default::default()
    };
    rules.push(blindness);
    rules
}

/// Requested changes of guards.
pub(in crate::grpc) fn edits(wire: &[v1::GuardRule]) -> Result<Vec<GuardEdit>, Status> {
    wire.iter().map(edits_of).collect::<Result<Vec<_>, _>>().map(|edits| edits.concat())
}

/// A guard's verdict.
pub(in crate::grpc) fn trip(trip: &Trip) -> v1::Trip {
    let Trip { revision, at_ms, outcome, verdict } = trip;
    let evidence = &verdict.evidence;
    let v1::GuardRule { guard, operation, .. } = named(verdict.guard);
    let (outcome, to) = match outcome {
        TripOutcome::RolledBack(to) => (v1::TripOutcome::RolledBack, rung(*to)),
        TripOutcome::Held => (v1::TripOutcome::Held, 0),
        TripOutcome::Observed => (v1::TripOutcome::Observed, 0),
    };
    let tenant = match &verdict.scope {
        Scope::Migration => String::new(),
        Scope::Tenant(tenant) => tenant.to_string(),
    };
    let cause = match verdict.cause {
        Cause::Breach => "breach",
        Cause::Escalation => "escalation",
        Cause::CommonMode => "common_mode",
        Cause::OneInstance => "one_instance",
        Cause::InstancesGone => "instances_gone",
        Cause::NoTargetCalls => "no_target_calls",
    };
    let tenants = evidence.tenants.iter();
    let errors = evidence.errors.iter().map(|(class, count)| format!("{class:?} {count}").to_lowercase());
    v1::Trip {
        revision: *revision,
        at_ms: *at_ms,
        guard,
        operation,
        tenant,
        outcome: outcome.into(),
        rolled_back_to: to,
        cause: cause.to_owned(),
        summary: trip.told(),
        onset_ms: evidence.now_ms.saturating_sub(evidence.onset_ms),
        target: evidence.target,
        target_bad: evidence.target_bad,
        source: evidence.source,
        source_bad: evidence.source_bad,
        ln_m: evidence.ln_m,
        ln_c: evidence.ln_c,
        phi: evidence.phi,
        limit: evidence.limit,
        tenants: tenants.map(|s| format!("{}: {} of {}", s.tenant, s.target_bad, s.target)).collect(),
        instances: evidence.instances.iter().map(|h| format!("{}: {:.1}", h.instance, h.nats)).collect(),
        errors: errors.collect(),
    }
}

/// A trip in words, and how the instances followed it.
pub(in crate::grpc) fn story(trip: &Trip, followed: Option<&Followed>) -> Vec<String> {
    let evidence = &trip.verdict.evidence;
    let mut story = vec![format!("last verdict of a guard, at revision {}: {}", trip.revision, trip.told())];
    let errors = evidence.errors.iter().map(|(class, count)| format!("{count} {}", failure(*class)));
    let errors = errors.collect::<Vec<_>>();
    let wire = self::trip(trip);
    let lists = [
        ("tenants with the most bad outcomes", wire.tenants),
        ("instances with the most evidence", wire.instances),
        ("errors of the target", errors),
    ];
    let told = lists.into_iter().filter(|(_, list)| !list.is_empty());
    story.extend(told.map(|(name, list)| format!("{name}: {}", list.join(", "))));
    if let Some(f) = followed.filter(|followed| followed.revision == trip.revision) {
        let heard = f.instances.saturating_sub(f.behind);
        story.push(format!(
            "committed {} ms after the verdict; {heard} of {} instances had received it {} ms later",
            f.decided_ms, f.instances, f.last_ms
        ));
    }
    story
}

/// What failed, for people.
const fn failure(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Timeout => "timed out",
        ErrorClass::Connection => "failed to connect or lost the connection",
        ErrorClass::Server => "failed in the store",
        ErrorClass::Constraint => "violated a constraint",
        ErrorClass::Serialization => "held data that can't be read or stored",
        ErrorClass::Other => "other errors: see the services' logs",
    }
}

pub(in crate::grpc) fn followed(followed: &Followed) -> v1::Followed {
    let Followed { revision, instances, behind, decided_ms, p50_ms, last_ms } = *followed;
    v1::Followed { revision, instances, behind, decided_ms, p50_ms: p50_ms.unwrap_or(0), last_ms }
}

fn named(guard: Guard) -> v1::GuardRule {
    let operation = match (guard.kind, guard.operation) {
        (GuardKind::Blindness, _) => v1::Operation::Unspecified,
        (_, Operation::Read) => v1::Operation::Read,
        (_, Operation::Write) => v1::Operation::Write,
    };
    v1::GuardRule { guard: guard.kind.name().to_owned(), operation: operation.into(), ..Default::default() }
}

/// How far a guard is from a trip.
pub(in crate::grpc) fn level(level: &Level) -> v1::GuardLevel {
    let v1::GuardRule { guard, operation, .. } = named(level.guard);
    let evidence = &level.evidence;
    v1::GuardLevel {
        guard,
        operation,
        mode: mode(level.mode).into(),
        target: evidence.target,
        target_bad: evidence.target_bad,
        source: evidence.source,
        source_bad: evidence.source_bad,
        onset_ms: evidence.now_ms.saturating_sub(evidence.onset_ms),
        ln_m: evidence.ln_m.max(0.0),
        ln_c: evidence.ln_c,
        limit: evidence.limit,
    }
}

fn mode(mode: Mode) -> v1::GuardMode {
    match mode {
        Mode::Enforce => v1::GuardMode::Enforce,
        Mode::Observe => v1::GuardMode::Observe,
    }
}

fn with_limit(rule: v1::GuardRule, limit: Option<Limit>) -> v1::GuardRule {
    match limit {
        None => rule,
        Some(Limit::Rate(rate)) => v1::GuardRule { rate: Some(rate), ..rule },
        Some(Limit::Relative { rho, delta }) => v1::GuardRule { rho: Some(rho), delta: Some(delta), ..rule },
        Some(Limit::Ratchet { factor, slack }) => {
            v1::GuardRule { factor: Some(factor), slack: Some(slack), ..rule }
        }
    }
}

fn edits_of(wire: &v1::GuardRule) -> Result<Vec<GuardEdit>, Status> {
    let bad = |field: &str, message: String| status::invalid(Violation::new(field, message));
    let is_blindness = wire.guard == GuardKind::Blindness.name();
    let blindness = Guard::of(GuardKind::Blindness, Operation::Read);
    let all = Guard::COUNTING.into_iter().chain([blindness]);
    let guards: Vec<Guard> = all
        .filter(|guard| guard.kind.name() == wire.guard)
        .filter(|guard| match wire.operation() {
            v1::Operation::Unspecified => true,
            v1::Operation::Read => guard.operation == Operation::Read && !is_blindness,
            v1::Operation::Write => guard.operation == Operation::Write,
        })
        .collect();
    if guards.is_empty() {
        let mut names: Vec<&str> = Guard::COUNTING.iter().map(|guard| guard.kind.name()).collect();
        names.push(GuardKind::Blindness.name());
        names.dedup();
        let near = names.iter().map(|name| (strsim::jaro_winkler(&wire.guard, name), name));
        let near = near.filter(|(near, _)| *near > 0.85).max_by(|(a, _), (b, _)| a.total_cmp(b));
        let meant = near.map_or_else(String::new, |(_, name)| format!(", did you mean {name}?"));
        let message =
            format!("{:?} is no guard of this operation{meant}: there are {}", wire.guard, names.join(", "));
        return Err(bad("guards.guard", message));
    }
    let mode = match wire.mode() {
        v1::GuardMode::Unspecified => None,
        v1::GuardMode::Enforce => Some(GuardMode::Enforce),
        v1::GuardMode::Observe => Some(GuardMode::Observe),
        v1::GuardMode::Off => Some(GuardMode::Off),
    };
    let limit = limit(wire).map_err(|message| bad("guards", message))?;
    if is_blindness && limit.is_some() {
        return Err(bad("guards", "blindness has no limit: only its mode can be set".to_owned()));
    }
    Ok(guards.into_iter().map(|guard| GuardEdit { guard, mode, limit }).collect())
}

/// The parts of a limit belong together: the other half of one would be guessed.
fn limit(wire: &v1::GuardRule) -> Result<Option<Limit>, String> {
    let limit = match (wire.rate, (wire.rho, wire.delta), (wire.factor, wire.slack)) {
        (None, (None, None), (None, None)) => return Ok(None),
        (Some(rate), (None, None), (None, None)) => Limit::Rate(rate),
        (None, (Some(rho), Some(delta)), (None, None)) => Limit::Relative { rho, delta },
        (None, (None, None), (Some(factor), Some(slack))) => Limit::Ratchet { factor, slack },
        _ => return Err("give a rate, or rho and delta, or factor and slack".to_owned()),
    };
    Ok(Some(limit))
}
