//! Computes an action's parameters, or says by which number the action is impossible.

use super::PlanInput;
use super::settings::Strategy;
use crate::domain::CHARTER;
use crate::domain::action::{Action, ActionKind, RebalanceStrategy};
use crate::domain::charter::CommitteeState;
use crate::domain::cycle::Impossibility;

/// Throttling leaves this share of what was served.
const THROTTLE_SHARE: f64 = 0.8;

pub(super) type Computed = Result<Action, (Impossibility, String)>;

/// `confined`: the cause holds on `component` alone.
pub(super) fn compute(
    input: &PlanInput<'_>,
    strategy: &Strategy,
    component: &str,
    confined: bool,
) -> Computed {
    match strategy.action {
        ActionKind::ScaleUp => scale_up(input, strategy),
        ActionKind::ScaleDown => scale_down(input, strategy),
        ActionKind::RestartService => restart(strategy, component, confined),
        ActionKind::ApplyPolicy => {
            let policy_set = required(strategy.policy_set.as_ref(), "policy_set")?;
            Ok(Action::ApplyPolicy { policy_set: policy_set.clone() })
        }
        ActionKind::BypassValidation => Ok(Action::BypassValidation {
            validation_type: required(strategy.validation_type.as_ref(), "validation_type")?
                .clone(),
            duration_seconds: duration(strategy)?,
        }),
        ActionKind::ThrottleRequests => {
            let computed = input.served_rate.map(|rate| rate * THROTTLE_SHARE);
            let rate_limit = strategy.rate_limit.or(computed).filter(|r| r.is_finite() && *r > 0.0);
            Ok(Action::ThrottleRequests {
                rate_limit: rate_limit.ok_or_else(|| {
                    missing("rate_limit: the served rate is not known and none is configured")
                })?,
                duration_seconds: duration(strategy)?,
            })
        }
        ActionKind::ActivateEmergencyOverride => {
            Ok(Action::ActivateEmergencyOverride { duration_seconds: duration(strategy)? })
        }
        ActionKind::RebalanceLoad => Ok(Action::RebalanceLoad {
            strategy: strategy.strategy.unwrap_or(RebalanceStrategy::LeastLoaded),
        }),
        ActionKind::UpdateConfiguration => {
            let settings = required(strategy.settings.as_ref(), "settings")?;
            Ok(Action::UpdateConfiguration { settings: settings.clone() })
        }
        ActionKind::Hook(hook) => {
            let spec = input.settings.hooks.get(&strategy.action);
            let spec = spec.ok_or_else(|| missing(&format!("hooks has no {hook}")))?;
            Ok(Action::Hook { hook, target: spec.target.clone(), risk: spec.risk })
        }
    }
}

/// ceil(present × factor), at least one more, at most double, within the limits.
fn scale_up(input: &PlanInput<'_>, strategy: &Strategy) -> Computed {
    let scaling = &input.settings.scaling;
    let present = present(input)?.replicas;
    if present < scaling.min_replicas || present > scaling.max_replicas {
        return Err(outside(present, scaling.min_replicas, scaling.max_replicas));
    }
    // present is at most max_replicas, far below 2^52.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wanted = (f64::from(present) * scaling.factor).ceil() as u32;
    let target = strategy
        .replicas
        .unwrap_or_else(|| wanted.max(present.saturating_add(1)))
        .min(present.saturating_mul(2))
        .min(scaling.max_replicas);
    if target <= present {
        return Err((
            Impossibility::AtLimit,
            format!(
                "{present} replicas present, limit {}",
                strategy.replicas.unwrap_or(scaling.max_replicas)
            ),
        ));
    }
    Ok(Action::ScaleUp { replicas: target })
}

/// Whether a size that was computed earlier is still a step that may be taken from the present one.
pub(super) fn still_fits(input: &PlanInput<'_>, action: &Action) -> bool {
    match (action, &input.charter.state) {
        (Action::ScaleUp { replicas }, Ok(state)) => {
            let highest = state.replicas.saturating_mul(2).min(input.settings.scaling.max_replicas);
            (state.replicas + 1..=highest).contains(replicas)
        }
        _ => true,
    }
}

fn scale_down(input: &PlanInput<'_>, strategy: &Strategy) -> Computed {
    let scaling = &input.settings.scaling;
    let present = present(input)?.replicas;
    let target = *required(strategy.replicas.as_ref(), "replicas")?;
    if target < scaling.min_replicas || target > scaling.max_replicas {
        return Err(outside(target, scaling.min_replicas, scaling.max_replicas));
    }
    if target >= present {
        return Err((
            Impossibility::AtLimit,
            format!("{present} replicas present, target {target}"),
        ));
    }
    Ok(Action::ScaleDown { replicas: target })
}

fn restart(strategy: &Strategy, component: &str, confined: bool) -> Computed {
    let graceful = strategy.graceful.unwrap_or(true);
    if strategy.service.as_deref() == Some("all") {
        return Ok(Action::RestartService { service: None, graceful });
    }
    if let Some(service) = &strategy.service {
        return Ok(Action::RestartService { service: Some(service.clone()), graceful });
    }
    if component == CHARTER {
        return Err(missing("service: the cause names no single component to restart"));
    }
    if !confined {
        return Err((
            Impossibility::NotConfined,
            format!("the cause does not hold on {component} alone"),
        ));
    }
    Ok(Action::RestartService { service: Some(component.to_owned()), graceful })
}

fn present<'a>(input: &'a PlanInput<'_>) -> Result<&'a CommitteeState, (Impossibility, String)> {
    match &input.charter.state {
        Ok(state) if state.replicas > 0 => Ok(state),
        Ok(_) => Err((Impossibility::SizeUnknown, "Charter says it has 0 replicas".to_owned())),
        Err(error) => Err((Impossibility::SizeUnknown, error.clone())),
    }
}

fn outside(size: u32, min: u32, max: u32) -> (Impossibility, String) {
    let reason = if size > max { Impossibility::AtLimit } else { Impossibility::Invalid };
    (reason, format!("{size} replicas are outside the limits {min}..{max}"))
}

fn required<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T, (Impossibility, String)> {
    value.ok_or_else(|| missing(&format!("{name}: neither computed nor configured")))
}

fn duration(strategy: &Strategy) -> Result<u64, (Impossibility, String)> {
    let seconds = required(strategy.duration_seconds.as_ref(), "duration_seconds")?.as_secs_f64();
    // Whole seconds on the wire, never 0: a state without an end would be no temporary state.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((seconds.ceil() as u64).max(1))
}

fn missing(text: &str) -> (Impossibility, String) {
    (Impossibility::ParameterMissing, text.to_owned())
}
