//! The calls that the JSON API has, from the proto.

use std::collections::BTreeMap;

use axum::http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

/// The package of Cutover's own services. flagd's are served as their providers expect it.
const PACKAGE: &str = "cutover.v1";

/// The service of a sidecar, which the controller does not have.
const SIDECAR: &str = "SidecarService";

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has no effect: GET or POST.
    Read,
    /// It changes something: POST.
    Change,
    /// It answers with an event stream: GET.
    Stream,
}

/// One call.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) kind: Kind,
    pub(super) descriptor: MethodDescriptor,
    /// Its path in gRPC.
    pub(super) path: PathAndQuery,
}

/// All calls, by name.
#[derive(Debug)]
pub(super) struct Methods(BTreeMap<String, Method>);

/// Calls that only SDKs and workers make are left out, what does not fit into JSON, and tokens, which no browser should
/// get to see.
pub(super) fn is_exposed(service: &str, method: &str) -> bool {
    match service {
        "AdminService" => method != "Backup",
        "RoutingService" => matches!(method, "Decide" | "DecideBatch"),
        "JobService" => matches!(method, "ListJobs" | "TuneJob" | "FinishJob"),
        "TelemetryService" => method == "RecordOutcomes",
        _ => false,
    }
}

/// The calls of a sidecar: all of its service.
pub(super) fn is_of_sidecar(service: &str, _: &str) -> bool {
    service == SIDECAR
}

impl Methods {
    /// The calls that `is_exposed`, by the names of service and method.
    pub(super) fn of(pool: &DescriptorPool, is_exposed: impl Fn(&str, &str) -> bool) -> Self {
        let ours = pool.services().filter(|service| service.package_name() == PACKAGE);
        let all = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
        let exposed = all.filter(|method| is_exposed(method.parent_service().name(), method.name()));
        Self(exposed.filter_map(|it| Some((it.name().to_owned(), Method::of(it)?))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Method> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Method)> {
        self.0.iter()
    }
}

impl Method {
    pub(super) fn of(descriptor: MethodDescriptor) -> Option<Self> {
        let path = format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name());
        let path = PathAndQuery::try_from(path).ok()?;
        let level = descriptor.method_descriptor_proto().options.as_ref().map(|it| it.idempotency_level());
        let kind = match level {
            _ if descriptor.is_server_streaming() => Kind::Stream,
            Some(IdempotencyLevel::NoSideEffects) => Kind::Read,
            _ => Kind::Change,
        };
        Some(Self { kind, descriptor, path })
    }

    pub(super) fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pool() -> DescriptorPool {
        DescriptorPool::decode(cutover_proto::DESCRIPTORS).expect("compiled in")
    }

    #[test]
    fn no_two_calls_have_one_name_and_each_has_a_place() {
        let pool = pool();
        let (mut names, mut left_out) = (BTreeSet::new(), Vec::new());
        let ours = pool.services().filter(|it| it.package_name() == PACKAGE && it.name() != SIDECAR);
        for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            match is_exposed(method.parent_service().name(), method.name()) {
                true => assert!(names.insert(method.name().to_owned()), "{} twice", method.name()),
                false => left_out.push(method.name().to_owned()),
            }
        }
        assert_eq!(names.len(), Methods::of(&pool, is_exposed).iter().count());
        left_out.sort();
        let known = [
            "Backup",
            "Checkpoint",
            "ClaimSegment",
            "CreateJob",
            "CreateToken",
            "Goodbye",
            "ListTokenEvents",
            "ListTokens",
            "Report",
            "RevokeToken",
            "RotateToken",
            "Watch",
        ];
        assert_eq!(left_out, known, "is a new call for people? Then expose it");
    }

    /// What has a `Mutation`, or an actor, must not be reachable by a link.
    #[test]
    fn a_call_that_changes_something_is_never_a_read() {
        for (name, method) in Methods::of(&pool(), is_exposed).iter() {
            let changes = ["mutation", "actor", "head"];
            let changes = changes.iter().any(|field| method.input().get_field_by_name(field).is_some());
            let is_read = ["Get", "List", "Explain", "Watch"].iter().any(|verb| name.starts_with(verb));
            assert!(
                changes || is_read || matches!(name.as_str(), "Decide" | "DecideBatch" | "RecordOutcomes"),
                "{name}"
            );
            assert_eq!(is_read, method.kind != Kind::Change, "{name}: is its idempotency_level right?");
            assert!(!(changes && is_read), "{name}");
        }
    }
}
