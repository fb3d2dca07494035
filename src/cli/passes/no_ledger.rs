//! A dry run of a source whose ledger has yet to be created, so that nobody has to touch the database to try a spec.

use cutover_store::{
    mapping::Versions,
    spec::{Missing, OpenError, Spec, StoreSpec},
};

/// The spec with a source that is read without versions, and the error about its ledger. `None`: the source has what it
/// needs, or can't be read like that either.
pub(super) async fn without(spec: &Spec) -> Option<(Spec, OpenError)> {
    let lookup = |name: &str| std::env::var(name).ok();
    let has_ledger = spec.source.tables().any(|(_, table)| table.versions == Versions::Ledger);
    let error =
        if has_ledger { spec.source.open(Missing::Refuse, lookup).await.err()? } else { return None };
    let source = bare(&spec.source);
    let can_be_read = source.open(Missing::Refuse, lookup).await.is_ok();
    (super::is_absent(&error) && can_be_read).then(|| (Spec { source, ..spec.clone() }, error))
}

/// What a dry run says about it.
pub(super) fn warning(error: &OpenError) -> String {
    format!(
        "the source has no ledger, so its records are read without versions. If it had one before, restore it from a \
         backup. Before a pass: {error}"
    )
}

fn bare(store: &StoreSpec) -> StoreSpec {
    let mut bare = store.clone();
    let types = bare.types.iter_mut().map(|it| &mut it.store.versions);
    for versions in std::iter::once(&mut bare.versions).chain(types).filter(|it| **it == Versions::Ledger) {
        *versions = Versions::Absent;
    }
    bare
}
