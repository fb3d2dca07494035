//! Places that are far apart in a table, for samples: found by asking what comes after a place, so by a few look-ups in
//! the index, however many rows there are.

use std::collections::VecDeque;

use uuid::Uuid;

use super::{
    super::{Cursor, Scope, Segment, Store, StoreError},
    keys::KeyKind,
};

/// Maximum look-ups.
const PROBES_MAX: usize = 300;
/// Look-ups that found nothing new between two places, before the place between them is given up.
const MISSES_MAX: i32 = 12;
/// Where the count of misses begins if nobody knows where the rows end: each look-up halves what may be behind them.
const UNKNOWN_END: i32 = -64;
/// Above nearly all texts.
const LAST_TEXT: &str = "~~~~~~~~";
/// Characters of a text that are calculated with, as digits of this base: a number of 64 bits.
const DIGITS: usize = 8;
const BASE: u64 = 95;

/// Tenant and key.
type At = (String, String);

/// Rows between two places.
struct Gap {
    from: At,
    to: At,
    /// The first row behind it.
    end: Option<At>,
    misses: i32,
}

/// Up to `count` places to begin at, in no order. `is_own`: each record is its own tenant.
pub(in super::super) async fn spread(
    store: &dyn Store,
    kinds: [KeyKind; 2],
    is_own: bool,
    count: usize,
) -> Result<Vec<Cursor>, StoreError> {
    let mut found = Vec::new();
    let Some(first) = after(store, None).await?.filter(|_| count > 0) else { return Ok(found) };
    let to = (greatest(kinds[0]), greatest(kinds[1]));
    // The end of the rows has yet to be found.
    let mut gaps = VecDeque::from([Gap { from: first, to, end: None, misses: UNKNOWN_END }]);
    for _ in 0..PROBES_MAX {
        let Some(mut gap) = gaps.pop_front().filter(|_| found.len() < count) else { break };
        let Some(between) = between(kinds, is_own, &gap.from, &gap.to) else { continue };
        let cursor = Cursor::after(between.0.as_bytes(), between.1.as_bytes());
        match after(store, Some(&cursor)).await? {
            Some(next) if Some(&next) != gap.end.as_ref() && next != gap.from => {
                found.push(cursor);
                let below = Gap { from: gap.from, to: between, end: Some(next.clone()), misses: 0 };
                gaps.extend([below, Gap { from: next, to: gap.to, end: gap.end, misses: 0 }]);
            }
            _ if gap.misses < MISSES_MAX => {
                // From here on between the keys of one tenant, whose end is not known either.
                let is_within = between.0 == gap.from.0 && gap.to.0 != gap.from.0;
                gap.misses = if is_within && !is_own { UNKNOWN_END } else { gap.misses + 1 };
                gap.to = between;
                gaps.push_front(gap);
            }
            // No row is between these tenants: there may be many of the first one.
            _ if !is_own && gap.from.0 != gap.to.0 => {
                gap.to = (gap.from.0.clone(), greatest(kinds[1]));
                gap.misses = UNKNOWN_END;
                gaps.push_back(gap);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The first row behind a place.
async fn after(store: &dyn Store, cursor: Option<&Cursor>) -> Result<Option<At>, StoreError> {
    let page = store.scan(&Scope::All, Segment::ALL, cursor, 1).await?;
    if let Some((id, _)) = page.records.first() {
        return Ok(Some((id.tenant.clone(), id.key.clone())));
    }
    // A row that is no record has a place, too.
    let next = page.next.as_ref().and_then(|next| next.texts().ok());
    Ok(next.map(|(tenant, key)| (tenant.to_owned(), key.to_owned())))
}

/// A place about half way.
fn between([of_tenant, of_key]: [KeyKind; 2], is_own: bool, from: &At, to: &At) -> Option<At> {
    if is_own {
        return middle(of_tenant, &from.0, &to.0).map(|it| (it.clone(), it));
    }
    if from.0 == to.0 {
        return middle(of_key, &from.1, &to.1).map(|key| (from.0.clone(), key));
    }
    match middle(of_tenant, &from.0, &to.0) {
        Some(tenant) => Some((tenant, of_key.least())),
        // No tenant is between them: within the first one.
        None => middle(of_key, &from.1, &greatest(of_key)).map(|key| (from.0.clone(), key)),
    }
}

fn greatest(kind: KeyKind) -> String {
    match kind {
        KeyKind::Integer { bits, unsigned } => {
            let bits = if unsigned { bits } else { bits - 1 };
            ((1_i128 << bits) - 1).to_string()
        }
        KeyKind::Uuid => Uuid::max().to_string(),
        KeyKind::Bytes | KeyKind::Sorted | KeyKind::Loose => LAST_TEXT.to_owned(),
    }
}

/// A value half way; `None`: there is none between them.
fn middle(kind: KeyKind, from: &str, to: &str) -> Option<String> {
    match kind {
        KeyKind::Integer { .. } => {
            let (from, to): (i128, i128) = (from.parse().ok()?, to.parse().ok()?);
            let half = from + (to - from) / 2;
            (from < half && half < to).then(|| half.to_string())
        }
        KeyKind::Uuid => {
            let [from, to] =
                [from, to].map(|it| Uuid::parse_str(it).map(Uuid::into_bytes).unwrap_or_default());
            let [from, to] = [from, to].map(u128::from_be_bytes);
            let half = from + to.saturating_sub(from) / 2;
            (from < half && half < to).then(|| Uuid::from_u128(half).to_string())
        }
        KeyKind::Bytes | KeyKind::Sorted | KeyKind::Loose => {
            let same = from.chars().zip(to.chars()).take_while(|(one, other)| one == other).count();
            let number = |text: &str| {
                let digits = text.chars().skip(same).map(digit).chain(std::iter::repeat(0));
                digits.take(DIGITS).fold(0, |sum, digit| sum * BASE + digit)
            };
            let (low, high) = (number(from), number(to));
            let half = low + high.saturating_sub(low) / 2;
            let prefix: String = from.chars().take(same).collect();
            // Characters that are no digits all count as the last one.
            Some(prefix + &text(half)).filter(|half| low < high && from < half.as_str() && half.as_str() < to)
        }
    }
}

/// 0 stands for the end of a text.
fn digit(char: char) -> u64 {
    match u32::from(char) {
        code @ 0x21..=0x7e => u64::from(code - 0x20),
        0..=0x20 => 1,
        _ => BASE - 1,
    }
}

fn text(number: u64) -> String {
    let mut digits: Vec<u64> = (0..DIGITS as u32).rev().map(|at| number / BASE.pow(at) % BASE).collect();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits.into_iter().map(|digit| char::from(0x20 + digit.max(1) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Id, MemoryStore, Record, Version};

    #[tokio::test]
    async fn places_are_all_over_the_keys() {
        let store = MemoryStore::default();
        let ids = (0..3_000).map(|n| Id::new(&format!("tenant-{:03}", n / 1_000), &format!("order-{n:05}")));
        let ids: Vec<Id> = ids.map(|id| id.expect("valid")).collect();
        let record = Record { version: Version(1), value: Some(vec![1]) };
        let all: Vec<_> = ids.iter().map(|id| (id.clone(), record.clone())).collect();
        store.put_many_if_newer(&all).await.expect("memory");
        let found = spread(&store, [KeyKind::Bytes; 2], false, 16).await.expect("memory");
        let place = |cursor: &Cursor| ids.iter().filter(|id| cursor.is_past(id).expect("texts")).count();
        let mut places: Vec<usize> = found.iter().map(place).collect();
        places.extend([0, ids.len()]);
        places.sort_unstable();
        let widest = places.windows(2).map(|two| two[1] - two[0]).max();
        assert!(found.len() == 16 && widest < Some(1_000), "{places:?}");
    }

    #[test]
    fn half_way_is_between() {
        let number = KeyKind::Integer { bits: 64, unsigned: false };
        assert_eq!(middle(number, "-5", "9223372036854775807").as_deref(), Some("4611686018427387901"));
        assert_eq!(middle(number, "5", "6"), None);
        for (from, to) in
            [("a", "b"), ("order-1", "order-2"), ("", LAST_TEXT), ("ü", LAST_TEXT), ("a b", "a c")]
        {
            let half = middle(KeyKind::Bytes, from, to);
            let fine = half.as_deref().is_none_or(|half| from < half && half < to);
            assert!(fine && (half.is_some() || from == "ü"), "{from} {to} {half:?}");
        }
        let uuid = middle(KeyKind::Uuid, &Uuid::nil().to_string(), &Uuid::max().to_string());
        assert_eq!(uuid.as_deref(), Some("7fffffff-ffff-ffff-ffff-ffffffffffff"));
    }
}
