//! Supervised background tasks. They run until the process stops, so one that ends or panics takes the
//! process down. Whoever runs the process restarts it from its durable state.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, OnceLock},
};

use tokio::task::{Id, JoinSet};

use super::Error;

/// Why the controller is no longer ready; empty while it is.
pub(super) type Down = Arc<OnceLock<String>>;

/// The background tasks of a controller.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    down: Down,
}

impl Tasks {
    /// Starts a task that has to run until the process stops.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// What `/readyz` reports once the controller goes down.
    pub(super) fn down(&self) -> Down {
        self.down.clone()
    }

    /// Waits until one of the tasks has ended, which must not happen.
    pub(super) async fn ended(&mut self) -> Error {
        let ended = match self.running.join_next_with_id().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        };
        let (id, why) = match ended {
            Ok((id, ())) => (id, "it ended".to_owned()),
            Err(error) => (error.id(), error.to_string()),
        };
        let task = self.names.get(&id).copied().unwrap_or("unnamed");
        let error = Error::Task { task, why };
        let _ = self.down.set(error.to_string());
        error
    }

    /// Ends all tasks and waits for them.
    pub(super) async fn stop(mut self) {
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_ends_or_panics_is_named_and_told_to_probes() {
        let mut tasks = Tasks::default();
        let down = tasks.down();
        tasks.spawn("steps", std::future::pending());
        tasks.spawn("plans", async { panic!("a bug") });
        let error = tasks.ended().await.to_string();
        assert!(error.contains("plans") && error.contains("a bug"), "{error}");
        assert_eq!(down.get(), Some(&error));
        tasks.spawn("guards", async {});
        let error = tasks.ended().await.to_string();
        assert!(error.contains("guards") && error.contains("it ended"), "{error}");
        tasks.stop().await;
    }
}
