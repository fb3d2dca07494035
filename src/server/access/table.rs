//! What each call needs. A test compares this with the proto, so that no call is without a line.

use crate::domain::Need::{self, Administer, Approve, Nothing, Operate, Read, Route, Work};

/// Every method of every service, by what it needs.
const METHODS: &[(&str, Need, &[&str])] = &[
    (
        "cutover.v1.AdminService",
        Read,
        &[
            "GetController",
            "GetMigration",
            "ListMigrations",
            "ListPins",
            "GetPlan",
            "GetStatus",
            "WatchStatus",
            "GetOverview",
            "WatchOverview",
            "GetSeries",
            "GetProgress",
            "ListHistory",
            "ListInstances",
            "Explain",
        ],
    ),
    (
        "cutover.v1.AdminService",
        Operate,
        &[
            "CreateMigration",
            "UpdateMigration",
            "DeleteMigration",
            "SetRollout",
            "SetPin",
            "ClearPin",
            "ImportPins",
            "Rollback",
            "Acknowledge",
            "Pause",
            "Resume",
            "Finish",
            "Abandon",
            "StartPlan",
            "StopPlan",
            "EvictInstance",
            "WithdrawRequest",
        ],
    ),
    ("cutover.v1.AdminService", Approve, &["ApprovePlan", "SkipPlanStep", "ApproveRequest"]),
    ("cutover.v1.AdminService", Administer, &["Backup", "ConfirmRestore"]),
    ("cutover.v1.RoutingService", Route, &["Decide", "DecideBatch", "Watch"]),
    ("cutover.v1.TelemetryService", Route, &["Report", "RecordOutcomes", "Goodbye"]),
    ("cutover.v1.JobService", Read, &["ListJobs"]),
    ("cutover.v1.JobService", Work, &["CreateJob", "ClaimSegment", "Checkpoint", "FinishJob"]),
    ("cutover.v1.JobService", Operate, &["TuneJob"]),
    (
        "cutover.v1.AccessService",
        Administer,
        &["CreateToken", "ListTokens", "RotateToken", "RevokeToken", "ListTokenEvents"],
    ),
    ("flagd.evaluation.v1.Service", Route, FLAGD),
    ("flagd.evaluation.v2.Service", Route, FLAGD),
    ("grpc.health.v1.Health", Nothing, &["Check", "Watch"]),
    ("grpc.reflection.v1.ServerReflection", Read, &["ServerReflectionInfo"]),
];

const FLAGD: &[&str] = &[
    "ResolveAll",
    "ResolveBoolean",
    "ResolveString",
    "ResolveFloat",
    "ResolveInt",
    "ResolveObject",
    "EventStream",
];

/// What a call with this path needs, by gRPC or HTTP. Whatever is not known needs the most.
pub(super) fn need(path: &str) -> Need {
    match path {
        // Probes, and the files of the console, which hold no data.
        "/healthz" | "/readyz" | "/" | "/console" => return Nothing,
        "/metrics" | "/api/v1" => return Read,
        "/ofrep/v1/configuration" | "/ofrep/v1/evaluate/flags" | "/api/v1/outcomes" => return Route,
        _ => {}
    }
    if path.starts_with("/console/") {
        return Nothing;
    }
    if path.starts_with("/ofrep/v1/evaluate/flags/") {
        return Route;
    }
    method(path).map_or(Administer, |(need, _)| need)
}

/// The method of this path, and what it needs.
fn method(path: &str) -> Option<(Need, &'static str)> {
    let of = |is_service: &dyn Fn(&str) -> bool, method: &str| {
        let mut services = METHODS.iter().filter(|(name, ..)| is_service(name));
        services.find_map(|(_, need, methods)| Some((*need, *methods.iter().find(|name| **name == method)?)))
    };
    match path.strip_prefix("/api/v1/") {
        // The names of methods are unique in the package.
        Some(method) => of(&|service| service.starts_with("cutover.v1."), method),
        None => {
            let (service, method) = path.strip_prefix('/')?.split_once('/')?;
            of(&|name| name == service, method)
        }
    }
}

/// The name of a call's span. `None`: it is not traced. Those are calls that processes make all the time, and paths that
/// are no method: whoever asks for one of those chooses its name.
pub(super) fn span_name(path: &str) -> Option<&'static str> {
    let (need, name) = method(path)?;
    (!matches!(need, Nothing | Route | Work)).then_some(name)
}

/// Calls that answer with a stream.
const STREAMS: &[&str] =
    &["Watch", "WatchStatus", "WatchOverview", "Backup", "EventStream", "ServerReflectionInfo"];

/// Whether the answer goes on for as long as the caller likes.
pub(in crate::server) fn is_stream(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|method| STREAMS.contains(&method))
}

/// Commands whose names differ from those of the calls that they make.
const COMMANDS: &[(&str, &str)] = &[
    ("CreateMigration", "create"),
    ("UpdateMigration", "policy, guards"),
    ("DeleteMigration", "delete"),
    ("SetRollout", "ramp"),
    ("SetPin", "pin"),
    ("ClearPin", "unpin"),
    ("Acknowledge", "ack"),
    ("StartPlan", "plan apply"),
    ("StopPlan", "plan stop"),
    ("ApprovePlan", "plan approve"),
    ("SkipPlanStep", "plan skip"),
    ("ApproveRequest", "approve"),
    ("WithdrawRequest", "withdraw"),
    ("ConfirmRestore", "confirm"),
    ("EvictInstance", "evict"),
    ("TuneJob", "tune"),
    ("CreateJob", "backfill, verify, reverse"),
    ("FinishJob", "cancel"),
];

/// What a call is called in an error.
pub(super) fn call(path: &str) -> String {
    let name = path.trim_matches('/').rsplit('/').next().unwrap_or_default();
    let name = if path.starts_with("/ofrep/") || name.is_empty() { path } else { name };
    let name = &name[..name.floor_char_boundary(80)];
    match COMMANDS.iter().find(|(call, _)| *call == name) {
        Some((_, command)) => format!("{name} (cutover {command})"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;

    use super::*;

    /// A sidecar's service is not the controller's.
    const ELSEWHERE: &str = "cutover.v1.SidecarService";

    fn pool() -> DescriptorPool {
        let mut pool = DescriptorPool::decode(cutover_proto::DESCRIPTORS).expect("compiled in");
        for more in [tonic_health::pb::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET] {
            pool.decode_file_descriptor_set(more).expect("compiled in");
        }
        pool
    }

    #[test]
    fn every_method_of_the_proto_has_one_need_and_no_other_has() {
        let pool = pool();
        let services = pool.services().filter(|service| service.full_name() != ELSEWHERE);
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let known: BTreeSet<String> = methods
            .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
            .collect();
        let mut listed = BTreeSet::new();
        for (service, _, methods) in METHODS {
            for method in *methods {
                assert!(listed.insert(format!("{service}/{method}")), "{service}/{method} has two lines");
            }
        }
        assert_eq!(listed, known, "left: what METHODS has; right: what the proto has");
    }

    #[test]
    fn streams_are_those_of_the_proto() {
        let pool = pool();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            assert_eq!(is_stream(&path), method.is_server_streaming(), "{path}");
        }
    }

    #[test]
    fn whatever_changes_something_needs_more_than_to_read() {
        let pool = DescriptorPool::decode(cutover_proto::DESCRIPTORS).expect("compiled in");
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let changes = ["mutation", "actor", "head"];
            if changes.iter().any(|field| method.input().get_field_by_name(field).is_some()) {
                assert!(!matches!(need(&path), Nothing | Read | Route), "{path}");
            }
        }
    }

    #[test]
    fn what_is_not_known_needs_an_admin() {
        for path in [
            "/cutover.v1.AdminService/Invented",
            "/invented.Service/GetStatus",
            "/api/v1/Invented",
            "/api/v2/GetStatus",
            "/metrics/",
            "/healthz/x",
            "/consolex",
            "/ofrep/v2/evaluate/flags/orders",
            "",
        ] {
            assert_eq!(need(path), Administer, "{path}");
        }
    }

    #[test]
    fn spans_have_the_names_of_methods_and_of_nothing_that_a_caller_writes() {
        for (path, name) in [
            ("/cutover.v1.AdminService/SetRollout", Some("SetRollout")),
            ("/api/v1/SetRollout", Some("SetRollout")),
            ("/api/v1/GetStatus", Some("GetStatus")),
            ("/api/v1/cutover_0123456789abcdef", None),
            ("/cutover.v1.AdminService/Invented", None),
            ("/invented/SetRollout", None),
            ("/cutover.v1.RoutingService/Decide", None),
            ("/cutover.v1.JobService/Checkpoint", None),
            ("/flagd.evaluation.v1.Service/ResolveString", None),
            ("/ofrep/v1/evaluate/flags/orders", None),
            ("/metrics", None),
            ("/healthz", None),
        ] {
            assert_eq!(span_name(path), name, "{path}");
        }
    }

    #[test]
    fn http_needs_what_grpc_needs() {
        for (path, needs) in [
            ("/healthz", Nothing),
            ("/console/js/main.js", Nothing),
            ("/metrics", Read),
            ("/api/v1/GetStatus", Read),
            ("/api/v1/WatchOverview", Read),
            ("/api/v1/SetRollout", Operate),
            ("/api/v1/ApprovePlan", Approve),
            ("/api/v1/Decide", Route),
            ("/api/v1/RecordOutcomes", Route),
            ("/api/v1/outcomes", Route),
            ("/ofrep/v1/evaluate/flags/orders", Route),
            ("/flagd.evaluation.v1.Service/ResolveString", Route),
            ("/cutover.v1.AdminService/SetRollout", Operate),
        ] {
            assert_eq!(need(path), needs, "{path}");
        }
    }
}
