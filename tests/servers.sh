# Sourced after tests/prepare.sh by scripts that test against real database servers. start_servers
# installs what is missing, starts each server on a free loopback port with its data in a directory
# of its own under /tmp, and exports its address as CUTOVER_TEST_<SERVER>. When the script ends, the
# servers are stopped and their data removed. System services are never touched.
#
# Each piece in tests/servers defines start_<server>, which uses the functions below.

servers=()
for piece in tests/servers/*.sh; do
    source "$piece"
    servers+=("$(basename "$piece" .sh)")
done

# Starts the named servers, or all of them.
start_servers() {
    local server
    if (($# == 0)); then
        set -- "${servers[@]}"
    fi
    for server in "$@"; do
        "start_$server"
    done
}

stop_servers=()   # Commands; the last one added runs first.

stop_all_servers() {
    local at
    for ((at = ${#stop_servers[@]} - 1; at >= 0; at--)); do
        eval "${stop_servers[at]}" || true
    done
    stop_servers=()
}
trap stop_all_servers EXIT
trap 'exit 129' HUP
trap 'exit 143' TERM

# Installs packages on Debian-based systems if it may; otherwise says in one line what to do.
install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        as_root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "can't install $* here: it takes apt-get, as root or with sudo; install it and run this again" >&2
        return 1
    fi
    local log="$CUTOVER_CACHE/install.log" added=() made
    mkdir -p "$CUTOVER_CACHE"
    # The packages' scripts ask these two files whether to start a service and to make a database
    # of the system's own. The answer is no, for as long as this takes.
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
        "${as_root[@]}" chmod 755 /usr/sbin/policy-rc.d
        added+=(/usr/sbin/policy-rc.d)
    fi
    made=/etc/postgresql-common/createcluster.d/cutover-tests.conf
    "${as_root[@]}" mkdir -p "${made%/*}"
    echo "create_main_cluster = false" | "${as_root[@]}" tee "$made" >/dev/null
    added+=("$made")

    local status=0
    echo "+ apt-get install $*" >&2
    {
        "${as_root[@]}" apt-get update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || status=$?
    "${as_root[@]}" rm -f "${added[@]}"
    if ((status != 0)); then
        echo "apt-get install $* failed: see $log" >&2
    fi
    return "$status"
}

# Servers refuse to run as root, so they run as nobody instead. If this script is killed, the server gets
# the signal in the first argument.
unprivileged() {
    local signal=$1
    shift
    local who=()
    if ((EUID == 0)); then
        who=(--reuid nobody --regid "$(id -g nobody)" --clear-groups)
    fi
    exec setpriv "${who[@]}" --pdeathsig "$signal" -- "$@"
}

# A new directory for a server's data, which only the server's user can enter.
server_directory() {
    local directory
    directory=$(mktemp -d "${TMPDIR:-/tmp}/cutover-$1.XXXXXX")
    if ((EUID == 0)); then
        chown nobody "$directory"
    fi
    echo "$directory"
}

# A loopback port that nothing listens on, below those that the kernel gives to clients.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# await_server NAME PID LOG COMMAND..: until the command succeeds; an error if the server ends first.
await_server() {
    local name=$1 pid=$2 log=$3 tries
    shift 3
    for ((tries = 0; tries < 600; tries++)); do
        if ! kill -0 "$pid" 2>/dev/null; then
            break
        fi
        if "$@" >/dev/null 2>&1; then
            return
        fi
        sleep 0.1
    done
    echo "$name did not start:" >&2
    tail -20 "$log" >&2
    return 1
}

# Ends a server that was started here and removes its data.
stop_server() {
    local signal=$1 pid=$2 directory=$3
    kill -s "$signal" "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -rf "$directory"
}
