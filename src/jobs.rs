//! The batch side: it sees the controller over the wire, like any client, and the stores through
//! the SDK's adapters.

pub mod pass;
