//! Who leaves: by a goodbye, by an eviction, or because its right to act has ended.

use std::sync::MutexGuard;

use cutover_clock::Instant;

use super::{
    super::{Registry, lease, registry::Fences},
    Dead, Instances, Kept,
    live::{Ending, Live},
    member::{Admitted, Heard, Who},
};
use crate::store::{self, resting_slot};

/// A change of who is a member, decided and sent to the store.
enum Begun {
    Nothing,
    /// Nothing else changes when the store has it.
    Stored(Kept),
    Removal {
        kept: Kept,
        admitted: Admitted,
        change: u64,
    },
}

impl Instances {
    /// Follows the time until the process ends: notices gaps in which the controller did not run, counts out
    /// instances that can't act any more, and removes those that another process has replaced or whose file
    /// has expired. Calls `removed` for each of the latter.
    pub async fn watch_leases(&self, registry: &Registry, removed: impl Fn(&Who)) {
        let mut ticks = tokio::time::interval(lease::TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let fences = registry.state().fences;
            let due = {
                let mut live = self.live();
                let due = live.take_due(&fences, Instant::now());
                if !due.rested.is_empty() {
                    let changes = due.rested.iter().map(|slot| (resting_slot(*slot), None)).collect();
                    // If it fails they rest once more after a restart.
                    drop(self.change(&live, changes));
                }
                due
            };
            for admitted in due.counted_out {
                self.count_out(admitted).await;
            }
            for admitted in due.over {
                let who = admitted.who.clone();
                match self.end(admitted, &fences).await {
                    Ok(true) => {
                        tracing::info!(instance = who.instance_id, "no longer waited for: it has ended");
                        removed(&who);
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(%error, instance = who.instance_id, "could not remove it yet");
                    }
                }
            }
        }
    }

    /// Durable first: after a restart it must not be taken for one that was there all the time.
    async fn count_out(&self, admitted: Admitted) {
        let instance = admitted.who.instance_id.as_str();
        let (kept, change) = {
            let mut live = self.live();
            let Some((record, change)) = live.begin_counting_out(&admitted) else { return };
            (self.put(&live, &record), change)
        };
        let counted = kept.result().await;
        if !self.live().counted_out(&admitted, change, counted.is_ok()) {
            return;
        }
        if let Err(error) = counted {
            tracing::warn!(%error, instance, "could not count it out yet; retrying");
            return;
        }
        tracing::warn!(
            instance,
            "counted out: its right to act has expired; migrations with fence_after_ms continue without it"
        );
        self.acknowledged.send_replace(());
    }

    /// Ends a membership, unless the process has come back. True: it is no member any more.
    async fn end(&self, admitted: Admitted, fences: &Fences) -> Result<bool, store::Error> {
        let begun = {
            let mut live = self.live();
            match live.ending(&admitted, fences, Instant::now()) {
                None => Begun::Nothing,
                Some(Ending::Remove) => self.begin_removal(&mut live, admitted),
                Some(Ending::Park) => self.begin_parking(&mut live, admitted),
            }
        };
        self.finish(begun).await
    }

    /// Records that a process is about to end; `None`: it is unknown. If it leaves a file, it is waited for
    /// until that has expired. Of an unknown one the store may have a registration whose outcome nobody knows.
    pub async fn goodbye(
        &self,
        instance_id: &str,
        incarnation: u64,
        file_valid_ms: u32,
    ) -> Result<Option<Who>, store::Error> {
        let (who, begun) = {
            let mut live = self.live();
            let who = live.who(instance_id, incarnation);
            let begun = match &who {
                Some(who) => self.begin_goodbye(&mut live, who, file_valid_ms),
                None if incarnation == 0 => Begun::Nothing,
                None => {
                    let unknown = Who::new(instance_id.to_owned(), incarnation);
                    Begun::Stored(self.change(&live, vec![(unknown.label(), None)]))
                }
            };
            (who, begun)
        };
        self.finish(begun).await?;
        Ok(who)
    }

    fn begin_goodbye(&self, live: &mut MutexGuard<'_, Live>, who: &Who, file_valid_ms: u32) -> Begun {
        match live.goodbye(who, file_valid_ms, Instant::now(), self.steady.now_ms()) {
            Some(record) => Begun::Stored(self.put(live, &record)),
            None => {
                let admitted = live.members.get(who).map(Heard::admitted);
                admitted.map_or(Begun::Nothing, |admitted| self.begin_removal(live, admitted))
            }
        }
    }

    /// Gives up instances that an operator asserts to be dead. From now on, one that comes back is told so.
    pub fn give_up(&self, dead: &Dead) -> Vec<Admitted> {
        let mut live = self.live();
        let dead = live.dead(dead, Instant::now());
        dead.iter().for_each(|admitted| live.give_up(admitted));
        dead
    }

    /// The names of those that [`Self::give_up`] would give up.
    pub fn to_be_given_up(&self, dead: &Dead) -> Vec<String> {
        let live = self.live();
        live.dead(dead, Instant::now()).iter().map(|admitted| live.name(&admitted.who)).collect()
    }

    /// What people call it: its id or, if several processes have that, `ID#INCARNATION`.
    pub fn name(&self, who: &Who) -> String {
        self.live().name(who)
    }

    /// Takes that back: the instance is not asserted to be dead after all.
    pub fn keep_on(&self, admitted: &Admitted) {
        self.live().keep_on(admitted);
    }

    /// Removes an instance that was given up, unless it has come back. If it keeps a file, it is waited for until that
    /// has expired, because another process may start from it. Evicting it again removes it at once. False: it has
    /// come back.
    pub async fn evict(&self, admitted: Admitted) -> Result<bool, store::Error> {
        let begun = {
            let mut live = self.live();
            if live.is_same(&admitted) { self.begin_parking(&mut live, admitted) } else { Begun::Nothing }
        };
        let is_given_up = !matches!(begun, Begun::Nothing);
        self.finish(begun).await?;
        Ok(is_given_up)
    }

    /// Removes it, unless it keeps a file that can still be used: then it stays, parked.
    fn begin_parking(&self, live: &mut MutexGuard<'_, Live>, admitted: Admitted) -> Begun {
        match live.park(&admitted.who, Instant::now(), self.steady.now_ms()) {
            Some(record) => Begun::Stored(self.put(live, &record)),
            None => self.begin_removal(live, admitted),
        }
    }

    /// Given up first, so that a registration meanwhile is told; such an instance stays.
    fn begin_removal(&self, live: &mut MutexGuard<'_, Live>, admitted: Admitted) -> Begun {
        let Some((record, change)) = live.begin_removal(&admitted) else { return Begun::Nothing };
        let resting = record.resting();
        let changes = vec![(record.label(), None), (resting.label(), Some(resting))];
        Begun::Removal { kept: self.change(live, changes), admitted, change }
    }

    /// Waits for the store. True: a process is no member any more.
    async fn finish(&self, begun: Begun) -> Result<bool, store::Error> {
        let is_removed = match begun {
            Begun::Nothing => return Ok(false),
            Begun::Stored(kept) => {
                kept.result().await?;
                false
            }
            Begun::Removal { kept, admitted, change } => {
                let removed = kept.result().await;
                let is_removed = self.live().removed(&admitted, change, removed.is_ok(), Instant::now());
                removed?;
                is_removed
            }
        };
        self.acknowledged.send_replace(());
        Ok(is_removed)
    }
}
