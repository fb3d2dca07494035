//! What deploy/ offers agrees with what the programs do.

mod iam;
mod table;
