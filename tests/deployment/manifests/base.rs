//! The guide's two files: enough by themselves, and tied to what the daemon reads, writes, serves and may do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use clap::Parser;
use mape_k::cli::Cli;
use mape_k::config::{Config, VARIABLES};
use mape_k::domain::cluster::Kind;
use serde_json::{Value, json};
use url::Url;

use super::{
    ask, container, env, guide, mounts, named, number, of_kind, pod, read, text, with_component,
};
use crate::support::config::{list, shipped};

fn daemon() -> Value {
    container(&pod(&guide(), "mape-k")).clone()
}

/// Where a path of the configuration is in the pod.
fn in_the_pod(path: &Path) -> PathBuf {
    let path = Path::new(text(&daemon()["workingDir"])).join(path);
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Whether the pod may write there.
fn can_be_written(path: &Path) -> bool {
    let daemon = daemon();
    let path = in_the_pod(path);
    mounts(&daemon).iter().any(|(mounted, writable)| *writable && path.starts_with(mounted))
}

#[test]
fn d05_the_guides_three_commands_bring_all_that_the_pod_asks_for() {
    let objects = guide();
    let kinds: BTreeSet<&str> = objects.iter().map(|object| text(&object["kind"])).collect();
    let expected =
        ["Deployment", "PersistentVolumeClaim", "Role", "RoleBinding", "Service", "ServiceAccount"];
    assert_eq!(kinds, BTreeSet::from(expected));
    for object in &objects {
        assert!(
            object["metadata"]["namespace"].is_null(),
            "the namespace is the one it is typed in: {object}"
        );
    }
    let pod = pod(&objects, "mape-k");
    named(&objects, "ServiceAccount", text(&pod["serviceAccountName"]));
    let typed = ask(&[
        "create",
        "configmap",
        "mape-k-config",
        "--from-file=config/mape_k_config.yaml",
        "--dry-run=client",
        "-o",
        "json",
    ]);
    let typed: Value = serde_json::from_str(&typed).expect("JSON");
    for volume in list(&pod["volumes"]) {
        if let Some(claim) = volume.get("persistentVolumeClaim") {
            named(&objects, "PersistentVolumeClaim", text(&claim["claimName"]));
        } else {
            assert_eq!(volume["configMap"]["name"], typed["metadata"]["name"], "{volume}");
        }
    }
    for (name, variable) in env(container(&pod)) {
        assert!(
            variable["value"].is_string()
                || variable["valueFrom"]["secretKeyRef"]["optional"] == true,
            "{name}"
        );
    }
}

#[test]
fn d05_the_configuration_is_mounted_where_the_daemon_reads_it_and_accepted() {
    let daemon = daemon();
    let typed = ask(&[
        "create",
        "configmap",
        "mape-k-config",
        "--from-file=config/mape_k_config.yaml",
        "--dry-run=client",
        "-o",
        "json",
    ]);
    let typed: Value = serde_json::from_str(&typed).expect("JSON");
    let files = typed["data"].as_object().expect("files");
    let read = in_the_pod(Path::new(mape_k::config::DEFAULT_PATH));
    let key = read.file_name().and_then(|name| name.to_str()).expect("a name");
    let config_mount = list(&daemon["volumeMounts"])
        .iter()
        .find(|mount| mount["name"] == "config")
        .expect("a mount of the ConfigMap");
    assert_eq!(Path::new(text(&config_mount["mountPath"])).join(key), read);
    assert!(config_mount.get("subPath").is_none(), "a changed services.yaml would never arrive");
    assert!(daemon["args"] == json!(["run"]), "no --config: {}", daemon["args"]);

    let values: BTreeMap<&str, &str> = env(&daemon)
        .into_iter()
        .filter_map(|(name, variable)| Some((name, variable["value"].as_str()?)))
        .collect();
    let (config, warnings) =
        Config::parse(text(&files[key]), &|name| values.get(name).map(|value| (*value).to_owned()))
            .expect("accepted");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(
        config.monitor.prometheus_url.as_ref().map(Url::as_str),
        Some("http://prometheus:9090/")
    );
    assert_eq!(config.execute.charter_url.as_ref().map(Url::as_str), Some("http://charter:8000/"));
    assert_eq!(config.alertmanager.url.as_str(), "http://alertmanager:9093/");
    // The catalogue is missing there under its default name, which is no error.
    assert_eq!(config.escalation.services_file, Config::default().escalation.services_file);
    assert_eq!(in_the_pod(&config.escalation.services_file).parent(), read.parent());
}

#[test]
fn d05_every_variable_of_the_pod_is_one_that_the_daemon_reads() {
    let known: BTreeSet<&str> = VARIABLES.iter().map(|(name, _, _)| *name).collect();
    for (name, _) in env(&daemon()) {
        // SQLite's own.
        assert!(known.contains(name) || name == "SQLITE_TMPDIR", "{name}");
    }
}

#[test]
fn d05_everything_is_labelled_and_selected_by_app() {
    let objects = guide();
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["app"], "mape-k", "{object}");
    }
    let spec = &named(&objects, "Deployment", "mape-k")["spec"];
    let label = json!({"app": "mape-k"});
    assert_eq!(spec["selector"]["matchLabels"], label);
    assert_eq!(spec["template"]["metadata"]["labels"], label);
    for service in of_kind(&objects, "Service") {
        assert_eq!(service["spec"]["selector"], label);
    }
}

fn rights(role: &Value) -> BTreeSet<(String, String, String)> {
    let mut rights = BTreeSet::new();
    for rule in list(&role["rules"]) {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    rights.insert((
                        text(group).to_owned(),
                        text(resource).to_owned(),
                        text(verb).to_owned(),
                    ));
                }
            }
        }
    }
    rights
}

fn needed(of: impl IntoIterator<Item = Kind>) -> BTreeSet<(String, String, String)> {
    of.into_iter()
        .flat_map(|kind| {
            let group = match kind {
                Kind::Pods
                | Kind::Events
                | Kind::Nodes
                | Kind::Claims
                | Kind::ReplicationControllers => "",
                Kind::Deployments | Kind::StatefulSets | Kind::DaemonSets | Kind::ReplicaSets => {
                    "apps"
                }
                Kind::Jobs | Kind::CronJobs => "batch",
            };
            ["list", "watch"]
                .map(|verb| (group.to_owned(), kind.as_str().to_owned(), verb.to_owned()))
        })
        .collect()
}

#[test]
fn d05_the_role_grants_what_the_watches_of_a_namespace_ask_and_nothing_else() {
    let objects = guide();
    let role = named(&objects, "Role", "mape-k");
    assert_eq!(rights(role), needed(Kind::ALL.into_iter().filter(|kind| *kind != Kind::Nodes)));
    let binding = named(&objects, "RoleBinding", "mape-k");
    assert_eq!(binding["roleRef"]["kind"], "Role");
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": "mape-k"}]));
    assert_eq!(named(&objects, "ServiceAccount", "mape-k")["automountServiceAccountToken"], false);
    assert_eq!(pod(&objects, "mape-k")["automountServiceAccountToken"], true);
}

#[test]
fn d05_the_cluster_view_adds_nodes_and_all_namespaces_to_the_same_account() {
    let objects = with_component("cluster-view");
    assert_eq!(rights(named(&objects, "ClusterRole", "mape-k-view")), needed(Kind::ALL));
    let binding = named(&objects, "ClusterRoleBinding", "mape-k-view");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": "mape-k", "namespace": "elsewhere"}])
    );
}

#[test]
fn d05_one_daemon_has_the_sqlite_file_and_what_it_writes_is_on_the_claim() {
    let objects = guide();
    let spec = &named(&objects, "Deployment", "mape-k")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]), (&json!(1), &json!({"type": "Recreate"})));
    let claim = named(&objects, "PersistentVolumeClaim", "mape-k");
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));

    let config = Config::default();
    let reports = config.escalation.reports_dir.expect("a folder for reports");
    let file = config.knowledge.sqlite_path;
    assert!(can_be_written(&file) && can_be_written(&reports));
    assert!(!can_be_written(Path::new(mape_k::config::DEFAULT_PATH)));
    let daemon = daemon();
    let on_the_claim: Vec<(&str, &str)> = list(&daemon["volumeMounts"])
        .iter()
        .filter(|mount| mount["name"] == "store")
        .map(|mount| (text(&mount["mountPath"]), text(&mount["subPath"])))
        .collect();
    assert_eq!(on_the_claim, [("/app/data", "data"), ("/app/logs", "logs")]);
    // There is no /tmp under a root that is read-only.
    let temporary =
        env(&daemon).into_iter().find(|(name, _)| *name == "SQLITE_TMPDIR").expect("set").1;
    assert!(can_be_written(Path::new(text(&temporary["value"]))));
}

#[test]
fn d05_ports_and_services_are_those_that_the_daemon_listens_on() {
    let objects = guide();
    let config = Config::default();
    let daemon = daemon();
    let ports = [("http", config.api.port), ("webhook", config.alertmanager.webhook_port)];
    assert_eq!(
        daemon["ports"],
        json!(ports.map(|(name, port)| json!({"name": name, "containerPort": port})))
    );
    for (service, (name, port), unready) in
        [("mape-k", ports[0], Value::Null), ("mape-k-webhook", ports[1], json!(true))]
    {
        let spec = &named(&objects, "Service", service)["spec"];
        assert_eq!(spec["ports"], json!([{"name": name, "port": port, "targetPort": name}]));
        assert_eq!(spec["publishNotReadyAddresses"], unready, "{service}");
    }
    assert_eq!(of_kind(&objects, "Service").len(), 2);
    let receivers = shipped("alertmanager.yml");
    let hook = list(&receivers["receivers"])
        .iter()
        .find(|one| one["name"] == "mape-k")
        .expect("a receiver");
    let hook = text(&hook["webhook_configs"][0]["url"]);
    let port = config.alertmanager.webhook_port;
    assert_eq!(hook, format!("http://mape-k-webhook:{port}{}", config.alertmanager.webhook_path));
    let annotations =
        &named(&objects, "Deployment", "mape-k")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], config.api.port.to_string());
    assert_eq!(annotations["prometheus.io/path"], "/metrics");
}

#[test]
fn d05_probes_follow_the_loop_and_leave_it_its_time() {
    let daemon = daemon();
    let config = Config::default();
    let stall = config.api.stall_after.as_secs();
    // Issue 14: asked from inside the pod, for which the listener keeps places, by what the image holds.
    let dockerfile = read("Dockerfile");
    for probe in ["startupProbe", "livenessProbe"] {
        let command = &daemon[probe]["exec"]["command"];
        assert_eq!(*command, json!(["/usr/local/bin/mape-k", "health"]), "{probe}");
        assert!(dockerfile.contains(&format!("ENTRYPOINT [{}]", command[0])), "{command}");
        let parsed = Cli::try_parse_from(list(command).iter().map(text));
        assert!(parsed.is_ok(), "{command}: {parsed:?}");
        // It gives up after 4 s by itself, and says why.
        assert!(number(&daemon[probe]["timeoutSeconds"]) >= 2 * 4, "{probe}");
    }
    let ready = &daemon["readinessProbe"];
    assert_eq!(ready["httpGet"], json!({"path": "/ready", "port": "http"}));
    // It waits at most 2 s for the store.
    assert!(number(&ready["timeoutSeconds"]) >= 2 * 2, "{ready}");
    let patience = |probe: &str| {
        number(&daemon[probe]["periodSeconds"]) * number(&daemon[probe]["failureThreshold"])
    };
    assert!(
        number(&daemon["livenessProbe"]["failureThreshold"]) > 1,
        "one lost answer restarts nothing"
    );
    assert!(patience("livenessProbe") < stall, "a stall is believed soon after it is said");
    assert!(patience("readinessProbe") <= config.orchestrator.loop_interval.as_secs());
    assert!(patience("startupProbe") >= 600, "a store that is brought up to date is left its time");
    // It stops within 10 s and is to be given 15.
    let pod = pod(&guide(), "mape-k");
    assert!(number(&pod["terminationGracePeriodSeconds"]) >= 15);
}

#[test]
fn d05_memory_is_bounded_and_cpu_is_not() {
    let resources = &daemon()["resources"];
    let mebibytes = |value: &Value| {
        let value = text(value).strip_suffix("Mi").expect("Mi").parse::<u64>().expect("a number");
        value * 1024 * 1024 / 1_000_000
    };
    // docs/BENCHMARKS.md: 10,000 violations and 5,000 pods; a flood of alerts.
    assert!(mebibytes(&resources["requests"]["memory"]) >= 142 + 38);
    assert!(mebibytes(&resources["limits"]["memory"]) >= 2 * (225 + 38));
    assert!(resources["requests"]["cpu"].is_string());
    assert!(resources["limits"]["cpu"].is_null());
}
