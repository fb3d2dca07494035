//! Properties of everything that reads what others wrote: messages, files, headers, records.
//!
//! Each is a function of bytes that panics if the property does not hold. Two drivers call them: `tests/properties.rs`
//! with damaged examples in every test run, and `tests/fuzz/run` with a coverage-guided fuzzer.

mod cursor;
mod document;
mod draw;
mod mapping;
mod persisted;
mod pins;
mod plan;
mod report;
pub mod seeds;
mod spec;
mod token;
mod wire;

/// Something that reads what others wrote.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line, and the folder of its inputs.
    pub name: &'static str,
    /// Checks its properties with one input. Panics if one does not hold.
    pub check: fn(&[u8]),
    /// Examples to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that inputs are made of.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    cursor::TARGET,
    document::TARGET,
    mapping::TARGET,
    persisted::TARGET,
    pins::TARGET,
    plan::TARGET,
    report::TARGET,
    spec::TEXT,
    spec::DRAWN,
    token::TARGET,
    wire::TARGET,
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
