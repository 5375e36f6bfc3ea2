"""Queries that several dashboards ask, and what is marked on each.

Counters are summed over replicas, for each counts what it did itself. Of gauges the largest is taken: a replica that
follows shows them as before its first cycle, and times are never younger there. What must be there to be well reads as
unwell when it is missing.
"""

from parts import BLUE, GREEN, RED, Query, annotation, steps_up

OF = '{job="$job", instance=~"$instance"}'
YES_NO = {1: ("yes", GREEN), 0: ("NO", RED)}


def of(metric, *matchers):
    """The metric of the chosen job and instances."""
    return metric + OF[:-1] + "".join(", " + m for m in matchers) + "}"


def per_minute(by, metric, *matchers):
    return f"sum by ({by}) (rate({of(metric, *matchers)}[$__rate_interval])) * 60"


def per_hour(metric, by=None):
    """How many in the hour before; whole, for nothing happens by halves."""
    return f"round(sum{f' by ({by})' if by else ''} (increase({of(metric)}[1h])))"


def in_range(metric, *matchers):
    return f"round(sum(increase({of(metric, *matchers)}[$__range])))"


def largest(metric, *matchers, by=None):
    return f"max{f' by ({by})' if by else ''} ({of(metric, *matchers)})"


def both(metric, by, *matchers):
    """The largest of each kind, all kinds together."""
    return f"sum({largest(metric, *matchers, by=by)})"


def quantile(q, metric, by=""):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({of(metric + '_bucket')}[$__rate_interval])))"


def buckets(metric):
    return Query(f"sum by (le) (increase({of(metric + '_bucket')}[$__rate_interval]))", "{{le}}")


def average(metric, by):
    window = "[$__rate_interval]"
    return (
        f"sum by ({by}) (rate({of(metric + '_sum')}{window})) / sum by ({by}) (rate({of(metric + '_count')}{window}))"
    )


ALERTS = annotation("Alerts", RED, 'sum by (alertname) (ALERTS{alertstate="firing"}) > 0', "{{alertname}}", "alertname")
ANNOTATIONS = [
    annotation(
        "Actions",
        BLUE,
        f"sum by (action, state) (increase({of('mape_k_actions_total')}[90s])) > 0",
        "{{action}}: {{state}}",
        "action,state",
        "An execution ended and left this action so.",
    ),
    annotation(
        "Restarts",
        "purple",
        f"changes({of('process_start_time_seconds')}[90s]) > 0",
        "mape-k restarted: {{instance}}",
        "instance",
    ),
    ALERTS,
]
OWN_ALERTS = "MapeK.*|MAFEK.*|Charter.*|PrometheusScrapeFailure"
# 0 only where the rules are loaded that could fire.
FIRING = Query(
    f'count(ALERTS{{alertstate="firing", severity=~"warning|critical", alertname=~"{OWN_ALERTS}"}})'
    ' or 0 * sum(prometheus_rule_group_rules{rule_group=~".*mape_k.*"})',
    "alerts firing",
    steps=steps_up(orange=1),
)
