#!/usr/bin/env bash
# Asks the running daemon what schemathesis makes up from its own description, /api/v1/openapi.json, and fails on an answer
# that is a server's error or not described. Twice: without tokens, and with them, where a right token is sent.
#
# Starts `mape-k charter --sandbox` and `mape-k run` (target/debug, built here unless MAPE_K_BIN names another) on free
# ports with a folder of their own, and stops what it started. schemathesis comes from PyPI into target/schemathesis.
#
# CHECK_API_SECONDS bounds each of the two runs (60). Leaves out: `mape-k`'s other listeners; load (benches/load).
set -euo pipefail

SCHEMATHESIS=4.32.5
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=$target/schemathesis
seconds=${CHECK_API_SECONDS:-60}

fail() {
    printf 'check-api: %s\n' "$1" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is missing: sudo apt-get install python3 python3-venv"
if [[ $("$venv/bin/pip" show schemathesis 2>/dev/null | sed -n 's/^Version: //p') != "$SCHEMATHESIS" ]]; then
    python3 -m venv "$venv" || fail "no virtual environment in $venv: sudo apt-get install python3-venv"
    "$venv/bin/pip" install --quiet "schemathesis==$SCHEMATHESIS" || fail "schemathesis $SCHEMATHESIS could not be installed from PyPI"
fi
if [[ -z ${MAPE_K_BIN:-} ]]; then
    (cd "$root" && cargo build --locked --quiet)
    MAPE_K_BIN=$target/debug/mape-k
fi

folder=$(mktemp -d)
started=()
finish() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# name address
await() {
    for _ in $(seq 300); do
        if curl --silent --output /dev/null --max-time 2 "$2"; then return; fi
        sleep 0.1
    done
    cat "$folder/$1.log" >&2
    fail "$1 does not answer at $2 after 30 s"
}

# name port VARIABLE=value…: both listeners on one port, so that one run reaches everything. Fast, so that there is
# something to answer with.
daemon() {
    local name=$1 port=$2
    shift 2
    cat >"$folder/$name.yaml" <<YAML
orchestrator: {mode: staging, loop_interval: 1, auto_approve: true}
monitor: {source: scrape, scrape_url: "http://127.0.0.1:$charter/metrics", poll_interval: 1}
execute: {charter_url: "http://127.0.0.1:$charter", settle_default: 5}
alertmanager: {enabled: true, url: "http://127.0.0.1:$nobody", webhook_host: 127.0.0.1, webhook_port: $port}
api: {host: 127.0.0.1, port: $port, rate_limit: 1000000}
knowledge: {sqlite_path: "$folder/$name.db"}
escalation: {reports_dir: null}
YAML
    env "$@" "$MAPE_K_BIN" run --config "$folder/$name.yaml" >"$folder/$name.log" 2>&1 &
    started+=($!)
    await "$name" "http://127.0.0.1:$port/health"
}

# name port options…
ask() {
    local name=$1 port=$2
    shift 2
    printf '\n=== %s ===\n' "$name"
    (cd "$folder" && "$venv/bin/st" run "$folder/openapi.json" --url "http://127.0.0.1:$port" --max-time "$seconds" \
        --continue-on-failure --checks all "$@") || failed=1
    curl --silent --fail "http://127.0.0.1:$port/health" >/dev/null || fail "the daemon does not answer any more"
}

charter=$(free_port)
nobody=$(free_port)
"$MAPE_K_BIN" charter --sandbox --listen "127.0.0.1:$charter" --speed 10 >"$folder/charter.log" 2>&1 &
started+=($!)
await charter "http://127.0.0.1:$charter/health"
curl --silent --fail --output /dev/null -X POST "http://127.0.0.1:$charter/sandbox/faults" \
    -H 'Content-Type: application/json' -d '{"fault": "overload"}'

failed=0
open=$(free_port)
daemon open "$open"
curl --silent --fail "http://127.0.0.1:$open/api/v1/openapi.json" >"$folder/openapi.json"
ask "without tokens" "$open"

token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
guarded=$(free_port)
daemon guarded "$guarded" "MAPE_K_API_TOKEN=$token" "MAPE_K_API_READ_TOKEN=read-$token" "MAPE_K_WEBHOOK_TOKEN=$token"
ask "with the operate token" "$guarded" -H "Authorization: Bearer $token"

((failed == 0)) || fail "schemathesis found answers that are not as described, see above"
printf '\nno server error and no undocumented answer\n'
