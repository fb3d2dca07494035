//! Documents and mappings: nothing is changed on the way into bytes or columns and back.

#[path = "document/bytes.rs"]
mod bytes;
#[path = "document/children.rs"]
mod children;
#[path = "document/columns.rs"]
mod columns;
#[path = "document/computed.rs"]
mod computed;
#[path = "document/ddl.rs"]
mod ddl;
#[path = "document/filled.rs"]
mod filled;
#[path = "document/given.rs"]
mod given;
#[path = "document/lists.rs"]
mod lists;
#[path = "document/native.rs"]
mod native;
#[path = "document/numbers.rs"]
mod numbers;
#[path = "document/round_trip.rs"]
mod round_trip;
#[path = "document/times.rs"]
mod times;
#[path = "document/typed.rs"]
mod typed;
