//! Routing against the vectors that every SDK must pass, and its algebra.

use std::collections::HashMap;

use cutover_core::routing::{
    self, Band, PPM, Policy, Reason, Route, Rung, Table, TenantError, bucket, decide,
};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/routing.json");
    let text = std::fs::read_to_string(path).expect("the vectors are part of the repository");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

fn rung(name: &Value) -> Rung {
    let name = name.as_str().expect("a rung is a string");
    Rung::ALL.into_iter().find(|rung| rung.name() == name).expect("a known rung")
}

fn to(rung: Rung) -> Route {
    Route { rung, ..Route::DEFAULT }
}

#[test]
fn buckets_are_those_of_the_vectors() {
    let vectors = vectors();
    let cases = vectors["buckets"].as_array().expect("buckets");
    assert!(cases.len() >= 200, "the vectors were cut short");
    for case in cases {
        let (salt, tenant) = (case["salt"].as_str().expect("salt"), case["tenant"].as_str().expect("tenant"));
        assert_eq!(u64::from(bucket(salt, tenant)), case["bucket"], "{salt}:{tenant}");
        assert_eq!(u64::from(routing::Salt::new(salt).hash(tenant)), case["hash"], "{salt}:{tenant}");
    }
}

#[test]
fn decisions_are_those_of_the_vectors() {
    let vectors = vectors();
    let tables = vectors["decisions"].as_array().expect("decisions");
    assert!(tables.len() >= 6, "the vectors were cut short");
    for case in tables {
        let spec = &case["table"];
        let bands: Vec<Band> = spec["bands"]
            .as_array()
            .expect("bands")
            .iter()
            .map(|band| Band {
                upto_ppm: band["upto_ppm"].as_u64().expect("ppm") as u32,
                route: to(rung(&band["rung"])),
            })
            .collect();
        let overrides = spec["overrides"].as_object().expect("overrides");
        let table = Table::new(1, spec["salt"].as_str().expect("salt"), &bands, Policy::default())
            .with_overrides(overrides.iter().map(|(t, name)| (t.as_str(), Some(to(rung(name))))));
        for case in case["cases"].as_array().expect("cases") {
            let tenant = case["tenant"].as_str().expect("tenant");
            let decision = decide(&table, tenant).expect("vectors have valid tenants");
            assert_eq!(decision.rung.name(), case["rung"], "{tenant}");
            assert_eq!(decision.stage().name(), case["stage"], "{tenant}");
        }
    }
}

#[test]
fn a_bad_tenant_is_a_typed_error_never_a_bucket() {
    let table = Table::new(1, "s", &[Band { upto_ppm: PPM, route: to(Rung::Dual) }], Policy::default());
    let refused = |tenant: &str| decide(&table, tenant).expect_err("must be refused");
    assert_eq!(refused(""), TenantError::Empty.into());
    assert_eq!(refused(&"x".repeat(257)), TenantError::TooLong(257).into());
    assert_eq!(refused("a\nb"), TenantError::Control.into());
    assert_eq!(refused("a\u{7f}"), TenantError::Control.into());
    assert_eq!(refused("a\u{85}"), TenantError::Control.into());
    assert!(decide(&table, "\u{a0}Â£").is_ok(), "U+00A0 is led by the same byte and is no control");
    assert!(decide(&table, &"x".repeat(256)).is_ok());
}

/// Tenants from a small set, so that changes meet.
fn changes() -> impl Strategy<Value = Vec<(String, Option<Route>)>> {
    let route = (0..6_usize, 0..5_usize, any::<bool>()).prop_map(|(rung, reason, no_fallback)| Route {
        rung: Rung::ALL[rung],
        reason: Reason::ALL[reason],
        no_fallback,
    });
    let tenant = prop_oneof!["[a-e]{1,2}", "t-[0-9]{1,3}", "\\PC{1,8}"];
    prop::collection::vec((tenant, prop::option::of(route)), 0..60)
}

proptest! {
    /// Base, patch and merge are one map: any sequence of changes reads back like a plain map.
    #[test]
    fn overrides_are_a_map(runs in prop::collection::vec(changes(), 1..6), filler in 0..4_000_usize) {
        let mut plain: HashMap<String, Route> = (0..filler).map(|i| (format!("filler-{i}"), to(Rung::Dual))).collect();
        let filled: Vec<_> = plain.iter().map(|(t, r)| (t.as_str(), Some(*r))).collect();
        let mut table = Table::new(1, "salt", &[], Policy::default()).with_overrides(filled);
        for run in &runs {
            table = table.with_overrides(run.iter().map(|(t, r)| (t.as_str(), *r)));
            for (tenant, route) in run {
                match route {
                    Some(route) => plain.insert(tenant.clone(), *route),
                    None => plain.remove(tenant),
                };
            }
        }
        for tenant in runs.iter().flatten().map(|(tenant, _)| tenant).chain(plain.keys()) {
            prop_assert_eq!(table.route(tenant), plain.get(tenant).copied().unwrap_or(Route::DEFAULT), "{}", tenant);
        }
        let listed: HashMap<String, Route> = table.overrides().map(|(t, r)| (t.to_owned(), r)).collect();
        prop_assert_eq!(listed, plain);
    }

    /// The prepared salt gives the hash of the whole string, whatever the lengths.
    #[test]
    fn a_salt_is_a_prefix(salt in "\\PC{0,9}", tenant in "\\PC{1,20}") {
        let whole = format!("{salt}:{tenant}");
        let reference = murmur3::murmur3_32(&mut whole.as_bytes(), 0).expect("reading a slice can't fail");
        prop_assert_eq!(routing::Salt::new(&salt).hash(&tenant), reference);
    }
}

#[test]
fn rungs_coexist_as_the_protocol_says() {
    use Rung::{Dual, Hold, Mirrored, SourceOnly, TargetFirst, TargetOnly};
    let ok = [
        (SourceOnly, Dual),
        (SourceOnly, Mirrored),
        (Dual, Mirrored),
        (Mirrored, TargetFirst),
        (TargetFirst, TargetOnly),
    ];
    for one in Rung::ALL {
        for other in Rung::ALL {
            let expected = one == other
                || one == Hold
                || other == Hold
                || ok.contains(&(one, other))
                || ok.contains(&(other, one));
            assert_eq!(routing::coexist(one, other), expected, "{one} beside {other}");
        }
    }
}

#[test]
fn a_million_overrides_cost_little_beside_their_own_bytes() {
    let tenants: Vec<String> = (0..1_000_000).map(|i| format!("tenant-{i}")).collect();
    let own: usize = tenants.iter().map(String::len).sum();
    let table = Table::new(1, "s", &[], Policy::default())
        .with_overrides(tenants.iter().map(|t| (t.as_str(), Some(to(Rung::Dual)))));
    let overhead = (table.heap_bytes() - own) / tenants.len();
    assert!(overhead <= 64, "{overhead} bytes a tenant");
    assert!(tenants.iter().all(|tenant| table.route(tenant).rung == Rung::Dual));
}
