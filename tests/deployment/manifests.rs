//! The Kubernetes manifests: what they promise of rights, probes, storage and names. Leaves out the schemas
//! (`scripts/check-manifests.sh`) and a cluster, which these tests need none of.

mod base;
mod overlays;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::config::list;
use crate::support::tools::root;

const FILES: [&str; 2] = ["mape-k-deployment.yaml", "mape-k-service.yaml"];

/// Every document of a text.
fn documents(text: &str, of: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_yaml::from_multiple(text).unwrap_or_else(|error| panic!("{of} is no YAML: {error}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the guide's two files bring.
fn guide() -> Vec<Value> {
    FILES
        .iter()
        .flat_map(|file| documents(&read(&format!("deployment/kubernetes/{file}")), file))
        .collect()
}

fn kubectl() -> &'static Path {
    static KUBECTL: OnceLock<std::path::PathBuf> = OnceLock::new();
    KUBECTL.get_or_init(|| {
        let script = root().join("scripts/fetch-kubectl.sh");
        let output = Command::new("bash").arg(&script).output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a path").trim().into()
    })
}

/// What `kubectl` prints in the repository's folder.
fn ask(args: &[&str]) -> String {
    let output =
        Command::new(kubectl()).args(args).current_dir(root()).output().expect("kubectl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {args:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// An overlay, as `kubectl apply -k` would send it.
fn overlay(name: &str) -> Vec<Value> {
    documents(&ask(&["kustomize", &format!("deployment/overlays/{name}")]), name)
}

/// The production overlay with one of the components turned on.
fn with_component(component: &str) -> Vec<Value> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let up = "../".repeat(folder.path().components().count() - 1);
    // kustomize takes relative paths alone.
    let here = |path: &str| {
        format!("{up}{}", root().join(path).strip_prefix("/").expect("absolute").display())
    };
    let text = serde_json::json!({
        "resources": [here("deployment/overlays/production")],
        "namespace": "elsewhere",
        "components": [here(&format!("deployment/components/{component}"))],
    });
    std::fs::write(folder.path().join("kustomization.yaml"), text.to_string()).expect("written");
    documents(&ask(&["kustomize", &folder.path().display().to_string()]), component)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn pod(objects: &[Value], deployment: &str) -> Value {
    named(objects, "Deployment", deployment)["spec"]["template"]["spec"].clone()
}

fn container(pod: &Value) -> &Value {
    let containers = list(&pod["containers"]);
    assert_eq!(containers.len(), 1, "one container a pod");
    &containers[0]
}

fn env(container: &Value) -> Vec<(&str, &Value)> {
    list(&container["env"]).iter().map(|one| (text(&one["name"]), one)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text was expected instead of {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number was expected instead of {value}"))
}

/// (path in the container, can be written) of each mount.
fn mounts(container: &Value) -> Vec<(&str, bool)> {
    list(&container["volumeMounts"])
        .iter()
        .map(|mount| (text(&mount["mountPath"]), mount["readOnly"] != true))
        .collect()
}
