//! Requests that wait for a second person, without a controller.

use cutover_core::routing::Rung;
use imbl::OrdMap;

use super::*;
use crate::{
    Fleet, GuardEdit, GuardMode, Identity, Policy, REQUEST_VALID_MS, Shares, Tenant, apply,
    change::{Ask, Deletion, waiting},
    guard::{Guard, GuardKind, Operation},
    plan::{Part, Plan, Proof, Rules, Step},
};

/// Four of them may ask for as much as there is room for.
const ASKERS: [&str; 4] = ["token:ada", "token:bob", "token:cleo", "token:dan"];

/// A migration with the rule, and a clock.
struct World {
    migration: Migration,
    steady_ms: u64,
}

impl World {
    fn new() -> Self {
        let change = Change::Create {
            salt: String::new(),
            source: String::new(),
            target: String::new(),
            description: String::new(),
            policy: Policy { two_persons: true, ..Policy::default() },
            confirm: String::new(),
        };
        let fleet = Fleet::default();
        let context = Context { actor: "token:ada", identity: &Identity::Unproven, ..context(&fleet, 1, 0) };
        let created = apply(None, &key(), &change, &context).unwrap();
        Self { migration: Migration::new(1, created.document.unwrap(), OrdMap::new()), steady_ms: 0 }
    }

    fn change(&mut self, actor: &str, change: &Change) -> Result<Vec<String>, Refusal> {
        self.change_as(actor, &Identity::Unproven, change)
    }

    fn change_as(
        &mut self,
        actor: &str,
        identity: &Identity,
        change: &Change,
    ) -> Result<Vec<String>, Refusal> {
        let revision = self.migration.revision + 1;
        let fleet = Fleet::default();
        let context = Context { actor, identity, ..context(&fleet, revision, self.steady_ms) };
        let applied = apply(Some(&self.migration), &key(), change, &context)?;
        self.migration = Migration::new(revision, applied.document.unwrap(), OrdMap::new());
        Ok(applied.summary)
    }

    fn soak(&self, soak_ms: u64) -> Change {
        let policy = Policy { soak_ms, ..self.migration.document.policy.clone() };
        Change::Update { description: None, policy: Some(policy), guards: Vec::new() }
    }
}

fn key() -> Key {
    Key::parse("orders").unwrap()
}

fn approval(revision: u64) -> Change {
    Change::ApproveRequest { revision, calls: String::new() }
}

fn ramp(shares: Shares, overrides: &[Gate]) -> Change {
    Change::SetRollout { shares, ask: Ask { wait: true, overrides: overrides.to_vec() } }
}

fn context(fleet: &Fleet, revision: u64, steady_ms: u64) -> Context<'_> {
    Context {
        revision,
        now_ms: 1,
        steady_ms,
        actor: "",
        identity: &Identity::Unproven,
        reason: "a test",
        fleet,
    }
}

#[test]
fn a_request_expires_and_makes_room() {
    let mut world = World::new();
    for (at, soak_ms) in (1..=16).enumerate() {
        world.change(ASKERS[at / 4], &world.soak(soak_ms)).unwrap();
    }
    let refused = world.change("token:eve", &world.soak(17)).unwrap_err().to_string();
    assert!(refused.contains("16 requests wait"), "{refused}");
    let refused = world.change("token:ada", &world.soak(17)).unwrap_err().to_string();
    assert!(refused.contains("token:ada has 4 requests"), "{refused}");
    world.steady_ms = REQUEST_VALID_MS - 1;
    let without = world.migration.clone();
    world.change("token:eve", &approval(17)).unwrap();
    assert_eq!(world.migration.document.policy.soak_ms, 16);
    world.migration = without;
    world.steady_ms += 1;
    let refused = world.change("token:eve", &approval(17)).unwrap_err().to_string();
    assert!(refused.contains("no request of revision 17"), "{refused}");
    world.change("token:ada", &world.soak(17)).unwrap();
    assert_eq!(world.migration.document.requests.len(), 1);
}

#[test]
fn a_request_that_was_withdrawn_is_gone_and_frees_its_place() {
    let mut world = World::new();
    for soak_ms in 1..=4 {
        world.change("token:ada", &world.soak(soak_ms)).unwrap();
    }
    assert!(world.change("token:ada", &world.soak(5)).is_err());
    let said = world.change("token:bob", &Change::WithdrawRequest { revision: 2 }).unwrap();
    assert_eq!(said, ["withdrew what token:ada asked for in revision 2"]);
    assert!(world.change("token:bob", &approval(2)).is_err());
    assert!(world.change("token:bob", &Change::WithdrawRequest { revision: 2 }).is_err());
    world.change("token:ada", &world.soak(5)).unwrap();
}

/// A refused approval, which leaves the request where it is.
fn outlived(world: &mut World, revision: u64) -> String {
    let unmet = match world.change("token:eve", &approval(revision)) {
        Err(Refusal::Unmet(unmet)) => unmet,
        other => panic!("{other:?}"),
    };
    assert!(unmet[0].action.ends_with(&format!("cutover withdraw orders {revision} removes this one")));
    unmet[0].message.clone()
}

#[test]
fn settings_that_were_changed_since_are_not_taken_back() {
    let mut world = World::new();
    let guard = |mode| {
        let guard = Guard::of(GuardKind::ErrorAbsolute, Operation::Read);
        let guards = vec![GuardEdit { guard, mode: Some(mode), limit: None }];
        Change::Update { description: None, policy: None, guards }
    };
    world.change("token:ada", &world.soak(1)).unwrap();
    world.change("token:ada", &guard(GuardMode::Off)).unwrap();
    world.change("token:bob", &guard(GuardMode::Observe)).unwrap();
    world.change("token:eve", &approval(4)).unwrap();
    assert_eq!(outlived(&mut world, 3), "the guards were changed since this was asked for");
    // The policy was not.
    world.change("token:eve", &approval(2)).unwrap();
    // Nobody is shown what can't be approved, and it takes nobody's place.
    assert!(waiting(&world.migration, &Fleet::default(), 0).is_empty());
    world.change("token:ada", &world.soak(9)).unwrap();
    assert_eq!(world.migration.document.requests.len(), 1);
}

#[test]
fn a_rollback_or_a_pause_since_ends_what_was_asked_for() {
    for stop in [Change::Pause, Change::Rollback { tenant: None }] {
        let mut world = World::new();
        world.change("token:ada", &ramp(Shares { dual_ppm: Some(10), ..Shares::default() }, &[])).unwrap();
        let asked = ramp(Shares { dual_ppm: Some(20), ..Shares::default() }, &[Gate::FullPass]);
        world.change("token:ada", &asked).unwrap();
        let revision = world.migration.revision;
        world.change("token:bob", &stop).unwrap();
        let is_rollback = stop != Change::Pause;
        if is_rollback {
            let refused = world.change("token:eve", &approval(revision)).unwrap_err().to_string();
            assert!(refused.contains("rolled back"), "{refused}");
        }
        let over = if is_rollback { Change::Acknowledge } else { Change::Resume };
        world.change("token:bob", &over).unwrap();
        let said = outlived(&mut world, revision);
        assert_eq!(said, "the migration was rolled back or paused since this was asked for");
    }
}

#[test]
fn a_request_does_what_it_says_or_nothing() {
    let mut world = World::new();
    let shares =
        |dual, mirrored| Shares { dual_ppm: Some(dual), mirrored_ppm: Some(mirrored), ..Shares::default() };
    world.change("token:ada", &ramp(shares(500_000, 0), &[])).unwrap();
    let mirrored = Shares { mirrored_ppm: Some(400_000), ..Shares::default() };
    world.change("token:ada", &ramp(mirrored, &[Gate::FullPass])).unwrap();
    let revision = world.migration.revision;
    let summary = world.migration.document.requests[0].summary.clone();
    assert_eq!(summary[0], "asked for mirrored 40 %", "{summary:?}");
    // It would take everybody from source-only now.
    world.change("token:bob", &ramp(shares(0, 0), &[])).unwrap();
    let said = outlived(&mut world, revision);
    assert!(said.contains("something else than it says"), "{said}");
    assert!(said.contains(": asked for dual 40 %, mirrored 40 %;"), "{said}");
    assert!(world.migration.document.goal.shares().iter().all(|(_, ppm)| *ppm == 0));
}

#[test]
fn a_restored_store_has_no_requests() {
    let mut world = World::new();
    world.change("token:ada", &world.soak(1)).unwrap();
    let restored = Change::SuspectRestore { why: "a test".to_owned(), put_back: false };
    world.change("controller", &restored).unwrap();
    let refused = world.change("token:bob", &approval(2)).unwrap_err().to_string();
    assert!(refused.contains("no request of revision 2"), "{refused}");
}

#[test]
fn nobody_deletes_the_rule_by_abandoning_first() {
    let mut world = World::new();
    world.change("token:ada", &Change::Abandon).unwrap();
    world.change("token:ada", &Change::Delete(Deletion::default())).unwrap();
    assert_eq!(world.migration.document.requests.len(), 1);
    // Services may have come since it was asked for.
    let used = Change::ApproveRequest { revision: 3, calls: "5 of orders-api".to_owned() };
    let refused = world.change("token:bob", &used).unwrap_err().to_string();
    assert!(refused.contains("services still use it"), "{refused}");
    let fleet = Fleet::default();
    let by_bob = Context { actor: "token:bob", identity: &Identity::Unproven, ..context(&fleet, 4, 0) };
    let deleted = apply(Some(&world.migration), &key(), &approval(3), &by_bob).unwrap();
    assert!(deleted.document.is_none());
}

#[test]
fn names_that_nobody_proved_are_nobody() {
    let mut world = World::new();
    for actor in ["operator:ada", "controller", "plan", "Token:ada", ""] {
        assert!(world.change(actor, &world.soak(1)).is_err(), "{actor}");
    }
    world.change("token:ada", &world.soak(1)).unwrap();
    for actor in ["operator:bob", "controller", "plan", "Token:bob", "token:ada"] {
        assert!(world.change(actor, &approval(2)).is_err(), "{actor}");
    }
}

#[test]
fn approvals_from_before_the_rule_do_not_count() {
    let mut world = World::new();
    let policy = |two_persons| {
        let policy = Policy { two_persons, ..Policy::default() };
        Change::Update { description: None, policy: Some(policy), guards: Vec::new() }
    };
    world.change("token:ada", &policy(false)).unwrap();
    world.change("token:bob", &approval(2)).unwrap();
    let step = Step {
        rung: Rung::Dual,
        part: Part::Share(1_000_000),
        bake_ms: 0,
        evidence: Proof::None,
        approval: true,
    };
    let plan = Plan::of(vec![step], Rules::default()).unwrap();
    world.change("token:ada", &Change::ApplyPlan(Box::new(plan))).unwrap();
    world.change("token:ada", &Change::ApprovePlan { step: Some(0) }).unwrap();
    world.change("token:ada", &policy(true)).unwrap();
    assert_eq!(world.migration.document.unapproved_step(), Some(0));
    assert!(world.change("token:ada", &Change::ApprovePlan { step: Some(0) }).is_err());
    world.change("token:bob", &Change::ApprovePlan { step: Some(0) }).unwrap();
}

#[test]
fn a_person_stays_one_person_under_another_address() {
    let account = |sub: &str| Identity::Account(format!("https://login.test {sub}"));
    let (ada, bob) = (account("1"), account("2"));
    let mut world = World::new();
    for soak_ms in 1..=4 {
        world.change_as("oidc:ada@example.com", &ada, &world.soak(soak_ms)).unwrap();
    }
    let second = |world: &mut World, actor: &str, identity: &Identity| {
        world.change_as(actor, identity, &approval(2)).unwrap_err().to_string()
    };
    let refused = second(&mut world, "oidc:ada+2@example.com", &ada);
    assert!(refused.contains("oidc:ada+2@example.com asked for it as oidc:ada@example.com"), "{refused}");
    let refused = second(&mut world, "oidc:Ada@Example.com", &bob);
    assert!(refused.contains("wants somebody else"), "an address means the same in capitals: {refused}");
    let refused = second(&mut world, "oidc:bob@example.com", &Identity::Unproven);
    assert!(refused.contains("no claim \"sub\""), "{refused}");
    // Nor do more places come with another address.
    assert!(world.change_as("oidc:ada+2@example.com", &ada, &world.soak(5)).is_err());
    world.change_as("oidc:bob@example.com", &bob, &approval(2)).unwrap();
    assert_eq!(world.migration.document.policy.soak_ms, 1);

    let step = Step {
        rung: Rung::Dual,
        part: Part::Share(1_000_000),
        bake_ms: 0,
        evidence: Proof::None,
        approval: true,
    };
    let apply = Change::ApplyPlan(Box::new(Plan::of(vec![step], Rules::default()).unwrap()));
    let approve = Change::ApprovePlan { step: Some(0) };
    let mut world = World::new();
    world.change_as("oidc:ada@example.com", &ada, &apply).unwrap();
    let refused = world.change_as("oidc:ada+2@example.com", &ada, &approve).unwrap_err().to_string();
    assert!(refused.contains("applied the plan as oidc:ada@example.com"), "{refused}");
    world.change_as("oidc:bob@example.com", &bob, &approve).unwrap();
    let mut world = World::new();
    world.change_as("oidc:ada@example.com", &Identity::Unproven, &apply).unwrap();
    let refused = world.change_as("oidc:bob@example.com", &bob, &approve).unwrap_err().to_string();
    assert!(refused.contains("nobody proved who that is"), "{refused}");
}

#[test]
fn an_override_of_what_was_asked_for_before_says_for_whom_it_is() {
    let mut world = World::new();
    let shares = Shares { dual_ppm: Some(400_000), mirrored_ppm: Some(100_000), ..Shares::default() };
    world.change("token:ada", &ramp(shares, &[])).unwrap();
    world.change("token:ada", &ramp(shares, &[Gate::FullPass])).unwrap();
    let summary = &world.migration.document.requests[0].summary;
    let told = "ramp to dual 40 %, mirrored 10 %, without the evidence of full-pass";
    assert!(summary.iter().any(|line| line == told), "{summary:?}");
    let acme = Tenant::parse("acme").unwrap();
    let pin = |overrides: &[Gate]| {
        let ask = Ask { wait: true, overrides: overrides.to_vec() };
        Change::SetPins { pins: vec![(acme.clone(), Rung::Mirrored)], ask }
    };
    world.change("token:ada", &pin(&[])).unwrap();
    world.change("token:ada", &pin(&[Gate::FullPass])).unwrap();
    let summary = &world.migration.document.requests.last().unwrap().summary;
    let told = "pin acme to mirrored, without the evidence of full-pass";
    assert!(summary.iter().any(|line| line == told), "{summary:?}");
}
