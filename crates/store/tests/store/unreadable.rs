//! Data that does not form a record, in tables that somebody writes without the SDK.

use cutover_store::{Id, Record, Scope, Segment, Store, StoreError, Unreadable};

use super::servers::pages;

/// A scan with any page size skips what can't be read, and reports each once, with its place. `wrong`:
/// tenant, key, and how its error begins.
pub(crate) async fn is_gone_past(store: &dyn Store, good: &[(Id, Record)], wrong: &[(&str, &str, &str)]) {
    for limit_bytes in [1, 60, 1 << 20] {
        let (mut records, mut unreadable): (Vec<(Id, Record)>, Vec<Unreadable>) = Default::default();
        for segment in Segment::split(2) {
            for page in pages(store, &Scope::All, segment, limit_bytes).await {
                records.extend(page.records);
                unreadable.extend(page.unreadable);
            }
        }
        records.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(records, good, "{limit_bytes}");
        for (tenant, key, begin) in wrong {
            let told: Vec<_> =
                unreadable.iter().filter(|it| it.tenant == *tenant && it.key == *key).collect();
            let [it] = told.as_slice() else { panic!("{tenant}/{key} in {unreadable:?}") };
            assert!(it.error.to_string().starts_with(begin), "{it:?}");
            assert!(matches!(it.error, StoreError::Permanent { .. }), "{it:?}");
        }
        assert_eq!(unreadable.len(), wrong.len(), "{unreadable:?}");
    }
}
