# MariaDB, which speaks MySQL's protocol. Sourced by tests/servers.sh.

# Exports CUTOVER_TEST_MYSQL, and CUTOVER_TEST_MYSQL_SWITCHED, a second server that one story makes
# read-only: as a whole, so that no other story can use it. CUTOVER_TEST_MYSQL_PRIMARY and _REPLICA are two that one story
# connects. CUTOVER_TEST_MYSQL_DATA: the data of a new server, for tests that start one; init.sql is beside it.
start_mysql() {
    # The core packages have the server without a service that starts automatically.
    if [[ ! -x /usr/sbin/mariadbd || ! -x /usr/bin/my_print_defaults ]]; then
        install_packages mariadb-server-core mariadb-client-core
    fi
    local directory port
    directory=$(server_directory mysql)
    stop_servers+=("rm -rf '$directory'")
    (
        unprivileged KILL mariadb-install-db --no-defaults --datadir="$directory/data" \
            --auth-root-authentication-method=normal --skip-test-db --skip-log-bin --innodb-log-file-size=16M
    ) >"$directory/install.log" 2>&1 || { tail -20 "$directory/install.log" >&2; return 1; }
    # A user with every right, over TCP and with a password, so that a wrong one can be tested.
    printf '%s;\n' "CREATE DATABASE IF NOT EXISTS cutover" \
        "CREATE USER IF NOT EXISTS cutover@'127.0.0.1' IDENTIFIED BY 'cutover'" \
        "GRANT ALL ON *.* TO cutover@'127.0.0.1' WITH GRANT OPTION" >"$directory/init.sql"
    chmod 644 "$directory/init.sql"

    local other
    for other in switched primary replica new; do
        cp -a "$directory/data" "$directory/$other"
    done
    export CUTOVER_TEST_MYSQL_DATA="$directory/new"

    port=$(free_port)
    run_mariadb "$directory" data "$port" --innodb-buffer-pool-size=512M --innodb-log-file-size=512M
    export CUTOVER_TEST_MYSQL="mysql://cutover:cutover@127.0.0.1:$port/cutover"
    port=$(free_port)
    run_mariadb "$directory" switched "$port" --innodb-buffer-pool-size=16M --innodb-log-file-size=16M
    export CUTOVER_TEST_MYSQL_SWITCHED="mysql://cutover:cutover@127.0.0.1:$port/cutover"
    local small=(--innodb-buffer-pool-size=16M --innodb-log-file-size=16M)
    port=$(free_port)
    run_mariadb "$directory" primary "$port" "${small[@]}" --log-bin --server-id=1
    export CUTOVER_TEST_MYSQL_PRIMARY="mysql://cutover:cutover@127.0.0.1:$port/cutover"
    port=$(free_port)
    run_mariadb "$directory" replica "$port" "${small[@]}" --server-id=2 --report-host=127.0.0.1
    export CUTOVER_TEST_MYSQL_REPLICA="mysql://cutover:cutover@127.0.0.1:$port/cutover"
}

# run_mariadb DIRECTORY DATA PORT OPTION..
run_mariadb() {
    local directory=$1 data=$2 port=$3 pid
    shift 3
    # As in production, except that nothing is synchronized with the disk. Tests end processes, not the machine.
    (
        unprivileged TERM /usr/sbin/mariadbd --no-defaults \
            --datadir="$directory/$data" --init-file="$directory/init.sql" \
            --bind-address=127.0.0.1 --port="$port" --socket="$directory/$data.socket" \
            --pid-file="$directory/$data.pid" --skip-name-resolve --skip-log-bin \
            --innodb-flush-method=nosync \
            --max-connections=200 --max-allowed-packet=64M "$@"
    ) >"$directory/$data.log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server TERM $pid '$directory'")
    # It listens once the init file has been run.
    await_server MariaDB "$pid" "$directory/$data.log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}
