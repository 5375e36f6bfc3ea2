//! What each fault looks like to the shipped rules, when, and what stays quiet.

use std::collections::BTreeSet;

use mape_k::charter_sandbox::faults::Fault;

use super::rules::{Action, COMPONENTS, Plant, Reading, apply, restart};
use serde_json::json;

/// The first second after the injection at which `holds`, looking every second for five minutes.
fn first_second(plant: &Plant, holds: impl Fn(&Reading) -> bool) -> Option<u64> {
    (1..=300).find(|_| {
        plant.wait(1);
        holds(&plant.reading())
    })
}

#[test]
fn a_healthy_plant_stays_far_from_every_shipped_threshold() {
    let plant = Plant::healthy(1);
    let start = plant.reading();
    for _ in 0..120 {
        plant.wait(30);
        let reading = plant.reading();
        assert!(reading.worst_latency() < 0.5, "{reading:?}");
        assert!(reading.worst_failure_rate() < 0.02, "{reading:?}");
        assert!(reading.throughput.values().all(|rate| *rate > 200.0), "{reading:?}");
        assert!(reading.broken(&start).is_empty(), "{reading:?}");
    }
}

#[test]
fn overload_breaks_latency_first_and_then_the_failure_rate_of_all() {
    let plant = Plant::healthy(1);
    plant.inject(Fault::Overload);
    let slow = first_second(&plant, |reading| reading.slow_types() == 3).expect("latency breaks");
    assert!(plant.reading().failing().is_empty(), "failures broke first");
    let failing = slow
        + first_second(&plant, |reading| reading.failing().len() == 3).expect("failures break");
    println!("overload: latency breaks after {slow} s, failure rates after {failing} s");
    assert!(plant.reading().slow_types() == 3);
}

#[test]
fn slow_leak_breaks_one_service_while_healthy_nodes_fall_and_latency_stays() {
    let mut plant = Plant::healthy(1);
    assert_eq!(plant.state()["healthy_nodes"], 3);
    plant.inject(Fault::SlowLeak);
    let broken =
        first_second(&plant, |reading| !reading.failing().is_empty()).expect("failures break");
    println!("slow_leak: failure rate breaks after {broken} s");
    plant.wait(90);
    assert_eq!(plant.state()["healthy_nodes"], 0);
    assert_eq!(plant.reading().failing(), BTreeSet::from(["enforcer".to_owned()]));
    assert!(plant.reading().worst_latency() < 1.0);

    for other in COMPONENTS.into_iter().filter(|name| *name != "enforcer") {
        restart(&mut plant, other);
        plant.wait(120);
        assert_eq!(plant.reading().failing().len(), 1, "a restart of {other} must not help");
    }
    restart(&mut plant, "enforcer");
    plant.wait(120);
    assert!(plant.reading().failing().is_empty());
    assert_eq!(plant.state()["healthy_nodes"], 3);
}

#[test]
fn misconfigured_policy_raises_one_critical_counter_several_times_a_minute() {
    let mut plant = Plant::healthy(1);
    let start = plant.reading();
    assert!(
        start.critical.len() == 3 && start.critical.values().all(|count| *count == 0.0),
        "{start:?}"
    );
    plant.inject(Fault::MisconfiguredPolicy);
    plant.wait(60);
    let bad = plant.reading();
    let risen: Vec<_> = bad.critical.iter().filter(|(_, count)| **count > 0.0).collect();
    println!("misconfigured_policy: {risen:?} after one minute");
    assert!(
        matches!(risen.as_slice(), [(id, count)] if *id == "access-control" && **count >= 4.0),
        "{risen:?}"
    );
    assert_eq!(bad.failing(), BTreeSet::from(["enforcer".to_owned()]));
    assert_eq!(bad.slow_types(), 0);

    Action::ApplyPolicy.perform(&mut plant, Some(&bad));
    let applied = plant.reading();
    plant.wait(600);
    assert_eq!(plant.reading().critical, applied.critical, "the counter stops with the cure");
}

#[test]
fn hot_shard_breaks_one_component_and_bad_configuration_all_with_normal_latency() {
    for (fault, failing) in [(Fault::HotShard, 1), (Fault::BadConfiguration, 3)] {
        let plant = Plant::healthy(1);
        plant.inject(fault);
        let broken = first_second(&plant, |reading| reading.failing().len() == failing)
            .expect("failures break");
        println!("{}: failure rate of {failing} breaks after {broken} s", fault.name());
        plant.wait(300);
        let reading = plant.reading();
        assert_eq!(reading.failing().len(), failing, "{reading:?}");
        assert!(reading.worst_latency() < 0.5, "{reading:?}");
    }
}

#[test]
fn retry_storm_breaks_latency_alone_and_no_number_of_replicas_ends_it() {
    let mut plant = Plant::healthy(1);
    plant.inject(Fault::RetryStorm);
    let slow = first_second(&plant, |reading| reading.slow_types() == 3).expect("latency breaks");
    println!("retry_storm: latency breaks after {slow} s");
    for replicas in [5, 8, 12, 18, 20] {
        plant.call("/api/v1/committee/scale", &json!({ "replicas": replicas }));
        for _ in 0..18 {
            plant.wait(10);
            assert_eq!(plant.reading().slow_types(), 3, "{replicas} replicas");
            assert!(plant.reading().failing().is_empty(), "{:?}", plant.reading());
        }
    }
}

#[test]
fn a_throttle_ends_a_retry_storm_for_good_but_an_overload_only_while_it_lasts() {
    for (fault, returns) in [(Fault::RetryStorm, false), (Fault::Overload, true)] {
        let mut plant = Plant::healthy(1);
        plant.inject(fault);
        plant.wait(90);
        let reading = plant.reading();
        Action::Throttle.perform(&mut plant, Some(&reading));
        plant.wait(890);
        assert_eq!(plant.reading().slow_types(), 0, "{}", fault.name());
        assert_eq!(plant.state()["policies"].as_array().map(Vec::len), Some(1));
        plant.wait(120);
        assert_eq!(plant.state()["policies"].as_array().map(Vec::len), Some(0), "expired");
        assert_eq!(plant.reading().slow_types() > 0, returns, "{}", fault.name());
    }
}

#[test]
fn transient_blip_breaks_latency_for_under_50_seconds() {
    for seed in 1..=5 {
        let plant = Plant::healthy(seed);
        plant.inject(Fault::TransientBlip);
        let mut slow = 0;
        for _ in 0..120 {
            plant.wait(1);
            slow += u32::from(plant.reading().slow_types() > 0);
            assert!(plant.reading().failing().is_empty());
        }
        println!("transient_blip: latency broken for {slow} s");
        assert!(slow > 0 && slow < 50, "{slow} s");
    }
}

#[test]
fn telemetry_gap_hides_every_series_for_four_minutes_of_good_health() {
    let plant = Plant::healthy(1);
    plant.inject(Fault::TelemetryGap);
    for _ in 0..239 {
        plant.wait(1);
        assert_eq!(plant.metrics(), "");
    }
    assert_eq!(plant.state()["status"], "normal");
    plant.wait(1);
    let back = plant.reading();
    assert!(back.broken(&back).is_empty() && back.latency.len() == 3, "{back:?}");
}

#[test]
fn shared_shock_breaks_several_but_not_all_for_about_two_minutes() {
    let plant = Plant::healthy(1);
    plant.inject(Fault::SharedShock);
    let mut broken = 0;
    for _ in 0..300 {
        plant.wait(1);
        let reading = plant.reading();
        broken += u32::from(
            reading.failing() == BTreeSet::from(["enforcer".to_owned(), "validator".to_owned()]),
        );
        assert_eq!(reading.slow_types(), 0);
    }
    println!("shared_shock: two failure rates broken for {broken} s");
    assert!((90..=150).contains(&broken), "{broken} s");
}

#[test]
fn no_fault_at_default_magnitude_breaks_the_throughput_rule() {
    for fault in Fault::ALL {
        let plant = Plant::healthy(1);
        plant.inject(fault);
        for _ in 0..30 {
            plant.wait(10);
            let Some(reading) = plant.read() else {
                continue;
            };
            assert!(
                reading.throughput.values().all(|rate| *rate > 100.0),
                "{}: {reading:?}",
                fault.name()
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| {
        let mut plant = Plant::healthy(seed);
        plant.inject(Fault::Overload);
        let mut trace = String::new();
        for step in 0..20 {
            plant.wait(15);
            trace += &plant.metrics();
            trace += &plant.state().to_string();
            if step == 6 {
                Action::ScaleUp.perform(&mut plant, None);
            }
        }
        trace
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_rollback_restores_what_the_policy_had_replaced() {
    let mut plant = Plant::healthy(1);
    plant.inject(Fault::BadConfiguration);
    plant.wait(90);
    Action::UpdateConfiguration.perform(&mut plant, None);
    plant.wait(60);
    assert!(plant.reading().failing().is_empty());
    let id = plant.state()["policies"][0]["policy_id"].as_str().expect("an id").to_owned();
    plant.call(&format!("/api/v1/policies/{id}/rollback"), &json!({}));
    plant.wait(60);
    assert_eq!(plant.reading().failing().len(), 3, "the bad settings are back");

    let mut plant = Plant::healthy(1);
    plant.inject(Fault::Overload);
    plant.wait(90);
    let throttle =
        json!({ "action": "throttle_requests", "rate_limit": 1200.0, "duration_seconds": 900 });
    let id = apply(&mut plant, &throttle)["policy_id"].as_str().expect("an id").to_owned();
    plant.wait(60);
    assert_eq!(plant.reading().slow_types(), 0);
    plant.call(&format!("/api/v1/policies/{id}/rollback"), &json!({}));
    plant.wait(60);
    assert_eq!(plant.reading().slow_types(), 3, "the load is back");
}
