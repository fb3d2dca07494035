# Prometheus's tool that checks alert rules. Sourced by tests/servers.sh. There is nothing to run.

# Exports CUTOVER_TEST_PROMTOOL, the program. Where it is not installed, it is taken out of Debian's package,
# so that no service is installed with it.
start_promtool() {
    local programs="$CUTOVER_CACHE/tools/promtool"
    if command -v promtool >/dev/null; then
        CUTOVER_TEST_PROMTOOL=$(command -v promtool)
    else
        [[ -x "$programs/usr/bin/promtool" ]] || fetch_promtool "$programs"
        CUTOVER_TEST_PROMTOOL="$programs/usr/bin/promtool"
    fi
    export CUTOVER_TEST_PROMTOOL
}

# fetch_promtool DIRECTORY
fetch_promtool() {
    local programs=$1 part
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        echo "promtool is missing: install it from https://prometheus.io/download, then run this again" >&2
        return 1
    fi
    mkdir -p "$CUTOVER_CACHE/tools"
    part=$(mktemp -d "$programs.XXXXXX")
    # apt drops its rights to download, and needs the directory to be open to it.
    chmod 755 "$part"
    echo "+ apt-get download prometheus" >&2
    if ! (cd "$part" && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } &&
        dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) >"$CUTOVER_CACHE/install.log" 2>&1 </dev/null; then
        echo "could not download Debian's package prometheus for promtool: see $CUTOVER_CACHE/install.log" >&2
        rm -rf "$part"
        return 1
    fi
    mv -T "$part" "$programs" 2>/dev/null || rm -rf "$part" # Another run was first.
}
