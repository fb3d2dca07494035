# Public data sets from npm, outside the clone. No server: tests move them between stores. tests/datasets has the versions.

start_datasets() {
    local hash
    hash=$(sha256sum tests/datasets/package-lock.json | cut -c1-16)
    export CUTOVER_TEST_DATASETS="$CUTOVER_CACHE/tools/datasets-$hash"
    if [[ ! -d "$CUTOVER_TEST_DATASETS" ]]; then
        fetch_datasets "$CUTOVER_TEST_DATASETS"
    fi
}

# fetch_datasets DIRECTORY
fetch_datasets() {
    command -v npm >/dev/null || install_packages nodejs npm
    mkdir -p "${1%/*}"
    local part
    part=$(mktemp -d "$1.XXXXXX")
    cp tests/datasets/package.json tests/datasets/package-lock.json "$part"
    (cd "$part" && run npm ci --ignore-scripts --no-audit --no-fund --silent)
    mv -T "$part" "$1" 2>/dev/null || rm -rf "$part" # Another run was first.
}
