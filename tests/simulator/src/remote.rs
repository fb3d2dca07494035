//! What a process asks of something outside of it, and how the answer comes back.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::world::{self, Pid, Time};

/// Where an answer will be. Clones are the same place.
pub struct Slot<T> {
    pid: Pid,
    inner: Arc<Mutex<(Option<T>, Option<Waker>)>>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { pid: self.pid, inner: self.inner.clone() }
    }
}

impl<T> Slot<T> {
    /// Of a process that waits.
    pub fn new(pid: Pid) -> Self {
        Self { pid, inner: Arc::new(Mutex::new((None, None))) }
    }

    /// The answer is there.
    pub fn fill(&self, answer: T) {
        let waker = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.0 = Some(answer);
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
        world::wake(self.pid);
    }
}

impl<T> Future for Slot<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.0.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                inner.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Has something done outside of the running process, after a while, and hears of it after another.
///
/// It is done whatever becomes of the process and of this future.
pub async fn ask<T: Send + 'static>(there: Time, back: Time, act: impl FnOnce() -> T + Send + 'static) -> T {
    let slot = Slot::new(world::running().expect("a process asks"));
    let answered = slot.clone();
    world::after(there, move || {
        let answer = act();
        world::after(back, move || answered.fill(answer));
    });
    slot.await
}

/// The same of a process that stands still for so long before it asks. If it is killed meanwhile, it never does.
pub async fn ask_after<T: Send + 'static>(
    held_back: Time,
    there: Time,
    back: Time,
    act: impl FnOnce() -> T + Send + 'static,
) -> T {
    let pid = world::running().expect("a process asks");
    let (slot, sends_at) = (Slot::new(pid), world::now() + held_back);
    let answered = slot.clone();
    world::after(held_back, move || {
        if world::look(pid, |process| process.sends_at) == Some(sends_at) {
            world::after(there, move || {
                let answer = act();
                world::after(back, move || answered.fill(answer));
            });
        }
    });
    slot.await
}
