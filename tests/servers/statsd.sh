# The statsd daemon. Sourced by tests/servers.sh.

# Exports CUTOVER_TEST_STATSD, where it accepts lines, and CUTOVER_TEST_STATSD_ADMIN, where it
# reports what it has accepted.
start_statsd() {
    local version=0.9.0
    local programs="$CUTOVER_CACHE/tools/statsd-$version" directory port admin pid
    if ! command -v node >/dev/null; then
        install_packages nodejs npm
    fi
    if [[ ! -d "$programs" ]]; then
        fetch_statsd "$version" "$programs"
    fi

    directory=$(mktemp -d "${TMPDIR:-/tmp}/cutover-statsd.XXXXXX")
    stop_servers+=("rm -rf '$directory'")
    port=$(free_port)
    admin=$(free_port)
    # It never flushes while tests run, so counts remain readable.
    cat >"$directory/config.js" <<-CONFIG
	{ address: "127.0.0.1", port: $port, mgmt_address: "127.0.0.1", mgmt_port: $admin,
	  flushInterval: 86400000, backends: [] }
	CONFIG
    setpriv --pdeathsig KILL -- node "$programs/node_modules/statsd/stats.js" "$directory/config.js" \
        >"$directory/log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server TERM $pid '$directory'")
    await_server statsd "$pid" "$directory/log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$admin"
    export CUTOVER_TEST_STATSD="127.0.0.1:$port" CUTOVER_TEST_STATSD_ADMIN="127.0.0.1:$admin"
}

# fetch_statsd VERSION DIRECTORY: from the npm registry, without optional dependencies.
fetch_statsd() {
    local version=$1 programs=$2 part
    if ! command -v npm >/dev/null; then
        install_packages npm
    fi
    mkdir -p "$CUTOVER_CACHE/tools"
    part=$(mktemp -d "$programs.XXXXXX")
    echo "+ npm install statsd@$version" >&2
    if ! npm install --prefix "$part" --omit=optional --no-audit --no-fund "statsd@$version" \
        >"$CUTOVER_CACHE/install.log" 2>&1 </dev/null; then
        echo "statsd can't be had from the npm registry: see $CUTOVER_CACHE/install.log" >&2
        rm -rf "$part"
        return 1
    fi
    mv -T "$part" "$programs" 2>/dev/null || rm -rf "$part" # Another run was first.
}
