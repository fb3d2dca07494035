//! The newest snapshot in this process, kept so by the controller's stream.

mod current;

pub use current::{BeginError, Current, Operation};
