//! What operators do to a plan: approve, skip, pause, stop, replace; and take steps back.

use super::*;

const DUAL: v1::Rung = v1::Rung::Dual;

fn key() -> String {
    "orders".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_and_a_skip_are_for_the_step_that_was_looked_at() {
    let mut world = World::new().await;
    let approved = v1::PlanStep { approval: true, ..share(DUAL, 100, 0) };
    world.apply(plan([share(DUAL, 1, 3_600_000), approved])).await;
    let waits = world.until(|view| missing(view).contains("of its bake time")).await;
    assert!(missing(&waits).contains("the approval of step 2"), "{waits:?}");
    assert!(missing(&waits).contains("evidence"), "nobody reports: {waits:?}");

    let approve = |step| v1::ApprovePlanRequest { mutation: because(""), key: key(), step };
    let other = world.admin.approve_plan(approve(1)).await.unwrap_err();
    assert!(other.message().contains("the next step that needs an approval is 2"), "{other}");
    world.admin.approve_plan(approve(0)).await.unwrap();
    let again = world.admin.approve_plan(approve(2)).await.unwrap_err();
    assert!(again.message().contains("no step to come needs an approval"), "{again}");
    assert_eq!(world.view().await.taken.len(), 1, "it goes on baking");

    let skip = |reason, step| v1::SkipPlanStepRequest { mutation: because(reason), key: key(), step };
    let why = world.admin.skip_plan_step(skip("", 0)).await.unwrap_err();
    assert!(why.message().contains("reason"), "{why}");
    let other = world.admin.skip_plan_step(skip("late", 2)).await.unwrap_err();
    assert!(other.message().contains("step 1 is the one that is waited for"), "{other}");
    world.admin.skip_plan_step(skip("no traffic yet", 1)).await.unwrap();
    let next = world.until(|view| view.taken.len() == 2).await;
    assert_eq!(next.taken[0].skipped, "no traffic yet");
    // The last one has to show its evidence, or is skipped as well.
    world.until(|view| missing(view) == "4603 more write calls to the target").await;
    world.admin.skip_plan_step(skip("no traffic at all", 0)).await.unwrap();
    world.until(|view| view.status() == v1::PlanStatus::Done).await;
    let over = world.admin.skip_plan_step(skip("again", 0)).await.unwrap_err();
    assert!(over.message().contains("the plan is done"), "{over}");
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_approval_approves_no_later_step() {
    let mut world = World::new().await;
    let approved = |rung| v1::PlanStep { approval: true, ..share(rung, 100, 0) };
    world.apply(plan([share(DUAL, 1, 3_600_000), approved(DUAL), approved(v1::Rung::Mirrored)])).await;
    world.until(|view| missing(view).contains("the approval of step 2")).await;
    let approve = |step| v1::ApprovePlanRequest { mutation: because(""), key: key(), step };
    world.admin.approve_plan(approve(0)).await.unwrap();
    let repeated = world.admin.approve_plan(approve(0)).await.unwrap_err();
    assert!(repeated.message().contains("step 3 needs an approval, and is not next"), "{repeated}");
    world.admin.approve_plan(approve(3)).await.unwrap();
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_windows_no_step_is_taken() {
    let mut world = World::new().await;
    // Open on the day three days from now: 1 January 1970 was a Thursday.
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let day = (now_s / 86_400 + 3 + 3) % 7 + 1;
    let window = v1::PlanWindow { days: vec![day as u32], from_min: 0, upto_min: 1440 };
    let steps = [without_evidence(share(DUAL, 100, 0))];
    let zone = "UTC".to_owned();
    let closed = v1::Plan { windows: vec![window.clone()], time_zone: zone, ..plan(steps.clone()) };
    world.apply(closed.clone()).await;
    let view = world.view().await;
    assert_eq!(missing(&view), "its change window to open");
    let until_s = view.missing[0].until_ms / 1000;
    assert_eq!((until_s % 86_400, until_s / 86_400), (0, now_s / 86_400 + 3));
    assert_eq!(view.taken.len(), 0);

    for (bad, part) in [
        (v1::Plan { time_zone: "Vienna".to_owned(), ..closed.clone() }, "is no time zone"),
        (
            v1::Plan { windows: vec![v1::PlanWindow { days: vec![8], ..window.clone() }], ..closed.clone() },
            "day",
        ),
        (
            v1::Plan { windows: vec![v1::PlanWindow { days: vec![], ..window.clone() }], ..closed.clone() },
            "never",
        ),
        (
            v1::Plan { windows: vec![v1::PlanWindow { from_min: u32::MAX, ..window }], ..closed },
            "out of a day",
        ),
        (plan([]), "give at least one"),
        (plan([share(DUAL, 101, 0)]), "over 100 %"),
        (plan([v1::PlanStep { rung: 99, ..share(DUAL, 1, 0) }]), "has no rung"),
        (plan([v1::PlanStep { tenants: vec!["a".to_owned()], ..share(DUAL, 1, 0) }]), "one of them"),
        (
            plan((0..201).map(|at| v1::PlanStep { share_ppm: Some(at + 1), ..share(DUAL, 1, 0) })),
            "at most 200",
        ),
    ] {
        let refused = world.admin.start_plan(apply(bad)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains(part), "{part}: {refused}");
    }
    // Another plan replaces it; nothing of the first was taken.
    let answer = world.apply(plan(steps)).await;
    assert!(answer.changes[0].contains("in place of the one before"), "{answer:?}");
    world.until(|view| view.status() == v1::PlanStatus::Done).await;
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_it_and_a_step_that_somebody_took_back_is_taken_again_on_request() {
    let mut world = World::new().await;
    let _service = world.service(MANY).await;
    let pause = v1::PauseRequest { mutation: because("lunch"), key: key() };
    world.admin.pause(pause).await.unwrap();
    world.apply(plan([share(DUAL, 10, 0), share(DUAL, 20, 3_600_000)])).await;
    assert!(world.view().await.held.contains("paused"), "from the start");
    let resume = v1::ResumeRequest { mutation: because(""), key: key() };
    world.admin.resume(resume.clone()).await.unwrap();
    world.until(|view| view.taken.len() == 2).await;

    let ramp = v1::SetRolloutRequest { key: key(), dual_ppm: Some(10_000), wait: true, ..Default::default() };
    world.admin.set_rollout(ramp).await.unwrap();
    let astray = world.view().await;
    assert!(astray.held.contains("took step 1 back"), "{astray:?}");
    world.admin.resume(resume).await.unwrap();
    world.until(|view| view.taken.len() == 2 && view.held.is_empty()).await;
    assert_eq!(world.migration().await.goal.unwrap().dual_ppm, 200_000);

    let stop = v1::StopPlanRequest { mutation: because("enough"), key: key() };
    world.admin.stop_plan(stop).await.unwrap();
    assert_eq!(world.view().await.status(), v1::PlanStatus::Ended);
    assert_eq!(world.migration().await.rollout.unwrap().dual_ppm, 200_000, "everybody stays");
    world.controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_a_change_like_any_other() {
    let mut world = World::new().await;
    let none = world.admin.get_plan(v1::GetPlanRequest { key: key() }).await.unwrap_err();
    assert_eq!(none.code(), tonic::Code::NotFound);
    let skip = v1::SkipPlanStepRequest { mutation: because("why"), key: key(), step: 0 };
    let none = world.admin.skip_plan_step(skip).await.unwrap_err();
    assert!(none.message().contains("there is no plan"), "{none}");

    let request = apply(plan([share(DUAL, 10, 3_600_000)]));
    let with = |change: &dyn Fn(&mut v1::Mutation)| {
        let mut request = request.clone();
        request.mutation.as_mut().map(change).unwrap();
        request
    };
    let dry = world.admin.start_plan(with(&|by| by.dry_run = true)).await.unwrap().into_inner();
    assert!(dry.dry_run && dry.changes == ["applied a plan of 1 steps"], "{dry:?}");
    assert!(world.admin.get_plan(v1::GetPlanRequest { key: key() }).await.is_err(), "nothing happened");
    let stale = world.admin.start_plan(with(&|by| by.expected_revision = 99)).await.unwrap_err();
    assert_eq!(stale.code(), tonic::Code::Aborted);
    let once = with(&|by| by.request_id = "once".to_owned());
    let first = world.admin.start_plan(once.clone()).await.unwrap().into_inner();
    let again = world.admin.start_plan(once).await.unwrap().into_inner();
    assert!(again.repeated && again.changes == first.changes, "{again:?}");
    // The same plan again, by a pipeline that runs twice: it continues where it is.
    world.until(|view| view.taken.len() == 1).await;
    assert_eq!(world.apply(plan([share(DUAL, 10, 3_600_000)])).await.changes, Vec::<String>::new());
    // A longer one begins with what is in place.
    let longer = world.apply(plan([share(DUAL, 10, 3_600_000), share(DUAL, 20, 0)])).await;
    assert!(longer.changes[0].contains("1 of them is in place already"), "{longer:?}");
    world.controller.stop().await;
}
