"""The release binary with all that surrounds it, for the soak and the load test: reference Charter, real Prometheus and
Alertmanager (as scripts/fetch-tools.sh finds them), the daemon with SQLite; on free ports, in a folder of its own.

Only the standard library. Leaves out what is measured (soak.py, load.py)."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Plant and loop this many times faster than life: a cycle a second where the shipped loop has one in 30 s.
SPEED = 30

# What a start takes at most, on a busy machine.
PATIENCE = 60

FAULTS = ["overload", "slow_leak", "misconfigured_policy", "hot_shard", "bad_configuration", "retry_storm",
          "transient_blip", "telemetry_gap", "shared_shock"]

REPLICAS = 3


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def call(url, body=None, method=None):
    """JSON there and back; None for an empty answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Stack:
    """Started by `with`; whatever it started is ended when that is left, however."""

    def __init__(self, binary):
        self.binary = str(binary)
        self.processes = {}
        self.ports = {name: free_port() for name in ("charter", "prometheus", "alertmanager", "api", "webhook")}
        self.url = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    def __enter__(self):
        # Asked to stop, it leaves nothing running.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
        self.kept = tempfile.TemporaryDirectory(prefix="mape-k-")
        self.folder = pathlib.Path(self.kept.name)
        try:
            tools = fetch_tools()
            self.start("charter", [self.binary, "charter", "--sandbox", "--speed", str(SPEED),
                                   "--listen", self.address("charter")], "/health")
            self.start("alertmanager", [tools["alertmanager"], f"--config.file={self.alertmanager_config()}",
                                        f"--storage.path={self.folder}/alertmanager", "--cluster.listen-address=",
                                        f"--web.listen-address={self.address('alertmanager')}"], "/-/ready")
            self.start("prometheus", [tools["prometheus"], f"--config.file={self.prometheus_config()}",
                                      f"--storage.tsdb.path={self.folder}/prometheus",
                                      f"--web.listen-address={self.address('prometheus')}"], "/-/ready")
            self.start("api", [self.binary, "run", "--config", self.daemon_config()], "/health")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes.values()):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        self.kept.cleanup()

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def start(self, name, command, ready):
        log = open(self.folder / f"{name}.log", "wb")
        # Settings of the caller's shell (PROMETHEUS_URL, …) must not reach a measurement.
        environment = {"PATH": os.environ.get("PATH", "")}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                   cwd=self.folder)
        self.processes[name] = process
        deadline = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not become ready: {' '.join(command)}\n{self.tail(name)}")
            try:
                urllib.request.urlopen(self.url[name] + ready, timeout=2).read()
                return
            except urllib.error.HTTPError:
                # /health before the first cycle: it answers, that is enough.
                return
            except OSError:
                time.sleep(0.1)

    def tail(self, name):
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-20:])

    def alertmanager_config(self):
        text = (ROOT / "config/alertmanager.yml").read_text()
        text = re.sub(r"url: http://\S+", f"url: {self.url['webhook']}/webhooks/alerts", text)
        return self.write("alertmanager.yml", re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text))

    def prometheus_config(self):
        rules = self.folder / "rules"
        rules.mkdir()
        for file in (ROOT / "config/rules").glob("*.yml"):
            text = re.sub(r"(\n\s+for): \w+", r"\1: 2s", file.read_text())
            # Windows of Charter's rules pass as fast as its time.
            if file.name == "charter.yml":
                text = text.replace("[5m]", "[10s]")
            (rules / file.name).write_text(text)
        text = (ROOT / "config/prometheus.yml").read_text()
        text = re.sub(r"(scrape_interval|scrape_timeout|evaluation_interval): \w+", r"\1: 1s", text)
        for name, target in {"charter": r"charter:\d+", "api": r"mape-k:\d+", "alertmanager": r"alertmanager:\d+",
                             "prometheus": r"localhost:\d+"}.items():
            text = re.sub(f'"{target}"', f'"{self.address(name)}"', text)
        return self.write("prometheus.yml", text)

    def daemon_config(self):
        """The shipped behaviour in fast time; its budgets and its memory are of minutes, so that both are full soon."""
        seconds = 900 / SPEED
        latency = {"name": "validation_latency", "metric": "westworld_charter_validation_latency_seconds",
                   "labels": {"quantile": "0.95"}, "aggregate": "max", "by": ["validation_type"], "comparison": "gt",
                   "threshold": 1.0, "component": "charter", "cause": "validation_latency"}
        failure = {"name": "failure_rate", "metric": "westworld_charter_failure_rate", "comparison": "gt",
                   "threshold": 0.1, "component_label": "component", "cause": "system_overload"}
        throughput = {"name": "throughput", "metric": "westworld_charter_throughput_ops_per_sec", "comparison": "lt",
                      "threshold": 100, "severity": "info", "component_label": "component"}
        policies = {"name": "critical_policy_violations", "metric": "westworld_charter_policy_violations_total",
                    "labels": {"severity": "critical"}, "aggregate": "sum", "by": ["policy_id"],
                    "increase_over": "10s", "comparison": "gt", "threshold": 0, "severity": "critical",
                    "component_label": "policy_id", "cause": "policy_misconfiguration"}
        settle = {"scale_up": 180, "scale_down": 300, "restart_service": 120, "apply_policy": 60,
                  "bypass_validation": 60, "throttle_requests": 60, "activate_emergency_override": 60,
                  "rebalance_load": 180, "update_configuration": 60}
        config = {
            "orchestrator": {"mode": "staging", "loop_interval": 1},
            "monitor": {"prometheus_url": self.url["prometheus"], "poll_interval": 2, "query_timeout": 0.9,
                        "metrics": [latency, failure, throughput, policies]},
            "analyze": {"algorithms": {"temporal": {"window": 60 / SPEED}, "frequency": {"window": 300 / SPEED}},
                        "flapping": {"window": 600 / SPEED, "clear": 600 / SPEED, "quiet": 300 / SPEED}},
            "plan": {"approval_ttl": seconds, "strategies": {
                "validation_latency": [{"action": "scale_up"},
                                       {"action": "throttle_requests", "after": "scale_up", "duration_seconds": seconds}],
                "cascade_failure": [{"action": "throttle_requests", "duration_seconds": seconds},
                                    {"action": "activate_emergency_override", "after": "throttle_requests",
                                     "duration_seconds": seconds}]}},
            "guardrails": {"actions_per_incident": 100, "cooldown": {"shortest": 10, "longest": 120, "opposite": 20}, "temporary_limit": seconds,
                           "actions_per_cause_per_day": 1000, "failures_per_remedy": 100,
                           "budget": {"per_hour": 1000, "per_target_per_hour": 1000, "override_gap": 60,
                                      "overrides_per_day": 1000},
                           "breaker": {"open_for": 60}, "storm": {"within": 2, "leave_after": 10}},
            "execute": {"charter_url": self.url["charter"], "settle_default": 120 / SPEED,
                        "settle": {action: lasts / SPEED for action, lasts in settle.items()}},
            "knowledge": {"sqlite_path": f"{self.folder}/knowledge.db", "retention": "2m", "judge_limit": 600 / SPEED,
                          "outcome_history_limit": 100},
            "alertmanager": {"url": self.url["alertmanager"], "webhook_host": "127.0.0.1",
                             "webhook_port": self.ports["webhook"], "wake_gap": 0.2},
            "api": {"host": "127.0.0.1", "port": self.ports["api"]},
            "escalation": {"interval": "10s", "repeat_after": "1m", "default_tier": "P1", "services_file": self.services(),
                           "reports_dir": f"{self.folder}/reports", "reports_max_files": 100},
            "notify": {"alertmanager": {"enabled": True}},
        }
        return self.write("config.yaml", json.dumps(config, indent=1))

    def services(self):
        return self.write("services.yaml", (ROOT / "config/services.yaml").read_text())

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def inject(self, fault):
        return call(f"{self.url['charter']}/sandbox/faults", {"fault": fault})["id"]

    def heal(self, fault):
        """What a person does afterwards: the cause is gone, the size is as it was."""
        try:
            call(f"{self.url['charter']}/sandbox/faults/{fault}", method="DELETE")
        except urllib.error.HTTPError as error:
            # One that ended by itself.
            if error.code != 404:
                raise
        call(f"{self.url['charter']}/api/v1/committee/scale", {"replicas": REPLICAS})

    def daemon(self):
        """The daemon's process id; it must live."""
        process = self.processes["api"]
        if process.poll() is not None:
            raise SystemExit(f"the daemon ended with {process.returncode}\n{self.tail('api')}")
        return process.pid


def fetch_tools():
    found = subprocess.run([str(ROOT / "scripts/fetch-tools.sh")], stdout=subprocess.PIPE, text=True)
    if found.returncode:
        raise SystemExit("Prometheus and Alertmanager are needed; what to install stands above")
    return {pathlib.Path(path).name: path for path in found.stdout.split()}
