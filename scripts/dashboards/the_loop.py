"""Dashboard mape-k-loop: the first row answers what a person woken at night asks, the others say why."""

from glance import STALE, STOPPED, at_a_glance
from parts import (
    GREEN,
    NEUTRAL,
    ORANGE,
    RED,
    Query,
    bars,
    dashboard,
    green_from,
    heatmap,
    row,
    series,
    steps_up,
    table,
    variables,
)
from queries import ANNOTATIONS, average, buckets, largest, of, per_hour, per_minute, quantile


def cycles():
    return [
        row("Cycles and phases"),
        series(
            "Cycles per minute",
            "Cycles by how they ended: 2 a minute with loop_interval 30 s, more when alerts wake it. A follower runs"
            " none.\n\nfailed or error, or a line at 0: `/health`, then the log of that time.",
            Query(per_minute("status", "mape_k_cycles_total"), "{{status}}"),
            unit="none",
        ),
        series(
            "Failed in a row",
            "Cycles that failed, broke off or could not begin since the last good one. Two in a row for 5 minutes are"
            " `MAFEKLoopFailure`; after three people are notified that the loop is blind.\n\nAbove the line: `/health` and"
            " the need `blind` name phase and cause.",
            Query(largest("mape_k_cycles_failed_in_a_row"), "failed in a row"),
            unit="none",
            steps=steps_up(red=2),
        ),
        series(
            "Wake-ups per minute",
            "Cycles asked for before their time, by who asked; several that come together make one cycle (woken).\n\n"
            "Never at rest: one alert that goes and comes; row 'Intake'.",
            Query(per_minute("reason", "mape_k_wakeups_total"), "{{reason}}"),
            Query(f"sum(rate({of('mape_k_cycles_woken_total')}[$__rate_interval])) * 60", "cycles woken"),
            unit="none",
        ),
        series(
            "Time of a cycle",
            "Quantiles of a whole cycle. A cycle that acts waits for Charter, at most 60 s a policy.\n\n"
            "Near loop_interval (30 s): cycles come late. 'Time by phase' says where it goes.",
            *[Query(quantile(q, "mape_k_loop_duration_seconds"), f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)],
            unit="s",
            steps=steps_up(orange=30),
        ),
        heatmap(
            "Cycles by how long they took",
            "How many cycles fell into each bucket. A second band above the usual one are cycles that acted, or that"
            " waited for somebody.\n\nA band that is new and has no marks of actions: 'Time by phase' says who is"
            " waited for.",
            buckets("mape_k_loop_duration_seconds"),
        ),
        series(
            "Time by phase",
            "Average of each phase; together they are the cycle. Phases that did not run are missing.\n\nHigh: monitor"
            " is Prometheus or Alertmanager, execute is Charter, knowledge the store, k8s-analyzer the API server,"
            " notification Slack or Alertmanager.",
            Query(average("mape_k_phase_duration_seconds", "phase"), "{{phase}}"),
            unit="s",
            stack=True,
        ),
    ]


def violations():
    return [
        row("Violations"),
        series(
            "Active violations",
            "What is wrong after each cycle, by severity; findings in the cluster are beside. Critical ones are acted on"
            " at once, warnings when seen often enough (plan_threshold).\n\nStays up: `mape-k explain`.",
            Query(largest("mape_k_violations_active", by="severity"), "{{severity}}"),
            unit="none",
            stack=True,
        ),
        series(
            "Patterns per minute",
            "What the five detectors found in the violations, counted in every cycle that found it. They make "
            "the cause, and with it the action.\n\nMany of one kind and nothing done: row 'Decisions'.",
            Query(per_minute("kind", "mape_k_patterns_total"), "{{kind}}"),
            unit="none",
        ),
        series(
            "Findings",
            "What is wrong in the cluster by class, and with the loop itself (loop: open needs).\n\n"
            "Above 0: `mape-k status`; docs/FINDINGS.md says what each means.",
            Query(largest("mape_k_findings_active", by="class"), "{{class}}"),
            unit="none",
            stack=True,
        ),
    ]


def decisions():
    return [
        row("Decisions by reason"),
        bars(
            "Results of candidates",
            "Candidates weighed in the time shown, the ten most frequent results; one that waits counts in every"
            " cycle.\n\nNothing chosen while something is wrong: OPERATIONS.md, 'Why did nothing happen?', has a row"
            " for each result.",
            Query(
                f"topk(10, round(sum by (verdict) (increase({of('mape_k_candidates_total')}[$__range]))))",
                "{{verdict}}",
            ),
            height=10,
        ),
        series(
            "Candidates weighed per minute",
            "The same over time. Choices stand out against what is held, outranked or not eligible.\n\nMany and none"
            " chosen for minutes: `mape-k explain` names what holds the best one.",
            Query(per_minute("verdict", "mape_k_candidates_total"), "{{verdict}}"),
            unit="none",
            height=10,
        ),
        series(
            "Held by a guard, per minute",
            "Candidates with a sufficient score that were held, by their guard: paused, mode_observe, breaker_open, storm, "
            "budget_exhausted, cooldown and so on.\n\n"
            "A cooldown or verification that passes is as it should be. For one that lasts a person is asked: `hands_tied`.",
            Query(per_minute("reason", "mape_k_blocked_total"), "{{reason}}"),
            unit="none",
            height=10,
        ),
    ]


def actions():
    believed = f"max by (cause, action) ({of('mape_k_remedy_effectiveness')} and {of('mape_k_remedy_runs')} > 0)"
    return [
        row("Actions and outcomes"),
        table(
            "Actions in the time shown",
            "Each action by the state in which its execution left it: applied took effect and is verified later, refused"
            " and undone did not stay, unknown may or may not have taken effect.\n\nunknown or undo_failed: look at"
            " Charter, OPERATIONS.md, `outcome_unknown`.",
            {"action": "action", "state": "left as", "Value": "actions"},
            Query(
                f"round(sum by (action, state) (increase({of('mape_k_actions_total')}[$__range]))) > 0",
                "",
                steps=NEUTRAL,
            ),
            nothing="no action in the time shown",
        ),
        table(
            "Effectiveness by cause and action",
            "What was learned, over restarts too: runs with a result that are remembered, and how much of the action's promise"
            " is believed, with what clears by itself taken off. Causes of your own are `other`.\n\nLow: the action"
            " does not heal this cause, and others come first. Every action low: a strategy of yours"
            " (`plan.strategies`) is missing. `mape-k explain` shows the numbers.",
            {"cause": "cause", "action": "action", "Value #A": "results", "Value #B": "believed"},
            Query(f"{largest('mape_k_remedy_runs', by='cause, action')} > 0", ""),
            Query(believed, "", unit="percentunit", steps=[(None, RED), (0.3, ORANGE), (0.7, GREEN)]),
            nothing="no action has a result yet",
        ),
        bars(
            "Results in the time shown",
            "Did it help? Given when an action has had its time (execute.settle); a success withdrawn later stays"
            " counted here, and not under effectiveness.\n\ndegradation: more was wrong than before; the breaker opens"
            " after two of ten.",
            Query(f"round(sum by (type) (increase({of('mape_k_outcomes_total')}[$__range])))", "{{type}}"),
        ),
        series(
            "Policies per hour",
            "Executed policies; failed includes rolled back (`MapeKPolicyExecutionFailed`). The shipped budget is 6"
            " actions an hour.\n\nfailed: `mape-k status`, and the need `action_failed` has Charter's own words.",
            Query(per_hour("mape_k_policy_executions_total", by="status"), "{{status}}"),
            unit="none",
            width=12,
        ),
        heatmap(
            "From alert to first call",
            "From the arrival of the alert that woke the loop to the first call to Charter of that cycle.\n\n"
            "Over a second or two: 'Time by phase' and Charter's answers.",
            buckets("mape_k_webhook_to_charter_call_seconds"),
            width=12,
        ),
    ]


def charter_calls():
    return [
        row("Charter's API as the daemon finds it"),
        series(
            "Time of a call",
            "Until Charter answered, or the call was given up (30 s).\n\nHigh: Charter is overloaded, or the way to it "
            "is; dashboard 'Charter'.",
            *[
                Query(quantile(q, "charter_api_response_duration_seconds"), f"p{round(q * 100)}")
                for q in (0.5, 0.95, 0.99)
            ],
            unit="s",
        ),
        series(
            "Calls per minute",
            "Calls by what was asked; committee_state is asked in every cycle, the rest belongs to actions.\n\n"
            "apply, scale or restart without a mark of an action: look at `/api/v1/executions`.",
            Query(per_minute("call", "mape_k_charter_calls_total"), "{{call}}"),
            unit="none",
        ),
        series(
            "Calls that failed, per minute",
            "By how they ended. unavailable, unreachable, timeout: Charter or the way to it. refused: it did not want"
            " this.\n\nWhile Charter is away nothing is sent and violations stay: bring it back.",
            Query(per_minute("result", "mape_k_charter_calls_total", 'result!="ok"'), "{{result}}"),
            unit="none",
        ),
    ]


def sources():
    return [
        row("Sources"),
        series(
            "Read ago",
            "Time since each source was last read whole; one that was never read (not configured, or never reachable "
            "since the start) is missing here and shows its errors beside it.\n\n"
            "Over the line: the last two cycles went without it.",
            Query(
                f"time() - ({largest('mape_k_source_last_success_timestamp_seconds', by='source')} > 0)", "{{source}}"
            ),
            unit="s",
            width=6,
            steps=steps_up(orange=STALE, red=STOPPED),
        ),
        series(
            "Failed readings per minute",
            "By source and kind.\n\nAbove 0: address, rights and time-out of that source; `/health` has the words.",
            Query(per_minute("source, kind", "mape_k_source_errors_total"), "{{source}}: {{kind}}"),
            unit="none",
            width=6,
        ),
        series(
            "Series expected and missing",
            "What the rules of a source expected in the last cycle, and did not get. With fewer than 80 %"
            " (monitor.min_coverage) a rule is not believed to be well.\n\nMissing: which target went away? Prometheus,"
            " Targets.",
            Query(largest("mape_k_source_series_expected", by="source"), "{{source}} expected"),
            Query(largest("mape_k_source_series_missing", by="source"), "{{source}} missing"),
            unit="none",
            width=6,
        ),
        series(
            "Clock skew",
            "How far the source's clock and the daemon's are apart.\n\nSeconds: repair NTP; samples would be taken for"
            " stale, or for fresh. Over 30 s nothing is read.",
            Query(f"max by (source) (abs({of('mape_k_source_clock_skew_seconds')}))", "{{source}}"),
            unit="s",
            width=6,
        ),
    ]


def intake():
    return [
        row("Intake: alerts from Alertmanager"),
        series(
            "Alerts per minute",
            "received: of payloads that could be read. processed: accepted ones that a cycle has taken in. lost: "
            "dropped while firing; stays 0. too_large: more labels than are kept. unknown_severity: a severity word that"
            " alertmanager.severities does not know.\n\nprocessed behind received for long: the loop stands still.",
            *[
                Query(f"sum(rate({of(f'mape_k_alerts_{what}_total')}[$__rate_interval])) * 60", what)
                for what in ("received", "processed", "lost", "too_large", "unknown_severity")
            ],
            unit="none",
            width=6,
        ),
        series(
            "What became of them, per minute",
            "accepted: new. duplicate: sent again, as Alertmanager does. own: about the daemon itself, goes no "
            "further. invalid: could not be read.\n\ninvalid: something else than Alertmanager sends.",
            Query(per_minute("outcome", "mape_k_alerts_total"), "{{outcome}}"),
            unit="none",
            width=6,
        ),
        series(
            "Requests turned away, per minute",
            "Webhook requests of which nothing was stored, by reason, and every answer but 200.\n\nunauthorized:"
            " alertmanager.webhook_token differs. store_failed: row 'Process and store'. too_often, too_much: who sends"
            " so much? Alertmanager sends again by itself what got a 503.",
            Query(per_minute("reason", "mape_k_intake_rejections_total"), "{{reason}}"),
            Query(per_minute("code", "mape_k_webhook_requests_total", 'code!="200"'), "answered {{code}}"),
            unit="none",
            width=6,
        ),
        series(
            "Waiting in the inbox",
            "Accepted alerts that no cycle has taken in yet; every cycle empties it.\n\nGrows: the loop stands "
            "still or the store fails.",
            Query(largest("mape_k_inbox_depth"), "waiting"),
            unit="none",
            width=6,
        ),
    ]


def process():
    return [
        row("Process and store"),
        series(
            "Failures of the store, per minute",
            "By what it was asked. While the journal cannot be written nothing is sent to Charter.\n\n"
            "Above 0: disk full, rights, database away; OPERATIONS.md, 'The store'.",
            Query(per_minute("operation", "mape_k_store_errors_total"), "{{operation}}"),
            unit="none",
        ),
        series(
            "Who leads",
            "1 on the replica that leads, 0 on one that follows. On SQLite there is one.\n\nAll 0: `MapeKNoLeader`,"
            " mostly the database is away. Changes hands often: the database is slow, or a clock is wrong.",
            Query(f"max by (instance) ({of('mape_k_leader')})", "{{instance}}"),
            unit="none",
        ),
        table(
            "Daemons",
            "Each daemon that answers: its version, how long it has run, and 1 while its service catalogue is as the"
            " file says.\n\n0: the last change of services.yaml was refused and the one before stands; `mape-k"
            " check-config` names what is wrong.",
            {
                "instance": "instance",
                "version": "version",
                "Value #A": "answers",
                "Value #B": "running for",
                "Value #C": "catalogue accepted",
            },
            Query(f"max by (instance, version) ({of('mape_k_build_info')})", ""),
            Query(f"max by (instance) (time() - {of('process_start_time_seconds')})", "", unit="s"),
            Query(f"max by (instance) ({of('mape_k_catalogue_last_reload_successful')})", "", steps=green_from(1)),
            nothing="no daemon answers",
        ),
    ]


def the_loop():
    panels = [
        p
        for part in (at_a_glance, cycles, violations, decisions, actions, charter_calls, sources, intake, process)
        for p in part()
    ]
    return dashboard(
        "mape-k-loop",
        "MAPE-K loop",
        "The daemon that keeps Charter healthy: the first row answers what a person woken at night asks.",
        variables("mape_k_build_info", "mape-k"),
        ANNOTATIONS,
        panels,
        "30s",
    )
