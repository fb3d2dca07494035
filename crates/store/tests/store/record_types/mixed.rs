//! Record types of which one table is not compared byte by byte.

use std::collections::BTreeSet;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Cursor, EqualIds, Id, KeyRange, PutAll, Record, ScanOrder, Scope, Segment, Version, spec::Missing,
};

use super::{
    super::{
        columns::refused,
        servers::{scanned, table},
    },
    id, spec,
};

/// A table of users that is not compared byte by byte, beside one of orders that is.
#[derive(Clone, Copy)]
pub(super) struct Mixed<'s> {
    /// Types of the users' tenant and key.
    pub(super) types: [&'s str; 2],
    /// What `scan_order` says of them.
    pub(super) order: &'s str,
    /// Whether the users' keys are without `USER#` in the table.
    pub(super) strips: bool,
    pub(super) tenants: [&'s str; 2],
    pub(super) users: [&'s str; 3],
    /// Keys that the users' table does not take, and why.
    pub(super) refused: &'s [(&'s str, &'s str)],
}

pub(super) async fn tables_in_other_orders_are_scanned_one_by_one(
    url: &str,
    admin: impl AsyncFn(String),
    it: Mixed<'_>,
) {
    let (orders, users) = (table("ordered"), table("unordered"));
    for (name, [tenant, key]) in [(&orders, ["TEXT_C", "TEXT_C"]), (&users, it.types)] {
        admin(format!("DROP TABLE IF EXISTS {name}")).await;
        admin(format!(
            "CREATE TABLE {name} (tenant {tenant} NOT NULL, key_ {key} NOT NULL, cutover_version BIGINT NOT NULL, \
             value BLOB_, PRIMARY KEY (tenant, key_))"
        ))
        .await;
    }
    let of = |prefix: &str, table: &str, more: &str| {
        format!("[[target.types]]\nkey_prefix = {prefix:?}\ntable = {table:?}\nkey = \"key_\"\n{more}")
    };
    let strip = if it.strips { "strip_prefix = \"USER#\"\n" } else { "" };
    let spec = spec(url, &(of("ORDER#", &orders, "") + &of("USER#", &users, strip)));
    let store = spec.target.open(Missing::Refuse, |_| None).await.expect("opened");
    let ScanOrder::Own(order) = store.scan_order() else { panic!("{:?}", it.types) };
    assert!(order.contains("ORDER#: bytes; USER#: ") && order.contains(it.order), "{order}");

    let of_value = |version: u64| Record { version: Version(version), value: Some(vec![7; 20]) };
    let mut all: Vec<(Id, Record)> = Vec::new();
    for tenant in it.tenants {
        for key in it.users.into_iter().chain(["ORDER#1", "ORDER#10", "ORDER#9"]) {
            all.push((id(tenant, key), of_value(all.len() as u64 + 1)));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(store.put_many_if_newer(&all).await, Ok(vec![Copied::Written; all.len()]));
    let ids: Vec<Id> = all.iter().map(|(id, _)| id.clone()).collect();
    let found = store.get_many(&ids).await.expect("found");
    assert!(all.iter().zip(&found).all(|((_, record), found)| found.as_ref() == Some(record)));
    let everything = async |scope: Scope, segments: u32, limit_bytes: usize| {
        let mut found = Vec::new();
        for segment in Segment::split(segments) {
            found.extend(scanned(&*store, &scope, segment, limit_bytes).await);
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    };
    for (segments, limit_bytes) in [(1, 1), (1, 60), (3, 60), (1, 1 << 20)] {
        assert_eq!(everything(Scope::All, segments, limit_bytes).await, all, "{segments} {limit_bytes}");
        let of_tenant = all.iter().filter(|(id, _)| id.tenant == it.tenants[1]).cloned().collect::<Vec<_>>();
        assert_eq!(
            everything(Scope::Tenant(it.tenants[1].to_owned()), segments, limit_bytes).await,
            of_tenant
        );
    }
    let up_to = Scope::UpTo(Cursor::after_record(&ids[3]));
    store.scan(&up_to, Segment::ALL, None, 100).await.expect_err("places of other stores mean nothing");
    let places = store.spread(6).await.expect("asked").expect("there are places");
    assert!((1..=6).contains(&places.len()), "{places:?}");
    let mut beyond = BTreeSet::new();
    for place in &places {
        let page = store.scan(&Scope::All, Segment::ALL, Some(place), 1 << 20).await.expect("scanned");
        beyond.extend(page.records.into_iter().map(|(id, _)| id));
    }
    assert!(beyond.len() >= it.users.len(), "{beyond:?}");

    // A list is of one type, and of one whose keys are in byte order.
    let mut orders_of = ids.iter().filter(|id| id.tenant == it.tenants[0] && id.key.starts_with("ORDER#"));
    let listed = store.list(it.tenants[0], &KeyRange::prefix("ORDER#"), 9, 1 << 20).await.expect("listed");
    assert!(listed.records.iter().map(|(id, _)| id).eq(orders_of.by_ref()), "{listed:?}");
    // UUIDs are in the order of their texts.
    let are_in_order = it.types[1] == "TEXT_C" || it.order.ends_with("uuid");
    let checked = store.check_range(&KeyRange::prefix("USER#"));
    assert_eq!(checked.is_ok(), are_in_order, "{checked:?}");
    let listed = store.list(it.tenants[0], &KeyRange::prefix("USER#"), 9, 1 << 20).await;
    let found = listed.map(|listed| listed.records.into_iter().map(|(id, _)| id.key).collect::<Vec<_>>());
    let mut wanted = it.users.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(found.ok(), are_in_order.then_some(wanted), "{checked:?}");

    // Both tables in one transaction, with the records' ids in errors.
    let newer: Vec<_> = all
        .iter()
        .map(|(id, _)| (id.clone(), of_value(50)))
        .filter(|(id, _)| id.tenant == it.tenants[0])
        .collect();
    assert_eq!(store.put_all_if_newer(&newer).await, Ok(PutAll::Applied));
    let PutAll::Refused(places) = store.put_all_if_newer(&newer).await.expect("asked") else {
        panic!("again")
    };
    assert_eq!(places, (0..newer.len()).map(|at| (at, Version(50))).collect::<Vec<_>>());
    for (key, why) in it.refused {
        let other = id(it.tenants[0], key);
        let (_, told) = refused(store.put_if_newer(&other, &of_value(90)).await, ErrorClass::Constraint);
        assert!(told.contains(why), "{told}");
        let both = [(id(it.tenants[0], "ORDER#1"), of_value(91)), (other.clone(), of_value(91))];
        let (_, told) = refused(store.put_all_if_newer(&both).await, ErrorClass::Constraint);
        assert!(told.contains(why), "{told}");
        assert_eq!(store.get(&other).await, Ok(None));
        assert_eq!(store.get_versions(&[id(it.tenants[0], "ORDER#1")]).await, Ok(vec![Some(Version(50))]));
    }
    assert_eq!(everything(Scope::All, 1, 1 << 20).await.len(), all.len(), "no row more");
    let is_loose = it.refused.iter().any(|(_, why)| why.contains("is equal to"));
    assert_eq!(store.loose_ids().is_some(), is_loose);
    if is_loose {
        let alike = [id("t", "ORDER#a"), id("t", "ORDER#A"), id("t", "USER#a"), id("t", "USER#A")];
        let equal = store.equal_ids(&alike).await.expect("asked");
        assert_eq!(equal, [EqualIds { first: 2, last: 3, count: 2 }]);
    }
    drop(store);
    for name in [orders, users] {
        admin(format!("DROP TABLE {name}")).await;
    }
}

/// Two ids would be one number or UUID.
pub(super) const NUMBERS: &[(&str, &str)] = &[
    ("USER#007", "back as 7, which is another id"),
    ("USER#+7", "back as 7, which is another id"),
    ("USER#x", "takes whole numbers"),
    ("USER#", "has nothing after \"USER#\""),
];
