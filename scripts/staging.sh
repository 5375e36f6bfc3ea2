#!/bin/sh
# The staging stack (docker-compose.staging.yml), behind `make staging` and `make staging-down`.
#
#   staging.sh         start, then heal
#   staging.sh start   build the image, start every service, wait until each is healthy
#   staging.sh heal    break Charter (overload), and wait until the daemon has healed it and judged what it did
#   staging.sh down    stop and remove the containers; the volumes stay (`down --volumes` removes them, too)
#
# Needs Docker with compose (v2 or 1.29) and curl. What is seen is seen through the published ports. Every wait is bounded.
#
#   STAGING_WITHOUT="grafana …"   services to leave out
#   BIND                          the address of this machine that the ports are published on (127.0.0.1)
#   PORT_WEBHOOK=5001 …           other ports: PORT_PROMETHEUS, _ALERTMANAGER, _CHARTER, _MAPE_K, _WEBHOOK, _GRAFANA
set -eu
cd "$(dirname "$0")/.."

file=docker-compose.staging.yml
# An image build is bounded by its own downloads; a service has this long to become healthy, a fault to be healed.
healthy_within=${STAGING_HEALTHY_WITHIN:-300}
healed_within=${STAGING_HEALED_WITHIN:-1200}

fail() {
    printf 'staging: %s\n' "$*" >&2
    exit 1
}

say() { printf 'staging: %s\n' "$*"; }

tools() {
    command -v curl >/dev/null || fail 'curl is missing; install it and run again.'
    command -v docker >/dev/null || fail 'docker is missing: https://docs.docker.com/engine/install/'
    said=$(docker info 2>&1 >/dev/null) || fail "no Docker engine answers: ${said:-docker info failed}
  Start Docker Desktop, or the engine (sudo systemctl start docker); without root you must be in the group docker."
    if docker compose version >/dev/null 2>&1; then
        compose="docker compose -f $file"
    elif command -v docker-compose >/dev/null; then
        compose="docker-compose -f $file"
    else
        fail 'docker compose is missing: https://docs.docker.com/compose/install/'
    fi
}

services() {
    for service in prometheus alertmanager charter mape-k grafana; do
        case " ${STAGING_WITHOUT:-} " in
        *" $service "*) ;;
        *) printf '%s ' "$service" ;;
        esac
    done
}

charter=${PORT_CHARTER:-8000} mape_k=${PORT_MAPE_K:-8001}

ports_of() {
    case $1 in
    prometheus) echo "PORT_PROMETHEUS ${PORT_PROMETHEUS:-9090}" ;;
    alertmanager) echo "PORT_ALERTMANAGER ${PORT_ALERTMANAGER:-9093}" ;;
    charter) echo "PORT_CHARTER $charter" ;;
    mape-k) printf '%s\n' "PORT_MAPE_K $mape_k" "PORT_WEBHOOK ${PORT_WEBHOOK:-5000}" ;;
    grafana) echo "PORT_GRAFANA ${PORT_GRAFANA:-3000}" ;;
    esac
}

case ${BIND:-127.0.0.1} in
0.0.0.0) host=127.0.0.1 ;;
*) host=${BIND:-127.0.0.1} ;;
esac

# Asks $1 within 5 s; prints the answer, fails on anything but a 2xx.
get() { curl --noproxy '*' -fsS --max-time 5 "http://$host:$1"; }

# The engine says the same, at greater length, after the whole build.
ports_are_free() {
    for service in $(services); do
        [ -z "$($compose ps -q "$service" 2>/dev/null)" ] || continue
        ports_of "$service" | while read -r variable port; do
            code=0
            curl --noproxy '*' -s -o /dev/null --max-time 2 "http://$host:$port" || code=$?
            # 7: nobody listens.
            [ "$code" = 7 ] ||
                fail "port $port, which $service needs, is taken by another program on $host (sudo lsof -nP -iTCP:$port -sTCP:LISTEN; port 5000 on a Mac: System Settings, AirPlay Receiver).
  Stop it, or take another port for ours: $variable=$((port + 1)) make staging"
        done || exit 1
    done
}

health_of() {
    id=$($compose ps -q "$1" 2>/dev/null)
    [ -n "$id" ] || { echo absent; return; }
    docker inspect -f '{{.State.Status}}{{if .State.Health}}, {{.State.Health.Status}}{{end}}' "$id" 2>/dev/null || echo absent
}

# Prints what a person needs who wonders why.
post_mortem() {
    for service in $(services); do
        health=$(health_of "$service")
        case $health in
        'running, healthy') continue ;;
        esac
        printf '\n--- %s is %s; its health check said last, and its last log lines:\n' "$service" "$health"
        id=$($compose ps -q "$service" 2>/dev/null)
        [ -n "$id" ] || continue
        docker inspect -f '{{range .State.Health.Log}}{{.Output}}{{end}}' "$id" 2>/dev/null | tail -n 3
        docker logs --tail 20 "$id" 2>&1
    done >&2
}

start() {
    ports_are_free
    say 'building the image (the first time some minutes: it compiles every dependency)'
    $compose build mape-k charter || fail 'the image could not be built; what went wrong is above.'
    say "starting $(services)"
    began=$(date +%s)
    # shellcheck disable=SC2046 # names without spaces
    $compose up -d --no-build $(services) ||
        { post_mortem; fail 'not every service came up; see above.'; }
    for service in $(services); do
        until [ "$(health_of "$service")" = 'running, healthy' ]; do
            [ $(($(date +%s) - began)) -lt "$healthy_within" ] ||
                { post_mortem; fail "$service is not healthy after $healthy_within s; see above."; }
            sleep 1
        done
    done
    say "every service is healthy after $(($(date +%s) - began)) s"
}

# The first value of the text key $1 in the JSON that is read: lists are newest first.
first() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

newest() { get "$mape_k/api/v1/$1?limit=1" | first "$2" || true; }

# Waits for: what, then a command that prints what there is to say once it is so, and nothing before.
wait_for() {
    what=$1
    shift
    until said=$("$@") && [ -n "$said" ]; do
        if [ $(($(date +%s) - broken_at)) -ge "$healed_within" ]; then
            get $mape_k/api/v1/explain | sed 's/.*"text":"//; s/\\n/\n/g' | head -n 40 >&2 || true
            fail "waited $healed_within s for $what. Above: what the daemon says of its latest cycle. See $compose logs mape-k"
        fi
        sleep 2
    done
    say "$(printf '%4d' $(($(date +%s) - broken_at))) s: $said"
}

seen() {
    rule=$(newest violations rule)
    [ -z "$rule" ] || printf 'a violation: %s' "$rule"
}

executed() {
    id=$(newest executions id)
    [ -n "$id" ] && [ "$id" != "$execution_before" ] || return 0
    answer=$(get "$mape_k/api/v1/executions?limit=1")
    status=$(printf %s "$answer" | first status)
    case $status in pending | in_progress) return 0 ;; esac
    printf 'a policy was executed: %s for %s: %s' "$(printf %s "$answer" | first action)" "$(printf %s "$answer" | first cause)" "$status"
}

judged() {
    id=$(newest outcomes id)
    [ -n "$id" ] && [ "$id" != "$outcome_before" ] || return 0
    answer=$(get "$mape_k/api/v1/outcomes?limit=1")
    printf 'its outcome is recorded: %s' "$(printf %s "$answer" | first outcome_type)"
}

heal() {
    for port in "$charter" "$mape_k"; do
        get "$port/health" >/dev/null || fail "nothing answers at $host:$port; start the stack with scripts/staging.sh start"
    done
    # One fault at a time, and one that breaks something: with what healed the last one Charter would bear this one.
    if ! get "$charter/sandbox/state" | grep -q '"faults":\[\]'; then
        say 'Charter still has the fault of last time; starting it afresh'
        $compose restart charter >/dev/null 2>&1 || fail 'charter could not be restarted.'
        began=$(date +%s)
        until [ "$(health_of charter)" = 'running, healthy' ]; do
            [ $(($(date +%s) - began)) -lt "$healthy_within" ] || fail "charter is not healthy after $healthy_within s."
            sleep 1
        done
    fi
    done_lately=$(get "$mape_k/api/v1/state" | grep -o '"actions_in_hour":[0-9]*' | cut -d: -f2)
    [ "${done_lately:-0}" -lt 3 ] || fail "the daemon has acted $done_lately times within the hour, and does no more on one ground (guardrails.budget). Wait, or begin anew: scripts/staging.sh down --volumes"
    execution_before=$(newest executions id)
    outcome_before=$(newest outcomes id)
    say "breaking Charter: curl -X POST http://$host:$charter/sandbox/faults -H 'Content-Type: application/json' -d '{\"fault\": \"overload\"}'"
    curl --noproxy '*' -fsS --max-time 5 -o /dev/null -X POST "http://$host:$charter/sandbox/faults" \
        -H 'Content-Type: application/json' -d '{"fault": "overload"}' || fail 'the fault was not taken.'
    broken_at=$(date +%s)
    wait_for 'a violation' seen
    wait_for 'a policy that was executed' executed
    say 'its effect has 3 minutes (execute.settle.scale_up) before it is judged'
    wait_for 'its outcome' judged
    outcome=$(newest outcomes outcome_type)
    [ "$outcome" = success ] || fail "the outcome is $outcome, not success; why: curl http://$host:$mape_k/api/v1/outcomes?limit=1"
    say 'healed.'
}

look() {
    cat <<TEXT

Where to look:
  mape-k         http://$host:$mape_k/api/v1/explain  ·  /health  ·  /api/v1/outcomes
                 $compose exec mape-k mape-k status
  Prometheus     http://$host:${PORT_PROMETHEUS:-9090}/alerts
  Alertmanager   http://$host:${PORT_ALERTMANAGER:-9093}
  Charter        http://$host:$charter/sandbox/state
TEXT
    case " $(services)" in
    *' grafana '*) echo "  Grafana        http://$host:${PORT_GRAFANA:-3000} (admin, ${GRAFANA_PASSWORD:-admin})" ;;
    esac
    cat <<TEXT
Stop it acting:  $compose exec mape-k mape-k pause --reason "why" --by you
End it:          make staging-down
TEXT
}

case ${1:-all} in
all)
    tools
    start
    heal
    look
    ;;
start)
    tools
    start
    look
    ;;
heal)
    tools
    heal
    ;;
down)
    tools
    [ $# -le 2 ] || fail 'down takes one flag: --volumes'
    # shellcheck disable=SC2086
    $compose down --remove-orphans ${2:-}
    [ -n "${2:-}" ] || say 'the volumes stay: scripts/staging.sh down --volumes removes them.'
    ;;
*) fail "usage: staging.sh [start | heal | down [--volumes]]" ;;
esac
