//! The rules that the controller, every SDK and the tests share. Pure: no I/O, no clock, no async; the manifest
//! has no dependency that could do any of these.
//!
//! | module | what it does |
//! |---|---|
//! | [`routing`] | decides where a tenant's reads and writes go |
//! | [`guard`] | the arithmetic that detects that a target fails |
//! | [`outcome`] | what is counted of an operation on data |
//! | [`histogram`] | latencies in buckets |
//! | [`servers`] | the addresses of a controller, as people write them |
//! | [`text`] | values as people read them |
//! | [`wire`] | the meaning of wire messages: converts them to and from routing types |

pub mod guard;
pub mod histogram;
pub mod outcome;
pub mod routing;
pub mod servers;
pub mod text;
pub mod wire;
