//! The spec file: what is documented can be read, and mistakes are named with their place.
#![cfg(feature = "spec")]

#[path = "spec/children.rs"]
mod children;
#[path = "spec/fingerprint.rs"]
mod fingerprint;
#[path = "spec/fuzz.rs"]
mod fuzz;
#[path = "spec/mistakes.rs"]
mod mistakes;
#[path = "spec/reading.rs"]
mod reading;
#[path = "spec/secrets.rs"]
mod secrets;
#[path = "spec/stripped.rs"]
mod stripped;
#[path = "spec/ttl.rs"]
mod ttl;

use cutover_store::spec::{Spec, SpecError};

/// docs/spec.md
fn reference() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec.md");
    std::fs::read_to_string(path).expect("it is part of the repository")
}

/// The example in it.
fn example() -> String {
    let text = reference();
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    example.expect("it has an example").to_owned()
}

/// Only what is required.
const SMALL: &str = "migration = \"orders\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"orders\"\n\
                     [target]\nurl = \"postgres://u@db/shop\"\ntable = \"orders\"\n";

fn read(text: &str) -> Spec {
    text.parse().unwrap_or_else(|error: SpecError| panic!("{error}\n{text}"))
}

fn refusal(text: &str) -> String {
    text.parse::<Spec>().expect_err("a mistake").to_string()
}
