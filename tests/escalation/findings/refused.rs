//! W04: pods that a controller cannot make, and the reason, which it repeats less and less often.

use serde_json::{Value, json};

use super::made::{ago, container, ended, lines, of, pod, reason, running, warning};

/// So many minutes ago, about an owner of pods.
fn event(kind: &str, name: &str, reason: &str, message: &str, minutes: i64) -> Value {
    let mut event = warning(name, reason, message, minutes);
    event["involvedObject"]["kind"] = json!(kind);
    event["involvedObject"]["uid"] = json!("");
    event
}

const QUOTA: &str = "create Pod web-1 failed: pods \"web-1\" is forbidden: exceeded quota: compute";
const WEBHOOK: &str = "admission webhook \"policy.example\" denied the request: no limits";

#[test]
fn w04_the_reason_why_no_pod_can_be_made_stays_while_the_controller_backs_off() {
    let set = |kind: &str| {
        let status = if kind == "DaemonSet" {
            json!({ "observedGeneration": 1, "desiredNumberScheduled": 2, "numberReady": 1, "updatedNumberScheduled": 2 })
        } else {
            json!({ "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1 })
        };
        json!({ "kind": kind, "metadata": { "name": "web", "namespace": "shop", "generation": 1, "creationTimestamp": ago(6000) },
            "spec": { "replicas": 2 }, "status": status })
    };
    for (kind, why) in [("StatefulSet", QUOTA), ("DaemonSet", WEBHOOK)] {
        let well =
            of(kind, "web", pod("web-0", "Running", None, &[container("c", true, running(500))]));
        let missing = |events: &[Value]| {
            let mut all = vec![set(kind), well.clone()];
            all.extend_from_slice(events);
            reason("replicas_missing", &all)
        };
        for minutes in [1, 9, 15, 55] {
            let words = missing(&[event(kind, "web", "FailedCreate", why, minutes)]);
            assert!(words.contains(why), "{kind}, {minutes}: {words}");
        }
        // Long past, or over since.
        assert!(!missing(&[event(kind, "web", "FailedCreate", why, 65)]).contains(why), "{kind}");
        let short = |made: i64| {
            let long = pod("web-1", "Running", Some(45), &[container("c", false, running(45))]);
            let mut newer = pod("web-2", "Running", None, &[container("c", true, running(25))]);
            newer["metadata"]["creationTimestamp"] = ago(made);
            let refused = event(kind, "web", "FailedCreate", why, 30);
            missing(&[refused, of(kind, "web", long), of(kind, "web", newer)])
        };
        assert!(short(40).contains(why), "{kind}: {}", short(40));
        assert!(!short(25).contains(why), "{kind}: a pod was made since: {}", short(25));
        let before_it = of(
            kind,
            "web",
            pod("web-1", "Running", Some(20), &[container("c", false, running(20))]),
        );
        let words = missing(&[event(kind, "web", "FailedCreate", why, 30), before_it]);
        assert!(!words.contains(why), "{kind}: it is short since later: {words}");
    }
}

fn job(minutes: i64, status: &Value) -> Value {
    json!({ "kind": "Job", "metadata": { "name": "load", "namespace": "shop", "creationTimestamp": ago(minutes) },
        "spec": {}, "status": status })
}

#[test]
fn w04_a_job_whose_pods_cannot_be_made_is_found() {
    for why in [QUOTA, WEBHOOK] {
        let refused = |minutes| event("Job", "load", "FailedCreate", why, minutes);
        let all = [job(20, &json!({})), refused(12)];
        assert_eq!(lines(&all), ["job_failed load - []"]);
        assert_eq!(
            reason("job_failed", &all),
            format!("The job load cannot make its pods: FailedCreate: {why}.")
        );
        assert!(lines(&[job(20, &json!({}))]).is_empty(), "nothing says that it cannot");
        assert!(lines(&[job(4, &json!({})), refused(2)]).is_empty(), "its first minutes");
        assert!(lines(&[job(20, &json!({ "active": 1 })), refused(12)]).is_empty(), "one runs");
        for (condition, is_quiet) in [("Suspended", true), ("Complete", true), ("Failed", false)] {
            let status = json!({ "conditions": [{ "type": condition, "status": "True" }] });
            let found = lines(&[job(20, &status), refused(12)]);
            assert_eq!(found.is_empty(), is_quiet, "{condition}: {found:?}");
        }
        // Its first try failed, and there is no second one.
        let mut tried = of(
            "Job",
            "load",
            pod("load-x", "Failed", Some(10), &[container("c", false, ended(1, "Error", 15, 10))]),
        );
        tried["spec"]["restartPolicy"] = json!("Never");
        let status = || json!({ "failed": 1 });
        assert_eq!(
            lines(&[job(20, &status()), tried.clone(), refused(2)]),
            ["job_failed load - []"]
        );
        assert!(lines(&[job(20, &status()), tried, refused(12)]).is_empty(), "of before that");
    }
}
