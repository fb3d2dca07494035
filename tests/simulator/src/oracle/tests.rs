//! What a caller's answers may be.

use super::*;

fn write(value: Option<u64>, began: u64, ended: u64, answer: Answer) -> Write {
    let (by, expires_ms, looked_ms) = ("w".to_owned(), None, 0);
    Write { value, found: None, expected: None, by, expires_ms, looked_ms, began, ended, answer }
}

fn kind(writes: &[Write], found: Option<u64>, began: u64) -> Option<&'static str> {
    let read = Read { found, by: "r".to_owned(), began, ended: began + 1, at_ms: 0, is_last: false };
    unexplained("a/b", writes, &read).map(|fault| fault.kind)
}

#[test]
fn a_read_must_not_be_behind_an_acknowledged_write() {
    let writes = [write(Some(0), 0, 0, Answer::Acknowledged), write(Some(1), 10, 20, Answer::Acknowledged)];
    assert_eq!(kind(&writes, Some(1), 30), None);
    assert_eq!(kind(&writes, Some(0), 15), None, "they overlap");
    assert_eq!(kind(&writes, Some(0), 30), Some("stale"));
    assert_eq!(kind(&writes, Some(7), 30), Some("stale"), "nobody wrote that");
    assert_eq!(kind(&[], None, 30), None);
}

#[test]
fn a_value_is_replaced_once() {
    let replaces = |value, answer| Write { expected: Some(value), ..write(Some(9), 0, 1, answer) };
    let once = replaces(Some(1), Answer::Acknowledged);
    let kind = |writes: &[Write]| lost_update("a/b", writes).map(|fault| fault.kind);
    assert_eq!(kind(&[once.clone(), replaces(Some(2), Answer::Acknowledged)]), None);
    assert_eq!(kind(&[once.clone(), replaces(Some(1), Answer::Indeterminate)]), None);
    let nothing = replaces(None, Answer::Acknowledged);
    assert_eq!(kind(&[nothing.clone(), nothing]), None, "it may have been deleted again");
    assert_eq!(kind(&[once.clone(), once]), Some("lost update"));
}

#[test]
fn the_dead_stay_dead_and_the_unknown_may_come_late() {
    let writes = [
        write(Some(1), 1, 2, Answer::Acknowledged),
        write(Some(2), 3, u64::MAX, Answer::Indeterminate),
        write(None, 10, 20, Answer::Acknowledged),
    ];
    assert_eq!(kind(&writes, None, 30), None);
    assert_eq!(kind(&writes, Some(1), 30), Some("resurrected"));
    assert_eq!(kind(&writes, Some(2), 30), None);
    let refused = [writes[2].clone(), write(Some(3), 21, 22, Answer::NotApplied)];
    assert_eq!(kind(&refused, Some(3), 30), Some("resurrected"));
}
