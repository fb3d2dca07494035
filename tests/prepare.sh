# Sourced by ./demo, tests/run and .ci/run from the repository's root: checks what must be installed, and
# keeps the build outside the clone, so that the next clone reuses it. Cargo fetches everything else.

export PATH="$PATH:$HOME/.cargo/bin"

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs, then run this again" >&2
    exit 1
fi
if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
    echo "a C compiler is missing (SQLite is built from source): apt-get install gcc libc6-dev" >&2
    exit 1
fi
if ! command -v make >/dev/null; then
    echo "make is missing (jemalloc is built from source): apt-get install make" >&2
    exit 1
fi

CUTOVER_CACHE="${CUTOVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cutover}"
export CUTOVER_CACHE
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CUTOVER_CACHE/target}"
mkdir -p "$CARGO_TARGET_DIR"

# Prints a command, then runs it.
run() {
    echo "+ $*" >&2
    "$@"
}
