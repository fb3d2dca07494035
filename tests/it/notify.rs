//! Notifications: which commits, which bytes, how they are signed, and when they are retried.

#[cfg(feature = "sqlite")]
mod delivery;
mod flags;
mod poison;
#[cfg(feature = "sqlite")]
mod tls;

use cutover::{
    domain::{Change, Cover, Event, Key, Migration, PassKind, Policy},
    notify::{
        Answer, AttemptOutcome, KINDS, Secret, Shape, after, body, delay_ms, idempotency_key, is_told,
        matters,
    },
};
use imbl::OrdMap;
use serde_json::{Value, json};

use crate::support::{commit, commit_by, create, key};

fn rollback() -> Event {
    Event {
        revision: 42,
        key: Key::parse("orders").unwrap(),
        at_ms: 1_700_000_000_000,
        actor: "guard:errors".to_owned(),
        reason: "target fails <!channel>".to_owned(),
        request_id: String::new(),
        change: "rollback".to_owned(),
        summary: vec!["from target-first to dual".to_owned()],
        document: None,
        rows: Vec::new(),
    }
}

#[test]
fn a_webhook_gets_the_event_and_the_same_bytes_each_time() {
    let bytes = body(Shape::Webhook, "h1", &rollback());
    let read: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        read,
        json!({
            "idempotency_key": "h1-42", "migration": "orders", "revision": 42, "change": "rollback",
            "at_ms": 1_700_000_000_000_u64, "actor": "guard:errors", "reason": "target fails <!channel>",
            "summary": ["from target-first to dual"],
        })
    );
    assert_eq!(bytes, body(Shape::Webhook, "h1", &rollback()));
    assert_eq!(idempotency_key("h1", &rollback()), "h1-42");
}

#[test]
fn slack_gets_a_text_in_which_nobody_can_call_the_channel() {
    let read: Value = serde_json::from_slice(&body(Shape::Slack, "h1", &rollback())).unwrap();
    let text = "*orders*: rollback by guard:errors (target fails &lt;!channel&gt;)\n\
                • from target-first to dual\nrevision 42";
    assert_eq!(read, json!({ "text": text }));
}

#[test]
fn the_signature_is_the_hmac_of_time_and_body() {
    // Computed with another implementation: Python's hmac over `1700000000.{"a":1}`, key `s3cret`.
    let signed = Secret::new("s3cret\n").unwrap().sign(1_700_000_000, br#"{"a":1}"#);
    assert_eq!(signed, "t=1700000000,v1=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940");
    assert!(Secret::new(" \n").is_none(), "an empty secret signs nothing");
    assert!(!format!("{:?}", Secret::new("s3cret")).contains("s3cret"));
}

#[test]
fn only_wanted_kinds_are_told() {
    let wanted = ["rollback".to_owned(), "plan-*".to_owned()];
    assert!(matters("rollback", &wanted) && matters("plan-step", &wanted));
    assert!(!matters("step", &wanted) && !matters("rollback-x", &wanted) && !matters("rollback", &[""; 0]));
    for kind in ["rollback", "hold", "pause", "delete", "job-finish", "plan-step", "approve"] {
        assert!(matters(kind, KINDS), "{kind}");
    }
    for kind in ["create", "rollout", "step", "pin", "job-begin"] {
        assert!(!matters(kind, KINDS), "{kind}");
    }
}

#[test]
fn what_the_endpoint_answers_says_whether_it_is_asked_again() {
    for status in [200, 202, 299] {
        assert_eq!(after(Answer::Status(status)), AttemptOutcome::Delivered);
    }
    for answer in [Answer::Silence, Answer::Status(408), Answer::Status(429), Answer::Status(503)] {
        assert_eq!(after(answer), AttemptOutcome::Retried, "{answer:?}");
    }
    for status in [400, 401, 404, 410] {
        assert_eq!(after(Answer::Status(status)), AttemptOutcome::Dropped);
    }
}

#[test]
fn the_delay_doubles_with_jitter_up_to_five_minutes() {
    assert_eq!((delay_ms(1, 0), delay_ms(1, u32::MAX)), (500, 1_000));
    assert_eq!((delay_ms(4, 0), delay_ms(4, u32::MAX)), (4_000, 8_000));
    assert_eq!((delay_ms(u32::MAX, 0), delay_ms(u32::MAX, u32::MAX)), (150_000, 300_000));
}

#[test]
fn of_a_pass_that_ended_clean_nobody_hears() {
    let mut event = commit(None, &key("orders"), &create(), 1).event;
    event.change = "job-finish".to_owned();
    for (clean, told) in [(false, true), (true, false), (false, true)] {
        let evidence = json!({
            "job": {
                "id": "orders/a", "kind": PassKind::Full, "cover": Cover { upto_ppm: 1, tenants: Vec::new() }, "began_revision": 1,
                "settled": 1, "fingerprint": "", "segments": 1, "begins_at_ms": 0, "residual_ms": 0,
            },
            "counts": {}, "clean": clean, "finished_at_ms": 1,
        });
        event.document.as_mut().unwrap().evidence.push(serde_json::from_value(evidence).unwrap());
        assert_eq!(is_told(&event, KINDS), told, "clean: {clean}");
    }
}

#[test]
fn whoever_may_approve_hears_of_a_request_and_what_to_do() {
    let policy = Policy { two_persons: true, ..Policy::default() };
    let Change::Create { salt, source, target, description, confirm, .. } = create() else { unreachable!() };
    let create = Change::Create { salt, source, target, description, policy: policy.clone(), confirm };
    let created = commit_by("token:ada", None, &key("orders"), &create, 1).event.document.unwrap();
    let migration = Migration::new(1, created, OrdMap::new());
    let policy = Some(Policy { soak_ms: 1, ..policy });
    let update = Change::Update { description: None, policy, guards: Vec::new() };
    let mut event = commit_by("token:ada", Some(&migration), &key("orders"), &update, 2).event;
    let asked = event.document.take();
    assert!(!is_told(&event, KINDS), "an update that one person made");
    event.document = asked;
    assert!(is_told(&event, KINDS));
    let read: Value = serde_json::from_slice(&body(Shape::Webhook, "h1", &event)).unwrap();
    let summary: Vec<_> = read["summary"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(summary.first(), Some(&"asked; a second person has to approve it"));
    assert_eq!(summary.last(), Some(&"to approve: cutover approve orders 2 --reason WHY"));
    // The next event has the same request in its document, and does not ask for it.
    event.revision = 3;
    assert!(!is_told(&event, KINDS));
}
