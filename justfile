# Short names for the commands of README.md and CONTRIBUTING.md.

# Run the demo.
demo *args:
    ./demo {{args}}

# Run all tests; further arguments go to cargo test.
test *args:
    tests/run {{args}}

# Run every check that must pass before a change lands.
ci:
    .ci/run

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

# Measure what the SDK's migrator adds to a store call.
bench:
    cargo bench --locked -p cutover-client --bench migrator_overhead
