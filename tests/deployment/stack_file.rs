//! Dockerfile and docker-compose.staging.yml without an engine: names, ports, versions, rights, who waits for whom.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::config::{list, shipped};
use crate::support::tools::root;

const SERVICES: [&str; 5] = ["prometheus", "alertmanager", "charter", "mape-k", "grafana"];

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn stack() -> Value {
    let stack: Value =
        serde_yaml::from_str(&read("docker-compose.staging.yml")).expect("a YAML file");
    stack
}

/// A service as it stands after `<<: *anchor`, which a reader of YAML alone may leave as it is written.
fn service(stack: &Value, name: &str) -> Value {
    fn merged(value: &Value) -> Value {
        let mut whole = match &value["<<"] {
            Value::Null => json!({}),
            under => merged(under),
        };
        for (key, value) in value.as_object().into_iter().flatten() {
            if key != "<<" {
                whole[key] = value.clone();
            }
        }
        whole
    }
    let found = merged(&stack["services"][name]);
    assert!(found.as_object().is_some_and(|keys| !keys.is_empty()), "no service {name}");
    found
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(|text| text.as_str().expect("a text")).collect()
}

/// The instructions of the Dockerfile, continued lines joined, without comments.
fn instructions() -> Vec<String> {
    let lines: Vec<String> =
        read("Dockerfile").lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

fn final_stage() -> Vec<String> {
    let all = instructions();
    let from = all.iter().rposition(|l| l.starts_with("FROM ")).expect("a FROM");
    all[from..].to_vec()
}

/// The value of the last instruction of that name in the final stage.
fn last(name: &str) -> String {
    let found = final_stage().iter().rev().find_map(|l| l.strip_prefix(name).map(str::to_owned));
    found.unwrap_or_else(|| panic!("the final stage has no {name}")).trim().to_owned()
}

fn exec_form(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text} is not the exec form"))
}

#[test]
fn d06_the_image_runs_the_binary_itself_without_root_or_shell() {
    assert_eq!(last("USER "), "65532:65532");
    assert_eq!(last("WORKDIR "), "/app");
    assert_eq!(exec_form(&last("ENTRYPOINT ")), ["/usr/local/bin/mape-k"]);
    assert_eq!(exec_form(&last("\nCMD ".trim_start())), ["run"]);
    let check = last("HEALTHCHECK ");
    let (_, command) = check.split_once(" CMD ").expect("a command");
    assert_eq!(exec_form(command), ["/usr/local/bin/mape-k", "health"]);
    let shell: Vec<_> = final_stage().into_iter().filter(|l| l.starts_with("RUN ")).collect();
    assert!(shell.is_empty(), "there is no shell to run {shell:?}");
}

#[test]
fn d06_its_bases_are_pinned_arguments_and_the_build_is_held_to_the_lock_file() {
    let all = instructions();
    let arguments: Vec<&str> = all.iter().filter_map(|l| l.strip_prefix("ARG ")).collect();
    for name in ["RUST_IMAGE", "RUNTIME_IMAGE"] {
        let default =
            arguments.iter().find_map(|a| a.strip_prefix(&format!("{name}="))).expect(name);
        assert!(pinned(default), "{name}={default}");
    }
    for from in all.iter().filter_map(|l| l.strip_prefix("FROM ")) {
        assert!(from.starts_with("${RU"), "FROM {from}: a base is an argument");
    }
    let builds: Vec<&String> = all.iter().filter(|l| l.contains("cargo build")).collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    assert!(builds.iter().all(|l| l.contains("cargo build --release --locked")), "{builds:?}");
    assert!(!all.iter().any(|l| l.contains("--mount")), "the classic builder knows no --mount");
}

/// The compiler of the image is one that Cargo.toml accepts.
#[test]
fn d06_the_compiler_of_the_image_is_new_enough() {
    let number = |text: &str| -> Vec<u32> {
        text.split('.').map(|n| n.parse().expect("a number")).collect()
    };
    let manifest = read("Cargo.toml");
    let needed =
        manifest.lines().find_map(|l| l.strip_prefix("rust-version = ")).expect("rust-version");
    let used = read("Dockerfile");
    let used =
        used.split("rust:").nth(1).and_then(|rest| rest.split('-').next()).expect("a version");
    assert!(number(used) >= number(needed.trim_matches('"')), "{used} builds what needs {needed}");
}

/// Neither target/ nor what somebody keeps beside the sources is sent to an engine.
#[test]
fn d06_the_engine_is_sent_the_sources_alone() {
    let file = read(".dockerignore");
    let rules: Vec<&str> = file.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    assert_eq!(rules, ["*", "!Cargo.toml", "!Cargo.lock", "!build.rs", "!src"]);
}

fn pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    tag.is_some_and(|tag| tag != "latest" && !tag.is_empty())
}

#[test]
fn d01_the_stack_is_five_services_on_one_network_with_pinned_versions() {
    let stack = stack();
    let names: BTreeSet<&str> =
        stack["services"].as_object().expect("services").keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(SERVICES));
    assert_eq!(stack["networks"], json!({"westworld": {}}));
    for name in SERVICES {
        let service = service(&stack, name);
        let image = service["image"].as_str().expect("an image");
        // image:${NAME_VERSION:-version}
        let (_, version) = image.split_once(":${").expect(image);
        let (variable, version) = version.split_once(":-").expect(image);
        assert!(variable.ends_with("_VERSION"), "{image}");
        assert!(version.starts_with(|c: char| c == 'v' || c.is_ascii_digit()), "{image}");
        let networks = &service["networks"];
        assert!(*networks == json!(["westworld"]) || networks["westworld"].is_object(), "{name}");
    }
    assert_eq!(service(&stack, "charter")["build"], service(&stack, "mape-k")["build"]);
}

#[test]
fn d01_the_ports_are_the_guides_and_open_to_this_machine_alone() {
    let stack = stack();
    for (name, ports) in [
        ("prometheus", &[("PROMETHEUS", 9090)][..]),
        ("alertmanager", &[("ALERTMANAGER", 9093)]),
        ("charter", &[("CHARTER", 8000)]),
        ("mape-k", &[("MAPE_K", 8001), ("WEBHOOK", 5000)]),
        ("grafana", &[("GRAFANA", 3000)]),
    ] {
        let published =
            |(name, port): &(_, _)| format!("${{BIND:-127.0.0.1}}:${{PORT_{name}:-{port}}}:{port}");
        let expected: Vec<String> = ports.iter().map(published).collect();
        assert_eq!(texts(&service(&stack, name)["ports"]), expected, "{name}");
    }
}

#[test]
fn d01_every_service_has_a_health_check_that_needs_no_shell_and_waits_for_what_it_needs() {
    let stack = stack();
    for name in SERVICES {
        let service = service(&stack, name);
        assert_eq!(texts(&service["healthcheck"]["test"])[0], "CMD", "{name}");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: logs are bounded");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(how["condition"], "service_healthy", "{name} waits for {needed}");
        }
    }
    let needs = service(&stack, "mape-k")["depends_on"].clone();
    let needs: Vec<&String> = needs.as_object().expect("needs").keys().collect();
    assert_eq!(needs, ["alertmanager", "charter", "prometheus"]);
}

#[test]
fn d01_what_must_outlive_a_container_is_on_named_volumes_and_the_rest_cannot_be_written() {
    let stack = stack();
    for name in ["prometheus", "alertmanager", "charter", "mape-k"] {
        assert_eq!(service(&stack, name)["read_only"], true, "{name}");
    }
    let named: BTreeSet<&str> =
        stack["volumes"].as_object().expect("volumes").keys().map(String::as_str).collect();
    let mut used = BTreeSet::new();
    for name in SERVICES {
        let service = service(&stack, name);
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let mount = mount.as_str().expect("the short form");
            let source = mount.split(':').next().expect("a source");
            if let Some(path) = source.strip_prefix("./") {
                assert!(mount.ends_with(":ro"), "{name}: {mount}");
                assert!(Path::new(path).starts_with("config"), "{name}: {mount}");
            } else {
                used.insert(source.to_owned());
            }
        }
    }
    assert_eq!(used.iter().map(String::as_str).collect::<BTreeSet<_>>(), named);
    let of_the_daemon = service(&stack, "mape-k")["volumes"].clone();
    for mount in ["./config:/app/config:ro", "mape-k-data:/app/data", "mape-k-logs:/app/logs"] {
        assert!(texts(&of_the_daemon).contains(&mount), "{mount}");
    }
}

/// The names that Prometheus and Alertmanager are shipped with are those of the network.
#[test]
fn d01_the_shipped_configuration_finds_everybody_in_the_network() {
    let stack = stack();
    let daemon = service(&stack, "mape-k");
    assert_eq!(daemon["networks"]["westworld"]["aliases"], json!(["mape-k-webhook"]));
    let mut called: Vec<String> = Vec::new();
    for receiver in list(&shipped("alertmanager.yml")["receivers"]) {
        for hook in receiver["webhook_configs"].as_array().into_iter().flatten() {
            called.push(hook["url"].as_str().expect("an address").to_owned());
        }
    }
    assert_eq!(called, ["http://mape-k-webhook:5000/webhooks/alerts"]);
    for key in ["PROMETHEUS_URL", "ALERTMANAGER_URL", "CHARTER_URL"] {
        called.push(daemon["environment"][key].as_str().expect(key).to_owned());
    }
    for job in list(&shipped("prometheus.yml")["scrape_configs"]) {
        for targets in list(&job["static_configs"]) {
            called
                .extend(texts(&targets["targets"]).iter().map(|target| format!("http://{target}")));
        }
    }
    for url in called {
        let url = url::Url::parse(&url).expect("an address");
        let host = url.host_str().expect("a host");
        let known = SERVICES.contains(&host) || ["mape-k-webhook", "localhost"].contains(&host);
        assert!(known, "{url}: nobody has this name in the stack");
    }
}

#[test]
fn d02_the_key_of_charter_is_the_one_that_the_daemon_sends() {
    let stack = stack();
    let key = "${CHARTER_API_KEY:-staging-key}";
    for name in ["charter", "mape-k"] {
        assert_eq!(service(&stack, name)["environment"]["CHARTER_API_KEY"], key, "{name}");
    }
    let daemon = service(&stack, "mape-k");
    assert_eq!(daemon["environment"]["ORCHESTRATOR_MODE"], "${ORCHESTRATOR_MODE:-staging}");
    // It acts without asking, so its webhook takes alerts from the stack's Alertmanager alone.
    let hook = &shipped("alertmanager.yml")["receivers"][0]["webhook_configs"][0];
    let token = hook["http_config"]["authorization"]["credentials"].as_str().expect("a token");
    let given = format!("${{MAPE_K_WEBHOOK_TOKEN:-{token}}}");
    assert_eq!(daemon["environment"]["MAPE_K_WEBHOOK_TOKEN"], given.as_str());
    assert_eq!(daemon["environment"]["MAPE_K_WEBHOOK_HOST"], "0.0.0.0");
    // Behind a published port nobody is this machine: without a token no person could pause it.
    assert_eq!(daemon["environment"]["MAPE_K_API_TOKEN"], "${MAPE_K_API_TOKEN:-staging-token}");
}
