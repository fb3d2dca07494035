# OpenFeature's own providers for Python, Node.js and Java, outside the clone. No servers: the tests run them against a
# controller. tests/openfeature has the versions.

start_openfeature() {
    local hash
    hash=$(cat tests/openfeature/requirements.txt tests/openfeature/package-lock.json tests/openfeature/pom.xml |
        sha256sum | cut -c1-16)
    export CUTOVER_TEST_OPENFEATURE="$CUTOVER_CACHE/tools/openfeature-$hash"
    if [[ ! -e "$CUTOVER_TEST_OPENFEATURE/installed" ]]; then
        fetch_openfeature "$CUTOVER_TEST_OPENFEATURE"
    fi
}

# fetch_openfeature DIRECTORY: a virtual environment in python, packages in node, and libraries in java. Python's
# environment can't be moved, so a last file says that everything is complete.
fetch_openfeature() {
    local directory=$1 packages=()
    command -v mvn >/dev/null && command -v javac >/dev/null || packages+=(default-jdk-headless maven)
    python3 -c "import ensurepip" 2>/dev/null || packages+=(python3-venv)
    command -v npm >/dev/null || packages+=(nodejs npm)
    if ((${#packages[@]} > 0)); then
        install_packages "${packages[@]}"
    fi
    rm -rf "$directory"
    mkdir -p "$directory/node"
    python3 -m venv "$directory/python"
    run "$directory/python/bin/pip" install --quiet --disable-pip-version-check \
        --requirement tests/openfeature/requirements.txt
    cp tests/openfeature/package.json tests/openfeature/package-lock.json "$directory/node"
    (cd "$directory/node" && run npm ci --ignore-scripts --no-audit --no-fund --silent)
    run mvn -q -B -f tests/openfeature/pom.xml dependency:copy-dependencies \
        -DoutputDirectory="$directory/java" >"$CUTOVER_CACHE/install.log" 2>&1 </dev/null
    touch "$directory/installed"
}
