# PostgreSQL. Sourced by tests/servers.sh.

# Exports CUTOVER_TEST_POSTGRES, and CUTOVER_TEST_POSTGRES_STANDBY, a server in recovery that one story
# promotes. CUTOVER_TEST_PGBOUNCER_SESSION and _TRANSACTION lead to the first one through a pooler.
# CUTOVER_TEST_POSTGRES_PROGRAMS: where the server's programs are, for tests that stop one.
start_postgres() {
    local bin directory port
    bin=$(postgres_programs)
    if [[ -z "$bin" ]]; then
        install_packages postgresql
        bin=$(postgres_programs)
    fi
    if [[ ! -x /usr/sbin/pgbouncer ]]; then
        install_packages pgbouncer
    fi
    export CUTOVER_TEST_POSTGRES_PROGRAMS=$bin
    directory=$(server_directory postgres)
    stop_servers+=("rm -rf '$directory'")
    echo cutover >"$directory/password"
    chmod 644 "$directory/password"
    (
        cd /   # The server's user may not be able to enter the clone.
        unprivileged KILL "$bin/initdb" --pgdata="$directory/data" --username=cutover \
            --pwfile="$directory/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync
    ) >"$directory/install.log" 2>&1 || { tail -20 "$directory/install.log" >&2; return 1; }

    # A standby without a primary: it waits for a log that never comes.
    cp -a "$directory/data" "$directory/standby"
    touch "$directory/standby/standby.signal"
    chown --reference="$directory/data" "$directory/standby/standby.signal"

    port=$(free_port)
    run_postgres "$bin" "$directory" data "$port" \
        -c shared_buffers=256MB -c max_wal_size=2GB -c max_connections=200
    export CUTOVER_TEST_POSTGRES="postgres://cutover:cutover@127.0.0.1:$port/postgres"
    local server=$port
    port=$(free_port)
    run_pgbouncer "$directory" session "$port" "$server"
    export CUTOVER_TEST_PGBOUNCER_SESSION="postgres://cutover:cutover@127.0.0.1:$port/postgres"
    port=$(free_port)
    run_pgbouncer "$directory" transaction "$port" "$server"
    export CUTOVER_TEST_PGBOUNCER_TRANSACTION="postgres://cutover:cutover@127.0.0.1:$port/postgres"
    port=$(free_port)
    run_postgres "$bin" "$directory" standby "$port" -c shared_buffers=16MB
    export CUTOVER_TEST_POSTGRES_STANDBY="postgres://cutover:cutover@127.0.0.1:$port/postgres"
}

# run_postgres PROGRAMS DIRECTORY DATA PORT OPTION..
run_postgres() {
    local bin=$1 directory=$2 data=$3 port=$4 pid
    shift 4
    # As in production, except fsync: tests end processes, not the machine.
    (
        cd /
        unprivileged INT "$bin/postgres" -D "$directory/$data" -h 127.0.0.1 -p "$port" -k "$directory" \
            -c fsync=off "$@"
    ) >"$directory/$data.log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server INT $pid '$directory'")
    await_server PostgreSQL "$pid" "$directory/$data.log" \
        "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -d postgres -U cutover
}

# run_pgbouncer DIRECTORY MODE PORT SERVER
run_pgbouncer() {
    local directory=$1 mode=$2 port=$3 server=$4 pid file
    file="$directory/pgbouncer-$mode"
    echo '"cutover" "cutover"' >"$file.users"
    printf '%s\n' '[databases]' "postgres = host=127.0.0.1 port=$server" '[pgbouncer]' "pool_mode = $mode" \
        'listen_addr = 127.0.0.1' "listen_port = $port" 'unix_socket_dir =' 'auth_type = scram-sha-256' \
        "auth_file = $file.users" >"$file.ini"
    chmod 644 "$file.users" "$file.ini"
    (
        cd /
        unprivileged INT /usr/sbin/pgbouncer "$file.ini"
    ) >"$file.log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server INT $pid '$directory'")
    await_server PgBouncer "$pid" "$file.log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}

# The directory of the newest installed version's programs; nothing if there is none.
postgres_programs() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1 || true)
    if [[ -z "$found" ]]; then
        found=$(command -v postgres || true)
    fi
    if [[ -n "$found" ]]; then
        dirname "$(readlink -f "$found")"
    fi
}
