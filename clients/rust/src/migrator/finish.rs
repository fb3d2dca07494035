//! Work that continues when nobody awaits it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Work that runs where it is awaited. If it is dropped before its end, it continues as its own task.
///
/// A store call that writes can't be taken back: it may land after its caller has gone. So a write that has
/// begun runs to its end and holds its operation until then. Otherwise the instance would acknowledge a step
/// while a write of the previous rung is still in flight. Usually this costs one allocation and no task.
pub(super) struct Finish<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    runtime: Option<Handle>,
}

impl<T: Send + 'static> Finish<T> {
    /// Must be created within a runtime; without one the work simply ends when it is dropped.
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), runtime: Handle::try_current().ok() }
    }
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        // Work that panicked can't continue.
        if let (Some(work), Some(runtime), false) =
            (self.work.take(), &self.runtime, std::thread::panicking())
        {
            drop(runtime.spawn(work));
        }
    }
}
