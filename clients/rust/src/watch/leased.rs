//! Work that stops where the right to act ends.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use super::current::{Current, Operation, Standing};

impl Operation {
    /// Works on as long as the operation may act. `None`: it may not any more, and nothing more is done. A process that
    /// was frozen in the middle must not send anything when it resumes.
    pub async fn while_it_may_act<F: Future>(&self, current: &Current, work: F) -> Option<F::Output> {
        while_it_may_act(current, &self.standing(), work).await
    }
}

pub(crate) async fn while_it_may_act<F: Future>(
    current: &Current,
    standing: &Standing,
    work: F,
) -> Option<F::Output> {
    Leased { work: pin!(work), may_act: || current.may_act(standing) }.await
}

struct Leased<'a, F, M> {
    work: Pin<&'a mut F>,
    may_act: M,
}

impl<F: Future, M: Fn() -> bool + Unpin> Future for Leased<'_, F, M> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !(self.may_act)() {
            return Poll::Ready(None);
        }
        self.work.as_mut().poll(cx).map(Some)
    }
}
