# Short names for the commands of README.md and CONTRIBUTING.md.

# The whole story on embedded stores.
demo *args:
    ./demo {{args}}

# All tests; what follows goes to cargo test.
test *args:
    tests/run {{args}}

# What has to hold before a change lands.
ci:
    .ci/run

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

# What the SDK's migrator adds to a store call.
bench:
    cargo bench --locked -p cutover-client
