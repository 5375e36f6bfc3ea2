//! No generated plan breaks the check, planning twice decides the same, and constant input comes to rest.

use mape_k::domain::CHARTER;
use mape_k::domain::action::ActionKind;
use mape_k::domain::charter::{CharterView, CommitteeStatus};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::Approval;
use mape_k::domain::target::Target;
use mape_k::domain::treatment::Treatment;
use mape_k::planner::Plan;
use proptest::prelude::*;

use super::world::{CASCADE, LATENCY, MISCONFIGURED, OVERLOAD, World, committee, start};

/// Without what moves in every cycle by itself.
fn still(plan: &Plan) -> Vec<Treatment> {
    let mut incidents = plan.treatments.clone();
    for incident in &mut incidents {
        incident.last_evidence_at = start();
    }
    incidents
}

/// Waiting for a person, nothing is written in a hundred cycles but the incident's last evidence, save at expiry.
#[test]
fn constant_input_comes_to_rest_while_a_person_is_awaited() {
    let mut world = World::with(LATENCY, CHARTER).by_hand();
    world.add(MISCONFIGURED, "p1", 0.8);
    world.settings.approval_ttl = std::time::Duration::from_secs(1_000_000);
    let mut before = still(&world.cycle());
    for _ in 0..100 {
        let plan = world.cycle();
        assert!(plan.policies.is_empty(), "an unchanged policy is not written");
        assert_eq!(still(&plan), before);
        before = still(&plan);
    }
}

/// With remedies that never help, the number of calls is bounded and then nothing changes any more.
#[test]
fn constant_input_comes_to_rest_when_nothing_helps() {
    for verdict in OutcomeType::ALL.into_iter().filter(|v| *v != OutcomeType::Success) {
        let mut world = World::with(LATENCY, CHARTER);
        world.settings.guardrails.auto_approve_high_risk = true;
        world.add(CASCADE, "ingest", 0.8);
        world.add(OVERLOAD, "ingest", 0.8);
        world.add(MISCONFIGURED, "p1", 0.8);
        let calls = world.actions(60, verdict).into_iter().flatten().count();
        assert!(calls <= 4 * 4, "{calls} calls");
        let before = still(&world.cycle());
        for _ in 0..20 {
            let plan = world.cycle();
            assert!(plan.chosen.is_none() && plan.policies.is_empty());
            assert_eq!(plan.concerns.len(), 4, "people are told in every cycle");
            assert_eq!(still(&plan), before);
        }
    }
}

fn any_world() -> impl Strategy<Value = World> {
    let cause = prop::sample::select(vec![LATENCY, MISCONFIGURED, CASCADE, OVERLOAD, "unknown"]);
    let component = prop::sample::select(vec![CHARTER, "a", "b", "c"]);
    let root = (cause, component, 0.4..=1.0f64, 0u32..6, any::<bool>(), any::<bool>());
    let roots = prop::collection::vec(root, 0..8);
    let charter = (0u32..25, 0u32..25, any::<bool>(), 0u8..8);
    let served = prop::option::of(0.0..5000.0f64);
    let blocked = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2);
    (roots, charter, served, blocked, any::<bool>(), any::<bool>()).prop_map(
        |(roots, (size, healthy, recovering, down), served, blocked, auto, learned)| {
            let mut world = World::new();
            for (cause, component, confidence, occurrences, critical, confirmed) in roots {
                if world.violations.contains_key(&format!("{cause}/{component}")) {
                    continue;
                }
                let root = world.add(cause, component, confidence);
                (root.occurrences, root.critical) = (occurrences, critical);
                let seen = format!("{cause}/{component}");
                world.violations.get_mut(&seen).expect("just added").confirmed = confirmed;
            }
            let status =
                if recovering { CommitteeStatus::Recovering } else { CommitteeStatus::Normal };
            world.charter = committee(status, size, healthy.min(size));
            world.recovering_since = recovering.then(start);
            if down == 0 {
                world.charter =
                    CharterView { at: start(), is_on: true, state: Err("refused".to_owned()) };
            }
            world.served = served;
            world.blocked = blocked.into_iter().map(Target::service).collect();
            world.settings.auto_approve = auto;
            if learned {
                world.learned(LATENCY, ActionKind::ScaleUp, 20, 1);
            }
            world
        },
    )
}

#[derive(Clone, Debug)]
enum Event {
    Judged(OutcomeType),
    Failed,
    Decided(Approval),
    Resized(u32),
    Served(f64),
    Waited(i64),
    Cleared,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        prop::sample::select(OutcomeType::ALL.to_vec()).prop_map(Event::Judged),
        Just(Event::Failed),
        prop::sample::select(vec![Approval::Approved, Approval::Rejected]).prop_map(Event::Decided),
        (0u32..25).prop_map(Event::Resized),
        (0.0..5000.0f64).prop_map(Event::Served),
        (0i64..1200).prop_map(Event::Waited),
        Just(Event::Cleared),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens in whatever world, no plan breaks the check (`World::plan` asserts it), the same input gives
    /// the same plan, and no incident sees more than three inconclusive or final tries of one action.
    #[test]
    fn no_plan_breaks_the_check_and_planning_is_a_function(
        mut world in any_world(),
        events in prop::collection::vec(any_event(), 1..25),
    ) {
        for event in events {
            prop_assert_eq!(world.plan(), world.plan());
            world.pass();
            match event {
                Event::Judged(verdict) => world.judged(verdict),
                Event::Failed => world.failed(),
                Event::Decided(approval) => world.decide(approval),
                Event::Resized(replicas) => world.size(replicas),
                Event::Served(rate) => world.served = Some(rate),
                Event::Waited(seconds) => world.wait(seconds),
                Event::Cleared => world.clear(),
            }
            for incident in &world.treatments {
                for kind in ActionKind::ALL {
                    let tries = incident.attempts.iter().filter(|a| a.action == kind
                        && a.verdict != Some(OutcomeType::Success));
                    prop_assert!(tries.count() <= 4);
                }
            }
        }
    }
}
