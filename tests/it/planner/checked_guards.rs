//! S05: the linter counts by itself what the guards would have held.

use chrono::TimeDelta;
use mape_k::domain::CHARTER;
use mape_k::domain::action::ActionKind;
use mape_k::domain::cycle::CandidateResult;
use mape_k::domain::ledger::{Breaker, End, Storm, Tripped};
use mape_k::domain::outcome::OutcomeType::Success;
use mape_k::domain::pause::Pause;
use mape_k::domain::target::System;
use mape_k::domain::treatment::Attempt;
use mape_k::planner::check;
use mape_k::planner::guardrails::Mode;
use uuid::Uuid;

use super::guards::did;
use super::world::{LATENCY, World};

/// The linter shares none of the guards' code: a plan that was sound is refused where one of them would have held.
#[test]
fn s05_the_linter_refuses_what_a_guard_would_have_held() {
    let world = World::with(LATENCY, CHARTER);
    let plan = world.plan();
    let must_refuse = |change: &dyn Fn(&mut World), why: &str| {
        let mut later = world.clone();
        change(&mut later);
        let refused = later.ask(|input| check(input, &plan));
        assert!(refused.iter().any(|text| text.ends_with(why)), "not for {why:?}: {refused:?}");
    };
    must_refuse(
        &|w| {
            let (since, until) = (w.now, w.now + TimeDelta::seconds(1));
            let (by, reason) = ("ada".to_owned(), "x".to_owned());
            w.pause = Some(Pause { by, reason, since, until });
        },
        "somebody has paused the loop",
    );
    must_refuse(&|w| w.settings.guardrails.mode = Mode::Observe, "the mode is observe");
    must_refuse(
        &|w| w.settings.guardrails.forbidden_actions = [ActionKind::ScaleUp].into(),
        "it is forbidden",
    );
    must_refuse(
        &|w| {
            let storm = Storm {
                since: w.now,
                components: 9,
                sick: 9,
                firing: 9,
                nodes: 0,
                not_ready: 0,
                calm_since: None,
                throttled_at: None,
            };
            w.ledger.storms.insert(System::Charter, storm);
        },
        "in a storm only one throttle goes out",
    );
    must_refuse(
        &|w| {
            let (at, until) = (w.now, w.now + TimeDelta::seconds(9));
            let tripped = Some(Tripped { at, until, why: "x".to_owned() });
            w.ledger.breakers.insert(System::Charter, Breaker { counts_from: Some(at), tripped });
        },
        "the breaker is open",
    );
    must_refuse(
        &|w| did(w, ActionKind::ScaleUp, CHARTER, "x", 299, End::Judged(Success)),
        "the same was done there a moment ago",
    );
    must_refuse(
        &|w| did(w, ActionKind::ScaleDown, CHARTER, "x", 599, End::Judged(Success)),
        "its opposite was done a moment ago",
    );
    must_refuse(
        &|w| {
            for n in 0..6 {
                did(w, ActionKind::RestartService, &n.to_string(), "x", 600, End::Open);
            }
        },
        "the hour's budget is spent",
    );
    must_refuse(
        &|w| {
            for n in 0..3 {
                did(w, ActionKind::ApplyPolicy, CHARTER, "x", 600 + n, End::Judged(Success));
            }
        },
        "its target's budget is spent",
    );
    let mut full = plan.clone();
    let attempts = &mut full.treatments[0].attempts;
    attempts.extend((0..4).map(|_| Attempt {
        action: ActionKind::ThrottleRequests,
        policy_id: Uuid::nil(),
        at: world.now,
        verdict: Some(Success),
        failed: false,
    }));
    let found = world.ask(|input| check(input, &full));
    assert!(found.iter().any(|text| text.ends_with("its incident has had its actions")));
    let mut doctored = plan.clone();
    let chosen = doctored.candidates.iter_mut().find(|c| c.verdict == CandidateResult::Chosen);
    chosen.expect("chosen").guards.pop();
    let found = world.ask(|input| check(input, &doctored));
    assert!(found.iter().any(|text| text.ends_with("not every guard was asked")), "{found:?}");
}
