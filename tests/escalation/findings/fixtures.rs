//! The recorded shapes of `tests/fixtures/cluster`, read the way the daemon reads them, at the time they were made for.

use std::path::PathBuf;

use chrono::{TimeDelta, TimeZone, Utc};
use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Service, Tier};
use mape_k::domain::cluster::{Cluster, ClusterReading, Kind};
use mape_k::domain::finding::Finding;
use mape_k::domain::reading::{FailureKind, ReadFailure};
use mape_k::domain::time::Time;
use mape_k::monitor::cluster::trim::trim_json;
use serde_json::Value;

/// Every fixture's times are relative to this one.
pub fn now() -> Time {
    Utc.with_ymd_and_hms(2026, 11, 2, 10, 0, 0).unwrap()
}

pub fn minutes_ago(minutes: i64) -> Time {
    now() - TimeDelta::minutes(minutes)
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cluster").join(name)
}

/// The fixtures of a folder by name, without their ending.
pub fn names(of: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder(of)).expect("the folder of fixtures is there");
    let mut names: Vec<String> = files
        .map(|file| file.expect("a folder is listed").path())
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The objects of a fixture, as `kubectl get -o json` prints them.
pub fn objects(path: &str) -> Vec<Value> {
    let file = folder(&format!("{path}.json"));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|cause| panic!("{} cannot be read: {cause}", file.display()));
    let list: Value = serde_json::from_str(&text).expect("a fixture is JSON");
    list["items"].as_array().expect("a fixture is a list").clone()
}

pub fn reading_of(objects: impl IntoIterator<Item = Value>) -> ClusterReading {
    let mut cluster = Cluster::default();
    for object in objects {
        let kind = kind_of(&object);
        trim_json(kind, object).expect("a fixture can be trimmed").add_to(&mut cluster);
    }
    ClusterReading { cluster, expected: Kind::ALL.into(), ..ClusterReading::default() }
}

pub fn reading(path: &str) -> ClusterReading {
    reading_of(objects(path))
}

/// The same, when some kinds could not be read.
pub fn reading_without(path: &str, kinds: &[Kind]) -> ClusterReading {
    let left = objects(path).into_iter().filter(|object| !kinds.contains(&kind_of(object)));
    let mut reading = reading_of(left);
    let failure = ReadFailure { kind: FailureKind::Server, text: "403 Forbidden".to_owned() };
    reading.failures = kinds.iter().map(|kind| (*kind, failure.clone())).collect();
    reading
}

pub fn kind_of(object: &Value) -> Kind {
    match object["kind"].as_str().expect("an object has a kind") {
        "Pod" => Kind::Pods,
        "Event" => Kind::Events,
        "Node" => Kind::Nodes,
        "Deployment" => Kind::Deployments,
        "StatefulSet" => Kind::StatefulSets,
        "DaemonSet" => Kind::DaemonSets,
        "ReplicaSet" => Kind::ReplicaSets,
        "ReplicationController" => Kind::ReplicationControllers,
        "Job" => Kind::Jobs,
        "CronJob" => Kind::CronJobs,
        "PersistentVolumeClaim" => Kind::Claims,
        other => panic!("no fixture has a {other}"),
    }
}

/// What is found in it, seen for the first time, by a catalogue that knows nothing.
pub fn find(reading: &ClusterReading) -> Vec<Finding> {
    findings(reading, &Catalogue::default(), &Onsets::default(), now())
}

/// A finding in one line: kind, service, ready/desired, pods.
pub fn line(finding: &Finding) -> String {
    let replicas = match (finding.ready, finding.desired) {
        (Some(ready), Some(desired)) => format!("{ready}/{desired}"),
        _ => "-".to_owned(),
    };
    let pods = finding.pods.join(",");
    format!("{} {} {replicas} [{pods}]", finding.kind.as_str(), finding.service)
}

pub fn service(name: &str, tier: Tier) -> Service {
    Service {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        selector: mape_k::domain::Labels::new(),
        tier,
        max_downtime: None,
        depends_on: Vec::new(),
        data_layer: false,
        ingress: false,
        known_issues: Vec::new(),
        runbook_url: None,
        gitops_paths: Vec::new(),
    }
}

/// The fixtures were made, not recorded: the API's own types hold them to its shape.
#[test]
fn every_fixture_has_the_shape_that_the_api_gives_it() {
    use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
    use serde::{Serialize, de::DeserializeOwned};

    /// Read as that type and written again it is what it was: no field of it is misspelt or out of place.
    fn hold<T: DeserializeOwned + Serialize>(object: &Value) {
        let typed: T = serde_json::from_value(object.clone()).expect("it is of its type");
        let again = serde_json::to_value(typed).expect("a type of the API can be written");
        let (again, object) = (without_blanks(again), without_blanks(object.clone()));
        assert!(again == object, "as written:\n{object:#}\nas the API has it:\n{again:#}");
    }

    fn without_blanks(value: Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| (key, without_blanks(value)))
                .filter(|(_, value)| !is_blank(value))
                .collect(),
            Value::Array(items) => items.into_iter().map(without_blanks).collect(),
            other => other,
        }
    }

    /// A type writes what is not there as blank, or leaves out what is.
    fn is_blank(value: &Value) -> bool {
        matches!(value, Value::Null)
            || value.as_str().is_some_and(str::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    }

    for path in ["found", "quiet"] {
        for object in names(path).iter().flat_map(|file| objects(&format!("{path}/{file}"))) {
            match kind_of(&object) {
                Kind::Pods => hold::<core::Pod>(&object),
                Kind::Events => hold::<core::Event>(&object),
                Kind::Nodes => hold::<core::Node>(&object),
                Kind::Deployments => hold::<apps::Deployment>(&object),
                Kind::StatefulSets => hold::<apps::StatefulSet>(&object),
                Kind::DaemonSets => hold::<apps::DaemonSet>(&object),
                Kind::ReplicaSets => hold::<apps::ReplicaSet>(&object),
                Kind::ReplicationControllers => hold::<core::ReplicationController>(&object),
                Kind::Jobs => hold::<batch::Job>(&object),
                Kind::CronJobs => hold::<batch::CronJob>(&object),
                Kind::Claims => hold::<core::PersistentVolumeClaim>(&object),
            }
        }
    }
}
