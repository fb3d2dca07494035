//! Stories of callers that ask for single decisions.

use std::time::Duration;

use super::{DECISION_EXPIRED, Entry};
use crate::domain::{Change, Context, Fleet, Identity, Key, Migration, Policy, Wait, apply};

fn migration(revision: u64) -> Migration {
    let key = Key::parse("orders").expect("a key");
    let change = Change::Create {
        salt: String::new(),
        source: "a".to_owned(),
        target: "b".to_owned(),
        description: String::new(),
        policy: Policy::default(),
        confirm: String::new(),
    };
    let fleet = Fleet::default();
    let context = Context {
        revision,
        now_ms: 1,
        steady_ms: 1,
        actor: "operator:ada",
        identity: &Identity::Unproven,
        reason: "",
        fleet: &fleet,
    };
    let document = apply(None, &key, &change, &context).expect("legal").document.expect("a migration");
    Migration::new(revision, document, imbl::OrdMap::new())
}

/// Its next revision, by which decisions are made at once.
fn next(entry: &Entry, revision: u64) -> Entry {
    let next = entry.next(migration(revision));
    next.note_published();
    next
}

fn acknowledged(entry: &Entry, step: u64) -> bool {
    let fleet = Fleet::new(entry.remote_callers().into_iter().collect());
    let both = [Wait::Received, Wait::Quiesced].map(|wait| fleet.acknowledged(step, wait));
    assert_eq!(both[0], both[1]);
    both[0]
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_step_is_acknowledged_once_every_older_answer_has_expired_whatever_is_committed_meanwhile() {
    let created = Entry::new(migration(1), None);
    assert!(acknowledged(&created, 1), "nobody ever asked");
    created.note_asked();
    let stepped = next(&created, 2);
    // A pause, a pin, a description; and questions all the time.
    let mut entry = stepped;
    for revision in 3..13 {
        pass(SECOND).await;
        entry.note_asked();
        entry = next(&entry, revision);
        assert!(!acknowledged(&entry, 2), "revision {revision}");
    }
    pass(DECISION_EXPIRED - 10 * SECOND).await;
    assert!(acknowledged(&entry, 2), "its own answers have expired, whatever came since");
    assert!(!acknowledged(&entry, 3) && !acknowledged(&entry, 12));
    pass(10 * SECOND).await;
    assert!(acknowledged(&entry, 12));
}

#[tokio::test(start_paused = true)]
async fn commits_in_quick_succession_delay_no_step_for_ever() {
    let mut entry = Entry::new(migration(1), None);
    entry.note_asked();
    for revision in 2..260 {
        pass(Duration::from_millis(50)).await;
        entry.note_asked();
        entry = next(&entry, revision);
    }
    assert!(acknowledged(&entry, 10), "it is over ten seconds old");
    assert!(!acknowledged(&entry, 259));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_callers_are_waited_for_whoever_they_may_be() {
    assert!(acknowledged(&Entry::loaded(migration(7), false), 7), "nobody ever asked");
    let entry = Entry::loaded(migration(7), true);
    assert!(!acknowledged(&entry, 7) && !acknowledged(&entry, 3), "which revision is how old is not known");
    pass(DECISION_EXPIRED).await;
    assert!(acknowledged(&entry, 7));
    let entry = next(&entry, 8);
    assert!(acknowledged(&entry, 8), "nobody has asked since the restart");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_who_can_have_no_answer_left() {
    let entry = Entry::new(migration(1), None);
    entry.note_asked();
    pass(DECISION_EXPIRED).await;
    let entry = next(&entry, 2);
    assert!(acknowledged(&entry, 2));
}

#[tokio::test(start_paused = true)]
async fn answers_expire_only_once_decisions_are_made_by_the_newer_revision() {
    let entry = Entry::new(migration(1), None);
    let stepped = entry.next(migration(2));
    // Building the state takes long, or the process is frozen there.
    pass(DECISION_EXPIRED).await;
    stepped.note_asked();
    assert!(!acknowledged(&stepped, 2));
    stepped.note_published();
    pass(DECISION_EXPIRED - SECOND).await;
    stepped.note_asked();
    assert!(!acknowledged(&stepped, 2));
    pass(SECOND).await;
    assert!(acknowledged(&stepped, 2));
}
