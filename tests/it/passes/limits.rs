//! What a spec may ask for, the controller accepts.

use cutover::{
    domain::{Change, Context, Cover, Fleet, Identity, Migration, NewPass, PassKind, PassTables, apply},
    jobs::Plan,
};
use cutover_store::spec::{Limits, Spec};

use super::*;
use crate::support::{commit, create, key};

#[test]
fn a_pass_may_have_as_many_segments_as_its_spec_allows() {
    let parse = |segments: u32| {
        let table = |side| format!("[{side}]\nurl = \"dynamodb://{side}?region=eu-west-1\"\n");
        let (source, target) = (table("source"), table("target"));
        let limits = format!("[limits]\nsegments = {segments}\n");
        format!("migration = \"orders\"\n{source}{target}{limits}").parse::<Spec>()
    };
    let most = parse(Limits::SEGMENTS_MAX).unwrap();
    let too_many = parse(Limits::SEGMENTS_MAX + 1).unwrap_err().to_string();
    assert!(too_many.contains("4096"), "{too_many}");
    let created = commit(None, &key(KEY), &create(), 1).event.document.unwrap();
    let migration = Migration::new(1, created, Default::default());
    let begin = |kind, segments| {
        let pass = NewPass {
            id: format!("{KEY}/one"),
            kind,
            cover: Cover { upto_ppm: 1_000_000, tenants: Vec::new() },
            fingerprint: String::new(),
            segments,
            residual_ms: 0,
            expected: 0,
            removes_extra: false,
            source_wins: false,
            tables: PassTables::default(),
            new_tables: Default::default(),
        };
        let fleet = Fleet::default();
        let context = Context {
            revision: 2,
            now_ms: 1,
            steady_ms: 1,
            actor: "plan",
            identity: &Identity::Unproven,
            reason: "",
            fleet: &fleet,
        };
        apply(Some(&migration), &key(KEY), &Change::BeginJob(pass), &context)
    };
    let mut largest = 0;
    for (wire, kind) in [
        (v1::PassKind::Full, PassKind::Full),
        (v1::PassKind::Verify, PassKind::Verify),
        (v1::PassKind::Sweep, PassKind::Sweep),
    ] {
        let Plan { segments, .. } = Plan::of(&most, wire, String::new());
        begin(kind, segments).unwrap();
        largest = largest.max(segments);
    }
    assert_eq!(largest, 2 * Limits::SEGMENTS_MAX);
    begin(PassKind::Full, largest + 1).unwrap_err();
}
