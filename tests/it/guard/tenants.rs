//! Whom a verdict is about: one tenant, or the migration.

use cutover::domain::{
    Tenant,
    guard::{Action, Cause, Cell, GuardConfig, GuardKind, JudgedStage, Scope, Verdict},
};

use super::{READ, Story, arm, guard, of, reads};

fn tenants(count: usize) -> Vec<Tenant> {
    (0..count).map(|at| Tenant::parse(&format!("tenant-{at:06}")).unwrap()).collect()
}

/// A second of all tenants at each of three instances; `failed` of the reads of each fail.
fn second(story: &mut Story, tenants: &[Tenant], failed: impl Fn(usize) -> u64) -> Vec<Verdict> {
    let cells: Vec<Cell<'_>> =
        tenants.iter().enumerate().map(|(at, tenant)| of(reads(10, failed(at), 10, 0), tenant)).collect();
    story.second(&cells)
}

fn story() -> Story {
    Story::new(GuardConfig::default())
}

#[test]
fn one_bad_tenant_is_rolled_back_alone_and_its_outcomes_count_no_more() {
    let (mut story, tenants) = (story(), tenants(50));
    for _ in 0..60 {
        assert_eq!(second(&mut story, &tenants, |_| 0), []);
    }
    let verdicts: Vec<Verdict> =
        (0..30).flat_map(|_| second(&mut story, &tenants, |at| if at == 7 { 10 } else { 0 })).collect();
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    assert_eq!(verdicts[0].scope, Scope::Tenant(tenants[7].clone()));
    assert_eq!((verdicts[0].action, verdicts[0].cause), (Action::Rollback, Cause::Breach));
    assert_eq!(verdicts[0].evidence.tenants[0].tenant, tenants[7]);
    // It has another stage: what is decided from then on counts again.
    story.judge.restage_tenant(&tenants[7], 2, story.now_ms);
    let cell = Cell { revision: 2, ..of(reads(10, 10, 10, 0), &tenants[7]) };
    let again = story.until(30, &[cell]).unwrap().1;
    assert_eq!(again.scope, Scope::Tenant(tenants[7].clone()));
}

#[test]
fn three_bad_tenants_make_it_the_migration() {
    let (mut story, tenants) = (story(), tenants(200));
    for _ in 0..60 {
        assert_eq!(second(&mut story, &tenants, |_| 0), []);
    }
    let mut verdicts = Vec::new();
    for bad in 1..=3 {
        let from = story.now_ms;
        while story.now_ms < from + 20_000 {
            verdicts.extend(second(&mut story, &tenants, |at| if at < bad { 10 } else { 0 }));
        }
    }
    let scopes: Vec<&Scope> = verdicts.iter().map(|verdict| &verdict.scope).collect();
    let alone = |at: usize| Scope::Tenant(tenants[at].clone());
    assert_eq!(scopes, [&alone(0), &alone(1), &Scope::Migration]);
    assert_eq!(verdicts[2].cause, Cause::Escalation);
}

#[test]
fn a_share_of_the_enrolled_is_enough_but_never_a_single_tenant() {
    let (mut story, tenants) = (story(), tenants(10));
    story.restage(JudgedStage { tenants: 10, ..JudgedStage::default() });
    let mut verdicts = Vec::new();
    for bad in [0, 1, 2] {
        for _ in 0..60 {
            let cells: Vec<Cell<'_>> = tenants
                .iter()
                .enumerate()
                .map(|(at, tenant)| {
                    let failed = if at < bad { 10 } else { 0 };
                    Cell { revision: 2, ..of(reads(10, failed, 10, 0), tenant) }
                })
                .collect();
            verdicts.extend(story.second(&cells));
        }
    }
    let scopes: Vec<&Scope> = verdicts.iter().map(|verdict| &verdict.scope).collect();
    assert_eq!(scopes, [&Scope::Tenant(tenants[0].clone()), &Scope::Migration]);
}

#[test]
fn a_tenant_with_most_of_the_traffic_is_the_migration() {
    let (mut story, tenants) = (story(), tenants(5));
    let cells = |failed: u64| {
        let each = |at: usize| if at == 0 { reads(100, failed, 100, 0) } else { reads(10, 0, 10, 0) };
        tenants.iter().enumerate().map(|(at, tenant)| of(each(at), tenant)).collect::<Vec<_>>()
    };
    for _ in 0..60 {
        assert_eq!(story.second(&cells(0)), []);
    }
    let (_, verdict) = story.until(30, &cells(60)).unwrap();
    assert_eq!((verdict.scope, verdict.action), (Scope::Migration, Action::Rollback));
}

#[test]
fn what_fails_for_everybody_is_not_about_the_tenant_who_met_it_first() {
    let (mut story, tenants) = (story(), tenants(50));
    for _ in 0..60 {
        assert_eq!(second(&mut story, &tenants, |_| 0), []);
    }
    let verdicts: Vec<Verdict> = (0..5).flat_map(|_| second(&mut story, &tenants, |_| 5)).collect();
    assert_eq!(verdicts[0].scope, Scope::Migration);
}

#[test]
fn a_sick_instance_behind_several_tenants_takes_one_with_it_at_most() {
    // Each tenant is served by one instance; all target calls of "a" fail.
    let (mut story, tenants) = (story(), tenants(60));
    let mut verdicts = Vec::new();
    for second in 0..180 {
        for (who, instance) in ["a", "b", "c"].into_iter().enumerate() {
            let cells: Vec<Cell<'_>> = tenants
                .iter()
                .skip(who)
                .step_by(3)
                .map(|tenant| of(reads(10, if who == 0 && second > 60 { 10 } else { 0 }, 10, 0), tenant))
                .collect();
            verdicts.extend(story.report(instance, &cells));
            story.now_ms += 300;
        }
        story.now_ms += 100;
    }
    let rolled_back = verdicts.iter().filter(|verdict| verdict.action == Action::Rollback);
    let scopes: Vec<&Scope> = rolled_back.map(|verdict| &verdict.scope).collect();
    assert!(scopes.len() == 1 && *scopes[0] != Scope::Migration, "{scopes:?}");
    assert!(verdicts.iter().any(|verdict| verdict.cause == Cause::OneInstance));
}

#[test]
fn a_tenant_is_compared_with_itself_and_not_with_luckier_ones() {
    // It has always failed 3 % of its reads; the others fail none. Then it reads from the target.
    let config = GuardConfig::default().only(&[guard(GuardKind::ErrorRelative, READ)]);
    let (mut story, tenants) = (Story::new(config), tenants(40));
    let cells = |revision: u64, is_moved: bool| {
        let each = |at: usize| match (at, is_moved) {
            (0, false) => reads(0, 0, 100, 3),
            (0, true) => reads(100, 3, 0, 0),
            _ => reads(50, 0, 50, 0),
        };
        let cell = |(at, tenant)| Cell { revision, ..of(each(at), tenant) };
        tenants.iter().enumerate().map(cell).collect::<Vec<_>>()
    };
    assert_eq!(story.until(300, &cells(1, false)), None);
    story.restage(JudgedStage::default());
    let verdicts: Vec<Verdict> = (0..300).flat_map(|_| story.second(&cells(2, true))).collect();
    let of_tenants = verdicts.iter().filter(|verdict| verdict.evidence.ln_c > 31.0).count();
    assert_eq!(of_tenants, 0, "{verdicts:?}");
}

#[test]
fn of_a_hundred_thousand_tenants_the_busy_and_the_suspicious_are_tracked_in_bounded_memory() {
    let config = GuardConfig { tenants_max: 1_000, ..GuardConfig::default() };
    let (mut story, tenants) = (Story::new(config), tenants(100_000));
    let mut verdicts = Vec::new();
    for second in 0..30 {
        for (at, chunk) in tenants.chunks(10_000).enumerate() {
            let mut cells: Vec<Cell<'_>> = chunk.iter().map(|tenant| of(reads(1, 0, 1, 0), tenant)).collect();
            // The last one fails from the tenth second on, at every instance.
            let failed = if second > 10 { 20 } else { 0 };
            cells.push(of(reads(20, failed, 20, 0), &tenants[99_999]));
            verdicts.extend(story.report(["a", "b", "c"][at % 3], &cells));
            story.now_ms += 100;
        }
    }
    let scopes: Vec<&Scope> = verdicts.iter().map(|verdict| &verdict.scope).collect();
    assert_eq!(scopes, [&Scope::Tenant(tenants[99_999].clone())]);
    assert!(story.judge.tracked_tenants() <= 1_000);
}

#[test]
fn ten_thousand_tracked_tenants_fit_in_100_mib() {
    const TENANT_MAX_BYTES: usize = 256 + 64; // its text, shared by both places, and their pointers
    let bytes = 10_000 * (cutover::domain::guard::TRACKED_TENANT_BYTES + TENANT_MAX_BYTES);
    assert!(bytes < 100 << 20, "{bytes}");
    let mut story = story();
    for chunk in tenants(10_000).chunks(1_000) {
        let cells: Vec<Cell<'_>> = chunk.iter().map(|tenant| of(reads(1, 0, 1, 0), tenant)).collect();
        story.report("a", &cells);
    }
    assert_eq!(story.judge.tracked_tenants(), 10_000);
    assert_eq!(arm(1, 0).failed(), 0);
}
