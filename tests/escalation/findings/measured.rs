//! How long it takes on a large cluster: printed, not asserted.

use std::time::{Duration, Instant};

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::cluster::ClusterReading;
use serde_json::{Value, json};

use super::fixtures::{now, objects, reading_of};

/// Deployments of ten pods, one of ten of which crashes, with an event for each pod.
fn cluster_of(pods: usize) -> ClusterReading {
    let parts = objects("found/crash_loop_half_of_a_deployment");
    let of = |kind: &'static str| parts.iter().filter(move |object| object["kind"] == kind);
    let deployment = of("Deployment").next().expect("a deployment");
    let [well, ill] = of("Pod").collect::<Vec<_>>()[..] else { panic!("two pods") };
    let event = objects("found/probe_failing_readiness")
        .into_iter()
        .find(|object| object["kind"] == "Event")
        .expect("an event");
    let mut all: Vec<Value> = Vec::new();
    for app in 0..pods / 10 {
        let name = format!("app-{app:04}");
        let mut own = deployment.clone();
        own["metadata"]["name"] = json!(name);
        own["spec"]["replicas"] = json!(10);
        own["status"]["readyReplicas"] = json!(9);
        all.push(own);
        for number in 0..10 {
            let mut pod = if number == 0 { ill.clone() } else { well.clone() };
            let pod_name = format!("{name}-7c9d8b6f5-p{number:04}");
            pod["metadata"]["name"] = json!(pod_name);
            pod["metadata"]["uid"] = json!(pod_name);
            pod["metadata"]["ownerReferences"][0]["name"] = json!(format!("{name}-7c9d8b6f5"));
            all.push(pod);
            let mut event = event.clone();
            event["involvedObject"]["name"] = json!(pod_name);
            event["involvedObject"]["uid"] = json!(pod_name);
            all.push(event);
        }
    }
    reading_of(all)
}

#[test]
fn b36_findings_of_500_and_of_5000_pods() {
    for pods in [500, 5_000] {
        let reading = cluster_of(pods);
        let catalogue = Catalogue::default();
        let mut onsets = Onsets::default();
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            let found = findings(&reading, &catalogue, &onsets, now());
            onsets.update(&found, &reading);
            best = best.min(started.elapsed());
            assert_eq!(found.len(), pods / 10 * 2, "a crash loop and a replica missing in each");
        }
        println!("{pods} pods: findings in {best:?} (best of 5, unoptimized)");
    }
}
