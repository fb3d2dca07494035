//! Open files: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process open as many files as the system allows it, and returns how many that are.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, "could not raise the limit of open files from {soft} to {hard}");
            soft
        }
    }
}

/// More than the processes that can be registered, and their leftovers.
const GRPC_CONNECTIONS_MAX: u64 = 20_000;

/// How many connections the gRPC port takes in a process that may open so many files: a quarter, as HTTP takes half.
pub(super) fn grpc_connections(files: u64) -> usize {
    GRPC_CONNECTIONS_MAX.min(files / 4) as usize
}

/// With fewer connections even usual fleets may not fit.
const GRPC_CONNECTIONS_FEW: usize = 4_096;

/// Warns of a low limit of files. Once: a controller opens its ports at each turn.
pub(super) fn warn_of_few(files: u64) {
    let connections = grpc_connections(files);
    if connections < GRPC_CONNECTIONS_FEW {
        let needed = 4 * GRPC_CONNECTIONS_MAX;
        tracing::warn!(
            files,
            connections,
            "the gRPC port takes {connections} connections, a quarter of the {files} files that this process may open. For \
             {GRPC_CONNECTIONS_MAX}, allow {needed} files (ulimit -n, LimitNOFILE)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_files_are_for_connections_of_grpc() {
        assert_eq!([1_024, u64::MAX].map(grpc_connections), [256, 20_000]);
    }
}
