//! The overlays: they build, hold together by name, and their configurations are accepted. And every pod is confined.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mape_k::config::{Config, Warning};
use mape_k::control_loop::Mode;
use mape_k::domain::cluster::Kind;
use mape_k::knowledge::Database;
use serde_json::{Value, json};
use url::Url;

use super::{
    container, documents, env, guide, mounts, named, number, of_kind, overlay, pod, read, text,
    with_component,
};
use crate::support::config::{list, shipped, shipped_rule_files};
use crate::support::tools::root;

/// The daemon's configuration as its pod reads it, each Secret's value in the place of its reference.
fn configuration(objects: &[Value]) -> (Config, Vec<Warning>) {
    let pod = pod(objects, "mape-k");
    let volume =
        list(&pod["volumes"]).iter().find(|volume| volume["name"] == "config").expect("a volume");
    let map = named(objects, "ConfigMap", text(&volume["configMap"]["name"]));
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        secret.path(),
        "postgres://mape_k:s3cret@postgres:5432/mape_k?sslmode=verify-full",
    )
    .expect("written");
    let file = text(&map["data"]["mape_k_config.yaml"])
        .replace("/app/secrets/url", &secret.path().display().to_string());
    let container = container(&pod);
    let of_the_pod = |name: &str| {
        let (_, variable) = env(container).into_iter().find(|(one, _)| *one == name)?;
        let from = &variable["valueFrom"]["secretKeyRef"];
        // As it stands there, coded: any value does.
        let secret = of_kind(objects, "Secret")
            .into_iter()
            .find(|secret| secret["metadata"]["name"] == from["name"])
            .and_then(|secret| secret["data"][from["key"].as_str()?].as_str());
        variable["value"].as_str().or(secret).map(str::to_owned)
    };
    Config::parse(&file, &of_the_pod).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn d05_no_pod_may_more_than_it_must() {
    for (of, objects) in
        [("guide", guide()), ("staging", overlay("staging")), ("production", overlay("production"))]
    {
        for deployment in of_kind(&objects, "Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let said = format!("{of}: {}", deployment["metadata"]["name"]);
            let user = &pod["securityContext"];
            assert_eq!(user["runAsNonRoot"], true, "{said}");
            assert_eq!(user["seccompProfile"], json!({"type": "RuntimeDefault"}), "{said}");
            assert!(number(&user["runAsUser"]) > 0 && number(&user["runAsGroup"]) > 0, "{said}");
            assert_eq!(
                pod["enableServiceLinks"], false,
                "{said}: a Service's name would set variables"
            );
            for container in list(&pod["containers"]) {
                let bounds = &container["securityContext"];
                assert_eq!(bounds["readOnlyRootFilesystem"], true, "{said}");
                assert_eq!(bounds["allowPrivilegeEscalation"], false, "{said}");
                assert_eq!(bounds["capabilities"], json!({"drop": ["ALL"]}), "{said}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{said}");
            }
            if deployment["metadata"]["name"] == "mape-k" {
                assert_eq!(
                    (&user["runAsUser"], &user["fsGroup"]),
                    (&json!(65532), &json!(65532)),
                    "{said}"
                );
                assert_eq!(user["fsGroupChangePolicy"], "OnRootMismatch", "{said}");
            } else {
                assert_eq!(pod["automountServiceAccountToken"], false, "{said}");
            }
        }
    }
}

#[test]
fn d05_an_overlay_is_in_one_namespace_that_refuses_less_confined_pods() {
    for (name, namespace) in [("staging", "mape-k-staging"), ("production", "mape-k")] {
        let objects = overlay(name);
        for object in &objects {
            let own = if object["kind"] == "Namespace" { "name" } else { "namespace" };
            assert_eq!(object["metadata"][own], namespace, "{name}: {object}");
        }
        let labels = &named(&objects, "Namespace", namespace)["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    }
    let (staging, _) = configuration(&overlay("staging"));
    assert_eq!(staging.kubernetes.namespaces, ["mape-k-staging"]);
}

#[test]
fn d05_the_image_is_that_of_this_version() {
    let image = format!("mape-k:{}", env!("CARGO_PKG_VERSION"));
    for objects in [guide(), overlay("staging"), overlay("production")] {
        assert_eq!(container(&pod(&objects, "mape-k"))["image"], image);
    }
    assert_eq!(container(&pod(&overlay("staging"), "charter"))["image"], image);
}

#[test]
fn d05_staging_is_a_whole_stack_in_which_every_name_leads_somewhere() {
    let objects = overlay("staging");
    let served: BTreeSet<String> = of_kind(&objects, "Service")
        .iter()
        .map(|service| {
            format!(
                "{}:{}",
                text(&service["metadata"]["name"]),
                service["spec"]["ports"][0]["port"]
            )
        })
        .collect();
    let all = [
        "alertmanager:9093",
        "charter:8000",
        "mape-k-webhook:5000",
        "mape-k:8001",
        "prometheus:9090",
    ];
    assert_eq!(served, all.map(str::to_owned).into());

    let (config, warnings) = configuration(&objects);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.orchestrator.mode, Mode::Staging);
    assert!(config.orchestrator.auto_approve, "a fault heals without anybody");
    for url in urls(&config) {
        let name = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
        assert!(served.contains(&name), "{name} is no Service of it");
    }
    let scraped = shipped("prometheus.yml");
    for job in list(&scraped["scrape_configs"]) {
        let target = text(&job["static_configs"][0]["targets"][0]);
        assert!(
            served.contains(target) || target == "localhost:9090",
            "{target} is no Service of it"
        );
    }
    // A daemon that is not ready is the one to be seen.
    assert_eq!(named(&objects, "Service", "mape-k")["spec"]["publishNotReadyAddresses"], true);
}

#[test]
fn d05_staging_has_one_key_and_the_shipped_files() {
    let objects = overlay("staging");
    let key = |of: &str| {
        let pod = pod(&objects, of);
        let (_, variable) = env(container(&pod))
            .into_iter()
            .find(|(name, _)| *name == "CHARTER_API_KEY")
            .expect("a key");
        variable["valueFrom"]["secretKeyRef"]["name"].clone()
    };
    assert_eq!(key("charter"), key("mape-k"));
    // staging-webhook-token, which config/alertmanager.yml sends: in mode staging none would be refused.
    let secret = &named(&objects, "Secret", text(&key("charter")))["data"];
    assert_eq!(secret["MAPE_K_WEBHOOK_TOKEN"], "c3RhZ2luZy13ZWJob29rLXRva2Vu");
    named(&objects, "Secret", text(&key("charter")));

    // What each server's pod sees under its folder, file by file.
    for (server, files) in [
        ("prometheus", [vec!["prometheus.yml".to_owned()], rules()].concat()),
        ("alertmanager", vec!["alertmanager.yml".to_owned()]),
    ] {
        let pod = pod(&objects, server);
        let folder = format!("/etc/{server}");
        assert!(mounts(container(&pod)).contains(&(folder.as_str(), false)), "{server}");
        let volume = list(&pod["volumes"])
            .iter()
            .find(|volume| volume["name"] == "config")
            .expect("a volume");
        let map = &named(&objects, "ConfigMap", text(&volume["configMap"]["name"]))["data"];
        let keys: Vec<(&str, &str)> = match volume["configMap"].get("items") {
            Some(items) => {
                list(items).iter().map(|item| (text(&item["key"]), text(&item["path"]))).collect()
            }
            None => map
                .as_object()
                .expect("files")
                .keys()
                .map(|key| (key.as_str(), key.as_str()))
                .collect(),
        };
        let paths: BTreeSet<&str> = keys.iter().map(|(_, path)| *path).collect();
        assert_eq!(
            paths,
            files.iter().map(String::as_str).collect(),
            "{server}: add it to config/kustomization.yaml"
        );
        for (key, path) in keys {
            assert_eq!(text(&map[key]), read(&format!("config/{path}")), "{path}");
        }
        let names_it = format!("--config.file={folder}/{}", files[0]);
        assert!(list(&container(&pod)["args"]).contains(&json!(names_it)), "{server}");
    }
}

fn rules() -> Vec<String> {
    shipped_rule_files().iter().map(|name| format!("rules/{name}")).collect()
}

#[test]
fn d05_production_has_two_replicas_on_one_postgres_and_no_disk() {
    let objects = overlay("production");
    let spec = &named(&objects, "Deployment", "mape-k")["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["strategy"]["type"], "RollingUpdate");
    for constraint in list(&spec["template"]["spec"]["topologySpreadConstraints"]) {
        assert_eq!(constraint["labelSelector"], spec["selector"]);
        assert_eq!(constraint["matchLabelKeys"], json!(["pod-template-hash"]));
    }
    assert!(of_kind(&objects, "PersistentVolumeClaim").is_empty());
    let pod = pod(&objects, "mape-k");
    assert!(mounts(container(&pod)).iter().all(|(_, writable)| !writable), "{pod}");

    let (config, warnings) = configuration(&objects);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.knowledge.database, Database::Postgres);
    assert!(config.knowledge.postgres_url.is_some());
    assert_eq!(
        config.escalation.reports_dir, None,
        "a file would wait on the disk of one that may never lead again"
    );
    assert!(!config.orchestrator.auto_approve);
}

#[test]
fn d05_a_leader_that_is_not_ready_holds_up_neither_update_nor_drain() {
    let objects = overlay("production");
    let spec = &named(&objects, "Deployment", "mape-k")["spec"];
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 1}));
    let budget = &named(&objects, "PodDisruptionBudget", "mape-k")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(budget["selector"], spec["selector"]);
    // A follower takes its alerts meanwhile; to a pod whose machine is dead none are sent.
    let webhook = &named(&objects, "Service", "mape-k-webhook")["spec"];
    assert_eq!(webhook["publishNotReadyAddresses"], false);
}

#[test]
fn d05_production_does_not_start_without_its_keys() {
    let pod = pod(&overlay("production"), "mape-k");
    let needed: BTreeSet<&str> = env(container(&pod))
        .into_iter()
        .filter(|(_, one)| one["valueFrom"]["secretKeyRef"]["optional"] == false)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(needed, ["CHARTER_API_KEY", "MAPE_K_API_TOKEN", "MAPE_K_WEBHOOK_TOKEN"].into());
}

#[test]
fn d05_productions_addresses_are_marked_as_yours_to_change() {
    let patch = read("deployment/overlays/production/two-replicas.yaml");
    let base = pod(&guide(), "mape-k");
    let production = pod(&overlay("production"), "mape-k");
    for address in ["PROMETHEUS_URL", "CHARTER_URL", "ALERTMANAGER_URL"] {
        let line = patch.lines().find(|line| line.contains(address)).expect(address);
        assert!(line.ends_with("# CHANGE"), "{line}");
        let value = |pod: &Value| {
            let (_, one) =
                env(container(pod)).into_iter().find(|(name, _)| *name == address).expect(address);
            text(&one["value"]).to_owned()
        };
        assert!(line.contains(&value(&production)), "{line}");
        assert_ne!(
            value(&production),
            value(&base),
            "{address}: nothing of it is in namespace mape-k"
        );
    }
}

#[test]
fn d05_production_looks_at_the_cluster_once_namespaces_are_named() {
    let path = "deployment/overlays/production/mape_k_config.yaml";
    let shipped = read(path);
    assert!(!configuration(&overlay("production")).0.kubernetes.enabled);
    // As a person turns it on: its lines without the comment, in the place of the one that says no.
    let lines = ["enabled: true", "namespaces:", "kinds:"];
    let turned_on: String = shipped
        .lines()
        .filter(|line| *line != "  enabled: false")
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) if lines.iter().any(|one| rest.starts_with(one)) => format!("  {rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let turned_on = turned_on.replace(
        "postgres_url_file: /app/secrets/url",
        "postgres_url: postgres://mape_k@db/mape_k?sslmode=verify-full",
    );
    let (config, warnings) = Config::parse(&turned_on, &|_| None).expect("accepted");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.kubernetes.enabled && !config.kubernetes.namespaces.is_empty());
    assert!(!config.kubernetes.kinds.contains(&Kind::Nodes), "a Role cannot grant them");
}

#[test]
fn d05_stagings_images_can_all_come_from_elsewhere() {
    let kustomization =
        &documents(&read("deployment/overlays/staging/kustomization.yaml"), "it")[0];
    let named: BTreeSet<String> = list(&kustomization["images"])
        .iter()
        .map(|image| format!("{}:{}", text(&image["newName"]), text(&image["newTag"])))
        .collect();
    let objects = overlay("staging");
    let used: BTreeSet<String> = of_kind(&objects, "Deployment")
        .iter()
        .map(|one| text(&container(&one["spec"]["template"]["spec"])["image"]).to_owned())
        .collect();
    assert_eq!(named, used);
}

#[test]
fn d05_the_network_policy_lets_in_who_calls_and_out_what_is_called() {
    let objects = overlay("production");
    let (config, _) = configuration(&objects);
    let policy = &named(&objects, "NetworkPolicy", "mape-k")["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["podSelector"]["matchLabels"], json!({"app": "mape-k"}));
    let ports = |rules: &Value| -> BTreeSet<u64> {
        list(rules)
            .iter()
            .flat_map(|rule| list(&rule["ports"]).iter().map(|port| number(&port["port"])))
            .collect()
    };
    let listens = [config.api.port, config.alertmanager.webhook_port].map(u64::from);
    assert_eq!(ports(&policy["ingress"]), listens.into());
    // Issue 14: a pod elsewhere that gives itself the label is kept out. Both selectors stand in one entry; the namespace is
    // the one of the addresses that are marked as yours to change, and is marked too.
    let shipped = read("deployment/overlays/production/network-policy.yaml");
    let urls = urls(&config);
    for (rule, url) in list(&policy["ingress"]).iter().zip([urls[0], urls[2]]) {
        let [from] = list(&rule["from"]).as_slice() else { panic!("one entry: {rule}") };
        assert!(from["podSelector"]["matchLabels"]["app.kubernetes.io/name"].is_string(), "{from}");
        let label = "kubernetes.io/metadata.name";
        let namespace = text(&from["namespaceSelector"]["matchLabels"][label]);
        let (_, of_the_url) = url.host_str().and_then(|host| host.split_once('.')).expect("one");
        assert_eq!(namespace, of_the_url, "{url}");
        assert_eq!(shipped.matches(&format!("{label}: {namespace}}} # CHANGE")).count(), 2);
    }
    let mut calls: BTreeSet<u64> =
        urls.iter().filter_map(|url| url.port()).map(u64::from).collect();
    // Names, PostgreSQL, the API server, and with it Slack and GitHub.
    calls.extend([53, 5432, 443, 6443]);
    assert_eq!(ports(&policy["egress"]), calls);
}

const RULE: &str = "deployment/components/monitoring/prometheus-rule.yaml";

/// The groups of config/rules, as they are written there, in the operator's wrapping.
fn prometheus_rule() -> String {
    let mut rule = String::from(
        "# The groups of config/rules for Prometheus' operator. Made from them: change those, then\n\
         #   UPDATE=1 cargo test --test deployment the_operators_rules\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: mape-k\n\
         \x20 labels: {app: mape-k}\nspec:\n  groups:\n",
    );
    for file in rules() {
        let text = read(&format!("config/{file}"));
        let (_, groups) =
            text.split_once("\ngroups:\n").unwrap_or_else(|| panic!("{file} has no groups"));
        for line in groups.trim_end().lines() {
            let _ = writeln!(rule, "{}{line}", if line.is_empty() { "" } else { "  " });
        }
    }
    rule
}

#[test]
fn d05_the_operators_rules_are_those_of_config() {
    let made = prometheus_rule();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(root().join(RULE), &made).expect("written");
    }
    assert!(
        std::fs::read_to_string(root().join(RULE)).unwrap_or_default() == made,
        "{RULE} is not made from config/rules as they are: UPDATE=1 cargo test --test deployment the_operators_rules"
    );
    let groups: Vec<Value> =
        rules().iter().flat_map(|file| list(&shipped(file)["groups"]).clone()).collect();
    assert_eq!(documents(&made, RULE)[0]["spec"]["groups"], json!(groups));
}

#[test]
fn d05_the_monitoring_component_scrapes_each_replica_as_the_job_that_the_rules_name() {
    let objects = with_component("monitoring");
    let monitor = &named(&objects, "ServiceMonitor", "mape-k")["spec"];
    let port = &monitor["endpoints"][0]["port"];
    let scraped: Vec<&Value> = of_kind(&objects, "Service")
        .into_iter()
        .filter(|service| {
            service["metadata"]["labels"]["app"] == monitor["selector"]["matchLabels"]["app"]
        })
        .filter(|service| list(&service["spec"]["ports"]).iter().any(|one| one["name"] == *port))
        .collect();
    assert_eq!(scraped.len(), 1, "both Services would scrape a replica twice");
    assert_eq!(scraped[0]["metadata"]["labels"][text(&monitor["jobLabel"])], "mape-k");
    named(&objects, "PrometheusRule", "mape-k");
}

/// Of Prometheus, Charter and Alertmanager.
fn urls(config: &Config) -> [&Url; 3] {
    let prometheus = config.monitor.prometheus_url.as_ref().expect("it is read");
    let charter = config.execute.charter_url.as_ref().expect("it is driven");
    [prometheus, charter, &config.alertmanager.url]
}
