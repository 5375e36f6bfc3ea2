#!/usr/bin/env bash
# Holds the Kubernetes manifests against the schemas of the three newest Kubernetes versions that kubernetes-validate
# carries, strictly: an unknown field is an error. The two files of the guide, and each overlay as kubectl builds it, by
# itself and with both components.
#
# The two of Prometheus' operator in components/monitoring, ServiceMonitor and PrometheusRule, are no part of Kubernetes and
# have no schema here: they are built and left out by name. Any other kind without a schema is an error.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
validator=1.37.0
venv=$target/tools/kubernetes-validate-$validator

if ! "$venv/bin/kubernetes-validate" --version >/dev/null 2>&1; then
    rm -rf "$venv"
    mkdir -p "$target/tools"
    if ! python3 -m venv "$venv" ||
        ! "$venv/bin/pip" --disable-pip-version-check install -q "kubernetes-validate==$validator"; then
        rm -rf "$venv"
        echo "check-manifests: kubernetes-validate $validator from PyPI could not be installed. It needs python3 with venv" >&2
        echo "and pip (Debian: apt-get install python3-venv python3-pip) and a way to PyPI." >&2
        exit 1
    fi
fi

kubectl=$("$root/scripts/fetch-kubectl.sh")
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cd "$root/deployment"
cp kubernetes/mape-k-deployment.yaml kubernetes/mape-k-service.yaml "$built"
for overlay in overlays/*/; do
    overlay=$(basename "$overlay")
    "$kubectl" kustomize "overlays/$overlay" >"$built/overlay-$overlay.yaml"
    # The same with the components on: made beside the overlay, for kustomize takes relative paths alone.
    mkdir -p "$target/tools/with-components"
    cat >"$target/tools/with-components/kustomization.yaml" <<KUSTOMIZATION
resources: [$(realpath --relative-to="$target/tools/with-components" "overlays/$overlay")]
namespace: elsewhere
components:
  - $(realpath --relative-to="$target/tools/with-components" components/cluster-view)
  - $(realpath --relative-to="$target/tools/with-components" components/monitoring)
KUSTOMIZATION
    "$kubectl" kustomize "$target/tools/with-components" >"$built/overlay-$overlay-and-components.yaml"
done

versions=$("$venv/bin/python" - <<'PYTHON'
import os, kubernetes_validate
folder = os.path.join(os.path.dirname(kubernetes_validate.__file__), "kubernetes-json-schema")
found = {tuple(map(int, n[1:].split("-")[0].split("."))) for n in os.listdir(folder) if n.endswith("-strict")}
print(*(".".join(map(str, v)) for v in sorted(found)[-3:]))
PYTHON
)
[[ $(wc -w <<<"$versions") == 3 ]] || { echo "check-manifests: three versions of schemas expected, got: $versions" >&2; exit 1; }
for version in $versions; do
    "$venv/bin/kubernetes-validate" --strict -k "$version" "$built"/*.yaml >"$built/said" 2>&1 ||
        { cat "$built/said"; echo "check-manifests: refused by the schemas of Kubernetes $version" >&2; exit 1; }
    # A kind without a schema, such as a misspelt one, is only a warning to the validator.
    if grep '^WARN' "$built/said" | grep -Ev "schema for kind (ServiceMonitor|PrometheusRule) "; then
        echo "check-manifests: the schemas of Kubernetes $version do not know that kind" >&2
        exit 1
    fi
    objects=$(grep -c '^INFO .* passed' "$built/said")
    echo "Kubernetes $version: $objects objects of $(ls "$built"/*.yaml | wc -l) files are valid, strictly"
done
