//! What the SQL stores share: how rows are read, and what is made of them.

pub(super) mod chain;
pub(super) mod row;
pub(super) mod state;
pub(super) mod windows;
