//! The JSON API, over a real socket, as a script uses it.

mod calls;
mod client;
mod ofrep;
mod outcomes;
mod overview;
mod safety;
