//! Reports of SDKs: counted once, whatever they say.

use cutover::telemetry::{Accepted, Ingest, Known};
use cutover_proto::v1;
use prost::Message as _;

use crate::{
    Target,
    draw::{self, Draw},
};

pub(crate) const TARGET: Target =
    Target { name: "report", check, seeds, words: &["acme", "orders", "orders-api-1"] };

/// The controller's newest revision.
const NEWEST: u64 = 100;
const NOW_MS: u64 = 1_700_000_000_000;

fn check(bytes: &[u8]) {
    let Ok(mut report) = v1::ReportRequest::decode(bytes) else { return };
    let encoded = report.encode_to_vec();
    assert_eq!(v1::ReportRequest::decode(encoded.as_slice()).as_ref(), Ok(&report), "a message is the same");
    // Everything refuses 0 before it is counted.
    report.sequence = 1;
    // Many times: sums must not overflow.
    let cells = report.cells.clone();
    report.cells = cells.iter().cycle().take(cells.len() * 8).cloned().collect();

    let ingest = Ingest::default();
    let known = |_: &str| Some(Known::default());
    for sequence in 1..=8 {
        report.sequence = sequence;
        let Accepted { sequence: heard, is_new, left_out } =
            ingest.accept_known(&report, NEWEST, known, NOW_MS + sequence * 400);
        assert_eq!((heard, is_new), (sequence, true));
        assert!(left_out.is_sorted_by(|one, other| one < other), "ascending");
        assert!(left_out.iter().all(|at| *at < report.cells.len()));
        for (at, cell) in report.cells.iter().enumerate() {
            let is_wrong = cell.revision > NEWEST || cell.migration.is_empty();
            assert!(!is_wrong || left_out.contains(&at), "cell {at} can't be");
        }
        let is_counted = left_out.len() < report.cells.len();
        assert_eq!(is_counted, !ingest.keys().is_empty());
        let again = ingest.accept_known(&report, NEWEST, known, NOW_MS);
        assert_eq!(
            (again.sequence, again.is_new, again.left_out.len()),
            (sequence, false, 0),
            "counted once"
        );
    }

    let view = ingest.view(NOW_MS + 5_000);
    for migration in &view.migrations {
        assert_eq!(ingest.totals(&migration.key), migration.totals);
        for store in &migration.stores {
            assert!(store.errors <= store.calls, "{} of {} calls failed", store.errors, store.calls);
        }
    }
    let taken = ingest.take();
    assert!(ingest.take().windows.is_empty(), "taken once");
    // By second and by revision: both have all of it.
    for key in ingest.keys() {
        let windows = taken.windows.iter().filter(|(id, _)| id.key.as_str() == key);
        assert!(windows.count() > 0, "{key} was counted, and is to be stored");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::noise(40, 256).iter().map(|noise| report(&mut Draw::new(noise)).encode_to_vec()).collect()
}

fn report(draw: &mut Draw<'_>) -> v1::ReportRequest {
    let mut number = 0;
    let cell = |draw: &mut Draw<'_>| {
        number += 1;
        let stores = draw.some(4, |draw| v1::StoreCalls {
            store: draw.below(3) as i32,
            operation: draw.below(3) as i32,
            calls: (1 << draw.below(50)) - 1,
            errors: draw.one_in(3).then(|| v1::ErrorCounts { timeout: 1, other: 2, ..Default::default() }),
            latency_us: draw
                .one_in(2)
                .then(|| v1::Histogram { index: vec![1, 7, 150], count: vec![3, 1, 1 << 40] }),
            ..Default::default()
        });
        v1::Cell {
            migration: draw.pick(&["orders", "users", "No Key"]).to_owned(),
            revision: draw.below(120).into(),
            stores,
            hit: 1 << draw.below(50),
            both_ok: number,
            compared: draw.below(9).into(),
            tenant: draw.pick(draw::NAMES).to_owned(),
            ..Default::default()
        }
    };
    v1::ReportRequest {
        instance_id: "orders-api-1".to_owned(),
        sequence: 1,
        applied_revision: 3,
        received_revision: 4,
        cells: draw.some(6, cell),
        dropped_cells: draw.below(5).into(),
        incarnation: 9,
        ..Default::default()
    }
}
