"""The first row of mape-k-loop: alive, seeing, free to act, what is wrong, what was done, were people notified."""

from parts import GREEN, ORANGE, RED, Query, green_from, row, stat, steps_up
from queries import FIRING, OF, YES_NO, both, in_range, largest, of

# Two of the shipped poll_interval are stale; two cycles lost; ten minutes are when a standing loop is alerted on.
STALE, LATE, STOPPED = 60, 90, 600

ALL_GREEN = [(None, GREEN)]


def at_a_glance():
    return [
        row("At a glance: alive, seeing, free to act, what is wrong, what was done, were people notified"),
        stat(
            "Is the loop alive?",
            "Every daemon answers Prometheus (else alert `MapeKDown`), exactly one leads (none: `MapeKNoLeader`), and"
            " it lately ended a cycle that was healthy or completed; 50 years means never since its start.\n\nRed:"
            " `curl <daemon>/health` names the component; OPERATIONS.md, 'Health: which component, what to do'. A loop"
            " that ends no cycle for 10 minutes is `MAFEKLoopFailure`: restart it and keep the log.",
            Query(f"min(up{OF}) or vector(0)", "all answer", words=YES_NO, steps=green_from(1)),
            Query(f"sum({of('mape_k_leader')}) or vector(0)", "lead", steps=[(None, RED), (1, GREEN), (2, ORANGE)]),
            Query(
                f"min({of('mape_k_config_last_reload_successful')})",
                "last reload taken",
                words=YES_NO,
                steps=green_from(1),
            ),
            Query(
                f"time() - {largest('mape_k_config_last_reload_success_timestamp_seconds')}",
                "configuration read ago",
                unit="s",
            ),
            Query(
                f"time() - {largest('mape_k_last_cycle_timestamp_seconds')}",
                "last good cycle ago",
                unit="s",
                steps=steps_up(orange=LATE, red=STOPPED),
            ),
        ),
        stat(
            "Does it see?",
            "Age of the newest metrics, rules whose data was not good, series that rules expect and did not get, objects"
            " of the cluster that could not be read (the log names each), and whether Charter answered in the last cycle.\n\nRed: missing data is never taken for healthy, so nothing"
            " is done about a source that cannot be read. Row 'Sources' says which and why; with Charter away (`CharterAPIDown`)"
            " nothing can be done either.",
            Query(
                "time() - " + largest("mape_k_source_last_success_timestamp_seconds", 'source=~"prometheus|scrape"'),
                "metrics read ago",
                unit="s",
                steps=steps_up(orange=STALE, red=STOPPED),
            ),
            Query(largest("mape_k_rules_without_good_data"), "rules without good data", steps=steps_up(red=1)),
            Query(both("mape_k_source_series_missing", "source"), "series missing", steps=steps_up(orange=1)),
            Query(both("mape_k_unread_objects", "kind"), "objects unread", steps=steps_up(orange=1)),
            Query(largest("mape_k_charter_up"), "Charter answers", words=YES_NO, steps=green_from(1)),
        ),
        stat(
            "Is it free to act?",
            "What keeps the loop from acting now: somebody's pause, an open breaker, a storm, the hour's or day's"
            " budget used up while the cause is still there, an action that something holds for too long, policies that"
            " wait for a person.\n\nAbove 0: `mape-k status`, then `mape-k explain`: it names each candidate and what"
            " holds it. Pause: `mape-k resume`. Approval: `mape-k approve <hash>` or `reject`. Mode observe or suggest"
            " shows in row 'Decisions'.",
            Query(
                largest("mape_k_paused"),
                "paused",
                words={0: ("no", GREEN), 1: ("PAUSED", ORANGE)},
                steps=steps_up(orange=1),
            ),
            Query(
                largest("mape_k_escalations_open", 'reason=~"breaker|storm"', by="reason"),
                "{{reason}}",
                steps=steps_up(red=1),
            ),
            Query(
                largest("mape_k_escalations_open", 'reason=~"budget|hands_tied|approval_needed"', by="reason"),
                "{{reason}}",
                steps=steps_up(orange=1),
            ),
        ),
        stat(
            "What is wrong?",
            "Violations of Charter's rules and findings in the cluster, after the last cycle, and which of the shipped"
            " alerts fire (warning or worse; no data: this Prometheus has not loaded `config/rules`, or does not scrape"
            " itself).\n\nRed or orange for longer than a settle time (3"
            " minutes): `mape-k explain` says what is done about it, or why nothing is. Info is shown and is evidence"
            " for nothing.",
            Query(
                largest("mape_k_violations_active", 'severity="critical"'), "critical violations", steps=steps_up(red=1)
            ),
            Query(largest("mape_k_violations_active", 'severity="warning"'), "warnings", steps=steps_up(orange=1)),
            Query(
                both("mape_k_findings_active", "class", 'class!="loop"'),
                "findings in the cluster",
                steps=steps_up(orange=1),
            ),
            FIRING,
        ),
        stat(
            "What has it done?",
            "Actions in the time shown and the results of actions that have had their time; policies that failed or"
            " were rolled back (`MapeKPolicyExecutionFailed`).\n\nOrange: `mape-k status` lists them, `mape-k explain"
            " action <id>` explains one.",
            Query(in_range("mape_k_actions_total"), "actions"),
            Query(in_range("mape_k_outcomes_total", 'type=~"success|partial"'), "helped", steps=ALL_GREEN),
            Query(
                in_range("mape_k_outcomes_total", 'type!~"success|partial"'),
                "did not help, or unknown",
                steps=steps_up(orange=1),
            ),
            Query(
                in_range("mape_k_policy_executions_total", 'status="failed"'),
                "policies failed",
                steps=steps_up(orange=1),
            ),
        ),
        stat(
            "Were people notified?",
            "What needs a person now (`MapeKEscalated`), incidents of the two worst severities; in the time shown"
            " decisions to tell people, messages delivered (Alertmanager's are sent again in every cycle while"
            " something stands) and tries that failed; messages that wait in the outbox.\n\nRed, or decisions and nothing"
            " delivered: people may not know. Read `mape-k status` yourself, then dashboard 'Escalation and"
            " notification'. While no notifier is enabled nothing is delivered, and Prometheus' alerts are all"
            " there is.",
            Query(both("mape_k_escalations_open", "reason"), "needs open", steps=steps_up(orange=1)),
            Query(
                both("mape_k_incidents_open", "severity", 'severity=~"SEV-[12]"'),
                "SEV-1 and SEV-2",
                steps=steps_up(red=1),
            ),
            Query(in_range("mape_k_escalation_decisions_total"), "decisions to tell"),
            Query(in_range("mape_k_notifications_total", 'result="delivered"'), "messages delivered"),
            Query(in_range("mape_k_notifications_total", 'result!="delivered"'), "tries failed", steps=steps_up(red=1)),
            Query(largest("mape_k_notifications_backed_up"), "wait in the outbox", steps=steps_up(red=1)),
        ),
    ]
