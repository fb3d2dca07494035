# DynamoDB Local, Amazon's own server for tests. Sourced by tests/servers.sh.

# Exports CUTOVER_TEST_DYNAMODB, and credentials that mean nothing anywhere.
start_dynamodb() {
    local version=3.3.1
    local programs="$CUTOVER_CACHE/tools/dynamodb-local-$version" directory port pid
    if [[ ! -d "$programs" ]]; then
        fetch_dynamodb_local "$version" "$programs"
    elif ! command -v java >/dev/null || ! command -v javac >/dev/null; then
        install_packages default-jdk-headless
    fi

    directory=$(mktemp -d "${TMPDIR:-/tmp}/cutover-dynamodb.XXXXXX")
    stop_servers+=("rm -rf '$directory'")
    port=$(free_port)
    setpriv --pdeathsig KILL -- java -Xmx2g -Djava.library.path="$programs" -Djava.io.tmpdir="$directory" \
        -cp "$programs/*" tests/servers/DynamodbOnLoopback.java \
        -inMemory -sharedDb -disableTelemetry -port "$port" >"$directory/log" 2>&1 &
    pid=$!
    stop_servers+=("stop_server TERM $pid '$directory'")
    await_server "DynamoDB Local" "$pid" "$directory/log" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    unset AWS_SESSION_TOKEN AWS_PROFILE
    export CUTOVER_TEST_DYNAMODB="dynamodb://?region=us-east-1&endpoint=http://127.0.0.1:$port"
}

# fetch_dynamodb_local VERSION DIRECTORY: from Maven Central, with its dependencies.
fetch_dynamodb_local() {
    local version=$1 programs=$2 part machine library
    if ! command -v mvn >/dev/null || ! command -v javac >/dev/null; then
        install_packages default-jdk-headless maven
    fi
    # Moved into place when it is complete, so that an interrupted download is never used.
    mkdir -p "$CUTOVER_CACHE/tools"
    part=$(mktemp -d "$programs.XXXXXX")
    cat >"$part/pom.xml" <<-POM
	<project xmlns="http://maven.apache.org/POM/4.0.0">
	  <modelVersion>4.0.0</modelVersion>
	  <groupId>cutover</groupId><artifactId>dynamodb-local</artifactId><version>1</version>
	  <dependencies><dependency>
	    <groupId>software.amazon.dynamodb</groupId><artifactId>DynamoDBLocal</artifactId>
	    <version>$version</version><scope>runtime</scope>
	  </dependency></dependencies>
	</project>
	POM
    echo "+ mvn dependency:copy-dependencies DynamoDBLocal $version" >&2
    if ! mvn -q -B -f "$part/pom.xml" dependency:copy-dependencies -DoutputDirectory="$part" \
        >"$CUTOVER_CACHE/install.log" 2>&1 </dev/null; then
        echo "DynamoDB Local can't be had from Maven Central: see $CUTOVER_CACHE/install.log" >&2
        rm -rf "$part"
        return 1
    fi
    # Its SQLite is loaded by this name, without the version.
    case "$(uname -m)" in
        x86_64) machine=amd64 ;;
        aarch64) machine=aarch64 ;;
        *) machine=$(uname -m) ;;
    esac
    library=$(ls "$part"/libsqlite4java-linux-"$machine"-*.so 2>/dev/null || true)
    if [[ -z "$library" ]]; then
        echo "DynamoDB Local $version has no SQLite for $(uname -m): run this on another machine" >&2
        rm -rf "$part"
        return 1
    fi
    mv "$library" "$part/libsqlite4java-linux-$machine.so"
    mv -T "$part" "$programs" 2>/dev/null || rm -rf "$part" # Another run was first.
}
