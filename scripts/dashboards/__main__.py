"""Writes config/grafana/dashboards/*.json.

    python3 scripts/dashboards            # where they belong
    python3 scripts/dashboards FOLDER     # there

What is asked and what it means is in the_loop.py, charter.py and people.py, how a panel looks in parts.py.
tests/deployment/dashboards.rs runs every query.
"""

import json
import pathlib
import sys

from charter import charter
from people import people
from the_loop import the_loop


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "config/grafana/dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    for made in (the_loop(), charter(), people()):
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{made['uid']}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
