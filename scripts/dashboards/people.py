"""Dashboard mape-k-people: what the loop cannot fix itself, whom it notified, and which messages failed."""

from parts import Query, bars, dashboard, green_from, heatmap, row, series, stat, steps_up, variables
from queries import ANNOTATIONS, YES_NO, both, buckets, in_range, largest, of, per_hour


def people():
    panels = [
        row("At a glance"),
        stat(
            "What needs a person?",
            "Needs open now, those that wait for an approval, and open incidents.\n\nAbove 0: `mape-k"
            " status` lists them with what to do.",
            Query(both("mape_k_escalations_open", "reason"), "needs open", steps=steps_up(orange=1)),
            Query(
                largest("mape_k_escalations_open", 'reason="approval_needed"'),
                "wait for approval",
                steps=steps_up(orange=1),
            ),
            Query(both("mape_k_incidents_open", "severity"), "incidents open", steps=steps_up(orange=1)),
            width=6,
        ),
        stat(
            "How bad is it?",
            "Open incidents by severity, SEV-1 the worst; docs/SEVERITIES.md.\n\nSEV-1 or SEV-2: somebody was woken, or"
            " should have been; see beside.",
            Query(
                largest("mape_k_incidents_open", 'severity=~"SEV-[12]"', by="severity"),
                "{{severity}}",
                steps=steps_up(red=1),
            ),
            Query(
                largest("mape_k_incidents_open", 'severity=~"SEV-[34]"', by="severity"),
                "{{severity}}",
                steps=steps_up(orange=1),
            ),
            width=6,
        ),
        stat(
            "Were people notified?",
            "Messages delivered (Alertmanager's are sent again in every cycle while something stands) and tries that"
            " failed in the time shown, and what waits in the outbox to be sent.\n\nRed: people may not know; tell"
            " them yourself. `logs/incidents` holds what waits; docs/SLACK.md says what Slack's errors mean. Delivered"
            " stays 0 while no notifier is enabled.",
            Query(in_range("mape_k_notifications_total", 'result="delivered"'), "delivered"),
            Query(in_range("mape_k_notifications_total", 'result!="delivered"'), "tries failed", steps=steps_up(red=1)),
            Query(largest("mape_k_notifications_backed_up"), "wait in the outbox", steps=steps_up(red=1)),
            Query(largest("mape_k_notifiers_configured"), "notifiers configured"),
            width=6,
        ),
        stat(
            "Is it assessed as it should be?",
            "Decisions in the time shown, those of them made because the assessment failed, and whether the service"
            " catalogue is as its file says.\n\nNO: `mape-k check-config` names what is wrong in services.yaml; the one"
            " before stands. Fallbacks: the log says why; what was decided is the careful side.",
            Query(in_range("mape_k_escalation_decisions_total"), "decisions"),
            Query(in_range("mape_k_escalation_fallbacks_total"), "fallbacks", steps=steps_up(orange=1)),
            Query(
                f"min({of('mape_k_catalogue_last_reload_successful')})",
                "catalogue accepted",
                words=YES_NO,
                steps=green_from(1),
            ),
            width=6,
        ),
        row("Needs: what the loop cannot or may not fix itself"),
        bars(
            "Open now, by reason",
            "Open needs by reason.\n\nOPERATIONS.md, 'Escalations: what they mean, what to do', has a row for "
            "each.",
            Query(f"sort_desc({largest('mape_k_escalations_open', by='reason')})", "{{reason}}"),
            height=12,
            steps=steps_up(orange=1),
        ),
        series(
            "Open over time",
            "The same over time. Each closes by itself when its cause is gone.\n\nA line that never falls: nobody has "
            "taken it.",
            Query(largest("mape_k_escalations_open", by="reason"), "{{reason}}"),
            unit="none",
            height=12,
            stack=True,
        ),
        series(
            "Opened per hour",
            "New needs in the hour before, by reason (`MapeKEscalated`).\n\nOften the "
            "same: the cause comes back; mend it, or give it a strategy.",
            Query(per_hour("mape_k_escalations_total", by="reason"), "{{reason}}"),
            unit="none",
            height=12,
        ),
        row("Incidents and decisions"),
        series(
            "Incidents open",
            "Incidents that last, by severity.\n\nGrows while nobody is notified: see row 'Notification'.",
            Query(largest("mape_k_incidents_open", by="severity"), "{{severity}}"),
            unit="none",
            width=6,
            stack=True,
        ),
        series(
            "Findings",
            "What is wrong in the cluster by class, and with the loop itself (loop).\n\ndocs/FINDINGS.md says what each"
            " means.",
            Query(largest("mape_k_findings_active", by="class"), "{{class}}"),
            unit="none",
            width=6,
            stack=True,
        ),
        series(
            "Unknown words of the cluster",
            "Phases and reasons of pods that this version of mape-k does not know, counted when each is first"
            " seen.\n\nThe log names them. A pod that is not ready is a finding whatever its words are; report new ones,"
            " so that they get advice of their own.",
            Query(per_hour("mape_k_cluster_unknown_words_total", by="kind"), "{{kind}}"),
            unit="none",
            width=6,
        ),
        series(
            "Decisions per hour",
            "Decisions to tell people of incidents that are new, worse or due, by severity, and"
            " fallbacks.\n\nFallbacks: the assessment failed or took too long, see the log.",
            Query(per_hour("mape_k_escalation_decisions_total", by="severity"), "{{severity}}"),
            Query(per_hour("mape_k_escalation_fallbacks_total"), "fallbacks"),
            unit="none",
            width=6,
        ),
        row("Notification"),
        series(
            "Messages per hour",
            "By notifier and how they ended; what is sent again counts again, and to Alertmanager what stands is sent"
            " in every cycle.\n\nrefused: token, channel or route (docs/SLACK.md). unreachable, timeout: network."
            " rate_limited: passes by itself.",
            Query(
                per_hour("mape_k_notifications_total", by="notifier, result"),
                "{{notifier}}: {{result}}",
            ),
            unit="none",
        ),
        heatmap(
            "Time until confirmed",
            "How long a notifier's server took to confirm a message, or until it was given up (Slack: 5 s).\n\nNear the"
            " time-out: messages may arrive twice.",
            buckets("mape_k_notification_duration_seconds"),
        ),
        series(
            "Waiting in files",
            "Messages that could not be delivered and wait in `logs/incidents`.\n\nAbove 0: people do not know of"
            " these; read them there. They are sent again by themselves.",
            Query(largest("mape_k_notifications_backed_up"), "waiting"),
            unit="none",
            steps=steps_up(red=1),
        ),
        series(
            "Unknown errors of Slack per hour",
            "Refusals by Slack with an error that mape-k does not know; the log names each once.\n\nAbove 0: the"
            " message went to the other channel or waits in a file. Look the error up (docs/SLACK.md).",
            Query(per_hour("mape_k_slack_unknown_errors_total"), "unknown"),
            unit="none",
        ),
    ]
    return dashboard(
        "mape-k-people",
        "Escalation and notification",
        "Whom the daemon notified of what, and which messages failed.",
        variables("mape_k_build_info", "mape-k"),
        ANNOTATIONS,
        panels,
        "30s",
    )
