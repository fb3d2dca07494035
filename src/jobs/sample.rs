//! Takes real records through the mappings before anything moves.

use std::{
    collections::HashSet,
    fmt,
    time::{Duration, Instant},
};

use cutover_store::{
    Cursor, Id, Record, Scope, Segment, Store, StoreError, Unreadable, Version,
    spec::{Coverage, Spec, StoreSpec, Unfilled},
};

use super::{Error, side::Side};

/// Maximum records, so that a check takes seconds in a store of any size.
pub const RECORDS_MAX: usize = 10_000;
/// They are the first records of this many parts, which are far apart. A part with few leaves room for more of the
/// others.
const PARTS: u32 = 16;
/// Maximum ids that are compared with each other.
const IDS_MAX: usize = 1_000_000;
/// Those that are compared in one statement.
const COMPARED_MAX: usize = 10_000;
/// Bytes of a page.
const PAGE_BYTES: usize = 256 << 10;
/// Bytes of the page that is timed.
const TIMED_BYTES: usize = 1 << 20;
/// Maximum places reported. Each is a reason of one column or attribute, of which a table has fewer.
const PLACES_MAX: usize = 1000;
/// Versions before this are no stamps, because the first SDK is younger: counters of an application, or times in seconds,
/// milliseconds or microseconds.
const STAMPED_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Records that were checked.
    pub checked: u64,
    /// Those of them that can't be read, or would come back changed.
    pub misfits: u64,
    /// Bytes of those that could be read.
    pub bytes: u64,
    /// Records of one page that was read to see how fast the store is.
    pub timed: u64,
    /// How long reading that page took.
    pub took: Duration,
    /// The first places, with reasons; each reason of a column or attribute once.
    pub places: Vec<Place>,
    /// Columns that no record fills, with what was probably meant.
    pub empty: Vec<String>,
    /// Records whose version no SDK has stamped.
    pub counters: u64,
    /// One of them, with its version.
    pub counter: Option<String>,
}

/// A place where some of the misfits do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    side: Side,
    field: String,
    /// The reason without its numbers and the record's id: distinguishes faults of one field.
    kind: String,
    /// Number of misfits there.
    pub records: u64,
    /// The first of them, and why; values redacted.
    first: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, side, first) = (self.records, self.side.name(), &self.first);
        match records {
            1 => write!(f, "1 does not fit the {side}: {first}"),
            many => write!(f, "{many} do not fit the {side}, the first {first}"),
        }
    }
}

/// Reads records of one side, `store`, and checks whether both stores would hold each and return it
/// unchanged: the target for the way there, the source for the way back. Writes nothing. `other`: the store of the other
/// side; `None`: it is not there yet, and is created for whatever ids there are. `all`: every record, and not only
/// [`RECORDS_MAX`].
pub async fn look(
    spec: &Spec,
    side: Side,
    store: &dyn Store,
    other: Option<&dyn Store>,
    all: bool,
) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    let of_side = |(side, store): (Side, &'_ StoreSpec)| {
        let tables = store.tables().map(move |(prefix, table)| {
            let name = if prefix.is_empty() { String::new() } else { format!(" ({})", table.table) };
            let place = format!("{}{name}", side.name());
            (place, prefix.to_owned(), table.mapping.clone(), Coverage::default())
        });
        tables.collect::<Vec<_>>()
    };
    let sides = [(Side::Source, &spec.source), (Side::Target, &spec.target)];
    let mut coverage: Vec<_> = sides.into_iter().flat_map(of_side).collect();
    // Not a part: a store that can't read parts alone would read all of them.
    let began = Instant::now();
    let page = store.scan(&Scope::All, Segment::ALL, None, TIMED_BYTES).await;
    let page = page.map_err(|error| Error::Store { store: side.name(), error })?;
    (looked.timed, looked.took) = (page.records.len() as u64, began.elapsed());
    let other_is_loose = other.is_some_and(|other| other.loose_ids().is_some());
    let mut ids = Vec::new();
    let take = |found: Found| match found {
        Ok((id, record)) => {
            looked.bytes += (id.bytes() + record.bytes()) as u64;
            looked.take_version(&id, record.version);
            for (_, prefix, mapping, coverage) in &mut coverage {
                if let (Some(mapping), Some(value), true) =
                    (mapping, &record.value, id.key.starts_with(prefix.as_str()))
                {
                    coverage.take(mapping, value);
                }
            }
            let goes = other.map_or(Ok(()), |other| other.check(&id, &record));
            let fits = fit(spec, &id, &record);
            if other_is_loose && goes.is_ok() && ids.len() < IDS_MAX {
                ids.push(id.clone());
            }
            looked.take(&id.tenant, &id.key, fits.and(goes.map_err(|error| (side.other(), error))));
        }
        Err(it) => looked.take(&it.tenant, &it.key, Err((side, it.error))),
    };
    each(side, store, if all { usize::MAX } else { RECORDS_MAX }, take).await?;
    if let Some(other) = other {
        looked.compare(side.other(), other, ids).await?;
    }
    for (place, _, mapping, coverage) in &coverage {
        let unfilled = mapping.as_ref().map(|mapping| coverage.unfilled(mapping)).unwrap_or_default();
        let documents = coverage.documents();
        looked.empty.extend(unfilled.iter().map(|it| empty(place, it, documents)));
    }
    Ok(looked)
}

fn empty(place: &str, unfilled: &Unfilled, documents: u64) -> String {
    let Unfilled { column, path, nearest } = unfilled;
    let meant = nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"));
    format!("column {column} of the {place}: {path:?} was found in 0 of {documents} records{meant}")
}

/// Data of a store: a record, or what does not form one.
pub type Found = Result<(Id, Record), Unreadable>;

/// Takes up to `most` records of a store, from parts of it that are far apart.
pub async fn each(
    side: Side,
    store: &dyn Store,
    most: usize,
    mut take: impl FnMut(Found),
) -> Result<(), Error> {
    let failed = |error| Error::Store { store: side.name(), error };
    let places = if most == usize::MAX { 0 } else { PARTS as usize - 1 };
    let spread = store.spread(places).await.map_err(failed)?;
    let is_spread = spread.is_some();
    let mut parts: Vec<Part> = match spread {
        Some(places) => {
            let places = std::iter::once(None).chain(places.into_iter().map(Some));
            places.map(|place| Part::new(Segment::ALL, place)).collect()
        }
        None => Segment::split(PARTS).map(|segment| Part::new(segment, None)).collect(),
    };
    // A part that begins at a place goes on until another one has begun or read there.
    let mut seen = (is_spread && parts.len() > 1).then(HashSet::new);
    let mut left = most;
    // Each has its share. What a part does not have is for the others: one of them may have all, as a single partition
    // of DynamoDB.
    while left > 0 && !parts.is_empty() {
        let share = left.div_ceil(parts.len());
        for part in &mut parts {
            for _ in 0..share.min(left) {
                let Some(found) = part.next(side, store).await? else { break };
                let is_new = seen.as_mut().is_none_or(|seen| seen.insert(place_of(&found)));
                if !is_new {
                    part.end();
                    break;
                }
                left -= 1;
                take(found);
            }
        }
        parts.retain(|part| !part.is_read());
    }
    Ok(())
}

/// Tenant and key.
fn place_of(found: &Found) -> (String, String) {
    match found {
        Ok((id, _)) => (id.tenant.clone(), id.key.clone()),
        Err(it) => (it.tenant.clone(), it.key.clone()),
    }
}

/// One of the parts, read page by page.
struct Part {
    segment: Segment,
    /// Of the last page, the next one at the end.
    waiting: Vec<Found>,
    cursor: Option<Cursor>,
    is_last: bool,
}

impl Part {
    const fn new(segment: Segment, cursor: Option<Cursor>) -> Self {
        Self { segment, waiting: Vec::new(), cursor, is_last: false }
    }

    fn end(&mut self) {
        self.waiting.clear();
        self.is_last = true;
    }

    /// `None`: there is no more.
    async fn next(&mut self, side: Side, store: &dyn Store) -> Result<Option<Found>, Error> {
        while self.waiting.is_empty() && !self.is_last {
            let page = store.scan(&Scope::All, self.segment, self.cursor.as_ref(), PAGE_BYTES).await;
            let page = page.map_err(|error| Error::Store { store: side.name(), error })?;
            let all = page.unreadable.into_iter().map(Err).chain(page.records.into_iter().map(Ok));
            self.waiting = all.rev().collect();
            (self.is_last, self.cursor) = (page.next.is_none(), page.next);
        }
        Ok(self.waiting.pop())
    }

    const fn is_read(&self) -> bool {
        self.is_last && self.waiting.is_empty()
    }
}

fn fit(spec: &Spec, id: &Id, record: &Record) -> Result<(), (Side, StoreError)> {
    spec.target.fit(id, record).map_err(|error| (Side::Target, error))?;
    spec.source.fit(id, record).map_err(|error| (Side::Source, error))
}

impl Looked {
    /// Finds records of which the other table can hold only one. `side`: that table's.
    async fn compare(&mut self, side: Side, other: &dyn Store, mut ids: Vec<Id>) -> Result<(), Error> {
        let Some(columns) = other.loose_ids() else { return Ok(()) };
        // Those that are alike are compared in one statement.
        ids.sort_by_cached_key(|id| [&id.tenant, &id.key].map(|text| text.trim_end().to_lowercase()));
        let (mut records, mut first) = (0, None);
        for ids in ids.chunks(COMPARED_MAX) {
            let equal = other.equal_ids(ids).await;
            for group in equal.map_err(|error| Error::Store { store: side.name(), error })? {
                records += group.count as u64 - 1;
                first.get_or_insert_with(|| (ids[group.first].clone(), ids[group.last].clone()));
            }
        }
        let Some((one, another)) = first else { return Ok(()) };
        self.misfits += records;
        let first = format!(
            "{:?}/{:?}: it is equal to {:?}/{:?} in the collation of {columns}, so only one of the two can be there",
            another.tenant, another.key, one.tenant, one.key
        );
        self.places.push(Place { side, field: columns, kind: "equal ids".to_owned(), records, first });
        Ok(())
    }

    fn take_version(&mut self, id: &Id, version: Version) {
        if version > Version::ZERO && version.ms_since_2025() < STAMPED_MS {
            self.counters += 1;
            self.counter.get_or_insert_with(|| format!("{version} in {:?}/{:?}", id.tenant, id.key));
        }
    }

    fn take(&mut self, tenant: &str, key: &str, fit: Result<(), (Side, StoreError)>) {
        self.checked += 1;
        let Err((side, error)) = fit else { return };
        self.misfits += 1;
        let StoreError::Permanent { field, what, .. } = &error else { return };
        // An id that does not fit is part of the reason, in a table perhaps without its prefix.
        let of_row = what.strip_prefix('"').and_then(|what| what.split_once('"'));
        let of_row = of_row.filter(|(id, _)| [tenant, key].iter().any(|whole| whole.ends_with(id)));
        let kind = of_row.map_or(what.as_str(), |(_, reason)| reason).to_owned();
        let kind = [tenant, key].iter().fold(kind, |what, id| what.replace(&format!("{id:?}"), ""));
        let kind: String = kind.chars().filter(|it| !it.is_ascii_digit()).collect();
        let is_same = |place: &&mut Place| place.side == side && place.field == *field && place.kind == kind;
        if let Some(place) = self.places.iter_mut().find(is_same) {
            place.records += 1;
        } else if self.places.len() < PLACES_MAX {
            let first = format!("{tenant:?}/{key:?}: {error}");
            self.places.push(Place { side, field: field.clone(), kind, records: 1, first });
        }
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::outcome::ErrorClass;

    use super::*;

    #[test]
    fn a_version_that_no_clock_of_an_sdk_gave_is_counted() {
        let mut looked = Looked::default();
        let id = Id::new("t", "k").expect("valid");
        let stamp = |ms| Version::new(ms, 0, 7).expect("it fits").0;
        for version in [0, stamp(STAMPED_MS), stamp(60_000_000_000)] {
            looked.take_version(&id, Version(version));
        }
        assert_eq!((looked.counters, looked.counter.as_deref()), (0, None));
        // A counter; seconds, milliseconds and microseconds since 1970.
        for version in [3, 1_790_000_000, 1_790_000_000_000, 1_790_000_000_000_000, stamp(STAMPED_MS - 1)] {
            looked.take_version(&id, Version(version));
        }
        assert_eq!((looked.counters, looked.counter.as_deref()), (5, Some("3 in \"t\"/\"k\"")));
    }

    /// Thousands of such records would fill the list otherwise, and hide every other reason.
    #[test]
    fn ids_that_do_not_fit_are_one_place_also_if_the_table_leaves_out_a_prefix() {
        let mut looked = Looked::default();
        for letter in 'A'..='Z' {
            let error = |id: &str| StoreError::Permanent {
                class: ErrorClass::Constraint,
                field: "id".to_owned(),
                what: format!("{id:?} is no id for column id"),
            };
            let (row, whole) = (format!("{letter}D"), format!("USER#{letter}D"));
            looked.take("t", &whole, Err((Side::Target, error(&row))));
            looked.take("t", &whole, Err((Side::Target, error(&whole))));
        }
        assert_eq!(looked.places.iter().map(|place| place.records).collect::<Vec<_>>(), [52]);
    }
}
