//! The local guard: watches this process's own calls while the controller is away.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::warn;

use crate::{
    guard::{Failing, Finding, Local, SLOT_MS, may_go_back, taken_back},
    host,
    report::{Judged, Recorder},
    watch::{Current, GoneBack, Link},
};

/// A controller that restarts is back sooner than this, and sees more.
const AWAY_MS: u64 = 2_000;

/// Interval between checks whether the controller is there.
const LOOK: Duration = Duration::from_secs(1);

/// The task of the local guard.
#[derive(Debug)]
pub(super) struct LocalGuard {
    pub(super) current: Arc<Current>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) link: Arc<Link>,
}

/// One migration while the controller is away.
struct Case {
    judged: Arc<Judged>,
    local: Local,
    /// It was already logged that there is nowhere to go back to.
    holds: bool,
}

impl LocalGuard {
    /// Guards until it is canceled.
    pub(super) async fn run(self) {
        let mut has_gone_back = false;
        loop {
            sleep(LOOK).await;
            if has_gone_back && self.current.gone_back().is_empty() {
                let revision = self.current.received_revision();
                warn!(
                    revision,
                    "the controller's newer routing has ended what the local guard had taken back"
                );
                has_gone_back = false;
            }
            if self.is_away() {
                self.guard().await;
                has_gone_back |= !self.current.gone_back().is_empty();
            }
        }
    }

    /// Guards until the controller is heard again. Evidence starts and ends with the controller's absence:
    /// while it is there, it judges.
    async fn guard(&self) {
        let mut cases = self.cases();
        self.recorder.judged().set(cases.iter().map(|case| case.judged.clone()).collect());
        while self.is_away() {
            sleep(Duration::from_millis(SLOT_MS)).await;
            for case in &mut cases {
                match case.local.observe(&case.judged.take()) {
                    Finding::Nothing => {}
                    Finding::GoBack(failing) => self.go_back(case.judged.clone(), failing).await,
                    Finding::Hold(failing) if !case.holds => {
                        case.holds = true;
                        let migration = case.judged.migration();
                        warn!(migration, ?failing, "both stores fail: the local guard goes nowhere");
                    }
                    Finding::Hold(_) => {}
                }
            }
            cases.retain(|case| !self.current.has_gone_back(case.judged.migration()));
        }
        self.recorder.judged().set(Vec::new());
    }

    /// A process that routes from a file judges nobody: the controller did not wait for this process.
    fn is_away(&self) -> bool {
        !self.link.is_connected() && self.current.silent_ms() >= AWAY_MS && self.link.is_the_controllers()
    }

    fn cases(&self) -> Vec<Case> {
        let Some(snapshot) = self.current.snapshot() else { return Vec::new() };
        let may = snapshot.tables().filter(|(_, table)| may_go_back(table));
        may.map(|(key, table)| Case {
            judged: Arc::new(Judged::new(key, table.revision())),
            local: Local::new(table.policy()),
            holds: false,
        })
        .collect()
    }

    async fn go_back(&self, judged: Arc<Judged>, failing: Failing) {
        let current = self.current.clone();
        // A million overrides take a while.
        let gone = host::blocking(move || {
            let migration = judged.migration();
            let gone = GoneBack::now(migration, failing);
            let is_done = current.go_back(gone.clone(), |snapshot| {
                let table = taken_back(snapshot.table(migration).ok()?)?;
                let mut snapshot = snapshot.clone();
                snapshot.insert(migration, Ok(Arc::new(table)));
                Some(snapshot)
            });
            is_done.then_some(gone)
        });
        if let Ok(Some(gone)) = gone.await {
            warn!(
                migration = gone.migration,
                calls = gone.failing.since.ended,
                failed = gone.failing.since.failed,
                writes = gone.failing.writes,
                "the target fails and the controller is away: this process reads from the source, \
                 from target-first back to mirrored, until it hears a newer revision"
            );
        }
    }
}
