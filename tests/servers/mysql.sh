# MariaDB, which speaks MySQL's protocol. Sourced by tests/servers.sh.

# Exports CUTOVER_TEST_MYSQL.
start_mysql() {
    # The core packages have the server without the service that starts by itself.
    if [[ ! -x /usr/sbin/mariadbd || ! -x /usr/bin/my_print_defaults ]]; then
        install_packages mariadb-server-core mariadb-client-core
    fi
    local directory port pid
    directory=$(server_directory mysql)
    stop_servers+=("rm -rf '$directory'")
    (
        unprivileged KILL mariadb-install-db --no-defaults --datadir="$directory/data" \
            --auth-root-authentication-method=normal --skip-test-db --skip-log-bin
    ) >"$directory/install.log" 2>&1 || { tail -20 "$directory/install.log" >&2; return 1; }
    # A user with every right, over TCP and with a password, so that a wrong one can be tested.
    printf '%s;\n' "CREATE DATABASE cutover" \
        "CREATE USER cutover@'127.0.0.1' IDENTIFIED BY 'cutover'" \
        "GRANT ALL ON *.* TO cutover@'127.0.0.1' WITH GRANT OPTION" >"$directory/init.sql"
    chmod 644 "$directory/init.sql"

    port=$(free_port)
    # As in production but for fsync: O_DIRECT_NO_FSYNC and a log that is handed to the kernel at
    # each commit. Tests end processes, not the machine.
    (
        unprivileged TERM /usr/sbin/mariadbd --no-defaults \
            --datadir="$directory/data" --init-file="$directory/init.sql" \
            --bind-address=127.0.0.1 --port="$port" --socket="$directory/socket" \
            --pid-file="$directory/pid" --skip-name-resolve --skip-log-bin \
            --innodb-buffer-pool-size=512M --innodb-log-file-size=512M \
            --innodb-flush-log-at-trx-commit=2 --innodb-flush-method=O_DIRECT_NO_FSYNC \
            --max-connections=200 --max-allowed-packet=16M
    ) >"$directory/log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server TERM $pid '$directory'")
    # It listens once the init file has been run.
    await_server MariaDB "$pid" "$directory/log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
    export CUTOVER_TEST_MYSQL="mysql://cutover:cutover@127.0.0.1:$port/cutover"
}
