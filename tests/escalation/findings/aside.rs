//! W05: pods that somebody made beside a service, for one piece of work, are not the service.

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::{Catalogue, Service, Tier};
use mape_k::domain::finding::{Finding, FindingSeverity};
use serde_json::{Value, json};

use super::fixtures::{now, reading_of, service};
use super::made::{ago, container, deployment, ended, of, pod, running, waiting};

/// Of the service `web`, P0, by its label.
fn find(objects: &[Value]) -> Vec<Finding> {
    let selector = [("app".to_owned(), "web".to_owned())].into();
    let web = Service { selector, ..service("web", Tier::P0) };
    let catalogue = Catalogue { services: vec![web], ..Catalogue::default() };
    findings(&reading_of(objects.to_vec()), &catalogue, &Onsets::default(), now())
}

fn labelled(mut object: Value) -> Value {
    object["metadata"]["labels"]["app"] = json!("web");
    object
}

/// Made by hand for one run, which failed.
fn one_shot(name: &str) -> Value {
    let mut pod =
        pod(name, "Failed", Some(30), &[container("c", false, ended(1, "Error", 31, 30))]);
    pod["spec"]["restartPolicy"] = json!("Never");
    labelled(pod)
}

fn worst(objects: &[Value]) -> (bool, FindingSeverity) {
    let found = find(objects);
    assert!(found.iter().all(|one| one.priority == Some(Tier::P0)), "{found:#?}");
    let worst = found.iter().map(|one| one.severity).max().expect("there is a finding");
    (found.iter().any(|one| one.is_down() || one.is_degraded()), worst)
}

#[test]
fn w05_a_one_shot_pod_beside_its_service_is_a_warning_at_most() {
    let web = || labelled(deployment("web", 2, 2));
    let ready = || labelled(pod("feed", "Running", None, &[container("c", true, running(500))]));
    let critical = (true, FindingSeverity::Critical);
    for name in ["web-test-connection", "migrate", "debug-session"] {
        let failed = one_shot(name);
        assert_eq!(
            worst(std::slice::from_ref(&failed)),
            critical,
            "{name}: alone it is all that there is"
        );
        assert_eq!(worst(&[failed.clone(), web()]), (false, FindingSeverity::Warning), "{name}");
        assert_eq!(worst(&[failed.clone(), ready()]), (false, FindingSeverity::Warning), "{name}");
        // What is off, or is a job's, does not run the service.
        let off = labelled(deployment("web", 0, 0));
        assert_eq!(worst(&[failed.clone(), off]), critical, "{name}");
        assert_eq!(worst(&[failed, of("Job", "load", ready())]), critical, "{name}");
    }
    assert_eq!(worst(&[one_shot("web"), web()]), critical, "it has the service's name");
    // Whatever else is wrong with it.
    let mut pulls = one_shot("migrate");
    pulls["status"]["phase"] = json!("Pending");
    pulls["status"]["containerStatuses"][0]["state"] = waiting("ErrImagePull", "not found");
    assert_eq!(worst(&[pulls.clone(), web()]), (false, FindingSeverity::Warning));
    assert_eq!(worst(&[pulls]), critical);
}

#[test]
fn w05_a_static_pod_beside_its_like_is_no_mere_warning() {
    let mirror = |mut pod: Value| {
        pod["metadata"]["ownerReferences"] =
            json!([{ "kind": "Node", "name": "n1", "controller": true }]);
        pod
    };
    let failed = mirror(one_shot("web-n1"));
    let other =
        labelled(mirror(pod("web-n2", "Running", None, &[container("c", true, running(500))])));
    assert_eq!(worst(&[failed, other.clone()]), (false, FindingSeverity::High));
    // Members that nobody owns, static or not, are the service together.
    for member in ["web-n1", "web-a"] {
        let mut lost = one_shot(member);
        lost["spec"]["restartPolicy"] = json!("Always");
        assert_eq!(worst(&[lost, other.clone()]), (true, FindingSeverity::Critical), "{member}");
    }
}

#[test]
fn w05_the_hook_of_a_release_is_no_finding() {
    let with = |place: &str, key: &str, value: &str| {
        let mut pod = one_shot("web-test-connection");
        pod["metadata"][place][key] = json!(value);
        find(&[pod])
    };
    for hook in ["test", "test-success", "pre-install,pre-upgrade", "post-delete"] {
        assert!(with("annotations", "helm.sh/hook", hook).is_empty(), "{hook}");
        assert!(with("labels", "helm.sh/hook", hook).is_empty(), "{hook}");
    }
    assert!(with("annotations", "argocd.argoproj.io/hook", "PreSync").is_empty());
    for other in ["helm.sh/resource-policy", "meta.helm.sh/release-name", "helm.sh/chart"] {
        assert_eq!(with("annotations", other, "keep").len(), 1, "{other}");
    }
    // A workload whose template carries it is a workload.
    let mut replica = of("StatefulSet", "web", one_shot("web-0"));
    replica["metadata"]["annotations"]["helm.sh/hook"] = json!("test");
    replica["status"]["phase"] = json!("Running");
    replica["metadata"]["creationTimestamp"] = ago(60);
    assert!(!find(&[replica]).is_empty());
}
