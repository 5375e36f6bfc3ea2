"""Dashboard charter: what Charter says of itself, with what the loop did to it."""

from parts import (
    BLUE,
    GREEN,
    ORANGE,
    Query,
    annotation,
    dashboard,
    green_from,
    row,
    series,
    stat,
    steps_up,
    variables,
)
from queries import ALERTS, FIRING, OF, YES_NO, of


def charter_annotations():
    """A Charter has another job than its daemon: the actions of every daemon that this Prometheus knows."""
    actions = annotation(
        "Actions",
        BLUE,
        "sum by (action, state) (increase(mape_k_actions_total[90s])) > 0",
        "{{action}}: {{state}}",
        "action,state",
        "A daemon's execution ended and left this action so.",
    )
    return [actions, ALERTS]


def charter():
    def of_charter(metric, *matchers):
        return of("westworld_charter_" + metric, *matchers)

    def quantiles(metric, by=""):
        labels, legend = (f"{by}, quantile", f"{{{{{by}}}}} q{{{{quantile}}}}") if by else ("quantile", "q{{quantile}}")
        return Query(f"max by ({labels}) ({of_charter(metric)})", legend)

    def rate_by(by, metric, legend, *matchers):
        return Query(f"sum by ({by}) (rate({of_charter(metric, *matchers)}[$__rate_interval])) * 60", legend)

    panels = [
        row("At a glance"),
        stat(
            "Does Charter answer?",
            "Prometheus can scrape every instance (else alert `CharterAPIDown`).\n\nNO: bring Charter back; the loop "
            "is blind and cannot act meanwhile.",
            Query(f"min(up{OF}) or vector(0)", "all answer", words=YES_NO, steps=green_from(1)),
            FIRING,
            height=6,
        ),
        stat(
            "Slowest validation",
            "95th percentile of the slowest kind; the limit is that of rule and alert"
            " `CharterValidationLatencyHigh`.\n\nRed: the loop scales up, throttles or restarts by what it finds"
            " behind it.",
            Query("max(" + of_charter("validation_latency_seconds", 'quantile="0.95"') + ")", "p95"),
            unit="s",
            height=6,
            steps=steps_up(red=1),
        ),
        stat(
            "Worst failure rate",
            "Share of a component's answers that were errors; limit of `CharterFailureRateHigh`.\n\nRed: 'Failure rate'"
            " below shows which component.",
            Query(f"max({of_charter('failure_rate')})", "failure rate"),
            unit="percentunit",
            height=6,
            steps=steps_up(red=0.1),
        ),
        stat(
            "Lowest throughput",
            "Operations a second of the component that serves least; the mark of `CharterThroughputLow`.\n\nBlue:"
            " little is asked. A quiet night is no fault.",
            Query(f"min({of_charter('throughput_ops_per_sec')})", "lowest"),
            unit="ops",
            height=6,
            steps=[(None, BLUE), (100, GREEN)],
        ),
        stat(
            "Critical violations",
            "Critical policy violations within 5 minutes; one is enough for `CharterCriticalPolicyViolations`.\n\nRed:"
            " the loop looks for a misconfigured policy and applies the one before.",
            Query(
                "round(sum(increase(" + of_charter("policy_violations_total", 'severity="critical"') + "[5m])))",
                "in 5 minutes",
            ),
            height=6,
            steps=steps_up(red=1),
        ),
        stat(
            "Committee and overrides",
            "Replicas, booting ones included, and emergency overrides in force (for over 20 minutes:"
            " `CharterEmergencyOverrideStaysActive`).\n\nAn override: policies are not enforced meanwhile; find who"
            " set it.",
            Query(f"sum({of_charter('committee_size')})", "replicas"),
            Query(f"sum({of_charter('emergency_override_active_count')})", "overrides", steps=steps_up(orange=1)),
            height=6,
        ),
        row("Latency"),
        series(
            "Validation",
            "Time from arrival to the end of a validation, over the last 30 s, the slowest instance. The line is the"
            " limit of `CharterValidationLatencyHigh`, for q0.95.\n\nOver it: see the marks of actions for what was"
            " done.",
            quantiles("validation_latency_seconds", "validation_type"),
            unit="s",
            steps=steps_up(red=1),
        ),
        series(
            "Enforcement",
            "Time from arrival to the end of an enforcement, over the last 30 s.\n\nUp while validation is not: the"
            " enforcer alone is slow.",
            quantiles("enforcement_latency_seconds"),
            unit="s",
        ),
        series(
            "Decision of the committee",
            "Time the committee takes to order an operation.\n\nUp: too many replicas for the work, or one of "
            "them slow.",
            quantiles("committee_decision_duration_seconds"),
            unit="s",
        ),
        row("Work and failures"),
        series(
            "Throughput",
            "Operations that each component serves a second. The line is the mark of `CharterThroughputLow`.\n\nFalls"
            " with latency high: overloaded. Falls alone: less is asked.",
            Query(f"sum by (component) ({of_charter('throughput_ops_per_sec')})", "{{component}}"),
            unit="ops",
            steps=[(None, ORANGE), (100, GREEN)],
        ),
        series(
            "Failure rate",
            "Share of each component's answers that were errors. The line is the limit of `CharterFailureRateHigh`.\n\n"
            "One component over it: that one. All: what they share.",
            Query(f"max by (component) ({of_charter('failure_rate')})", "{{component}}"),
            unit="percentunit",
            steps=steps_up(red=0.1),
        ),
        series(
            "Validations",
            "Ended validations a second by kind.\n\nOne kind at 0: it is bypassed, or nobody asks.",
            Query(
                f"sum by (validation_type) (rate({of_charter('validation_latency_seconds_count')}[$__rate_interval]))",
                "{{validation_type}}",
            ),
            unit="ops",
        ),
        row("Policies and size"),
        series(
            "Policy violations per minute",
            "Reported violations by policy and severity.\n\nA policy that suddenly leads: what was deployed?",
            rate_by("policy_id, severity", "policy_violations_total", "{{policy_id}}: {{severity}}"),
            unit="none",
            width=6,
        ),
        series(
            "Enforcement actions per minute",
            "Operations denied by policy, shed by a throttle, instances restarted.\n\nshed: a throttle is "
            "in force; restart: compare with the marks of actions.",
            rate_by("action_type, node_or_service", "enforcement_actions_total", "{{action_type}} {{node_or_service}}"),
            unit="none",
            width=6,
        ),
        series(
            "Audit notifications per minute",
            "Violations of which the audit committee was notified, by severity.\n\nCritical ones: "
            "somebody else has been notified too.",
            rate_by("severity", "audit_committee_notifications_total", "{{severity}}"),
            unit="none",
            width=6,
        ),
        series(
            "Committee size and overrides",
            "Replicas and emergency overrides over time.\n\nA step without a mark of an action: somebody else scales.",
            Query(f"sum({of_charter('committee_size')})", "replicas"),
            Query(f"sum({of_charter('emergency_override_active_count')})", "overrides"),
            unit="none",
            width=6,
        ),
    ]
    return dashboard(
        "charter",
        "Charter",
        "What Charter says of itself, with what the loop did to it.",
        variables("westworld_charter_committee_size", "charter"),
        charter_annotations(),
        panels,
        "15s",
    )
