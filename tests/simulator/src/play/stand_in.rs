//! A service that starts from the snapshot file of another one.

use super::{Actor, make_service, start_service, with};
use crate::world;

/// Starts one more service, with the snapshot file of another one, or with a copy of it and of its lock.
pub(super) fn begin(victim: usize, is_copy: bool) {
    /// Each is a process more for the rest of the run.
    const MOST: usize = 6;
    let (index, persist) =
        with(|stage| (stage.services.len(), stage.services[victim].service.persist.clone()));
    let Some(file) = persist.filter(|_| index < MOST) else { return };
    let mut service = make_service(index);
    world::tell(|| format!("s{index} starts with the file of s{victim}, a copy: {is_copy}"));
    if is_copy {
        for suffix in ["", ".lock"] {
            // There may be none yet.
            _ = std::fs::copy(format!("{}{suffix}", file.display()), format!("s{index}{suffix}"));
        }
    } else {
        service.persist = Some(file);
    }
    with(|stage| stage.services.push(Actor { service, incarnations: 0, retired: false }));
    start_service(index);
}
