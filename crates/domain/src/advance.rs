//! The moves of one revision: everybody who is not at their goal, and may move, takes one step. Where a step leads,
//! and which acknowledgement it waits for. What else it needs is in `conditions`.

mod rows;

use cutover_core::{
    routing::{Level, Mutation, Rung},
    text,
};
use imbl::OrdMap;

use super::{
    Bands, Document, Group, Migration, Override, Placement, Tenant, TenantRow, Unmet, Wait, Whom,
    barrier::barrier, conditions::Conditions,
};
use rows::{OpenOverrides, row_after, rows_after};

/// Maximum tenants whose unmet conditions are listed individually.
const TOLD_MAX: usize = 20;

/// The result of one look at a migration.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// One line for each group that moves.
    pub(super) moves: Vec<String>,
    /// The whole way of everybody who is not at their goal, one line for each group.
    pub(super) ways: Vec<String>,
    /// What all others wait for.
    pub(super) unmet: Vec<Unmet>,
    /// Whether anybody is still not at their goal after the moves.
    pub(super) ramping: bool,
    /// Rows that change. `None`: the tenant follows its bucket again.
    pub(super) rows: Vec<(Tenant, Option<TenantRow>)>,
    /// Bands after the moves.
    pub(super) bands: Bands,
    /// Overrides of tenants that are still on the way up after the moves.
    pub(super) overrides: Vec<Override>,
}

/// The groups that are not at their goal: ranges of buckets, then tenants with a row.
pub(super) fn groups_on_the_way(migration: &Migration) -> Vec<Group> {
    let document = &*migration.document;
    let caps = document.caps(None);
    let mut groups = Vec::new();
    let mut cuts: Vec<u32> = document.goal.shares().iter().map(|(_, ppm)| *ppm).collect();
    let covered = document.overrides.iter().flat_map(|over| &over.buckets);
    cuts.extend(covered.flat_map(|range| [range.from, range.before]));
    for (from, upto, placement) in document.bands.pieces(&cuts) {
        let wanted = caps.wanted(from, placement.floor).rung;
        if placement.rung != wanted {
            let passes = document.passes_of(from, None);
            groups.push(Group { whom: Whom::Buckets { from, upto }, placement, wanted, passes });
        }
    }
    for tenant in &migration.unrested {
        let Some(row) = migration.tenants.get(tenant) else { continue };
        let bucket = migration.bucket(tenant);
        let wanted = document.caps(Some(row)).wanted(bucket, row.placement.floor).rung;
        if row.placement.rung != wanted {
            let whom = Whom::Tenant { tenant: tenant.clone(), bucket };
            let passes = document.passes_of(bucket, Some(row));
            groups.push(Group { whom, placement: row.placement, wanted, passes });
        }
    }
    groups
}

/// Determines who may step in `revision`, and what everybody else waits for.
pub(super) fn look(migration: &Migration, conditions: &Conditions<'_>, revision: u64) -> Look {
    let document = &*migration.document;
    let level = document.policy.level;
    let mut look = Look { bands: document.bands.clone(), ..Look::default() };
    let mut stepped: OrdMap<Tenant, Placement> = OrdMap::new();
    let mut steps: Vec<(u32, u32, Placement)> = Vec::new();
    let mut told: Vec<(Whom, Vec<Unmet>)> = Vec::new();
    let mut moved: Vec<(Whom, String)> = Vec::new();
    let mut ways: Vec<(Whom, String)> = Vec::new();
    let mut untold_ways = 0;
    let mut open = OpenOverrides::of(document);
    for group in groups_on_the_way(migration) {
        let Some(next) = group.placement.next(group.wanted, level) else { continue };
        if ways.len() < TOLD_MAX {
            add(&mut ways, &group.whom, group.way(level), |way, other| way == other);
        } else {
            untold_ways += 1;
        }
        if !conditions.may_step(&group, next) {
            look.ramping = true;
            if told.len() < TOLD_MAX {
                let unmet = conditions.unmet(&group, next);
                add(&mut told, &group.whom, unmet, |unmet, more| {
                    let rest = |unmet: &Unmet| Unmet { whom: String::new(), ..unmet.clone() };
                    unmet.iter().map(rest).eq(more.iter().map(rest))
                });
            }
            open.note(&group, group.placement.rung);
            continue;
        }
        let Group { whom, placement, wanted, .. } = &group;
        look.ramping |= next != *wanted;
        add(&mut moved, whom, format!("{} -> {next}", placement.rung), |step, other| step == other);
        if placement.wait_for(next) == Wait::Received {
            let lost = conditions.fleet.left_behind(placement.since);
            look.moves.extend(lost.map(|member| {
                format!(
                    "went on without lost instance {}: if it lives, it may read stale until it hears",
                    member.name
                )
            }));
        }
        open.note(&group, next);
        let after = placement.stepped(next, revision, conditions.steady_ms);
        match group.whom {
            Whom::Buckets { from, upto } => steps.push((from, upto, after)),
            Whom::Tenant { tenant, .. } => {
                stepped.insert(tenant, after);
            }
        }
    }
    let moves = moved.iter().map(|(whom, step)| format!("{}: {step}", text::whom(&whom.to_string())));
    look.moves.splice(..0, moves);
    let told_ways = ways.iter().map(|(whom, way)| format!("{}: {way}", text::whom(&whom.to_string())));
    look.ways = told_ways.collect();
    if untold_ways > 0 {
        look.ways.push(format!("and {untold_ways} more"));
    }
    look.unmet = told
        .into_iter()
        .flat_map(|(whom, unmet)| unmet.into_iter().map(move |it| Unmet { whom: whom.to_string(), ..it }))
        .collect();
    let cuts: Vec<u32> = steps.iter().flat_map(|(from, upto, _)| [*from, *upto]).collect();
    look.bands = document.bands.map(&cuts, |from, placement| {
        let step = steps.iter().find(|(start, upto, _)| (*start..*upto).contains(&from));
        step.map_or(placement, |(_, _, after)| *after)
    });
    look.overrides = open.overrides();
    look.rows = rows_after(migration, conditions, &stepped, &look);
    look
}

/// Adds what is to be said of tenants. Neighbouring buckets of which the same is said are one range.
fn add<T>(told: &mut Vec<(Whom, T)>, whom: &Whom, what: T, is_same: impl Fn(&T, &T) -> bool) {
    if let (Some((Whom::Buckets { upto, .. }, last)), Whom::Buckets { from, upto: end }) =
        (told.last_mut(), whom)
        && upto == from
        && is_same(last, &what)
    {
        *upto = *end;
    } else {
        told.push((whom.clone(), what));
    }
}

/// When the next soak of tenants on the way ends, by the controller's steady clock.
pub(super) fn soaked_at_ms(migration: &Migration, steady_ms: u64) -> Option<u64> {
    let soak_ms = migration.document.policy.soak_ms;
    let groups = groups_on_the_way(migration);
    let since =
        groups.iter().map(|group| group.placement.target_first_at_ms).filter(|since_ms| *since_ms > 0);
    since.map(|since_ms| since_ms.saturating_add(soak_ms)).filter(|at_ms| *at_ms > steady_ms).min()
}

/// Whether a look would move anybody, or let a tenant follow its bucket again.
pub(super) fn has_step(migration: &Migration, conditions: &Conditions<'_>) -> bool {
    let level = migration.document.policy.level;
    let may_step = |group: &Group| {
        let next = group.placement.next(group.wanted, level);
        next.is_some_and(|next| conditions.may_step(group, next))
    };
    let Document { bands, overrides, .. } = &*migration.document;
    let changes = |tenant: &Tenant| {
        let row = migration.tenants.get(tenant);
        row.is_some_and(|row| {
            row_after(migration, conditions, tenant, row, row.placement, bands, overrides) != Some(*row)
        })
    };
    groups_on_the_way(migration).iter().any(may_step) || migration.unrested.iter().any(changes)
}

impl Placement {
    /// The next rung on the way to `wanted`, or `None` when there.
    ///
    /// One rung at a time; dual may be skipped in both directions. At level linearizable the way from
    /// target-first to below mirrored goes through `hold`, which is left once everybody has quiesced.
    pub fn next(&self, wanted: Rung, level: Level) -> Option<Rung> {
        use Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly};
        if self.rung == wanted {
            return None;
        }
        if Mutation::OneRung.is_left_out() {
            return Some(wanted);
        }
        Some(match self.rung {
            SourceOnly if wanted == Dual => Dual,
            SourceOnly => Mirrored,
            Dual if wanted == SourceOnly => SourceOnly,
            Dual => Mirrored,
            Mirrored if wanted < Mirrored => wanted,
            Mirrored => TargetFirst,
            Hold if wanted < Mirrored => wanted,
            Hold => Mirrored,
            TargetFirst if wanted > TargetFirst => TargetOnly,
            TargetFirst if wanted < Mirrored && level == Level::Linearizable => Hold,
            TargetFirst => Mirrored,
            TargetOnly => TargetFirst,
        })
    }

    /// What a step to `next` waits for. Up, out of a hold, and around target-only it waits for *quiesced*.
    pub fn wait_for(&self, next: Rung) -> Wait {
        let down = next < self.rung;
        if self.rung == Rung::Hold && Mutation::Hold.is_left_out() {
            return Wait::Nothing;
        }
        if down && self.rung != Rung::Hold && (next == Rung::Hold || next == self.was) {
            return Wait::Nothing;
        }
        let target_only_involved = !Mutation::LeavingTargetOnly.is_left_out()
            && (self.rung == Rung::TargetOnly || self.was == Rung::TargetOnly);
        if down && self.rung != Rung::Hold && !target_only_involved { Wait::Received } else { Wait::Quiesced }
    }
}

impl Group {
    /// Every rung from here to the goal.
    fn way(&self, level: Level) -> String {
        let (mut at, mut way) = (self.placement, self.placement.rung.to_string());
        while let Some(next) = at.next(self.wanted, level) {
            way.push_str(&format!(" -> {next}"));
            at.rung = next;
        }
        way
    }

    /// Every step from here up to `wanted`: the group before the step, and the rung that it leads to.
    pub(super) fn steps_up(&self, document: &Document) -> Vec<(Self, Rung)> {
        let mut steps = Vec::new();
        let mut at = self.placement;
        while let Some(next) = at.next(self.wanted, document.policy.level)
            && next > at.rung
        {
            steps.push((Self { placement: at, ..self.clone() }, next));
            // Since 0: a step that has not happened can't have evidence yet.
            let stepped = at.stepped(next, 0, 0);
            at = Placement { since: at.since, ..stepped };
        }
        steps
    }
}

impl Conditions<'_> {
    /// Whether these tenants may take the step now.
    pub fn may_step(&self, group: &Group, next: Rung) -> bool {
        self.acknowledged(&group.placement, next) && self.unmet_gates(group, next).next().is_none()
    }

    /// Everything that the step lacks, the barrier first.
    pub fn unmet(&self, group: &Group, next: Rung) -> Vec<Unmet> {
        let Group { whom, placement, .. } = group;
        let barrier = (!self.acknowledged(placement, next)).then(|| self.barrier(placement, next));
        let missing = barrier.into_iter().chain(self.unmet_gates(group, next));
        let step = format!("{} -> {next}", placement.rung);
        missing.map(|unmet| Unmet { step: step.clone(), whom: whom.to_string(), ..unmet }).collect()
    }

    /// What a later step of the same request lacks and won't get without an operator.
    pub fn evidence_missing(&self, group: &Group, next: Rung) -> Vec<Unmet> {
        let step = format!("{} -> {next}", group.placement.rung);
        self.unmet_gates(group, next)
            .filter(|unmet| !unmet.by_itself)
            .map(|unmet| Unmet { step: step.clone(), whom: group.whom.to_string(), ..unmet })
            .collect()
    }

    fn acknowledged(&self, placement: &Placement, next: Rung) -> bool {
        self.fleet.acknowledged(self.awaited(placement, next), placement.wait_for(next))
    }

    /// The revision that has to be acknowledged. Before target-only this may be a later one: the revision
    /// that tells everybody that nobody goes back on their own any more.
    fn awaited(&self, placement: &Placement, next: Rung) -> u64 {
        let is_heard = next == Rung::TargetOnly && !Mutation::LocalGuardHeard.is_left_out();
        let off = if is_heard { self.document.local_guard_off } else { 0 };
        placement.since.max(off)
    }

    fn barrier(&self, placement: &Placement, next: Rung) -> Unmet {
        let (wait, awaited) = (placement.wait_for(next), self.awaited(placement, next));
        let behind: Vec<_> = self.fleet.behind(awaited, wait).collect();
        barrier(&behind, awaited, wait)
    }
}
