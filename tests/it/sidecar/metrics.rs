//! What a sidecar counts, for a scrape and at its end.

use std::collections::BTreeMap;

use serde_json::json;

use super::client::{Place, request};

/// The value of each line of a scrape.
fn values(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_scrape_has_what_callers_did_and_the_guide_lists_it() {
    let place = Place::new(1_000).await;
    let log = place.dir.path().join("sidecar.log");
    let sidecar = place.logging(&log).await;
    let put = json!({ "tenant": "acme", "key": "a", "json": "{}" });
    sidecar.ok("Put", &put).await;
    sidecar.ok("Put", &put).await;
    assert_eq!(sidecar.json("Put", &json!({ "tenant": "acme", "key": "a" })).await.0, 400);
    let (ended, _open) = (sidecar.begin_write().await, sidecar.begin_write().await);
    assert_eq!(sidecar.end(&ended).await, "OPERATION_OUTCOME_DONE");
    assert_eq!(sidecar.end(&ended).await, "OPERATION_OUTCOME_INDETERMINATE", "it was ended");

    let (status, text) = request(&sidecar.socket, "GET", "/metrics", String::new()).await.unwrap();
    assert!(status == 200 && text.ends_with("# EOF\n"), "{text}");
    let values = values(&text);
    for (name, value) in [
        ("ready", 1.0),
        ("connected", 1.0),
        ("operations", 1.0),
        ("in_flight", 1.0),
        ("in_flight_limit", 4096.0),
        ("calls_total{method=\"Put\",code=\"OK\"}", 2.0),
        ("calls_total{method=\"Put\",code=\"INVALID_ARGUMENT\"}", 1.0),
        ("calls_total{method=\"Begin\",code=\"OK\"}", 2.0),
        ("ended_operations_total{outcome=\"done\"}", 1.0),
        ("ended_operations_total{outcome=\"indeterminate\"}", 1.0),
        ("abandoned_operations_total", 0.0),
    ] {
        assert_eq!(values.get(&format!("cutover_sidecar_{name}")), Some(&value), "{name}: {text}");
    }
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families: BTreeMap<_, _> = families.collect();
    let guide =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guides/sidecar.md")).unwrap();
    let rows = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| row.starts_with("cutover_sidecar_"));
    let documented = rows.map(|row| {
        let (name, rest) = row.split_once('`').unwrap();
        let name = name.split('{').next().unwrap().trim_end_matches("_total");
        (name, rest.split('|').nth(1).unwrap().trim())
    });
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), families, "docs/guides/sidecar.md on the left");

    sidecar.stop().await;
    let log = std::fs::read_to_string(log).unwrap();
    let last = log.lines().last().unwrap();
    for part in ["stopped", "writes=2", "failed_writes=1", "done=1", "indeterminate=1", "abandoned=1"] {
        assert!(last.contains(part), "{part}: {log}");
    }
    place.controller.stop().await;
}
