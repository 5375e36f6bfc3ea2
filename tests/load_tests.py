"""The load that a staging daemon sees on a bad day: dashboards that read it, Alertmanager that posts to it, an operator who
asks why. Reads and webhooks only; nothing here approves, pauses or changes. The alerts are named LoadTest, name no rule (the
daemon lists them and never acts on them) and are resolved at the end.

    locust -f tests/load_tests.py --headless --host=http://localhost:8001

Ends after 60 s with 60 users unless -t and -u say otherwise. `--host` is the API; the webhook is port 5000 of that host, or
what MAPE_K_WEBHOOK_URL names. MAPE_K_API_READ_TOKEN is sent if it is set, and MAPE_K_WEBHOOK_TOKEN to the webhook.

60 users make some 130 API calls a second, below `api.rate_limit` (500 a second from one address), on at most 60 connections
(128 from one address). More users: raise `api.rate_limit`. What is refused for its rate (429, and the webhook's 503, which
Alertmanager repeats) is counted apart and is no failure; any other answer than 2xx is, and makes the exit code 1."""

import hashlib
import itertools
import os
from collections import Counter
from datetime import datetime, timezone
from urllib.parse import urlsplit

from locust import HttpUser, constant_throughput, events, task

GROUP = 20
NEVER = "0001-01-01T00:00:00Z"

refused = Counter()
numbers = itertools.count()


def bearer(variable):
    token = os.environ.get(variable)
    return {"Authorization": f"Bearer {token}"} if token else {}


@events.init_command_line_parser.add_listener
def bounded(parser):
    parser.set_defaults(run_time="60s", num_users=60, spawn_rate=20)


@events.quitting.add_listener
def tell(environment, **_):
    told = ", ".join(f"{what}: {count}" for what, count in sorted(refused.items()))
    print(f"\nrefused for the rate (no failure): {told or 'none'}")


class Measured(HttpUser):
    abstract = True

    def ask(self, path, name=None, unready=False):
        """GET; with `unready` a 503 is an answer like any other: what /health and /ready are for."""
        headers = bearer("MAPE_K_API_READ_TOKEN")
        with self.client.get(path, name=name or path, headers=headers, catch_response=True) as answer:
            self.judge(answer, f"429 of {name or path}", [429])
            if unready and answer.status_code == 503:
                answer.success()
            return answer.json() if answer.ok and "json" in answer.headers.get("content-type", "") else {}

    @staticmethod
    def judge(answer, what, rate):
        if answer.status_code in rate:
            refused[what] += 1
            answer.success()
        elif not answer.ok:
            answer.failure(f"{answer.status_code} {answer.text[:200]}")


class Dashboard(Measured):
    """Somebody's open page, refreshed about twice a second, and probes and Prometheus beside it."""

    weight = 10
    wait_time = constant_throughput(2.5)

    @task(4)
    def state(self):
        self.ask("/api/v1/state")

    @task(4)
    def status(self):
        self.ask("/api/v1/status")

    @task(3)
    def violations(self):
        self.ask("/api/v1/violations?limit=100")

    @task(2)
    def policies(self):
        self.ask("/api/v1/policies?limit=50")

    @task(2)
    def cycles(self):
        self.ask("/api/v1/cycles?limit=50")

    @task(1)
    def outcomes(self):
        self.ask("/api/v1/outcomes?limit=50")

    @task(1)
    def incidents(self):
        self.ask("/api/v1/incidents?open=true")

    @task(1)
    def statistics(self):
        self.ask("/api/v1/statistics")

    @task(1)
    def health(self):
        self.ask("/health", unready=True)
        self.ask("/ready", unready=True)

    @task(1)
    def metrics(self):
        self.ask("/metrics")


class Alertmanager(Measured):
    """One group of alerts of its own, which fires, goes on firing, and is resolved, over and over."""

    weight = 4
    wait_time = constant_throughput(5)

    def on_start(self):
        host = urlsplit(self.host)
        self.url = os.environ.get("MAPE_K_WEBHOOK_URL") or f"{host.scheme}://{host.hostname}:5000/webhooks/alerts"
        self.place = next(numbers)
        self.since = now()
        self.posted = 0

    @task
    def post(self):
        # Three times firing, once resolved.
        self.posted += 1
        if self.posted % 4 == 1:
            self.since = now()
        self.deliver("resolved" if self.posted % 4 == 0 else "firing")

    def on_stop(self):
        self.deliver("resolved")

    def deliver(self, status):
        body = payload(self.place, status, self.since)
        headers = bearer("MAPE_K_WEBHOOK_TOKEN")
        name = f"POST webhook, {GROUP} alerts"
        with self.client.post(self.url, json=body, name=name, headers=headers, catch_response=True) as answer:
            self.judge(answer, "503 of the webhook", [429, 503])


class Operator(Measured):
    """Asks why, and follows the answer to one cycle."""

    weight = 1
    wait_time = constant_throughput(0.5)

    @task(2)
    def why(self):
        self.ask("/api/v1/explain")

    @task(1)
    def why_then(self):
        for cycle in self.ask("/api/v1/cycles?limit=1").get("items", []):
            self.ask(f"/api/v1/explain/cycles/{cycle['id']}", "/api/v1/explain/cycles/{id}")


def now():
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def payload(group, status, since):
    """As Alertmanager's webhook sends it (version 4): one group, every alert in it of one status."""
    alerts = [alert(group, number, status, since) for number in range(GROUP)]
    return {
        "receiver": "mape-k", "status": status, "alerts": alerts, "groupLabels": {"alertname": "LoadTest"},
        "commonLabels": {"alertname": "LoadTest", "severity": "warning", "job": "load"}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "version": "4",
        "groupKey": f'{{}}:{{alertname="LoadTest", group="{group}"}}', "truncatedAlerts": 0,
    }


def alert(group, number, status, since):
    instance = f"load-{group}-{number}:9100"
    labels = {"alertname": "LoadTest", "severity": "warning", "job": "load", "instance": instance,
              "component": f"load-{group}"}
    return {
        "status": status, "labels": labels,
        "annotations": {"summary": f"Load test at {instance}", "description": "Made by tests/load_tests.py."},
        "startsAt": since, "endsAt": now() if status == "resolved" else NEVER,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=load&g0.tab=1",
        "fingerprint": hashlib.sha256(instance.encode()).hexdigest()[:16],
    }
