//! The JSON API, over a real socket, as a script uses it.

mod calls;
pub mod client;
mod connect;
mod flagd;
mod flags;
mod ofrep;
mod outcomes;
mod overview;
mod safety;
mod steer;
