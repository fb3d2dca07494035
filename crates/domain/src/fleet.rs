//! The members, and what each has acknowledged: checked before a step is taken.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use cutover_core::routing::Mutation;

use super::placement::Wait;

/// What people call the callers of remote decisions.
pub const CALLERS: &str = "callers without an SDK";

/// One instance (an SDK process or a worker), connected or lost; or the callers of remote decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, for people.
    pub name: String,
    /// The service it belongs to.
    pub service: String,
    /// Received: no operation starts there under an older revision.
    pub received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub applied: u64,
    /// Silent for longer than its lease, or ended with a snapshot file left behind.
    pub lost: bool,
    /// Its calls are refused for its token, so it may run although it is lost.
    pub refused: bool,
    /// It works on a pass.
    pub worker: bool,
    /// Steps wait for it no longer than this. `None`: until it acknowledges, or is evicted.
    pub waited_for: Option<Duration>,
}

impl Member {
    /// Whether it stands for the callers of remote decisions, who are no instance.
    pub const fn is_callers(&self) -> bool {
        self.service.is_empty()
    }
}

/// Everybody who has to acknowledge.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    members: Vec<Member>,
    glance: Glance,
}

/// What steps depend on of a fleet, without its members: with the same glance the same steps are legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    received: Option<u64>,
    applied: Option<u64>,
    /// Of the services with a live instance, and of how many each has.
    services: u64,
}

impl Glance {
    /// Takes one more member in.
    pub fn add(&mut self, service: &str, received: u64, applied: u64, lost: bool) {
        let lower =
            |so_far: Option<u64>, revision: u64| Some(so_far.map_or(revision, |least| least.min(revision)));
        if !lost {
            self.received = lower(self.received, received);
            let mut hasher = DefaultHasher::new();
            service.hash(&mut hasher);
            self.services = self.services.wrapping_add(hasher.finish());
        }
        if !(lost && Mutation::LostInstances.is_left_out()) {
            let applied = if Mutation::Quiesced.is_left_out() { received } else { applied };
            self.applied = lower(self.applied, applied);
        }
    }
}

impl Fleet {
    /// A fleet of these members.
    pub fn new(members: Vec<Member>) -> Self {
        let mut glance = Glance::default();
        for Member { service, received, applied, lost, .. } in &members {
            glance.add(service, *received, *applied, *lost);
        }
        Self { members, glance }
    }

    /// Whether everybody has acknowledged a step in the way that the next one requires.
    pub fn acknowledged(&self, step: u64, wait: Wait) -> bool {
        match wait {
            _ if Mutation::Barrier.is_left_out() => true,
            Wait::Nothing => true,
            Wait::Received => self.glance.received.is_none_or(|received| received >= step),
            Wait::Quiesced => self.glance.applied.is_none_or(|applied| applied >= step),
        }
    }

    /// The members that have not.
    pub fn behind(&self, step: u64, wait: Wait) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| match wait {
            Wait::Nothing => false,
            Wait::Received => !member.lost && member.received < step,
            Wait::Quiesced => member.applied < step,
        })
    }

    /// The newest settled revision: everybody, lost members included, has quiesced for it. `newest` (the
    /// controller's) if there are no members.
    pub fn settled(&self, newest: u64) -> u64 {
        self.glance.applied.unwrap_or(newest).min(newest)
    }

    /// Who is lost.
    pub fn lost(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.lost)
    }

    /// How many instances there are, lost ones included.
    pub fn instances(&self) -> usize {
        self.members.iter().filter(|member| !member.is_callers()).count()
    }

    /// Services with an instance that is not lost.
    pub fn services(&self) -> BTreeSet<&str> {
        self.members.iter().filter(|member| !member.lost).map(|member| member.service.as_str()).collect()
    }

    /// Lost instances that had not received a step which was taken without them.
    pub fn left_behind(&self, step: u64) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.lost && member.received < step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, service: &str, revisions: (u64, u64), lost: bool) -> Member {
        let (received, applied) = revisions;
        let (name, service) = (name.to_owned(), service.to_owned());
        Member { name, service, received, applied, lost, refused: false, worker: false, waited_for: None }
    }

    #[test]
    fn a_glance_differs_where_steps_may_differ() {
        let at = |members: &[Member]| Fleet::new(members.to_vec()).glance;
        let [a, b] = [member("a", "api", (7, 6), false), member("b", "jobs", (9, 9), false)];
        let before = at(&[a.clone(), b.clone()]);
        assert_eq!(at(&[b.clone(), a.clone()]), before);
        assert_eq!(
            at(&[Member { name: "c".to_owned(), ..a.clone() }, b.clone()]),
            before,
            "names are for people"
        );
        assert_eq!(at(&[a.clone(), Member { applied: 7, ..b.clone() }]), before, "somebody else is behind");
        for changed in [
            vec![a.clone()],
            vec![Member { received: 8, ..a.clone() }, b.clone()],
            vec![Member { applied: 7, ..a.clone() }, b.clone()],
            vec![Member { lost: true, ..a.clone() }, b.clone()],
            vec![a.clone(), Member { lost: true, ..b.clone() }],
            vec![a.clone(), Member { service: "api".to_owned(), ..b.clone() }],
            vec![a.clone(), b.clone(), member("c", "jobs", (9, 9), false)],
        ] {
            assert_ne!(at(&changed), before, "{changed:?}");
        }
        assert_eq!(at(&[]), Glance::default());
    }
}
