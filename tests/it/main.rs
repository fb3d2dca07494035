//! The one integration binary: a module for each capability.

mod structure;
