"""What do whole timelines cost, and reports that read a thousand of them, beside another version of leadtrace?

    python bench/timelines.py /tmp/bench --beside OTHER/src [--events 60000] [--rounds 1]

Makes a store of so many events under the folder unless it is there. In each round each version answers in a process of its
own, one after the other, so that both meet the same noise; a figure is the best of all rounds, in milliseconds of CPU for
1,000 timelines. Of a report that is what a sample of 1,000 takes more than one of 10: not what is asked of all records.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import leadtrace
from leadtrace.query.timeline import build
from leadtrace.store.interface import LeadFilter

LEADS = 1_000
REPORTS: dict[str, dict[str, object]] = {
    "what-if": {"cache": ("phone validation",)},
    "performance": {},
    "lint": {},
}


def cpu(ask: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    began = time.process_time()
    ask()
    return (time.process_time() - began) * 1000


def measured(path: str) -> dict[str, float]:
    """Each figure of the version that this process has loaded."""
    found: dict[str, float] = {}
    with leadtrace.open(path) as reader:
        store = reader.source
        leads = [row.lead_id for row in store.leads(LeadFilter(limit=LEADS))]
        found["records of a lead"] = cpu(lambda: deque((store.lead(one) for one in leads), 0))
        records = [(store.lead(one), one) for one in leads]
        found["its timeline of these"] = cpu(lambda: deque((build(*one) for one in records), 0))
        for name, given in REPORTS.items():
            few = cpu(partial(reader.report, name, sample=10, **given))
            whole = cpu(partial(reader.report, name, sample=LEADS, **given))
            found[f"report {name}"] = (whole - few) * LEADS / (LEADS - 10)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    path = asked.folder / f"timelines-{asked.events}.db"
    if asked.measure:
        print(json.dumps(measured(str(path))))
        return
    asked.folder.mkdir(exist_ok=True)
    if not path.exists():
        from lead_traffic import make_store

        make_store(path, asked.events)
    versions = {"this": Path(leadtrace.__file__).parents[1]} | ({"other": asked.beside} if asked.beside else {})
    least: dict[str, dict[str, float]] = {name: {} for name in versions}
    for _ in range(asked.rounds):
        for name, source in versions.items():
            told = subprocess.run(
                [sys.executable, __file__, str(asked.folder), "--events", str(asked.events), "--measure"],
                env=os.environ | {"PYTHONPATH": str(source.absolute())}, check=True, capture_output=True, text=True,
            )  # fmt: skip
            for what, took in json.loads(told.stdout).items():
                least[name][what] = min(took, least[name].get(what, took))
    print("| ms of CPU for 1,000 timelines | this |", "other | ratio |" if asked.beside else "")
    print("|---|---|", "---|---|" if asked.beside else "")
    for what, took in least["this"].items():
        other = least["other"][what] if asked.beside else 0
        print(f"| {what} | {took:.0f} |", f"{other:.0f} | {other / took:.1f} |" if asked.beside else "")


if __name__ == "__main__":
    main()
