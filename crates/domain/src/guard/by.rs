//! One value for each kind of operation, or for each counting guard: found by what it is about, not by its
//! position.

use std::ops::{Index, IndexMut};

use super::{Guard, Operation};

/// One value for reads and one for writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByOperation<T> {
    reads: T,
    writes: T,
}

impl<T> ByOperation<T> {
    pub(super) fn each(value: impl Fn(Operation) -> T) -> Self {
        Self { reads: value(Operation::Read), writes: value(Operation::Write) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.reads, &self.writes].into_iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        [&mut self.reads, &mut self.writes].into_iter()
    }
}

impl<T> Index<Operation> for ByOperation<T> {
    type Output = T;

    fn index(&self, operation: Operation) -> &T {
        match operation {
            Operation::Read => &self.reads,
            Operation::Write => &self.writes,
        }
    }
}

impl<T> IndexMut<Operation> for ByOperation<T> {
    fn index_mut(&mut self, operation: Operation) -> &mut T {
        match operation {
            Operation::Read => &mut self.reads,
            Operation::Write => &mut self.writes,
        }
    }
}

/// One value for each guard of [`Guard::COUNTING`]. Indexing panics for any other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByGuard<T>([T; Guard::COUNT]);

impl<T> Index<Guard> for ByGuard<T> {
    type Output = T;

    fn index(&self, guard: Guard) -> &T {
        &self.0[place(guard)]
    }
}

impl<T> IndexMut<Guard> for ByGuard<T> {
    fn index_mut(&mut self, guard: Guard) -> &mut T {
        &mut self.0[place(guard)]
    }
}

fn place(guard: Guard) -> usize {
    guard.index().expect("it judges counts")
}
