//! How many passes a migration remembers, and which are never forgotten.

use super::*;

/// Without segments any number of one kind may run side by side.
fn new_pass(n: usize) -> Change {
    Change::BeginJob(NewPass {
        removes_extra: false,
        source_wins: false,
        id: format!("orders/{n}"),
        kind: PassKind::Full,
        cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
        fingerprint: String::new(),
        segments: 0,
        residual_ms: 0,
    })
}

fn ended(n: usize) -> Change {
    let (id, counts, findings) = (format!("orders/{n}"), Default::default(), Default::default());
    Change::FinishJob { id, counts, findings, complete: true, ledgers: Ledgers::default() }
}

#[test]
fn a_running_pass_is_never_dropped_for_newer_ones() {
    let mut world = World::new();
    let running = |world: &World| -> Vec<String> {
        world.migration.document.jobs.iter().map(|job| job.id.clone()).collect()
    };
    let mut begun = 0;
    while world.change(&new_pass(begun)) {
        begun += 1;
        assert!(begun < 1_000, "there is a bound");
    }
    let all: Vec<_> = (0..begun).map(|n| format!("orders/{n}")).collect();
    assert_eq!(running(&world), all, "and whoever comes after it is refused, in words");
    let Err(Refusal::Unmet(unmet)) = world.applied(&new_pass(begun)) else { panic!("refused") };
    assert_eq!(unmet[0].message, format!("{begun} passes are under way, the oldest is orders/0"));
    assert_eq!(unmet[0].action, "let one end, or cutover cancel orders/0");
    // One of them makes room, again and again: more end than are remembered.
    assert!(world.change(&ended(begun - 1)));
    for n in begun..4 * begun {
        assert!(world.change(&new_pass(n)) && world.change(&ended(n)), "{n}");
    }
    assert_eq!(running(&world), all[..begun - 1]);
    assert!(world.migration.document.evidence.len() <= begun, "what has ended is bounded");
    assert!(world.change(&ended(0)), "and counts when it ends");
    assert_eq!(world.migration.document.evidence.last().unwrap().job.id, "orders/0");
}
