//! Work that must not stop half-way.

/// Runs to its end even if the caller goes away: part of it may have happened, and the rest must follow.
pub(super) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        // Nobody aborts it, so the process ends.
        Err(_) => std::future::pending().await,
    }
}
