//! `plan lint`: what a plan's file comes to, and every mistake of it in one line. No controller runs.

use super::run_with;

#[tokio::test]
async fn lists_expand_to_a_step_each() {
    let text = r#"
        [[steps]]
        stage = "dual"
        percent = [1, 12.5, "100"]
        bake = "10m"
        evidence = "none"

        [[steps]]
        stage = "mirrored"
        percent = 100.0
        approval = true
    "#;
    let steps = run_with(["plan", "lint", "-", "--json"], text).await.objects();
    let shares: Vec<_> = steps.iter().map(|step| step["share_ppm"].as_u64().unwrap()).collect();
    assert_eq!(shares, [10_000, 125_000, 1_000_000, 1_000_000]);
    assert_eq!((&steps[2]["bake_ms"], &steps[2]["evidence"]), (&600_000.into(), &"none".into()));
    assert_eq!((&steps[3]["stage"], &steps[3]["approval"]), (&"mirrored".into(), &true.into()));
    assert_eq!((&steps[3]["bake_ms"], &steps[3]["evidence"]), (&0.into(), &"guards".into()));
    let told = run_with(["plan", "lint", "-"], text).await.done();
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[tokio::test]
async fn every_mistake_is_told_in_one_line() {
    let text = r#"
        step = 1
        [[steps]]
        stage = "duel"
        percnt = 5
        bake = "soon"
        evidence = "hope"
        approval = "yes"
        [[steps]]
        stage = "mirrored"
        percent = [5, 101]
    "#;
    let parts =
        ["8 wrong", "did you mean steps?", "did you mean dual?", "did you mean percent?", "is missing"];
    let parts = parts.into_iter().chain(["is no time", "\"none\"", "true or false", "over 100 %"]);
    run_with(["plan", "lint", "-"], text).await.fails(&parts.collect::<Vec<_>>());

    let jumps =
        "[[steps]]\nstage = 'dual'\npercent = [50, 20]\n[[steps]]\nstage = 'target-first'\npercent = 1";
    let parts = ["2 wrong", "steps[2]: dual goes down", "steps[3]: target-first jumps"];
    run_with(["plan", "lint", "-"], jumps).await.fails(&parts);
    run_with(["plan", "lint", "-"], "").await.fails(&["steps: there are none"]);
    run_with(["plan", "lint", "-"], "steps = [[").await.fails(&["1 wrong"]);
    run_with(["plan", "lint", "/no/such"], "").await.fails(&["can't read /no/such"]);
}
