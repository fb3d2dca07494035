use std::sync::Mutex;

use super::{
    super::{KeyColumn, KeyKind},
    *,
};
use cutover_core::outcome::ErrorClass;

/// Answers writes and look-ups in turn.
struct Told {
    writes: Mutex<Vec<Result<Wrote, StoreError>>>,
    looks: Mutex<Vec<Result<Option<Version>, StoreError>>>,
    /// Ids that the server was asked for in its own sense.
    asked: Mutex<Vec<Id>>,
    /// What a check of the tables fails with.
    broken: Option<StoreError>,
}

impl Told {
    fn new(writes: Vec<Result<Wrote, StoreError>>, looks: Vec<Result<Option<Version>, StoreError>>) -> Self {
        Self { writes: Mutex::new(writes), looks: Mutex::new(looks), asked: Mutex::default(), broken: None }
    }
}

#[async_trait]
impl Guarded for Told {
    async fn versions(&self, ids: &[&Id]) -> Result<Vec<Option<There>>, StoreError> {
        let looks = self.looks.lock().expect("no panic").drain(..ids.len()).collect::<Vec<_>>();
        looks.into_iter().map(|version| Ok(version?.map(There::in_columns))).collect()
    }

    async fn write(&self, _records: &[(&Id, &Record)], _over: Over) -> Result<Wrote, StoreError> {
        self.writes.lock().expect("no panic").remove(0)
    }

    async fn found_as(&self, id: &Id) -> Result<Option<Id>, StoreError> {
        self.asked.lock().expect("no panic").push(id.clone());
        Ok(Some(Id { key: id.key.to_lowercase(), ..id.clone() }))
    }

    async fn check_ledger(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_tables(&self) -> Result<(), StoreError> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}

fn error(may_apply: bool) -> StoreError {
    let (class, what) = (ErrorClass::Connection, "cut".to_owned());
    if may_apply { StoreError::Indeterminate { class, what } } else { StoreError::NotApplied { class, what } }
}

fn wrote(all: bool, in_doubt: bool) -> Result<Wrote, StoreError> {
    Ok(Wrote { all, doubt: in_doubt.then(|| error(true)) })
}

/// A put of version 5.
async fn put(
    writes: Vec<Result<Wrote, StoreError>>,
    looks: Vec<Result<Option<Version>, StoreError>>,
) -> Result<Put, StoreError> {
    let store = Told::new(writes, looks);
    let record = Record { version: Version(5), value: None };
    put_one(&store, &Id::new("t", "k").expect("valid"), &record).await
}

#[tokio::test]
async fn without_doubt_what_is_there_is_told() {
    assert_eq!(put(vec![wrote(true, false)], vec![]).await, Ok(Put::Applied));
    let newer = Ok(Some(Version(6)));
    assert_eq!(put(vec![wrote(false, false)], vec![newer]).await, Ok(Put::Stale(Version(6))));
    let same = Ok(Some(Version(5)));
    assert_eq!(put(vec![wrote(false, false)], vec![same]).await, Ok(Put::Present), "another call's");
    assert_eq!(put(vec![wrote(false, false)], vec![Err(error(false))]).await, Err(error(false)));
}

#[tokio::test]
async fn in_doubt_only_our_own_version_is_an_answer() {
    assert_eq!(put(vec![wrote(true, true)], vec![]).await, Ok(Put::Applied));
    assert_eq!(put(vec![wrote(false, true)], vec![Ok(Some(Version(5)))]).await, Ok(Put::Applied));
    assert_eq!(put(vec![wrote(false, true)], vec![Ok(Some(Version(6)))]).await, Err(error(true)));
    assert_eq!(put(vec![wrote(false, true)], vec![Err(error(false))]).await, Err(error(true)));
    let later = vec![wrote(false, true), Err(error(false))];
    assert_eq!(put(later, vec![Ok(Some(Version(4)))]).await, Err(error(true)), "in a later round");
}

#[tokio::test]
async fn only_ids_that_are_not_found_are_asked_for_as_equal_to_another() {
    let ids = ["there", "new", "KEY", "after"].map(|key| Id::new("t", key).expect("valid"));
    let ids: Vec<&Id> = ids.iter().collect();
    let keys = |kind| {
        let key = KeyColumn { kind, ..KeyColumn::default() };
        Keys { key, ..Keys::default() }
    };
    let looks = || vec![Ok(Some(Version(1))), Ok(None), Ok(None), Ok(None)];
    let store = Told::new(vec![], looks());
    let told = check_equal(&store, &keys(KeyKind::Loose), &ids).await.expect_err("equal").to_string();
    assert!(told.contains("\"t\"/\"KEY\" is equal to \"t\"/\"key\", which is there"), "{told}");
    let asked = store.asked.lock().expect("no panic").clone();
    assert_eq!(asked.iter().map(|id| &*id.key).collect::<Vec<_>>(), ["new", "KEY"]);
    // Where no two ids are equal, nothing is asked at all.
    let store = Told::new(vec![], vec![]);
    assert_eq!(check_equal(&store, &keys(KeyKind::Sorted), &ids).await, Ok(()));
}

#[tokio::test]
async fn only_what_a_trigger_can_raise_is_the_fault_of_a_record() {
    let other = |field, advice| permanent(ErrorClass::Other, field, format!("no: {advice}"));
    let login = "check user and password, and from where the user may come";
    let fine = Told::new(vec![], vec![]);
    for (error, is_of_record) in [
        (other("table", NOT_THERE), true),
        (other("table", COLUMNS_CHANGED), true),
        (other("table", INDEXES_CHANGED), true),
        (other("table", TOO_LONG), true),
        (other("user", GRANT), true),
        (other("user", login), false),
        (other("database", GRANT), false),
        (other("database", NOT_THERE), false),
    ] {
        let told = at_fault(&[&fine], error.clone()).await;
        assert_eq!(told.class() == ErrorClass::Constraint, is_of_record, "{error}: {told}");
        assert!(is_of_record || told == error, "{error}: {told}");
    }
    let error = other("table", NOT_THERE);
    for broken in [other("table", COLUMNS_CHANGED), super::tests::error(false)] {
        let store = Told { broken: Some(broken), ..Told::new(vec![], vec![]) };
        assert_eq!(at_fault(&[&store], error.clone()).await, error);
    }
    let doubt = super::tests::error(true);
    assert_eq!(unless_in_doubt(Some(doubt.clone()), &[&fine], error).await, doubt);
}
