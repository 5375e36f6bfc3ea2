#!/usr/bin/env bash
# `make e2e`: the staging stack on a real engine, from the Dockerfile to a healed fault, held by `cargo test --test e2e`.
#
# Uses the engine that runs, else starts a dockerd of its own (root) and stops it at the end; what that one builds stays
# under target/e2e, so that a second run is quick. Images that are not there and cannot be pulled are made from Debian's
# packages under their public names: real Prometheus and Alertmanager, the machine's own Rust toolchain on a debootstrap
# base, and a base that holds what the distroless one holds and nothing else. There is none of Grafana: it is left out.
#
# Leaves out: what holds of the stack (tests/e2e) and starting it (scripts/staging.sh).
#
#   E2E_PULL=1        pull the public images instead of making stand-ins
#   E2E_STAND_INS=1   make them in an engine that runs already, too, where they stay under the public names
#   E2E_KEEP=1        leave stack and engine up, and say how to reach them
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
work=${CARGO_TARGET_DIR:-$root/target}/e2e
mkdir -p "$work"
work=$(cd "$work" && pwd)

# Beside a stack that somebody has from `make staging`, not in its place.
export COMPOSE_PROJECT_NAME=mape-k-e2e
export PROMETHEUS_VERSION=${PROMETHEUS_VERSION:-v3.5.0} ALERTMANAGER_VERSION=${ALERTMANAGER_VERSION:-v0.28.1}
rust_image=rust:1.95-slim-bookworm
runtime_image=gcr.io/distroless/base-nossl-debian12:nonroot

fail() {
    printf 'e2e: %s\n' "$*" >&2
    exit 1
}

# Nothing is installed behind anybody's back: only as root on a machine with apt, as .ci/run does, and said.
packages() {
    local missing=() program
    # A hanging disk is made of a loop mount, and a process is looked at through /proc.
    [[ $(uname -s) == Linux && $(id -u) == 0 ]] || fail 'needs Linux, root, and an engine on this very machine.'
    for program in mkfs.ext4 fsfreeze; do
        type -P "$program" >/dev/null || fail "$program is missing: apt-get install e2fsprogs util-linux"
    done
    type -P docker >/dev/null || missing+=(docker.io)
    docker compose version >/dev/null 2>&1 || type -P docker-compose >/dev/null || missing+=(docker-compose)
    type -P curl >/dev/null || missing+=(curl ca-certificates)
    if [[ ${E2E_PULL:-} != 1 ]]; then
        type -P debootstrap >/dev/null || missing+=(debootstrap)
    fi
    if ! docker info >/dev/null 2>&1; then
        type -P dockerd >/dev/null || missing+=(docker.io)
        type -P iptables >/dev/null || missing+=(iptables)
    fi
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) != 0 ]] || ! type -P apt-get >/dev/null; then
        fail "missing on this machine; install first: ${missing[*]}"
    fi
    printf 'e2e: installing %s\n' "${missing[*]}"
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
}

engine_pid=
run_folder=

engine() {
    if docker info >/dev/null 2>&1; then
        echo 'e2e: using the engine that runs'
        return
    fi
    [[ $(id -u) == 0 ]] || fail 'no Docker engine answers (docker info), and only root can start one.'
    # The path of a socket must be short, so not under target/.
    run_folder=$(mktemp -d /tmp/mape-k-e2e.XXXXXX)
    export DOCKER_HOST=unix://$run_folder/docker.sock
    dockerd --host "$DOCKER_HOST" --data-root "$work/engine" --exec-root "$run_folder/exec" \
        --pidfile "$run_folder/docker.pid" >"$work/dockerd.log" 2>&1 &
    engine_pid=$!
    local end=$((SECONDS + 60))
    until docker info >/dev/null 2>&1; do
        if ! kill -0 "$engine_pid" 2>/dev/null || ((SECONDS >= end)); then
            tail -n 20 "$work/dockerd.log" >&2
            fail "dockerd did not start within 60 s; its last lines are above, all of them in $work/dockerd.log."
        fi
        sleep 0.5
    done
    echo "e2e: started dockerd ($(docker info --format '{{.ServerVersion}}, {{.Driver}}'))"
}

stop() {
    local code=$?
    trap - EXIT
    if [[ ${E2E_KEEP:-} == 1 ]]; then
        echo "e2e: left as it is; COMPOSE_PROJECT_NAME=$COMPOSE_PROJECT_NAME DOCKER_HOST=${DOCKER_HOST:-} scripts/staging.sh down ends the stack${engine_pid:+, kill $engine_pid the engine}"
        exit "$code"
    fi
    ./scripts/staging.sh down --volumes >/dev/null 2>&1 || true
    if [[ -n $engine_pid ]]; then
        kill "$engine_pid" 2>/dev/null || true
        wait "$engine_pid" 2>/dev/null || true
        rm -rf "$run_folder"
    fi
    exit "$code"
}

# What OPERATIONS tells people to type, where only the newer compose is.
shim() {
    type -P docker-compose >/dev/null && return
    mkdir -p "$work/bin"
    printf '#!/bin/sh\nexec docker compose "$@"\n' >"$work/bin/docker-compose"
    chmod +x "$work/bin/docker-compose"
    export PATH=$work/bin:$PATH
}

# --- stand-ins ---

here() { docker image inspect "$1" >/dev/null 2>&1; }

# A Debian with a C compiler: what rust:slim is made of, and where the libraries of the other stand-ins come from.
debian() {
    [[ -e $work/debian.done ]] && return
    rm -rf "$work/debian"
    echo 'e2e: debootstrap (a minute or two, once)'
    debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates bookworm "$work/debian" \
        "${E2E_DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 5 "$work/debootstrap.log" >&2; fail "debootstrap failed; all it said is in $work/debootstrap.log."; }
    # The registry of a machine behind a proxy is known to that machine's certificates only.
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/debian/etc/ssl/certs/ca-certificates.crt"
    touch "$work/debian.done"
}

rust_stand_in() {
    here "$rust_image" && return
    debian
    echo "e2e: $rust_image from this machine's toolchain"
    local toolchain
    toolchain=$(rustc --print sysroot)
    tar -C "$toolchain" -c bin/cargo bin/rustc lib | tar -C "$work/debian/usr/local" -x
    tar -C "$work/debian" -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo' - "$rust_image" >/dev/null
}

# What Debian's packages $@ hold, under $work/packages/<first>.
unpacked() {
    local into=$work/packages/$1
    [[ -e $into.done ]] && return
    rm -rf "$into" && mkdir -p "$into/deb"
    (cd "$into/deb" && apt-get -q download "$@" >"$work/apt.log" 2>&1) ||
        { tail -n 5 "$work/apt.log" >&2; fail "apt could not download $*; try apt-get update."; }
    local package
    for package in "$into"/deb/*.deb; do
        dpkg-deb -x "$package" "$into"
    done
    rm -r "$into/deb"
    touch "$into.done"
}

# Exactly what gcr.io/distroless/base-nossl holds: libc, certificates, time zones, three users. No shell, nothing to run.
runtime_stand_in() {
    here "$runtime_image" && return
    echo "e2e: $runtime_image from Debian's libc6, tzdata and ca-certificates"
    local image=$work/images/runtime
    rm -rf "$image" && mkdir -p "$image"/{etc/ssl/certs,home/nonroot,tmp,usr/share,proc,sys,dev}
    chmod 1777 "$image/tmp"
    unpacked libc6 tzdata
    cp -a "$work/packages/libc6"/{lib,lib64} "$image/"
    cp -a "$work/packages/libc6/usr/lib" "$image/usr/"
    cp -a "$work/packages/libc6/usr/share/zoneinfo" "$image/usr/share/"
    cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$image/etc/passwd"
    printf 'root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n' >"$image/etc/group"
    chown 65532:65532 "$image/home/nonroot"
    tar -C "$image" -c . | docker import -c 'USER 65532' -c 'WORKDIR /home/nonroot' -c 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' - "$runtime_image" >/dev/null
}

# $1 image, $2 Debian's package, $3 its program there, $4 the name here, $5 its configuration's option, $6 its folder's.
server_stand_in() {
    local tag=$1 package=$2 program=$3 name=$4
    here "$tag" && return
    echo "e2e: $tag from Debian's $package"
    unpacked "$package" busybox-static libc6
    local image=$work/images/$name
    rm -rf "$image" && mkdir -p "$image"/{bin,etc,tmp,usr/share,"$name","etc/$name"}
    cp -a "$work/packages/$package"/{lib,lib64} "$image/"
    cp "$work/packages/$package/usr/bin/$program" "$image/bin/$name"
    cp "$work/packages/$package/bin/busybox" "$image/bin/"
    # Debian's Alertmanager reads its templates from here.
    if [[ -d $work/packages/$package/usr/share/prometheus ]]; then cp -a "$work/packages/$package/usr/share/prometheus" "$image/usr/share/"; fi
    ln -s busybox "$image/bin/sh" && ln -s busybox "$image/bin/wget"
    printf 'nobody:x:65534:65534:nobody:/home:/bin/false\n' >"$image/etc/passwd"
    chmod 1777 "$image/tmp"
    chown -R 65534:65534 "$image/$name"
    tar -C "$image" -c . | docker import -c 'USER 65534' -c "WORKDIR /$name" -c "VOLUME /$name" -c "ENTRYPOINT [\"/bin/$name\"]" \
        -c "CMD [\"--config.file=/etc/$name/$name.yml\", \"--storage${5:-}.path=/$name\"]" - "$tag" >/dev/null
}

stand_ins() {
    rust_stand_in
    runtime_stand_in
    server_stand_in "prom/prometheus:$PROMETHEUS_VERSION" prometheus prometheus prometheus .tsdb
    server_stand_in "prom/alertmanager:$ALERTMANAGER_VERSION" prometheus-alertmanager prometheus-alertmanager alertmanager
}

packages
shim
trap stop EXIT
engine
# Under public names they would be taken for the real ones by everything else on somebody's engine.
if [[ -z $engine_pid && ${E2E_PULL:-} != 1 && ${E2E_STAND_INS:-} != 1 ]]; then
    trap - EXIT
    fail 'an engine runs: E2E_PULL=1 takes the public images; E2E_STAND_INS=1 puts stand-ins under their names into it, to stay.'
fi
if [[ ${E2E_PULL:-} != 1 ]]; then
    stand_ins
    # BuildKit asks the registry about an image that the engine has; the classic builder does not.
    export STAGING_WITHOUT=${STAGING_WITHOUT-grafana} DOCKER_BUILDKIT=0
fi
cargo test --locked --test e2e -- --nocapture
