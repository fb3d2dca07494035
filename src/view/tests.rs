//! The page of a migration, on terminals of any size.

use std::time::{Duration, Instant};

use cutover_proto::v1;

use super::View;

fn status(hit: u64) -> v1::Status {
    let migration = v1::Migration { key: "orders".to_owned(), ..Default::default() };
    let totals = v1::Totals { hit, ..Default::default() };
    v1::Status { migration: Some(migration), totals: Some(totals), settled: true, ..Default::default() }
}

#[test]
fn a_lost_controller_is_shown_with_its_age_until_it_is_heard_again() {
    let (mut view, began) = (View::default(), Instant::now());
    view.hear(status(0), began);
    let quiet = view.line();
    view.lose("gone".to_owned());
    let page = view.page(began + Duration::from_secs(4), 24, 80).join("\n");
    assert!(page.contains("reconnecting, last seen 4 s ago: gone"), "{page}");
    assert!(page.contains("orders"), "what was known stays: {page}");
    assert!(view.is_lost() && view.line() != quiet);
    view.hear(status(1), began + Duration::from_secs(5));
    assert!(!view.page(began, 24, 80).join("\n").contains("reconnecting"));
    assert_eq!(view.line(), quiet, "traffic alone is no change");
}

#[test]
fn hits_are_told_by_the_second_and_a_restart_counts_anew() {
    let (mut view, began) = (View::default(), Instant::now());
    let at = |second| began + Duration::from_secs(second);
    view.hear(status(100), at(0));
    view.hear(status(180), at(4));
    assert!(view.page(at(4), 24, 80).join("\n").contains("hit 20/s"));
    view.hear(status(10), at(6));
    view.hear(status(30), at(8));
    assert!(view.page(at(8), 24, 80).join("\n").contains("hit 10/s"));
}

#[test]
fn what_a_plan_waits_for_and_what_holds_it_are_two_things() {
    let missing = v1::PlanMissing { what: "2 min of bake".to_owned(), ..Default::default() };
    let plan = v1::PlanView { missing: vec![missing], held: "paused".to_owned(), ..Default::default() };
    let mut view = View::default();
    view.hear(v1::Status { plan: Some(plan), ..status(0) }, Instant::now());
    let page = view.page(Instant::now(), 24, 200).join("\n");
    assert!(page.contains("0 steps taken, waits for 2 min of bake, held: paused"), "{page}");
}

#[test]
fn a_page_fits_the_terminal_and_keeps_the_newest_of_the_story() {
    let mut view = View::default();
    (0..20).for_each(|line| view.tell(&format!("line {line}.")));
    view.hear(status(0), Instant::now());
    let page = view.page(Instant::now(), 7, 80);
    assert!((3..=7).contains(&page.len()), "{page:#?}");
    assert!(page.join("\n").contains("line 19.") && !page.join("\n").contains("line 3."));
}

#[test]
fn the_remedy_is_whole_on_a_small_terminal_with_a_large_fleet() {
    let waiting = v1::Waiting {
        gate: "full-pass".to_owned(),
        whom: "0-100 %".to_owned(),
        step: "mirrored -> target-first".to_owned(),
        message: "no full pass covers these tenants since they reached mirrored".to_owned(),
        action: "settle at mirrored first, then run the pass: cutover backfill SPEC".to_owned(),
        by_itself: false,
    };
    let instance = |id: usize| v1::Instance { instance_id: format!("i{id}"), ..Default::default() };
    let rate = v1::StoreRate::default();
    let mut busy = v1::Status {
        waiting: vec![waiting; 30],
        instances: (0..40).map(instance).collect(),
        rates: vec![rate; 4],
        ..status(0)
    };
    busy.migration.as_mut().expect("it has one").state = v1::State::Ramping.into();
    let mut view = View::default();
    view.hear(busy, Instant::now());
    for (height, width) in [(23, 79), (23, 59), (12, 59)] {
        let page = view.page(Instant::now(), height, width);
        assert!(page.len() <= height, "{page:#?}");
        let text = page.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains("Next: settle at mirrored first, then run the pass: cutover backfill SPEC"),
            "{page:#?}"
        );
        let wide = page.iter().find(|line| console::measure_text_width(line) > width);
        assert!(wide.is_none(), "{wide:?}");
    }
    let page = view.page(Instant::now(), 23, 79).join("\n");
    assert!(page.contains(" more, ") && page.contains("lost or behind: cutover instances"), "{page}");
}
