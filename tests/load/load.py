"""tests/load_tests.py against the release binary on free ports, with all that surrounds it (stack.py): a cycle a second and
a fault beside the load. Prints locust's summary; exit 1 if it saw a failure or the daemon ended.

    target/load/bin/python tests/load/load.py --seconds 60 --users 60"""

import argparse
import os
import pathlib
import subprocess
import sys

from soak import resident
from stack import ROOT, Stack


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--users", type=int, default=60)
    arguments.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/mape-k")
    given = arguments.parse_args()
    print(f"load average at the start: {' '.join(f'{part:.1f}' for part in os.getloadavg())}", flush=True)
    with Stack(given.binary.resolve()) as stack:
        before = resident(stack.daemon())
        fault = stack.inject("overload")
        command = [sys.executable, "-m", "locust", "-f", str(ROOT / "tests/load_tests.py"), "--headless", "--only-summary",
                   "--host", stack.url["api"], "-t", f"{given.seconds}s", "-u", str(given.users)]
        # A locust that hangs is ended with the stack.
        ended = subprocess.run(command, timeout=given.seconds + 120, stdin=subprocess.DEVNULL,
                               env={**os.environ, "MAPE_K_WEBHOOK_URL": f"{stack.url['webhook']}/webhooks/alerts"})
        print(f"resident memory of the daemon: {before:.1f} MB before, {resident(stack.daemon()):.1f} MB after")
        stack.heal(fault)
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
