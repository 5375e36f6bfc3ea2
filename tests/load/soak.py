"""Does the daemon's memory stay flat? The release binary, a cycle a second, one fault after another for MINUTES.

The first WARM_UP minutes fill what is bounded (store, histories, reports, caches) and are not judged. Then the resident
memory is sampled: the median of the last fifth of the samples may be GROWTH above that of the first fifth. Exit 1 if it
is more, if one of EXERCISED did not happen, or if the daemon ended.

    python3 tests/load/soak.py --minutes 30"""

import argparse
import os
import pathlib
import sqlite3
import statistics
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from stack import FAULTS, ROOT, SPEED, Stack, call

GROWTH = 0.05
# Each fault: this long there, then this long for quiet, in seconds. Nine of them are nine minutes.
FAULT, QUIET = 40, 20
SAMPLE = 5
ROWS = 12
EXERCISED = ["alerts", "patterns", "actions", "outcomes", "escalations", "notifications"]
PATHS = ["status", "state", "violations", "policies", "outcomes", "cycles", "escalations", "insights"]


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def resident(pid):
    """Megabytes."""
    return int(status(pid)["VmRSS"].split()[0]) / 1024


def rows(database):
    """Rows of every table, by a reader beside the daemon."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as store:
        names = store.execute("select name from sqlite_master where type='table' and name not like 'sqlite_%'")
        return sum(store.execute(f'select count(*) from "{name}"').fetchone()[0] for (name,) in names.fetchall())


def sample(stack, started):
    pid = stack.daemon()
    held = status(pid)
    state = call(f"{stack.url['api']}/api/v1/state")
    return {
        "minute": (time.monotonic() - started) / 60,
        "rss": int(held["VmRSS"].split()[0]) / 1024,
        "anon": int(held["RssAnon"].split()[0]) / 1024,
        "cycle": state["iteration"],
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(held["Threads"]),
        "rows": rows(stack.folder / "knowledge.db"),
        "store": sum(f.stat().st_size for f in stack.folder.glob("knowledge.db*")) / 2**20,
    }


def disturb(stack, stop):
    """One fault after another, each healed by whoever is first: the daemon, or this after a while."""
    number = 0
    while not stop.is_set():
        fault = stack.inject(FAULTS[number % len(FAULTS)])
        stop.wait(FAULT)
        stack.heal(fault)
        stop.wait(QUIET)
        number += 1


def counted(stack):
    """The daemon's counters of what this is to exercise, each summed over its labels."""
    with urllib.request.urlopen(f"{stack.url['api']}/metrics", timeout=10) as answer:
        lines = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#"]
    return {name: sum(float(value) for series, value in lines if series.split("{")[0] == f"mape_k_{name}_total")
            for name in EXERCISED}


def show(one):
    print(f"| {one['minute']:.1f} | {one['rss']:.1f} | {one['anon']:.1f} | {one['cycle']} | {one['rows']} |"
          f" {one['store']:.1f} | {one['files']} | {one['threads']} |", flush=True)


def measure(stack, minutes, warm_up, faults):
    """The samples after the warm-up, and what the daemon did meanwhile."""
    started = time.monotonic()
    samples, shown, before = [], 0, None
    every = (warm_up + minutes) / ROWS
    print("| minute | RSS, MB | of it anonymous | cycles | rows | store, MB | open files | threads |")
    print("|---|---|---|---|---|---|---|---|")
    while (elapsed := (time.monotonic() - started) / 60) < warm_up + minutes:
        if faults.done():
            faults.result()
        one = sample(stack, started)
        for path in PATHS:
            call(f"{stack.url['api']}/api/v1/{path}")
        if elapsed >= shown * every:
            show(one)
            shown += 1
        if elapsed >= warm_up:
            samples.append(one)
            before = before or counted(stack)
        time.sleep(SAMPLE)
    show(sample(stack, started))
    after = counted(stack)
    return samples, {name: after[name] - count for name, count in before.items()}


def judge(samples, done):
    fifth = max(1, len(samples) // 5)
    first, last = ([one["rss"] for one in part] for part in (samples[:fifth], samples[-fifth:]))
    growth = statistics.median(last) / statistics.median(first) - 1
    cycles = samples[-1]["cycle"] - samples[0]["cycle"]
    minutes = samples[-1]["minute"] - samples[0]["minute"]
    print(f"\n{len(samples)} samples over {minutes:.1f} min, {cycles} cycles. RSS: median of the first fifth"
          f" {statistics.median(first):.1f} MB, of the last {statistics.median(last):.1f} MB,"
          f" growth {growth:+.1%} (limit {GROWTH:.0%}).")
    print(", ".join(f"{name} {count:.0f}" for name, count in done.items()))
    idle = [name for name, count in done.items() if count == 0]
    if idle:
        raise SystemExit(f"this measured nothing: no {', no '.join(idle)}")
    if growth > GROWTH:
        raise SystemExit("resident memory is not flat")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--warm-up", type=float, default=5, help="minutes before, not judged")
    arguments.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mape-k")
    given = arguments.parse_args()
    load = " ".join(f"{part:.1f}" for part in os.getloadavg())
    print(f"load average at the start: {load}; plant and loop at {SPEED} times the speed of life")
    stop = threading.Event()
    with Stack(given.binary.resolve()) as stack, ThreadPoolExecutor(1) as beside:
        faults = beside.submit(disturb, stack, stop)
        try:
            samples, done = measure(stack, given.minutes, given.warm_up, faults)
            done["report files"] = len(list((stack.folder / "reports").glob("*.json*")))
        finally:
            stop.set()
    judge(samples, done)


if __name__ == "__main__":
    main()
