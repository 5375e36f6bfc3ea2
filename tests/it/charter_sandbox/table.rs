//! Every fault × all nine actions, walked against the table of the control API: what heals, what does not, what makes it
//! worse. A walk acts where the loop would, with the loop's parameters, and looks where the loop would look.

use std::collections::BTreeSet;

use mape_k::charter_sandbox::faults::Fault;

use super::rules::{Action, Plant, Reading};

/// How often a walk looks.
const LOOK: u64 = 10;
/// Every walk goes on this long after the action: past the longest settle time (300 s) and the judgement after it.
const WALK: u64 = 480;

/// What must come of an action.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// Nothing is broken from the end of settle on.
    Healed,
    /// At least as much is broken as before.
    Stays,
    /// Less is broken, not nothing.
    Eased,
    /// As `Stays`, and meanwhile worse than if nobody had touched it.
    Worse,
    /// It ends when it would have ended anyway.
    ByItself,
    /// It would end by itself, and hurts no more until then.
    Relieved,
}

fn expected(fault: Fault, action: Action) -> End {
    match (fault, action) {
        (Fault::Overload, Action::ScaleUp | Action::Throttle)
        | (Fault::SlowLeak, Action::Restart)
        | (Fault::MisconfiguredPolicy, Action::ApplyPolicy)
        | (Fault::HotShard, Action::Rebalance)
        | (Fault::BadConfiguration, Action::UpdateConfiguration)
        | (Fault::RetryStorm, Action::Throttle) => End::Healed,
        (Fault::Overload | Fault::RetryStorm, Action::Restart | Action::ScaleDown) => End::Worse,
        // A third of the validations less: the validator catches up, or its bypassed type has nothing to wait for.
        (Fault::Overload | Fault::RetryStorm, Action::Bypass) => End::Eased,
        // The shocked store is asked for less: by the throttle from everybody, by the bypass from the validator.
        (Fault::SharedShock, Action::Throttle | Action::Bypass) => End::Relieved,
        (Fault::TransientBlip | Fault::TelemetryGap | Fault::SharedShock, _) => End::ByItself,
        _ => End::Stays,
    }
}

/// What a walk saw.
#[derive(Debug)]
struct Walk {
    before: BTreeSet<String>,
    judged: BTreeSet<String>,
    late: BTreeSet<String>,
    peak_latency: f64,
    peak_failures: f64,
    /// From here on, after the action, the series are there and none breaks a rule.
    recovered_after: Option<u64>,
}

fn walk(fault: Fault, action: Option<Action>) -> Walk {
    let mut plant = Plant::healthy(7);
    let healthy = plant.reading();
    plant.inject(fault);
    plant.wait(match fault {
        Fault::TransientBlip => 20,
        Fault::SharedShock | Fault::TelemetryGap => 60,
        _ => 105,
    });
    let before = plant.read();
    if let Some(action) = action {
        action.perform(&mut plant, before.as_ref());
    }
    let settle = action.map_or(120, Action::settle);
    let mut walk = Walk {
        before: before.as_ref().map(|reading| reading.broken(&healthy)).unwrap_or_default(),
        judged: BTreeSet::new(),
        late: BTreeSet::new(),
        peak_latency: 0.0,
        peak_failures: 0.0,
        recovered_after: None,
    };
    let mut earlier: Option<Reading> = before;
    for seconds in (LOOK..=WALK).step_by(usize::try_from(LOOK).expect("small")) {
        plant.wait(LOOK);
        let reading = plant.read();
        let broken = match (&reading, &earlier) {
            (Some(now), Some(earlier)) => now.broken(earlier),
            (Some(now), None) => now.broken(now),
            (None, _) => BTreeSet::from(["series missing".to_owned()]),
        };
        // As the loop judges: what is active in the two cycles after settle.
        if (settle..=settle + 60).contains(&seconds) {
            walk.judged.extend(broken.iter().cloned());
        }
        if seconds > WALK - 60 {
            walk.late.extend(broken.iter().cloned());
        }
        if broken.is_empty() {
            walk.recovered_after.get_or_insert(seconds);
        } else {
            walk.recovered_after = None;
        }
        if let Some(reading) = &reading {
            walk.peak_latency = walk.peak_latency.max(reading.worst_latency());
            walk.peak_failures = walk.peak_failures.max(reading.worst_failure_rate());
        }
        earlier = reading;
    }
    walk
}

/// Walks all nine actions against one fault, beside a twin that nobody touches.
fn walk_all_actions(fault: Fault) {
    let twin = walk(fault, None);
    for action in Action::ALL {
        let walk = walk(fault, Some(action));
        let end = expected(fault, action);
        println!(
            "{} × {action:?}: {end:?}, recovered after {:?} s",
            fault.name(),
            walk.recovered_after
        );
        let case = format!("{} × {action:?}, wanted {end:?}: {walk:#?}", fault.name());
        match end {
            End::Healed => {
                assert!(!walk.before.is_empty() && !twin.late.is_empty(), "{case}");
                assert!(walk.judged.is_empty() && walk.late.is_empty(), "{case}");
                assert!(
                    walk.recovered_after.is_some_and(|after| after <= action.settle()),
                    "{case}"
                );
            }
            End::Stays => {
                assert!(!walk.before.is_empty(), "{case}");
                assert!(walk.judged.is_superset(&walk.before), "{case}");
                assert!(walk.late.is_superset(&walk.before), "{case}");
            }
            End::Eased => {
                for seen in [&walk.judged, &walk.late] {
                    assert!(!seen.is_empty() && seen.len() < walk.before.len(), "{case}");
                }
            }
            End::Worse => {
                assert!(walk.late.is_superset(&walk.before), "{case}");
                let worse = walk.peak_latency > twin.peak_latency * 1.2
                    || walk.peak_failures > twin.peak_failures * 1.2;
                assert!(worse, "{case}\nuntouched: {twin:#?}");
            }
            End::ByItself => {
                assert!(twin.recovered_after.is_some(), "{case}");
                assert!(
                    walk.recovered_after >= twin.recovered_after,
                    "{case}\nuntouched: {twin:#?}"
                );
                assert!(walk.late.is_empty(), "{case}");
            }
            End::Relieved => {
                assert!(walk.recovered_after.is_some_and(|after| after <= 30), "{case}");
                assert!(twin.recovered_after.is_some_and(|after| after > 60), "{case}");
            }
        }
    }
}

#[test]
fn overload_is_healed_by_capacity_or_by_less_load_alone() {
    walk_all_actions(Fault::Overload);
}

#[test]
fn slow_leak_is_healed_by_a_restart_of_the_service_alone() {
    walk_all_actions(Fault::SlowLeak);
}

#[test]
fn misconfigured_policy_is_healed_by_the_baseline_alone() {
    walk_all_actions(Fault::MisconfiguredPolicy);
}

#[test]
fn hot_shard_is_healed_by_moving_keys_alone() {
    walk_all_actions(Fault::HotShard);
}

#[test]
fn bad_configuration_is_healed_by_the_prior_settings_alone() {
    walk_all_actions(Fault::BadConfiguration);
}

#[test]
fn retry_storm_is_healed_by_a_throttle_alone() {
    walk_all_actions(Fault::RetryStorm);
}

#[test]
fn transient_blip_ends_by_itself_whatever_is_done() {
    walk_all_actions(Fault::TransientBlip);
}

#[test]
fn telemetry_gap_ends_by_itself_whatever_is_done() {
    walk_all_actions(Fault::TelemetryGap);
}

#[test]
fn shared_shock_ends_by_itself_and_hurts_less_under_less_load() {
    walk_all_actions(Fault::SharedShock);
}
