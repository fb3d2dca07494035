# OpenFeature's own provider for Python, in a virtual environment outside the clone. No server: the tests run it
# against a controller.

openfeature_versions="openfeature-sdk==0.10.0 openfeature-provider-ofrep==0.3.0"

start_openfeature() {
    local directory="$CUTOVER_CACHE/tools/openfeature-ofrep-0.3.0"
    if [[ ! -e "$directory/installed" ]]; then
        rm -rf "$directory"
        if ! python3 -m venv "$directory" 2>/dev/null; then
            rm -rf "$directory"
            install_packages python3-venv
            python3 -m venv "$directory"
        fi
        # shellcheck disable=SC2086 # Two words.
        run "$directory/bin/pip" install --quiet --disable-pip-version-check $openfeature_versions
        touch "$directory/installed"
    fi
    export CUTOVER_TEST_OPENFEATURE="$directory/bin/python"
}
