//! The same loop in faster time: every duration divided, so that an hour of the loop passes in minutes.
//!
//! Every struct is taken apart without `..`: a new field does not compile until it is decided here whether it is time.
//! Time-outs of calls stay, because the network does not become faster.

use std::sync::Arc;
use std::time::Duration;

use super::Config;
use crate::analyzer::settings::{
    Algorithms, Causal, Flapping, Frequency, Spatial, Sustained, Temporal,
};
use crate::domain::rule::{Measure, MetricRule, Rule};
use crate::escalation::settings::BusinessHours;
use crate::monitor::{cluster, github};
use crate::notify::settings::{Alertmanager, Channels, Slack};
use crate::planner::guardrails::{Breaker, Budget, Cooldown, Fleet, Guardrails, Storm};
use crate::planner::settings::{GiveBack, Scaling, Strategy};
use crate::{
    analyzer, control_loop, escalation, executor, knowledge, monitor, notify, planner, server,
    telemetry,
};

/// Divides durations by a factor above zero.
#[derive(Clone, Copy)]
struct Pace(f64);

impl Pace {
    fn apply(self, duration: &mut Duration) {
        *duration =
            Duration::try_from_secs_f64(duration.as_secs_f64() / self.0).unwrap_or(Duration::MAX);
    }

    fn apply_all<'d>(self, durations: impl IntoIterator<Item = &'d mut Duration>) {
        durations.into_iter().for_each(|duration| self.apply(duration));
    }
}

impl Config {
    /// This configuration in time that passes `factor` times as fast; the factor is above zero.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let pace = Pace(factor);
        let mut scaled = self.clone();
        let Self {
            orchestrator,
            monitor,
            analyze,
            plan,
            execute,
            knowledge,
            alertmanager,
            api,
            kubernetes,
            escalation,
            slack,
            notify,
            github,
            logging,
        } = &mut scaled;
        scale_orchestrator(orchestrator, pace);
        scale_monitor(monitor, pace);
        scale_analyze(analyze, pace);
        scale_plan(plan, pace);
        scale_execute(execute, pace);
        scale_knowledge(knowledge, pace);
        scale_alertmanager(alertmanager, pace);
        let server::Settings {
            host: _,
            port: _,
            token: _,
            read_token: _,
            // Of peers, which live in the world's time.
            rate_limit: _,
            cors_origins: _,
            tls: _,
            stall_after,
        } = api;
        pace.apply(stall_after);
        scale_escalation(escalation, pace);
        scale_outside(kubernetes, slack, notify, github, pace);
        let telemetry::Settings { level: _, format: _, file: _, max_bytes: _, backup_count: _ } =
            logging;
        scaled
    }
}

fn scale_orchestrator(settings: &mut control_loop::Settings, pace: Pace) {
    let control_loop::Settings {
        mode: _,
        loop_interval,
        plan_threshold: _,
        leader_lease,
        auto_approve: _,
        log_level: _,
    } = settings;
    pace.apply_all([loop_interval, leader_lease]);
}

fn scale_monitor(settings: &mut monitor::Settings, pace: Pace) {
    let monitor::Settings {
        source: _,
        prometheus_url: _,
        scrape_url: _,
        poll_interval,
        // The time-out of a call.
        query_timeout: _,
        bearer_token: _,
        http: _,
        scope: _,
        min_coverage: _,
        rules,
        max_skew,
    } = settings;
    pace.apply_all([poll_interval, max_skew]);
    for rule in rules {
        let Rule { name: _, measure, severity: _, component: _, cause: _ } = Arc::make_mut(rule);
        match measure {
            Measure::Metric(MetricRule {
                metric: _,
                labels: _,
                aggregate: _,
                by: _,
                increase_over,
                comparison: _,
                threshold: _,
            }) => pace.apply_all(increase_over),
            // A window inside the user's PromQL is text; scrape, which the demo uses, has no queries.
            Measure::Query { promql: _, comparison: _, threshold: _ }
            | Measure::Condition { promql: _, present: _ } => {}
        }
    }
}

fn scale_analyze(settings: &mut analyzer::Settings, pace: Pace) {
    let analyzer::Settings {
        pattern_history_limit: _,
        algorithms,
        flapping,
        interval,
        poll_interval,
        min_coverage: _,
        forget_after,
        missing_after,
        never_seen_after,
        occurrence_window,
    } = settings;
    pace.apply_all([
        interval,
        poll_interval,
        forget_after,
        missing_after,
        never_seen_after,
        occurrence_window,
    ]);
    let Flapping { returns: _, window, clear, quiet } = flapping;
    pace.apply_all([window, clear, quiet]);
    let Algorithms { temporal, spatial, causal, frequency, sustained } = algorithms;
    let Temporal { enabled: _, sensitivity: _, window, min_onsets: _ } = temporal;
    pace.apply(window);
    let Spatial { enabled: _, sensitivity: _, min_violations: _ } = spatial;
    let Causal {
        enabled: _,
        sensitivity: _,
        correlation_threshold: _,
        latency: _,
        failure: _,
        // Counted in points, not in time.
        window: _,
        min_points: _,
    } = causal;
    let Frequency { enabled: _, sensitivity: _, anomaly_threshold: _, window } = frequency;
    pace.apply(window);
    let Sustained { enabled: _, sensitivity: _, cycles: _, of: _ } = sustained;
}

fn scale_plan(settings: &mut planner::Settings, pace: Pace) {
    let planner::Settings {
        plan_threshold: _,
        auto_approve: _,
        cost_model: _,
        benefit_target: _,
        min_confidence: _,
        min_score: _,
        max_policies_per_analysis: _,
        approval_ttl,
        scaling: Scaling { factor: _, min_replicas: _, max_replicas: _ },
        give_back: GiveBack { after },
        strategies,
        saturation: _,
        learning: _,
        guardrails,
        incident_gap,
        rejection_holds,
        resize_settle,
        settle,
        min_coverage: _,
    } = settings;
    pace.apply_all(settle.values_mut());
    pace.apply_all([approval_ttl, incident_gap, rejection_holds, resize_settle]);
    pace.apply_all(after);
    scale_guardrails(guardrails, pace);
    for strategy in strategies.values_mut().flatten() {
        let Strategy {
            action: _,
            after: _,
            service: _,
            graceful: _,
            policy_set: _,
            validation_type: _,
            rate_limit: _,
            duration_seconds,
            strategy: _,
            settings: _,
            replicas: _,
        } = strategy;
        pace.apply_all(duration_seconds);
    }
}

fn scale_guardrails(rails: &mut Guardrails, pace: Pace) {
    let Guardrails {
        mode: _,
        auto_approve_high_risk: _,
        forbidden_actions: _,
        actions_per_incident: _,
        actions_per_cause_per_day: _,
        failures_per_remedy: _,
        temporary_limit,
        cooldown: Cooldown { shortest, longest, opposite },
        budget:
            Budget {
                per_hour: _,
                per_target_per_hour: _,
                override_gap,
                overrides_per_day: _,
                hour,
                day,
            },
        fleet: Fleet { share: _, redundancy_groups: _ },
        breaker: Breaker { degradations: _, of: _, ineffective: _, open_for },
        storm:
            Storm { firing: _, within, unhealthy: _, min_components: _, min_sick: _, leave_after },
    } = rails;
    pace.apply_all([temporary_limit, shortest, longest, opposite, override_gap, hour, day]);
    pace.apply_all([open_for, within, leave_after]);
}

fn scale_execute(settings: &mut executor::Settings, pace: Pace) {
    let executor::Settings {
        charter_url: _,
        charter_api_key: _,
        http: _,
        // The time-outs of a call and of a policy's calls.
        timeout_seconds: _,
        policy_timeout: _,
        max_retries: _,
        rollback_enabled: _,
        execution_mode: _,
        idempotent_charter: _,
        settle_default,
        settle,
        rails: _,
    } = settings;
    pace.apply(settle_default);
    pace.apply_all(settle.values_mut());
}

fn scale_knowledge(settings: &mut knowledge::Settings, pace: Pace) {
    let knowledge::Settings {
        database: _,
        sqlite_path: _,
        postgres_url: _,
        pattern_learning_enabled: _,
        confidence_saturation_point: _,
        outcome_history_limit: _,
        insight_generation_enabled: _,
        retention,
        judge_limit,
        alert_retention,
        approval_ttl,
    } = settings;
    pace.apply_all([retention, judge_limit, alert_retention, approval_ttl]);
}

fn scale_alertmanager(settings: &mut monitor::AlertmanagerSettings, pace: Pace) {
    let monitor::AlertmanagerSettings {
        enabled: _,
        url: _,
        http: _,
        webhook_host: _,
        webhook_port: _,
        webhook_path: _,
        webhook_token: _,
        receiver: _,
        wake_gap,
        max_body_bytes: _,
        handlers: _,
        ignore: _,
        trust_absence_after,
    } = settings;
    pace.apply_all([wake_gap, trust_absence_after]);
}

fn scale_escalation(settings: &mut escalation::settings::Settings, pace: Pace) {
    let escalation::settings::Settings {
        services_file: _,
        // The time-out of an assessment.
        timeout: _,
        interval,
        default_tier: _,
        // Hours of people, who live in the world's time.
        business_hours: BusinessHours { start: _, end: _, time_zone: _, days: _ },
        repeat_after,
        reports_dir: _,
        reports_max_files: _,
    } = settings;
    pace.apply_all([interval, repeat_after]);
}

/// What is outside and has no pace of ours, but for how far back a deployment may be.
fn scale_outside(
    kubernetes: &mut cluster::settings::Settings,
    slack: &mut Slack,
    notify: &mut notify::settings::Settings,
    github: &mut github::settings::Settings,
    pace: Pace,
) {
    let cluster::settings::Settings {
        enabled: _,
        kubeconfig: _,
        namespaces: _,
        kinds: _,
        log_lines: _,
    } = kubernetes;
    let Slack {
        enabled: _,
        api_url: _,
        token: _,
        webhook_url: _,
        http: _,
        channels: Channels { critical: _, infrastructure: _, test: _ },
        test_mode: _,
    } = slack;
    let notify::settings::Settings { alertmanager: Alertmanager { enabled: _, url: _, http: _ } } =
        notify;
    let github::settings::Settings {
        enabled: _,
        api_url: _,
        token: _,
        http: _,
        owner: _,
        repository: _,
        window,
    } = github;
    pace.apply(window);
}
