#!/usr/bin/env bash
# Makes real prometheus, promtool, alertmanager, amtool, postgres and initdb available to the tests, at target/tools/bin/.
#
# What is on PATH is used. What is not comes from the distribution's own packages, downloaded and checked by apt, unpacked
# under target/tools: no root, no service, nothing outside this repository is written. Ready tools make this a no-op.
# Leaves out: starting the servers (the tests do) and pinning a version (the distribution's is the one users run).
#
# MAPE_K_TOOLS_DIR overrides where they go.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${MAPE_K_TOOLS_DIR:-${CARGO_TARGET_DIR:-$root/target}/tools}
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)
bin=$tools/bin

fail() {
    {
        printf 'fetch-tools: %s\n' "$1"
        printf 'The tests run real Prometheus, Alertmanager and PostgreSQL servers. Install them and run again, for example:\n'
        printf '  sudo apt-get install prometheus prometheus-alertmanager postgresql    (Debian, Ubuntu; their services may stay\n'
        printf '  stopped) or put prometheus, promtool, alertmanager and amtool from https://prometheus.io/download/ and\n'
        printf '  postgres and initdb from https://www.postgresql.org/download/ on PATH.\n'
    } >&2
    exit 1
}

report() {
    local tool
    for tool in prometheus promtool alertmanager amtool postgres initdb; do
        printf '%s\n' "$bin/$tool"
    done
}

# Two tools of one project are only ever used as a pair, so that a checker never judges another version's server.
ready() { [[ -x $bin/$1 && -x $bin/$2 ]]; }

link_from_path() {
    local name=$1 partner=$2 server checker
    # Debian installs the server as prometheus-alertmanager, upstream as alertmanager.
    server=$(type -P "$name" || type -P "prometheus-$name") || return 1
    checker=$(type -P "$partner") || return 1
    ln -sfn "$server" "$bin/$name"
    ln -sfn "$checker" "$bin/$partner"
}

# Debian keeps PostgreSQL's programs off PATH, one folder a version; the newest counts.
link_postgres() {
    local folders
    folders=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tac | paste -s -d :) || true
    PATH=$PATH${folders:+:$folders} link_from_path postgres initdb
}

apt_private() {
    local command=$1
    shift
    "$command" -c "$tools/apt/apt.conf" "$@" >>"$tools/apt/log" 2>&1
}

# The package lists are our own copy: the system's may be empty (containers), stale, or not ours to refresh.
refresh_package_lists() {
    if ! type -P apt-get >/dev/null || ! type -P dpkg-deb >/dev/null; then
        fail 'the tools are not on PATH, and this is not a Debian or Ubuntu machine they could be downloaded on.'
    fi
    rm -rf "$tools/apt"
    mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial"
    cat >"$tools/apt/apt.conf" <<CONF
Dir::State::Lists "$tools/apt/lists";
Dir::Cache "$tools/apt/cache";
APT::Sandbox::User "root";
Debug::NoLocking "true";
Acquire::Retries "3";
Acquire::http::Timeout "60";
Acquire::https::Timeout "60";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
    # A broken third-party source must not stop us: what counts is whether the download below finds its package.
    apt_private apt-get -q update || true
}

# Debian's Alertmanager reads its templates from /usr/share/prometheus/alertmanager, a path compiled in, and does not start
# without them. Only root could put them there, so our copy of the binary reads them through an open folder instead: the
# path is replaced by one of equal length that means "file descriptor 9", which a starter opens on the unpacked folder.
compiled_in=/usr/share/prometheus/alertmanager

reads_compiled_in_folder() { [[ -d $tools/$1$compiled_in ]] && grep -qaF "$compiled_in" "$tools/$1/usr/bin/$2"; }

relocate() {
    local package=$1 server=$2 name=$3 instead
    instead=$(printf '/proc/self/fd/%*s' $((${#compiled_in} - 14)) 9)
    instead=${instead// //}
    LC_ALL=C sed -i "s#$compiled_in#$instead#g" "$tools/$package/usr/bin/$server"
    cat >"$bin/$name" <<STARTER
#!/bin/sh
here=\$(dirname "\$0")
exec 9<"\$here/../$package$compiled_in"
exec "\$here/../$package/usr/bin/$server" "\$@"
STARTER
    chmod +x "$bin/$name"
}

unpack_package() {
    local package=$1 server=$2 name=$3 partner=$4
    printf 'fetch-tools: downloading the package %s\n' "$package" >&2
    mkdir -p "$tools/apt/download"
    rm -rf "${tools:?}/${package:?}"
    if ! (cd "$tools/apt/download" && apt_private apt-get -q download "$package"); then
        tail -n 15 "$tools/apt/log" >&2
        fail "apt could not download the package $package (its output is above)."
    fi
    dpkg-deb -x "$tools/apt/download/${package}"_*.deb "$tools/$package" ||
        fail "the downloaded package $package could not be unpacked into $tools/$package."
    rm -f "${bin:?}/$name"
    ln -sfn "../$package/usr/bin/$partner" "$bin/$partner"
    # The server's name appears last: only then does a later run take the pair for ready.
    if reads_compiled_in_folder "$package" "$server"; then
        relocate "$package" "$server" "$name"
    else
        ln -sfn "../$package/usr/bin/$server" "$bin/$name"
    fi
    # Both packages hold static Go binaries next to libc; one that needs more than this machine has says so here.
    local tool said
    for tool in "$name" "$partner"; do
        if ! said=$("$bin/$tool" --version 2>&1); then
            rm -f "${bin:?}/$tool"
            fail "$tool from the package $package does not run on this machine: $said"
        fi
    done
}

# The server's own package and the libraries that it needs and this machine lacks; not what it only recommends, its
# client, or the compiler that just-in-time queries would load (the tests turn that off).
unpack_postgres() {
    local package needed name programs
    package=$(apt-cache -c "$tools/apt/apt.conf" search --names-only '^postgresql-[0-9]+$' | cut -d ' ' -f 1 | sort -V | tail -n 1)
    [[ -n $package ]] || fail 'apt knows no package postgresql-NN.'
    printf 'fetch-tools: downloading the package %s\n' "$package" >&2
    needed=$(apt-get -c "$tools/apt/apt.conf" -q -y --no-install-recommends --print-uris install "$package" 2>>"$tools/apt/log" |
        awk '/^\047/ { sub(/_.*/, "", $2); print $2 }' | grep -E '^lib' | grep -vE '^lib(c6|c-|llvm|z3|perl|gdbm)|-(common|perl)$') || true
    rm -rf "${tools:?}/postgresql"
    mkdir -p "$tools/apt/download" "$tools/postgresql"
    # shellcheck disable=SC2086 # names without spaces
    if ! (cd "$tools/apt/download" && apt_private apt-get -q download "$package" $needed); then
        tail -n 15 "$tools/apt/log" >&2
        fail "apt could not download the package $package (its output is above)."
    fi
    for name in "$package" $needed; do
        dpkg-deb -x "$tools/apt/download/${name}"_*.deb "$tools/postgresql" ||
            fail "the downloaded package $name could not be unpacked into $tools/postgresql."
    done
    programs=postgresql/usr/lib/postgresql/${package#postgresql-}/bin
    local said
    # The server's name appears last: only then does a later run take the pair for ready.
    for name in initdb postgres; do
        cat >"$bin/$name.new" <<STARTER
#!/bin/sh
here=\$(dirname "\$0")/..
for libraries in "\$here"/postgresql/usr/lib/*-linux-gnu* "\$here"/postgresql/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH=\$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "\$here/$programs/$name" "\$@"
STARTER
        chmod +x "$bin/$name.new"
        if ! said=$("$bin/$name.new" --version 2>&1); then
            rm -f "$bin/$name.new"
            fail "$name from the package $package does not run on this machine: $said"
        fi
        mv -f "$bin/$name.new" "$bin/$name"
    done
}

if ready prometheus promtool && ready alertmanager amtool && ready postgres initdb; then
    report
    exit 0
fi

# Several test processes may ask at once; the first one fetches, the others wait for it (bounded) and find it done.
if type -P flock >/dev/null; then
    exec 9>"$tools/lock"
    flock -w 600 9 || fail "another run has held $tools/lock for ten minutes."
fi

missing=()
ready prometheus promtool || link_from_path prometheus promtool || missing+=('prometheus prometheus prometheus promtool')
ready alertmanager amtool || link_from_path alertmanager amtool ||
    missing+=('prometheus-alertmanager prometheus-alertmanager alertmanager amtool')
ready postgres initdb || link_postgres || missing+=(postgres)

if ((${#missing[@]} > 0)); then
    refresh_package_lists
    for entry in "${missing[@]}"; do
        if [[ $entry == postgres ]]; then
            unpack_postgres
            continue
        fi
        read -r package server name partner <<<"$entry"
        unpack_package "$package" "$server" "$name" "$partner"
    done
    rm -rf "$tools/apt"
fi
report
